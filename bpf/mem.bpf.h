/* SPDX-License-Identifier: GPL-2.0-only */
/* Family @mem: reads and writes of /proc/PID/mem, identified by their file operations. What both tiers share, and
 * the calls as their exit shows them. */
#ifndef VMTRACE_MEM_BPF_H
#define VMTRACE_MEM_BPF_H

#include "call.bpf.h"

static __always_inline bool is_vectored(__u32 kind)
{
	return kind >= VMT_READV && kind <= VMT_PWRITEV2;
}

/* Where in the record the caller's array is kept until the payload in front of it is complete. */
#define MEM_ARRAY_AT 0x1c000

/* Where the call began in the target's memory. read, write and *v2 with offset -1 use the file position, which was
 * `position` then. */
static __always_inline __u64 mem_offset(struct call *call, __u64 position)
{
	__u64 offset = call->args[3];
	bool positioned = call->kind != VMT_READ && call->kind != VMT_WRITE && call->kind != VMT_READV &&
			  call->kind != VMT_WRITEV;

	if (call->compat)
		offset = (__u32)call->args[3] | call->args[4] << 32;
	if ((call->kind == VMT_PREADV2 || call->kind == VMT_PWRITEV2) && offset == (__u64)-1)
		positioned = false;
	if (positioned)
		return offset;
	return position;
}

/* The position of a file that a call has moved on by `moved`. */
static __always_inline __u64 position_before(struct file *file, __u64 moved)
{
	return BPF_CORE_READ(file, f_pos) - moved;
}

/* The process whose memory the file shows: the one that was opened. Processes can share memory, and its owner may be
 * another of them. The owner is used only if the thread that was opened has ended: private_data is its mm
 * (fs/proc/base.c, mem_open). */
static __always_inline void mem_target(struct vmt_process *target, struct file *file)
{
	__u64 inode = (__u64)peek(file, struct file, f_inode) - bpf_core_field_offset(struct proc_inode, vfs_inode);
	struct mm_struct *mm = BPF_CORE_READ(file, private_data);
	struct task_struct *owner = NULL;

	target_by_pid(target, (void *)word_of(inode, struct proc_inode, pid));
	if (target->pid)
		return;
	if (mm && bpf_core_field_exists(mm->owner))
		owner = BPF_CORE_READ(mm, owner);
	if (owner)
		process_of(target, owner);
}

/* Whether `file`, behind descriptor `fd`, shows the memory of a process. Also learns what such files look like, from
 * the recorder's own. */
static __always_inline bool mem_concerns(struct task_struct *task, __s32 fd, struct file *file)
{
	__u64 fops = (__u64)BPF_CORE_READ(file, f_op);
	struct vmt_switches *s = switches();

	if (!file || !s)
		return false;
	if (s->learn_fd >= 0 && task_read(task, tgid) == knobs.recorder_tgid && fd == s->learn_fd) {
		s->mem_fops = fops;
		return false;
	}
	return fops == s->mem_fops;
}

/* Reads the caller's array: from its memory, or the one range that came in registers. */
static __always_inline void mem_array(struct call *call, struct scratch *scratch, struct vmt_mem *ev)
{
	if (is_vectored(call->kind))
		iovs_read(call->slot, MEM_ARRAY_AT, offsetof(typeof(*ev), local), call->args[1], call->args[2]);
	else
		iovs_one(scratch, MEM_ARRAY_AT, &ev->local, call->args[1], call->args[2]);
}

/* Puts the array where it belongs; returns the record's new end. */
static __always_inline __u32 mem_array_append(struct scratch *scratch, __u32 at, struct vmt_mem *ev)
{
	__u64 bytes = (__u32)ev->local.kept * ev->local.entry;

	asm volatile("" : "+r"(bytes), "+r"(at));
	at &= SCRATCH_MASK;
	if (bytes == 0 || bytes > VMT_IOV_MAX * 16)
		return at;
	bpf_probe_read_kernel(scratch->bytes + at, bytes, scratch->bytes + MEM_ARRAY_AT);
	return at + bytes;
}

/* Completes and delivers the record, whose payload ends at `at`. Without a file its descriptor is described already. */
static __always_inline void mem_deliver(struct call *call, struct scratch *scratch, __u32 at, struct file *file,
					__s32 fd)
{
	struct vmt_mem *ev = (void *)scratch;
	bool visited = is_vectored(call->kind) && ev->local.source == VMT_SOURCE_KERNEL;

	ev->flags = call->kind == VMT_PREADV2 || call->kind == VMT_PWRITEV2 ? (__u32)call->args[5] : 0;
	at = mem_array_append(scratch, at, ev);
	at = iovs_read(call->slot, at, offsetof(typeof(*ev), user_local), call->args[1], visited ? call->args[2] : 0);
	if (file) {
		fd_describe(&ev->fd, fd, file);
		at = fd_path(scratch, call->slot, at, &ev->fd, file);
	}
	deliver_scratch(scratch, at, call->kind);
}

/* Makes the record of a call at its exit. All but array, payload and file is in it already. */
static __always_inline void mem_record_exit(struct call *call, struct scratch *scratch, __u32 slot, struct file *file)
{
	struct vmt_mem *ev = (void *)scratch;
	__u32 at = sizeof(*ev);

	ev->exact = false;
	ev->raced = call->raced;
	mem_array(call, scratch, ev);
	at = payload_gather(scratch, slot, at, &ev->payload, &ev->local, MEM_ARRAY_AT, call->ret);
	mem_deliver(call, scratch, at, file, call->args[0]);
}

__noinline int mem_exit(__u32 slot)
{
	struct scratch *scratch = scratch_at(slot);
	struct vmt_mem *ev = (void *)scratch;
	struct call *call;
	struct file *file;

	if (!ev)
		return 0;
	call = &scratch->call;
	file = (void *)call->file;
	mem_target(&ev->target, file);
	if (!target_admit(scratch, current_task(), &ev->target))
		return 0;
	ev->offset = mem_offset(call, position_before(file, call->ret > 0 ? call->ret : 0));
	mem_record_exit(call, scratch, slot, file);
	return 0;
}

#endif
