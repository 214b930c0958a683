/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * io_uring SPLICE and TEE, tracepoint tier. They enter through no syscall of their own: the submission shows the
 * arguments and the caller, the completion the result. A request without a completion entry
 * (IOSQE_CQE_SKIP_SUCCESS) stays in `requests` until its memory is used again or the recording ends, and is then
 * told without a result.
 */
#ifndef VMTRACE_URING_BPF_H
#define VMTRACE_URING_BPF_H

#include "call.bpf.h"

#define URING_PATHS 512
struct request {
	struct vmt_splice ev;
	__u8 paths[URING_PATHS];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct request);
} requests SEC(".maps");

static __always_inline void request_deliver(struct request *request)
{
	__u64 size = request->ev.hdr.size;

	asm volatile("" : "+r"(size));
	if (size > sizeof(*request))
		return;
	deliver(request, size, request->ev.hdr.kind, request->ev.hdr.mono_ns);
}

/* One side of a request: a descriptor, or an index of the ring's registered files, which names no path here. */
static __always_inline struct file *request_fd(struct vmt_fd *out, struct task_struct *task, __s32 fd, bool registered)
{
	struct file *file = registered ? NULL : file_of_fd(task, fd);

	fd_describe(out, fd, file);
	if (registered)
		out->kind = VMT_FD_REGISTERED;
	return file;
}

static __noinline int request_submit(struct io_kiocb *req, __u32 kind)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct io_splice *args = (void *)&req->cmd;
	struct scratch *scratch = scratch_get();
	struct vmt_splice *ev = (void *)scratch;
	struct request *earlier;
	__u64 key = (__u64)req;
	struct file *in, *out;
	__u32 at = sizeof(*ev);

	if (!ev)
		return 0;
	count_seen(kind);
	if (!caller_selected(task)) {
		count_filtered(kind);
		return 0;
	}
	__builtin_memset(scratch->bytes, 0, sizeof(struct request));
	header(&ev->hdr, kind, VMT_ABI_IO_URING);
	ev->len = BPF_CORE_READ(args, len);
	ev->flags = BPF_CORE_READ(args, flags);
	if (kind == VMT_SPLICE) {
		ev->off_in = BPF_CORE_READ(args, off_in);
		ev->off_out = BPF_CORE_READ(args, off_out);
		/* io_uring_prep_splice(3): -1 stands for the NULL of splice(2). */
		ev->off_in_status = ev->off_in == -1 ? VMT_READ_ABSENT : VMT_READ_OK;
		ev->off_out_status = ev->off_out == -1 ? VMT_READ_ABSENT : VMT_READ_OK;
	}
	in = request_fd(&ev->in, task, BPF_CORE_READ(args, splice_fd_in), ev->flags & SPLICE_F_FD_IN_FIXED);
	out = request_fd(&ev->out, task, BPF_CORE_READ(req, cqe.fd), BPF_CORE_READ(req, flags) & REQ_F_FIXED_FILE);
	if (ev->in.kind == VMT_FD_FILE)
		at = path_append(scratch, at, &ev->in, in);
	/* The second path only where the first leaves room for the longest one. */
	if (ev->out.kind == VMT_FD_FILE && ev->in.kind != VMT_FD_FILE)
		at = path_append(scratch, at, &ev->out, out);
	if (at > sizeof(struct request)) {
		ev->in.path_len = ev->out.path_len = 0;
		at = sizeof(*ev);
	}
	ev->hdr.size = at;
	earlier = bpf_map_lookup_elem(&requests, &key);
	if (earlier)
		request_deliver(earlier);
	if (bpf_map_update_elem(&requests, &key, scratch, BPF_ANY))
		count_lost(kind, ev->hdr.mono_ns);
	return 0;
}

SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(uring_submit, struct io_kiocb *req)
{
	__u8 opcode = req->opcode;

	if (opcode == IORING_OP_SPLICE && kinds_uring[VMT_SPLICE])
		return request_submit(req, VMT_SPLICE);
	if (opcode == IORING_OP_TEE && kinds_uring[VMT_TEE])
		return request_submit(req, VMT_TEE);
	return 0;
}

SEC("tp_btf/io_uring_complete")
int BPF_PROG(uring_complete, struct io_ring_ctx *ring, void *req, struct io_uring_cqe *cqe)
{
	__u64 key = (__u64)req;
	struct request *request = bpf_map_lookup_elem(&requests, &key);

	if (!request)
		return 0;
	request->ev.ret = cqe->res;
	request->ev.finished = 1;
	request->ev.hdr.mono_ns = bpf_ktime_get_ns();
	request_deliver(request);
	bpf_map_delete_elem(&requests, &key);
	return 0;
}

#endif
