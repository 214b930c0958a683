/* SPDX-License-Identifier: GPL-2.0-only */
/* Family @pipe: vmsplice, splice, tee and sendfile as their exit shows them. The function tier has put what the kernel
 * uses into the record before (pipe_function.bpf.h). */
#ifndef VMTRACE_PIPE_BPF_H
#define VMTRACE_PIPE_BPF_H

#include "call.bpf.h"
#include "pipe_writer.bpf.h"

/* i386 sendfile takes a 32-bit offset; sendfile64 (239) and x86-64 take 64 bits. */
#define NR_I386_SENDFILE 187

/* Where a vmsplice under way keeps its lists, behind the longest record that it can make. */
#define PINS_AT 0x18000
#define RANGES_AT 0x1c000
_Static_assert(sizeof(struct vmt_vmsplice) + 2 * VMT_IOV_MAX * 16 + VMT_PATH_MAX + 256 + VMT_SNAPLEN_MAX <
		       RANGES_AT + 0x4000,
	       "a record overwrites the lists");

/* The ranges that a call moved: from the kernel where the function tier knows them, else the caller's array. */
static __always_inline __u32 vmsplice_iovs(struct scratch *scratch, __u32 at, struct vmt_vmsplice *ev,
					   struct call *call)
{
	struct pinned *pinned = &scratch->pinned;

	if (call->held && scratch->held.end)
		return scratch->held.end;
	if (call->held && pinned->ranges && !pinned->incomplete) {
		at = iovs_copy(scratch, at, &ev->local, scratch->bytes + RANGES_AT, pinned->ranges);
		ev->local.source = VMT_SOURCE_PAGES;
		return at;
	}
	return iovs_read(call->slot, at, offsetof(typeof(*ev), local), call->args[1], call->args[2]);
}

__noinline int vmsplice_exit(__u32 slot)
{
	struct task_struct *task = current_task();
	struct scratch *scratch = scratch_at(slot);
	struct vmt_vmsplice *ev = (void *)scratch;
	__u32 at = sizeof(*ev), local_at = at;
	struct file *file, *known = NULL;
	struct call *call;

	if (!ev)
		return 0;
	call = &scratch->call;
	file = file_of_fd(task, call->args[0]);
	if (call->held)
		known = scratch->pinned.file;
	if (known)
		ev->fd.fd = call->args[0];
	else
		fd_describe(&ev->fd, call->args[0], file);
	if (!call_admit(scratch, task, !call->selected && is_side_fed(&ev->fd)))
		return 0;
	ev->flags = (__u32)call->args[3];
	at = vmsplice_iovs(scratch, at, ev, call);
	if (!known || known == file)
		at = fd_path(scratch, slot, at, &ev->fd, file);
	at = payload_gather(scratch, slot, at, &ev->payload, &ev->local, local_at, call->ret);
	__builtin_memset(&ev->user_local, 0, sizeof(ev->user_local));
	if (call->held && ev->local.source != VMT_SOURCE_USER)
		at = iovs_read(slot, at, offsetof(typeof(*ev), user_local), call->args[1], call->args[2]);
	__builtin_memset(&ev->writer, 0, sizeof(ev->writer));
	if (ev->fd.flags & VMT_MODE_WRITE) {
		pipe_feed(scratch, slot, &ev->fd, &ev->hdr, file, call->ret);
	} else {
		side_taken(&ev->fd, call->ret);
		side_fed_by(&ev->writer, &ev->fd);
	}
	deliver_scratch(scratch, at, call->kind);
	return 0;
}

/* Reads an offset that the caller passed by pointer. */
static __always_inline __u8 offset_read(__s64 *out, __u64 ptr, __u32 size)
{
	*out = 0;
	if (!ptr)
		return VMT_READ_ABSENT;
	if (size == 4 ? bpf_probe_read_user(out, 4, (void *)ptr) : bpf_probe_read_user(out, 8, (void *)ptr))
		return VMT_READ_FAULT;
	return VMT_READ_OK;
}

/* The offset arguments of splice and sendfile; the function tier has seen the kernel's copies of them. */
static __always_inline void splice_offsets(struct vmt_splice *ev, struct call *call)
{
	__u64 *a = call->args;

	ev->off_in = ev->off_out = 0;
	ev->off_in_status = ev->off_out_status = VMT_READ_ABSENT;
	if (call->kind == VMT_SPLICE) {
		ev->off_in_status = offset_read(&ev->off_in, a[1], 8);
		ev->off_out_status = offset_read(&ev->off_out, a[3], 8);
	} else if (call->kind == VMT_SENDFILE) {
		ev->off_in_status =
			offset_read(&ev->off_in, a[2], call->compat && call->nr == NR_I386_SENDFILE ? 4 : 8);
	}
}

static __always_inline void splice_args(struct vmt_splice *ev, struct call *call, __s32 *fd_in, __s32 *fd_out)
{
	__u64 *a = call->args;

	ev->len = ev->flags = 0;
	switch (call->kind) {
	case VMT_SPLICE:
		*fd_in = a[0];
		*fd_out = a[2];
		ev->len = a[4];
		ev->flags = (__u32)a[5];
		break;
	case VMT_TEE:
		*fd_in = a[0];
		*fd_out = a[1];
		ev->len = a[2];
		ev->flags = (__u32)a[3];
		break;
	case VMT_SENDFILE:
		*fd_out = a[0];
		*fd_in = a[1];
		ev->len = a[3];
		break;
	}
}

/* One side of a call. If the kernel's own file is known, it is described already, and its path is added if the
 * descriptor still leads there. */
static __always_inline struct file *splice_side(struct vmt_splice *ev, struct vmt_fd *side, __s32 fd,
						struct file *known)
{
	struct file *file = file_of_fd(current_task(), fd);

	if (!known) {
		fd_describe(side, fd, file);
		return file;
	}
	side->fd = fd;
	if (file == known)
		return file;
	ev->raced = 1;
	return NULL;
}

__noinline int splice_exit(__u32 slot)
{
	struct task_struct *task = current_task();
	struct scratch *scratch = scratch_at(slot);
	struct vmt_splice *ev = (void *)scratch;
	struct file *in, *out, *known_in = NULL, *known_out = NULL;
	__s32 fd_in = -1, fd_out = -1;
	__u32 at = sizeof(*ev);
	struct call *call;

	if (!ev)
		return 0;
	call = &scratch->call;
	if (call->held) {
		known_in = scratch->held.in;
		known_out = scratch->held.out;
	}
	ev->raced = 0;
	splice_args(ev, call, &fd_in, &fd_out);
	in = splice_side(ev, &ev->in, fd_in, known_in);
	out = splice_side(ev, &ev->out, fd_out, known_out);
	if (!call_admit(scratch, task, !call->selected && (is_side_fed(&ev->in) || is_side_fed(&ev->out))))
		return 0;
	ev->finished = 1;
	ev->source = known_in && known_out ? VMT_SOURCE_KERNEL : VMT_SOURCE_USER;
	ev->offsets_before = call->held && scratch->held.offsets_known;
	if (!ev->offsets_before)
		splice_offsets(ev, call);
	if (in)
		at = fd_path(scratch, slot, at, &ev->in, in);
	if (out)
		at = fd_path(scratch, slot, at, &ev->out, out);
	/* In this order: a pipe spliced to itself is refused, and this call then must not count as one that feeds it.
	 * */
	pipe_feed(scratch, slot, &ev->out, &ev->hdr, out, call->ret);
	side_taken(&ev->in, call->ret);
	side_fed_by(&ev->writer, &ev->in);
	deliver_scratch(scratch, at, call->kind);
	return 0;
}

#endif
