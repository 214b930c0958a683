/* SPDX-License-Identifier: GPL-2.0-only */
/* io_uring SPLICE and TEE, function tier: the submission shows who and what, as in the tracepoint tier; here the files
 * that the kernel works on are put into the record, also those that are known to the ring by an index only. The work
 * may be done by a thread of the ring, on behalf of the submitter. */
#ifndef VMTRACE_URING_FUNCTION_BPF_H
#define VMTRACE_URING_FUNCTION_BPF_H

#include "function.bpf.h"
#include "uring.bpf.h"

/* The longest that the names of a socket can be. */
#define SOCKET_MAX (sizeof(struct vmt_socket) + 2 * VMT_NAME_MAX)
_Static_assert(2 * SOCKET_MAX <= URING_PATHS, "the names of two sockets have room in a request");

/* Thread -> the request that it works on. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
} issuing SEC(".maps");

static __always_inline int issue_begin(struct io_kiocb *io)
{
	__u32 tid = bpf_get_current_pid_tgid();
	__u64 key = (__u64)io;

	if (bpf_map_lookup_elem(&requests, &key))
		bpf_map_update_elem(&issuing, &tid, &key, BPF_ANY);
	return 0;
}

static __always_inline int issue_end(void)
{
	__u32 tid = bpf_get_current_pid_tgid();

	bpf_map_delete_elem(&issuing, &tid);
	return 0;
}

/* Describes a side by the file itself. Its number and path stay, unless the number led to another file. */
static __always_inline void request_side(struct vmt_fd *side, struct file *file)
{
	struct vmt_fd before = *side;

	fd_describe(side, before.fd, file);
	side->path_len = before.path_len;
	side->flags |= before.flags & (VMT_PATH_CUT | VMT_PATH_DELETED);
	if (before.path_len && (before.ino != side->ino || before.dev != side->dev))
		*side = before; /* the path in the record is of the other file: nothing is mixed */
}

/* Puts the names of a socket behind the record if nothing stands there yet: those of one that the submission named by
 * an index. The other side is a pipe. */
static __always_inline void request_socket(struct request *request, struct vmt_fd *side, struct file *file)
{
	struct scratch *scratch;
	__u32 slot, end;

	if (side->kind != VMT_FD_SOCKET || request->ev.hdr.size != sizeof(request->ev))
		return;
	slot = slot_take();
	if (slot == NO_SLOT)
		return;
	scratch = scratch_at(slot);
	end = socket_names((__u64)file, slot, 0);
	if (scratch && end <= SOCKET_MAX && !bpf_probe_read_kernel(request->paths, SOCKET_MAX, scratch->bytes)) {
		side->path_len = end;
		request->ev.hdr.size += end;
	}
	slot_put(slot);
}

static __always_inline int request_files(struct file *in, struct file *out)
{
	__u32 tid = bpf_get_current_pid_tgid();
	__u64 *key = bpf_map_lookup_elem(&issuing, &tid), at;
	struct request *request;

	if (!key)
		return 0;
	at = *key;
	request = bpf_map_lookup_elem(&requests, &at);
	if (!request)
		return 0;
	request->ev.hdr.tier = VMT_TIER_FUNCTION;
	request->ev.source = VMT_SOURCE_KERNEL;
	request_side(&request->ev.in, in);
	request_side(&request->ev.out, out);
	request_socket(request, &request->ev.in, in);
	request_socket(request, &request->ev.out, out);
	request_announce(request);
	return 0;
}

SEC("?fentry/io_splice")
int BPF_PROG(uring_issue_splice, struct io_kiocb *io)
{
	return issue_begin(io);
}

SEC("?fexit/io_splice")
int BPF_PROG(uring_issued_splice)
{
	return issue_end();
}

SEC("?fentry/io_tee")
int BPF_PROG(uring_issue_tee, struct io_kiocb *io)
{
	return issue_begin(io);
}

SEC("?fexit/io_tee")
int BPF_PROG(uring_issued_tee)
{
	return issue_end();
}

SEC("?fentry/do_splice")
int uring_splice_files(__u64 *ctx)
{
	return request_files((void *)argument(ctx, 0), (void *)argument(ctx, 2));
}

SEC("?fentry/do_tee")
int uring_tee_files(__u64 *ctx)
{
	return request_files((void *)argument(ctx, 0), (void *)argument(ctx, 1));
}

#endif
