/* SPDX-License-Identifier: GPL-2.0-only */
/* Pipes that recorded calls have fed or taken from, and events pipe_read and pipe_write: who else reads and writes
 * them, and who fed them last. A pipe is known from the first such call on: one that is fed, in the function tier from
 * before its bytes are there, else from the call's return. That it was seen empty since says nothing, since the next
 * bytes may be on their way: it stays known, the oldest are forgotten. */
#ifndef VMTRACE_PIPE_WRITER_BPF_H
#define VMTRACE_PIPE_WRITER_BPF_H

#include "call.bpf.h"

/* Its calls and whether they brought anything; who makes them stands in `feeders`. Of a pipe that was only taken from
 * both are 0. A call that ends sets `fed` before it leaves `feeding`: was_fed() reads them the other way round. */
struct fed {
	__u32 feeding; /* calls under way that feed it */
	__u32 fed; /* some call has put bytes in */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, VMT_PIPES); /* all made at once: a new one never waits for memory */
	__type(key, struct pipe_key);
	__type(value, struct fed);
} fed_pipes SEC(".maps");

/* The same pipes, the one longest known first. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, VMT_PIPES + 64);
	__uint(value_size, sizeof(struct pipe_key));
} fed_order SEC(".maps");

struct feeder_key {
	struct pipe_key pipe;
	__u64 under_way; /* whose call began last; else whose call fed it last */
};

/* Apart from `fed_pipes`, since a value is replaced as a whole and so never holds parts of two processes. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * VMT_PIPES);
	__type(key, struct feeder_key);
	__type(value, struct vmt_process);
} feeders SEC(".maps");

static __always_inline bool is_pipe(const struct vmt_fd *fd)
{
	return fd->kind == VMT_FD_PIPE || fd->kind == VMT_FD_FIFO;
}

static __always_inline struct pipe_key pipe_key_of(const struct vmt_fd *fd)
{
	return (struct pipe_key){.ino = fd->ino, .dev = fd->dev, .generation = fd->generation};
}

static __always_inline bool is_same_process(const struct vmt_process *a, const struct vmt_process *b)
{
	const __u64 *one = (const void *)a, *other = (const void *)b;
	__u64 differ = 0;

	_Static_assert(sizeof(*a) % sizeof(*one) == 0, "compared by words");
	for (__u32 i = 0; i < sizeof(*a) / sizeof(*one); i++)
		differ |= one[i] ^ other[i];
	return !differ;
}

/* Whether calls have put bytes into a pipe, or are at it. Whoever reads `fed` first may find neither: the last call
 * under way can end between the two reads. */
static __always_inline bool was_fed(const struct fed *fed)
{
	__u32 feeding = *(const volatile __u32 *)&fed->feeding;

	return feeding || *(const volatile __u32 *)&fed->fed;
}

/* ---- Feeding ---- */

/* Makes room for one more pipe. */
static __noinline int fed_forget(void)
{
	struct feeder_key oldest = {};
	struct vmt_switches *s = switches();

	if (bpf_map_pop_elem(&fed_order, &oldest.pipe))
		return 0;
	if (!bpf_map_delete_elem(&fed_pipes, &oldest.pipe) && s)
		__sync_fetch_and_add(&s->pipes_forgotten, 1);
	bpf_map_delete_elem(&feeders, &oldest);
	oldest.under_way = 1;
	bpf_map_delete_elem(&feeders, &oldest);
	return 0;
}

/* Counts a call whose pipe could not be noted: later reads and writes of that pipe are missing. */
static __always_inline void pipe_refused(void)
{
	struct vmt_switches *s = switches();

	if (s)
		__sync_fetch_and_add(&s->pipes_refused, 1);
}

