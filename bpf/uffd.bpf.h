/* SPDX-License-Identifier: GPL-2.0-only */
/* Family @uffd: a process fills, moves or poisons pages of whoever registered them with a userfaultfd. What both tiers
 * share, and the calls as the exit of ioctl(2) shows them. */
#ifndef VMTRACE_UFFD_BPF_H
#define VMTRACE_UFFD_BPF_H

#include "call.bpf.h"

/* Where the range of the payload is listed while it is read. */
#define UFFD_RANGE_AT 0x1c000

/* The event of a command; 0 for those that move nothing. */
static __always_inline __u32 uffd_kind(__u32 command)
{
	switch (command) {
	case UFFDIO_COPY:
		return VMT_UFFD_COPY;
	case UFFDIO_MOVE:
		return VMT_UFFD_MOVE;
	case UFFDIO_ZEROPAGE:
		return VMT_UFFD_ZEROPAGE;
	case UFFDIO_POISON:
		return VMT_UFFD_POISON;
	default:
		return 0;
	}
}

static __always_inline bool has_source(__u32 kind)
{
	return kind == VMT_UFFD_COPY || kind == VMT_UFFD_MOVE;
}

/* Whether a file is a userfaultfd: an anonymous inode of this name, which programs cannot choose (fs/userfaultfd.c,
 * new_userfaultfd), whichever call made it. A function of its own, so that its stack does not count in the program's.
 */
__noinline int is_userfaultfd(__u64 file_address)
{
	static const char wanted[16] = "[userfaultfd]";
	struct file *file = (void *)file_address;
	char name[16] = {};

	if (!file || BPF_CORE_READ(file, f_inode, i_sb, s_magic) != ANON_INODE_FS_MAGIC)
		return 0;
	bpf_probe_read_kernel(name, 14, BPF_CORE_READ(file, f_path.dentry, d_name.name));
	return ((__u64 *)name)[0] == ((const __u64 *)wanted)[0] && ((__u64 *)name)[1] == ((const __u64 *)wanted)[1];
}

/* The process whose pages a userfaultfd is about: the owner of the memory for which it was made. Where the kernel keeps
 * no owners, it is known of the caller's own memory only. */
static __always_inline void uffd_target(struct vmt_process *target, struct file *file)
{
	struct userfaultfd_ctx *ctx = BPF_CORE_READ(file, private_data);
	struct task_struct *task = current_task(), *owner = NULL;
	struct mm_struct *mm = NULL;

	__builtin_memset(target, 0, sizeof(*target));
	if (ctx && bpf_core_field_exists(ctx->mm))
		mm = BPF_CORE_READ(ctx, mm);
	if (!mm)
		return;
	if (bpf_core_field_exists(mm->owner))
		owner = BPF_CORE_READ(mm, owner);
	if (!owner && (__u64)task_read(task, mm) == (__u64)mm)
		owner = task;
	if (owner)
		process_of(target, owner);
}

/* Reads the command's struct from the caller's memory: `copy` and `move` begin with dst and src, `zeropage` and
 * `poison` with the range. What the kernel was seen to use stays, and is compared. */
static __always_inline void uffd_arguments(struct vmt_uffd *ev, struct call *call)
{
	__u64 words[5] = {}, dst, src, len;
	bool both = has_source(call->kind);
	long fault;

	if (both)
		fault = bpf_probe_read_user(words, sizeof(words), (void *)call->args[2]);
	else
		fault = bpf_probe_read_user(words, sizeof(words) - 8, (void *)call->args[2]);
	ev->args = fault ? VMT_READ_FAULT : VMT_READ_OK;
	dst = words[0];
	src = both ? words[1] : 0;
	len = both ? words[2] : words[1];
	ev->mode = both ? words[3] : words[2];
	if (ev->exact) {
		ev->changed = !fault && (dst != ev->dst || src != ev->src || len != ev->len);
		return;
	}
	ev->changed = false;
	ev->dst = dst;
	ev->src = src;
	ev->len = len;
	ev->result = both ? words[4] : words[3];
}

/* Bytes that the call is done with: what the kernel's function returned, or what the caller's memory says. A call that
 * is not done with all fails with EAGAIN. */
static __always_inline __u64 uffd_moved(struct vmt_uffd *ev, long ret)
{
	if (ev->exact)
		return ev->result > 0 ? ev->result : 0;
	if (!ret)
		return ev->len;
	if (ret == -EAGAIN && ev->result > 0 && (__u64)ev->result < ev->len)
		return ev->result;
	return 0;
}

/* Appends the bytes: of a copy from where they came from, of a move from where they are now. Zeros and poison have
 * none. Returns the record's new end. */
static __always_inline __u32 uffd_payload(struct scratch *scratch, __u32 at, struct vmt_uffd *ev, struct call *call)
{
	struct vmt_iovs range;

	iovs_one(scratch, UFFD_RANGE_AT, &range, call->kind == VMT_UFFD_MOVE ? ev->dst : ev->src, ev->len);
	return payload_gather(scratch, call->slot, at, &ev->payload, &range, UFFD_RANGE_AT,
			      has_source(call->kind) ? ev->moved : 0);
}

__noinline int uffd_exit(__u32 slot)
{
	struct task_struct *task = current_task();
	struct scratch *scratch = scratch_at(slot);
	struct vmt_uffd *ev = (void *)scratch;
	__u32 at = sizeof(*ev);
	struct call *call;
	struct file *file;

	if (!ev)
		return 0;
	call = &scratch->call;
	file = (void *)call->file;
	if (call->held && scratch->held.target_known)
		departed_mark(&ev->target);
	else
		uffd_target(&ev->target, file);
	if (!call_admit(scratch, task, !call->selected && reaches_selected(task, &ev->target)))
		return 0;
	ev->exact = call->held && scratch->held.count;
	uffd_arguments(ev, call);
	ev->moved = uffd_moved(ev, call->ret);
	/* It returns 0 when all is done. */
	departed_returned(&ev->target, call->ret ? call->ret : 1);
	at = uffd_payload(scratch, at, ev, call);
	fd_describe(&ev->fd, call->args[0], file);
	at = fd_path(scratch, slot, at, &ev->fd, file);
	deliver_scratch(scratch, at, call->kind);
	return 0;
}

#endif
