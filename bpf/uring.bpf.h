/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * io_uring SPLICE and TEE, tracepoint tier. They enter through no syscall of their own: the submission shows the
 * arguments and the caller, the completion the result. A request without a completion entry
 * (IOSQE_CQE_SKIP_SUCCESS) stays in `requests` until its memory is used again or the recording ends, and is then
 * recorded without a result.
 */
#ifndef VMTRACE_URING_BPF_H
#define VMTRACE_URING_BPF_H

#include "call.bpf.h"
#include "pipe_writer.bpf.h"

/* A request at its submission. */
struct submitted {
	__u64 key; /* by which its completion is found: its address, before 5.19 request_key() */
	struct io_splice *args;
	__s32 fd_out;
	__u32 flags;
	__u32 kind; /* enum vmt_kind, 0 if nobody asked for it */
};

#define URING_PATHS 512
struct request {
	struct vmt_splice ev;
	__u8 paths[URING_PATHS];
	struct pipe_key fed; /* the pipe that it was announced to feed, if `feeding` */
	__u64 feeding;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct request);
} requests SEC(".maps");

/* From now on, reads of the pipe that the request will feed are recorded. */
static __always_inline void request_announce(struct request *request)
{
	if (request->feeding || !is_pipe(&request->ev.out))
		return;
	request->fed = pipe_key_of(&request->ev.out);
	request->feeding = fed_begin(&request->fed, &request->ev.hdr.self);
	if (!request->feeding)
		pipe_refused();
}