/* NULL if it cannot be noted. */
static __always_inline struct fed *fed_place(struct pipe_key *key)
{
	struct fed *fed = bpf_map_lookup_elem(&fed_pipes, key), none = {};

	if (fed)
		return fed;
	if (!bpf_map_update_elem(&fed_pipes, key, &none, BPF_NOEXIST)) {
		bpf_map_push_elem(&fed_order, key, BPF_ANY);
	} else if (!bpf_map_lookup_elem(&fed_pipes, key)) {
		fed_forget();
		if (!bpf_map_update_elem(&fed_pipes, key, &none, BPF_NOEXIST))
			bpf_map_push_elem(&fed_order, key, BPF_ANY);
	}
	return bpf_map_lookup_elem(&fed_pipes, key);
}

/* Notes who feeds a pipe. A process that did so before costs a look-up. */
static __always_inline void feeder_note(struct pipe_key *pipe, struct vmt_process *feeder, bool under_way)
{
	struct feeder_key key = {.pipe = *pipe, .under_way = under_way};
	struct vmt_process *known = bpf_map_lookup_elem(&feeders, &key);

	if (!known || !is_same_process(known, feeder))
		bpf_map_update_elem(&feeders, &key, feeder, BPF_ANY);
}

/* A call is about to feed a pipe: its bytes may be read before it returns. Returns 1 if that is noted: fed_end() must
 * follow, `begun`. */
static __noinline int fed_begin(struct pipe_key *key, struct vmt_process *feeder)
{
	struct vmt_switches *s = switches();
	struct fed *fed;

	if (!s)
		return 0;
	s->pipes_fed = 1;
	feeder_note(key, feeder, true);
	fed = fed_place(key);
	if (!fed)
		return 0;
	__sync_fetch_and_add(&fed->feeding, 1);
	return 1;
}

/* A call has returned, and has put bytes into the pipe if it `did`; `begun` if fed_begin() announced it. Returns 1 if
 * the pipe was not known until now, though it has been fed. */
static __noinline int fed_end(struct pipe_key *key, struct vmt_process *feeder, bool did, bool begun)
{
	struct vmt_switches *s = switches();
	struct fed *fed;
	int late = 0;

	if (!s || (!did && !begun))
		return 0;
	if (did) {
		s->pipes_fed = 1;
		feeder_note(key, feeder, false);
		fed = fed_place(key);
		late = fed && !begun && !was_fed(fed);
		if (fed)
			*(volatile __u32 *)&fed->fed = 1;
		else
			pipe_refused();
	} else {
		fed = bpf_map_lookup_elem(&fed_pipes, key);
	}
	if (begun && fed && fed->feeding)
		__sync_fetch_and_add(&fed->feeding, -1);
	return late;
}

/* A recorded call has taken bytes out of a side, or failed: what is written into a pipe there matters from now on.
 * Apart, so that the key is not on the stack of its callers. */
static __noinline int side_taken(const struct vmt_fd *fd, long ret)
{
	struct pipe_key key = pipe_key_of(fd);
	struct vmt_switches *s = switches();

	if (!s || ret <= 0 || !is_pipe(fd))
		return 0;
	s->pipes_fed = 1;
	if (!fed_place(&key))
		pipe_refused();
	return 0;
}

/* ---- What was read before a pipe was known ---- */

/* Adds up what the next buffer of a pipe holds. Returns 1 at the end. */
__noinline int buffer_count(__u32 slot)
{
	struct scratch *scratch = scratch_at(slot);
	struct pipe_buffer *buffer;
	__u64 pipe, bufs;

	if (!scratch || scratch->fill.at == scratch->fill.head)
		return 1;
	pipe = scratch->fill.pipe; /* BPF_CORE_READ relocates every step it sees, also ours */
	bufs = (__u64)peek(pipe, struct pipe_inode_info, bufs);
	bufs += (__u64)(scratch->fill.at & (peek(pipe, struct pipe_inode_info, ring_size) - 1)) *
		bpf_core_type_size(struct pipe_buffer);
	buffer = (void *)bufs;
	scratch->fill.bytes += BPF_CORE_READ(buffer, len);
	scratch->fill.at++;
	return 0;
}

__noinline int buffers_count(__u32 slot)
{
	for (__u32 i = 0; i < LOOP; i++)
		if (buffer_count(slot))
			return 1;
	return 0;
}

