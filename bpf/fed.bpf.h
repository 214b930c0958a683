/* SPDX-License-Identifier: GPL-2.0-only */
/* Event pipe_read: who reads a pipe that a recorded transfer has fed, and who fed it last. A pipe is fed from the
 * transfer on until somebody is seen to leave it empty. */
#ifndef VMTRACE_FED_BPF_H
#define VMTRACE_FED_BPF_H

#include "call.bpf.h"

struct pipe_key {
	__u64 ino;
	__u64 dev;
};

struct fed {
	struct vmt_process writer;
	__u64 mono_ns; /* 0 if it was seen empty since */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct pipe_key);
	__type(value, struct fed);
} fed_pipes SEC(".maps");

static __always_inline bool is_pipe(const struct vmt_fd *fd)
{
	return fd->kind == VMT_FD_PIPE || fd->kind == VMT_FD_FIFO;
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

/* Notes that the caller of `hdr` has put bytes into a pipe. Whoever feeds one again only sets its clock, which is a
 * fraction of the cost of a new entry. */
static __always_inline void pipe_feed(const struct vmt_fd *fd, const struct vmt_hdr *hdr)
{
	struct pipe_key key = {.ino = fd->ino, .dev = fd->dev};
	struct vmt_switches *s = switches();
	struct fed fed, *known;

	if (!is_pipe(fd) || !s || !is_wanted(VMT_PIPE_READ))
		return;
	known = bpf_map_lookup_elem(&fed_pipes, &key);
	if (known && is_same_process(&known->writer, &hdr->self)) {
		known->mono_ns = hdr->mono_ns;
		return;
	}
	fed.writer = hdr->self;
	fed.mono_ns = hdr->mono_ns;
	bpf_map_update_elem(&fed_pipes, &key, &fed, BPF_ANY);
	s->pipes_fed = 1;
}

static __always_inline bool pipe_is_empty(struct file *file)
{
	void *pipe = peek(file, struct file, private_data);

	return pipe && peek(pipe, struct pipe_inode_info, head) == peek(pipe, struct pipe_inode_info, tail);
}

/* Forgets a pipe that a transfer has left empty. */
static __always_inline void pipe_drained(const struct vmt_fd *fd, struct file *file)
{
	struct pipe_key key = {.ino = fd->ino, .dev = fd->dev};
	struct vmt_switches *s = switches();
	struct fed *fed;

	if (!file || !s || !s->pipes_fed || !is_pipe(fd) || !pipe_is_empty(file))
		return;
	fed = bpf_map_lookup_elem(&fed_pipes, &key);
	if (fed)
		fed->mono_ns = 0;
}

/* Whether reads of a file may be of bytes that a recorded transfer has put there; says who did. One look-up, and none
 * until the first pipe is fed. */
static __always_inline struct fed *fed_find(struct file *file, struct pipe_key *key)
{
	struct vmt_switches *s = switches();
	struct inode *inode;
	struct fed *fed;

	if (!s || !s->pipes_fed || !file)
		return NULL;
	inode = peek(file, struct file, f_inode);
	if ((peek(inode, struct inode, i_mode) & S_IFMT) != S_IFIFO)
		return NULL;
	key->ino = peek(inode, struct inode, i_ino);
	key->dev = peek(inode, struct inode, i_sb, s_dev);
	fed = bpf_map_lookup_elem(&fed_pipes, key);
	return fed && fed->mono_ns ? fed : NULL;
}

/* Tells a read of a fed pipe. The record's iovecs stand in it already, up to `at`. */
static __always_inline void pipe_read_tell(struct call *call, struct scratch *scratch, struct file *file, __s32 fd,
					   __u32 at)
{
	struct vmt_pipe_read *ev = (void *)scratch;
	struct pipe_key key = {};
	struct fed *fed = fed_find(file, &key);

	if (!fed)
		return;
	count_seen(VMT_PIPE_READ);
	call_header(&ev->hdr, current_task(), call);
	ev->hdr.kind = VMT_PIPE_READ;
	ev->ret = call->ret;
	ev->writer = fed->writer;
	ev->fed_ns = fed->mono_ns;
	fd_describe(&ev->fd, fd, file);
	at = payload_gather(scratch, call->slot, at, &ev->payload, &ev->local, sizeof(*ev), call->ret);
	deliver_scratch(scratch, at, VMT_PIPE_READ);
	pipe_drained(&ev->fd, file);
}

/* Whoever reads is told, selected or not: the bytes came from a recorded transfer. */
static __always_inline bool pipe_read_concerns(struct file *file)
{
	struct task_struct *task = current_task();
	struct pipe_key key = {};

	return is_wanted(VMT_PIPE_READ) && fed_find(file, &key) && task_read(task, tgid) != knobs.recorder_tgid &&
	       caller_admitted(task) && !is_bystander(task);
}

/* read and readv at their exit, tracepoint tier. */
__noinline int pipe_read_exit(__u32 slot)
{
	struct scratch *scratch = scratch_at(slot);
	struct vmt_pipe_read *ev = (void *)scratch;
	__u32 at = sizeof(*ev);
	struct call *call;
	struct file *file;

	if (!ev)
		return 0;
	call = &scratch->call;
	file = file_of_fd(current_task(), call->args[0]);
	if (!file)
		return 0;
	if (call->kind == VMT_READV)
		at = iovs_read(slot, at, offsetof(typeof(*ev), local), call->args[1], call->args[2]);
	else
		at = iovs_one(scratch, at, &ev->local, call->args[1], call->args[2]);
	pipe_read_tell(call, scratch, file, call->args[0], at);
	return 0;
}

#endif