static __always_inline void request_deliver(struct request *request)
{
	__u64 size = request->ev.hdr.size;

	asm volatile("" : "+r"(size));
	if (size > sizeof(*request)) {
		count_unbuilt(request->ev.hdr.kind);
		return;
	}
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

/* Appends the names of one side for which there is room: a file's path, a socket's names. */
static __always_inline __u32 request_path(struct scratch *scratch, __u32 slot, __u32 at, struct vmt_fd *side,
					  struct file *file)
{
	if (side->kind == VMT_FD_FILE)
		at = path_append(scratch, slot, at, side, file);
	else if (side->kind == VMT_FD_SOCKET)
		at = socket_append(slot, at, side, file);
	return opaque(scratch, at);
}

static __noinline int request_record(struct submitted *req, __u32 slot)
{
	struct task_struct *task = current_task();
	struct scratch *scratch = scratch_at(slot);
	struct vmt_splice *ev = (void *)scratch;
	struct io_splice *args = req->args;
	struct request *earlier, *request;
	__u32 kind = req->kind;
	__u64 key = req->key;
	struct file *in, *out;
	__u32 at = sizeof(*ev);
	bool fed;

	if (!ev)
		return 0;
	scratch->call = (struct call){.kind = kind, .slot = slot, .tier = VMT_TIER_TRACEPOINT};
	if (!call_seen(scratch, task))
		return 0;
	__builtin_memset(scratch->bytes, 0, sizeof(struct request));
	ev->len = BPF_CORE_READ(args, len);
	ev->flags = BPF_CORE_READ(args, flags);
	ev->offsets_before = 1;
	if (kind == VMT_SPLICE) {
		ev->off_in = BPF_CORE_READ(args, off_in);
		ev->off_out = BPF_CORE_READ(args, off_out);
		/* io_uring_prep_splice(3): -1 stands for the NULL of splice(2). */
		ev->off_in_status = ev->off_in == -1 ? VMT_READ_ABSENT : VMT_READ_OK;
		ev->off_out_status = ev->off_out == -1 ? VMT_READ_ABSENT : VMT_READ_OK;
	}
	in = request_fd(&ev->in, task, BPF_CORE_READ(args, splice_fd_in), ev->flags & SPLICE_F_FD_IN_FIXED);
	out = request_fd(&ev->out, task, req->fd_out, req->flags & REQ_F_FIXED_FILE);
	fed = !scratch->call.selected && (is_side_fed(&ev->in) || is_side_fed(&ev->out));
	if (!call_admit(scratch, task, fed))
		return 0;
	ev->hdr.abi = VMT_ABI_IO_URING;
	side_fed_by(&ev->writer, &ev->in);
	at = request_path(scratch, slot, at, &ev->in, in);
	/* The second side only if the first leaves room for the longest path. */
	if (ev->in.kind != VMT_FD_FILE)
		at = request_path(scratch, slot, at, &ev->out, out);
	if (at > offsetof(struct request, fed)) {
		ev->in.path_len = ev->out.path_len = 0;
		at = sizeof(*ev);
	}
	ev->hdr.size = at;
	earlier = bpf_map_lookup_elem(&requests, &key);
	if (earlier)
		request_deliver(earlier);
	request = (void *)scratch;
	request->feeding = 0; /* a long path may reach this far */
	request_announce(request);
	if (!bpf_map_update_elem(&requests, &key, scratch, BPF_ANY))
		return 0;
	count_lost(kind, ev->hdr.mono_ns);
	return 0;
}

static __noinline int request_submit(struct submitted *req)
{
	__u32 slot;

	if (is_bystander(current_task()))
		return 0;
	slot = slot_take();
	if (slot == NO_SLOT) {
		count_unplaced(req->kind);
		return 0;
	}
	request_record(req, slot);
	slot_put(slot);
	return 0;
}

static __always_inline __u32 request_kind(__u8 opcode)
{
	if (opcode == IORING_OP_SPLICE && is_wanted(VMT_SPLICE))
		return VMT_SPLICE;
	if (opcode == IORING_OP_TEE && is_wanted(VMT_TEE))
		return VMT_TEE;
	return 0;
}

/* 6.0 and later */
static __always_inline int submit(struct io_kiocb *io)
{
	struct submitted req = {.kind = request_kind(BPF_CORE_READ(io, opcode))};

	if (!req.kind)
		return 0;
	req.key = (__u64)io;
	req.args = (void *)&io->cmd;
	req.fd_out = BPF_CORE_READ(io, cqe.fd);
	req.flags = BPF_CORE_READ(io, flags);
	return request_submit(&req);
}

/* If a completion does not name the request, the ring and the caller's own mark (user_data) identify it. Of several
 * requests with one mark, the earlier ones are recorded without a result. */
static __always_inline __u64 request_key(__u64 ring, __u64 user_data)
{
	return ring ^ user_data * 0x9e3779b97f4a7c15; /* spread, so that small marks of two rings do not collide */
}

/* The descriptor that a request writes to: the kernel keeps only the file, so the number is read once more from the
 * queue, which the caller can write. Accepted if it leads to that file; else -1. */
static __always_inline __s32 queued_fd(struct io_ring_ctx___array *ring, struct io_kiocb___union *io)
{
	__u32 at = (BPF_CORE_READ(ring, cached_sq_head) - 1) & (BPF_CORE_READ(ring, sq_entries) - 1);
	struct io_uring_sqe *sqes = BPF_CORE_READ(ring, sq_sqes);
	__u32 *array = BPF_CORE_READ(ring, sq_array);
	struct file *file = BPF_CORE_READ(io, splice.file_out);
	__u32 index = 0;
	__s32 fd;

	bpf_probe_read_kernel(&index, sizeof(index), array + at);
	sqes = (void *)sqes + (__u64)index * bpf_core_type_size(struct io_uring_sqe);
	fd = BPF_CORE_READ(sqes, fd);
	if (BPF_CORE_READ(io, flags) & REQ_F_FIXED_FILE)
		return fd;
	return file_of_fd(current_task(), fd) == file ? fd : -1;
}

SEC("?tp_btf/io_uring_submit_req")
int BPF_PROG(uring_submit, struct io_kiocb *req)
{
	return submit(req);
}

/* Until 6.2 under this name. */
SEC("?tp_btf/io_uring_submit_sqe")
int uring_submit_sqe(__u64 *ctx)
{
	struct submitted req = {};
	struct io_kiocb___union *io;

	if (bpf_core_type_exists(btf_trace_io_uring_submit_sqe___req))
		return submit((void *)ctx[0]);
	/* 5.15: ring, request, and what the request says itself */
	io = (void *)ctx[1];
	if (!bpf_core_field_exists(io->user_data))
		return 0;
	req.kind = request_kind(BPF_CORE_READ(io, opcode));
	if (!req.kind)
		return 0;
	req.key = request_key(ctx[0], BPF_CORE_READ(io, user_data));
	req.args = (void *)&io->splice;
	req.fd_out = queued_fd((void *)ctx[0], io);
	req.flags = BPF_CORE_READ(io, flags);
	return request_submit(&req);
}

SEC("tp_btf/io_uring_complete")
int uring_complete(__u64 *ctx)
{
	bool by_cqe = bpf_core_type_exists(btf_trace_io_uring_complete___cqe);
	bool by_req = bpf_core_type_exists(btf_trace_io_uring_complete___req);
	struct request *request;
	__s32 res;
	__u64 key;

	if (by_cqe || by_req)
		key = ctx[1];
	else if (bpf_core_type_exists(btf_trace_io_uring_complete___data))
		key = request_key(ctx[0], ctx[1]);
	else
		return 0;
	request = bpf_map_lookup_elem(&requests, &key);
	if (!request)
		return 0;
	if (by_cqe)
		res = BPF_CORE_READ((struct io_uring_cqe *)ctx[2], res);
	else if (by_req)
		res = ctx[3];
	else
		res = ctx[2];
	request->ev.ret = res;
	request->ev.finished = 1;
	if (request->feeding)
		fed_end(&request->fed, &request->ev.hdr.self, res > 0, true);
	side_taken(&request->ev.in, res);
	side_fed_by(&request->ev.writer, &request->ev.in);
	request->ev.hdr.mono_ns = bpf_ktime_get_ns();
	request_deliver(request);
	bpf_map_delete_elem(&requests, &key);
	return 0;
}

#endif