/* Counts the bytes that are no longer there of `moved`, with which the first call that is known to feed the pipe behind
 * `file` has returned: who read them was not looked at. */
static __noinline int count_unseen(__u32 slot, struct file *file, __u64 moved)
{
	struct scratch *scratch = scratch_at(slot);
	struct vmt_switches *s = switches();
	__u64 pipe;

	if (!scratch || !s || !file)
		return 0;
	pipe = (__u64)peek(file, struct file, private_data);
	scratch->fill.pipe = pipe;
	scratch->fill.bytes = 0;
	scratch->fill.at = peek(pipe, struct pipe_inode_info, tail);
	scratch->fill.head = peek(pipe, struct pipe_inode_info, head);
	for (__u32 i = 0; i < LOOP; i++)
		if (buffers_count(slot))
			break;
	if (scratch->fill.bytes >= moved)
		return 0;
	__sync_fetch_and_add(&s->pipes_read_before, 1);
	__sync_fetch_and_add(&s->bytes_read_before, moved - scratch->fill.bytes);
	return 0;
}

/* The caller of `hdr` has returned from a call that put `ret` bytes into a pipe, or failed. `file` is the pipe's if it
 * is known. */
static __always_inline void pipe_feed(struct scratch *scratch, __u32 slot, const struct vmt_fd *fd, struct vmt_hdr *hdr,
				      struct file *file, long ret)
{
	bool begun = scratch->call.held && scratch->held.feeding;
	struct pipe_key key = pipe_key_of(fd);

	if (begun)
		key = scratch->held.fed;
	else if (!is_pipe(fd))
		return;
	if (fed_end(&key, &hdr->self, ret > 0, begun))
		count_unseen(slot, file, ret);
}

/* ---- Who is at fed pipes ---- */

/* Whether a pipe was fed by recorded calls, or is being so. */
static __always_inline bool is_fed(struct pipe_key *key)
{
	struct fed *fed = bpf_map_lookup_elem(&fed_pipes, key);

	return fed && was_fed(fed);
}

/* Says who fed a pipe last, or is at it; pid 0 if nobody is known to. */
static __always_inline void fed_by(struct vmt_process *writer, struct pipe_key *pipe)
{
	struct fed *fed = bpf_map_lookup_elem(&fed_pipes, pipe);
	struct feeder_key key = {.pipe = *pipe};
	struct vmt_process *known;

	__builtin_memset(writer, 0, sizeof(*writer));
	if (!fed)
		return;
	key.under_way = fed->feeding > 0;
	known = bpf_map_lookup_elem(&feeders, &key);
	if (known)
		*writer = *known;
}

/* The same for one side of a call. */
static __always_inline void side_fed_by(struct vmt_process *writer, const struct vmt_fd *fd)
{
	struct pipe_key key = pipe_key_of(fd);
	struct vmt_switches *s = switches();

	__builtin_memset(writer, 0, sizeof(*writer));
	if (s && s->pipes_fed && is_pipe(fd))
		fed_by(writer, &key);
}

static __always_inline bool is_side_fed(const struct vmt_fd *fd)
{
	struct pipe_key key = pipe_key_of(fd);

	return is_pipe(fd) && is_fed(&key);
}

/* A call followed by `scratch` is about to put bytes into a file: if that is a pipe, its reads matter from now on,
 * unless the call will not be recorded. */
static __always_inline void feed_announce(struct scratch *scratch, const struct vmt_fd *fd)
{
	struct vmt_hdr *hdr = (void *)scratch;
	struct task_struct *task = current_task();

	if (scratch->held.feeding || !is_pipe(fd) ||
	    (!caller_selected(task) && !(may_be_outsider(task) && is_side_fed(fd))))
		return;
	header(hdr, task, scratch->held.kind, VMT_ABI_NATIVE);
	scratch->held.fed = pipe_key_of(fd);
	scratch->held.feeding = fed_begin(&scratch->held.fed, &hdr->self);
}

