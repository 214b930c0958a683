/* SPDX-License-Identifier: GPL-2.0-only */
/* Family @pipe, tracepoint tier: vmsplice, splice, tee and sendfile as their exit shows them. */
#ifndef VMTRACE_PIPE_BPF_H
#define VMTRACE_PIPE_BPF_H

#include "call.bpf.h"

/* i386 sendfile takes a 32-bit offset; sendfile64 (239) and x86-64 take 64 bits. */
#define NR_I386_SENDFILE 187

static __noinline int vmsplice_exit(struct call *call)
{
	struct task_struct *task = current_task();
	struct scratch *scratch = scratch_at(call->slot);
	struct vmt_vmsplice *ev = (void *)scratch;
	__u32 at = sizeof(*ev), local_at = at;
	struct file *file;

	if (!ev)
		return 0;
	count_seen(call->kind);
	if (!caller_selected(task)) {
		count_filtered(call->kind);
		return 0;
	}
	call_header(&ev->hdr, call);
	ev->ret = call->ret;
	ev->flags = (__u32)call->args[3];
	at = iovs_read(scratch, at, &ev->local, call->args[1], call->args[2], call->compat);
	file = file_of_fd(task, call->args[0]);
	fd_describe(&ev->fd, call->args[0], file);
	at = fd_path(scratch, call->slot, at, &ev->fd, file);
	at = payload_gather(scratch, call->slot, at, &ev->payload, &ev->local, local_at, call->ret);
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

static __always_inline void splice_args(struct vmt_splice *ev, struct call *call, __s32 *fd_in, __s32 *fd_out)
{
	__u64 *a = call->args;

	ev->flags = 0;
	ev->off_in = ev->off_out = 0;
	ev->off_in_status = ev->off_out_status = VMT_READ_ABSENT;
	switch (call->kind) {
	case VMT_SPLICE:
		*fd_in = a[0];
		*fd_out = a[2];
		ev->len = a[4];
		ev->flags = (__u32)a[5];
		ev->off_in_status = offset_read(&ev->off_in, a[1], 8);
		ev->off_out_status = offset_read(&ev->off_out, a[3], 8);
		break;
	case VMT_TEE:
		*fd_in = a[0];
		*fd_out = a[1];
		ev->len = a[2];
		ev->flags = (__u32)a[3];
		break;
	default:
		*fd_out = a[0];
		*fd_in = a[1];
		ev->len = a[3];
		ev->off_in_status =
			offset_read(&ev->off_in, a[2], call->compat && call->nr == NR_I386_SENDFILE ? 4 : 8);
	}
}

static __noinline int splice_exit(struct call *call)
{
	struct task_struct *task = current_task();
	struct scratch *scratch = scratch_at(call->slot);
	struct vmt_splice *ev = (void *)scratch;
	__s32 fd_in = -1, fd_out = -1;
	struct file *in, *out;
	__u32 at = sizeof(*ev);

	if (!ev)
		return 0;
	count_seen(call->kind);
	if (!caller_selected(task)) {
		count_filtered(call->kind);
		return 0;
	}
	call_header(&ev->hdr, call);
	ev->ret = call->ret;
	ev->finished = 1;
	splice_args(ev, call, &fd_in, &fd_out);
	in = file_of_fd(task, fd_in);
	out = file_of_fd(task, fd_out);
	fd_describe(&ev->in, fd_in, in);
	fd_describe(&ev->out, fd_out, out);
	at = fd_path(scratch, call->slot, at, &ev->in, in);
	at = fd_path(scratch, call->slot, at, &ev->out, out);
	deliver_scratch(scratch, at, call->kind);
	return 0;
}

#endif