/* Whether a file is a pipe of which a read or write is such an event. A function of its own, so that what it needs is
 * not on the stack of sys_exit. */
static __noinline int is_pipe_of(struct file *file, __u32 event)
{
	struct pipe_key key = {};
	struct inode *inode;

	if (!file)
		return 0;
	inode = peek(file, struct file, f_inode);
	if ((peek(inode, struct inode, i_mode) & S_IFMT) != S_IFIFO)
		return 0;
	key.ino = peek(inode, struct inode, i_ino);
	key.dev = peek(inode, struct inode, i_sb, s_dev);
	key.generation = (__u16)peek(inode, struct inode, i_generation);
	return event == VMT_PIPE_WRITE ? bpf_map_lookup_elem(&fed_pipes, &key) != NULL : is_fed(&key);
}

/* Which event a call is if its file is a known pipe; 0 for calls that a pipe refuses. preadv2 and pwritev2 take the
 * offset -1. */
static __always_inline __u32 pipe_event(__u32 kind)
{
	switch (kind) {
	case VMT_READ:
	case VMT_READV:
	case VMT_PREADV2:
		return VMT_PIPE_READ;
	case VMT_WRITE:
	case VMT_WRITEV:
	case VMT_PWRITEV2:
		return VMT_PIPE_WRITE;
	default:
		return 0;
	}
}

/* Whether a read or write is recorded. Whoever calls is, selected or not: the bytes came from a recorded transfer, or
 * are in a queue with such bytes. */
static __always_inline bool pipe_io_concerns(struct file *file, __u32 event)
{
	struct task_struct *task = current_task();
	struct vmt_switches *s = switches();

	return s && s->pipes_fed && is_wanted(event) && is_pipe_of(file, event) &&
	       task_read(task, tgid) != knobs.recorder_tgid && caller_admitted(task) && !is_bystander(task);
}

/* The pipe has bytes of the caller of `hdr` now. */
static __always_inline void pipe_written(struct vmt_pipe_io *ev, struct file *file, __u32 slot, long ret)
{
	struct pipe_key key = pipe_key_of(&ev->fd);

	__builtin_memset(&ev->writer, 0, sizeof(ev->writer));
	if (is_pipe(&ev->fd) && fed_end(&key, &ev->hdr.self, true, false))
		count_unseen(slot, file, ret);
}

/* Records what pipe_io_concerns(). The record already contains its iovecs, up to `at`. */
static __always_inline void pipe_io_record(struct call *call, struct scratch *scratch, struct file *file, __s32 fd,
					   __u32 at, __u32 event)
{
	struct vmt_pipe_io *ev = (void *)scratch;

	count_seen(event);
	call_header(&ev->hdr, current_task(), call);
	ev->hdr.kind = event;
	ev->ret = call->ret;
	fd_describe(&ev->fd, fd, file);
	if (event == VMT_PIPE_WRITE)
		pipe_written(ev, file, call->slot, call->ret);
	else
		side_fed_by(&ev->writer, &ev->fd);
	at = payload_gather(scratch, call->slot, at, &ev->payload, &ev->local, sizeof(*ev), call->ret);
	deliver_scratch(scratch, at, event);
}

/* At the exit of the syscall, tracepoint tier. */
__noinline int pipe_io_exit(__u32 slot)
{
	struct scratch *scratch = scratch_at(slot);
	struct vmt_pipe_io *ev = (void *)scratch;
	__u32 at = sizeof(*ev);
	struct call *call;

	if (!ev)
		return 0;
	call = &scratch->call;
	if (call->kind == VMT_READ || call->kind == VMT_WRITE)
		at = iovs_one(scratch, at, &ev->local, call->args[1], call->args[2]);
	else
		at = iovs_read(slot, at, offsetof(typeof(*ev), local), call->args[1], call->args[2]);
	pipe_io_record(call, scratch, (void *)call->file, call->args[0], at, pipe_event(call->kind));
	return 0;
}

#endif
