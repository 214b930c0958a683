/* SPDX-License-Identifier: GPL-2.0-only */
/* Family @pipe, function tier: the pages, files and offsets that the kernel uses (fs/splice.c, fs/pipe.c). */
#ifndef VMTRACE_PIPE_FUNCTION_BPF_H
#define VMTRACE_PIPE_FUNCTION_BPF_H

#include "function.bpf.h"
#include "pipe.bpf.h"

/* ---- vmsplice ---- */

static __always_inline int vmsplice_begin(void)
{
	struct scratch *scratch = NULL;

	if (is_followed() && is_wanted(VMT_VMSPLICE))
		scratch = held_begin(VMT_VMSPLICE, 0);
	if (!scratch)
		return 0;
	__builtin_memset(&scratch->pinned, 0, sizeof(scratch->pinned));
	vmsplices_add(1);
	return 0;
}

SEC("?fentry/__x64_sys_vmsplice")
int BPF_PROG(vmsplice_entry)
{
	return vmsplice_begin();
}

SEC("?fentry/__ia32_sys_vmsplice")
int BPF_PROG(vmsplice_entry_ia32)
{
	return vmsplice_begin();
}

/* The pipe, as the kernel found it behind the descriptor. */
SEC("?fentry/get_pipe_info")
int BPF_PROG(vmsplice_pipe, struct file *file)
{
	struct scratch *scratch = held_of(VMT_VMSPLICE);
	struct vmt_vmsplice *ev = (void *)scratch;

	if (!ev)
		return 0;
	fd_describe(&ev->fd, -1, file);
	scratch->pinned.file = file;
	if (ev->fd.flags & VMT_MODE_WRITE)
		feed_announce(scratch, &ev->fd);
	return 0;
}

/* Out of the pipe: the kernel's own array of where to (fs/splice.c, vmsplice_to_user). */
SEC("?fentry/__splice_from_pipe")
int BPF_PROG(vmsplice_to_user, struct pipe_inode_info *pipe, struct splice_desc *sd)
{
	struct scratch *scratch = held_of(VMT_VMSPLICE);
	struct vmt_vmsplice *ev = (void *)scratch;

	if (!ev)
		return 0;
	scratch->held.end = iovs_of_iter(scratch, sizeof(*ev), &ev->local, BPF_CORE_READ(sd, u.data));
	return 0;
}

/* Where entry `index` of a list stands: two words. */
static __always_inline __u64 *list_entry(struct scratch *scratch, __u32 list, __u32 index)
{
	__u64 at = list + index * 16;

	asm volatile("" : "+r"(at));
	at &= SCRATCH_MASK & ~15;
	return (void *)(scratch->bytes + at);
}

/* Into the pipe: the pages that are taken, by their addresses. The function has many other callers, so first comes a
 * look at whether any vmsplice is under way. */
SEC("?fexit/get_user_pages_fast")
int vmsplice_pin(__u64 *ctx)
{
	struct vmt_switches *s = switches();
	struct scratch *scratch;
	struct pinned *pinned;
	__s32 pages = ctx[4];
	__u64 *entry;

	if (!s || !s->vmsplices || pages <= 0)
		return 0;
	scratch = held_of(VMT_VMSPLICE);
	if (!scratch)
		return 0;
	pinned = &scratch->pinned;
	if (pinned->pins >= VMT_IOV_MAX) {
		pinned->incomplete = true;
		return 0;
	}
	entry = list_entry(scratch, PINS_AT, pinned->pins);
	entry[0] = ctx[0] & ~4095ULL;
	entry[1] = pages;
	pinned->pins++;
	return 0;
}

/* Adds a range to the list, or to its last one where they meet. */
static __always_inline void range_add(struct scratch *scratch, __u64 base, __u64 len)
{
	struct pinned *pinned = &scratch->pinned;
	__u64 *last, *next;

	if (pinned->ranges) {
		last = list_entry(scratch, RANGES_AT, pinned->ranges - 1);
		if (last[0] + last[1] == base) {
			last[1] += len;
			return;
		}
	}
	if (pinned->ranges >= VMT_IOV_MAX) {
		pinned->incomplete = true;
		return;
	}
	next = list_entry(scratch, RANGES_AT, pinned->ranges);
	next[0] = base;
	next[1] = len;
	pinned->ranges++;
}

/* Takes the next buffer that the call has put into the pipe: it holds the next page. Returns 1 at the end. */
__noinline int buffer_take(__u32 slot, __u64 pipe_address)
{
	struct pipe_inode_info *pipe = (void *)pipe_address;
	struct scratch *scratch = scratch_at(slot);
	struct pinned *pinned;
	struct pipe_buffer *buffer;
	__u64 *entry, bufs;

	if (!scratch)
		return 1;
	pinned = &scratch->pinned;
	if (pinned->head == pinned->until)
		return 1;
	if (pinned->pin >= pinned->pins) {
		pinned->incomplete = true;
		return 1;
	}
	bufs = (__u64)BPF_CORE_READ(pipe, bufs);
	bufs += (__u64)(pinned->head & (BPF_CORE_READ(pipe, ring_size) - 1)) * bpf_core_type_size(struct pipe_buffer);
	buffer = (void *)bufs;
	entry = list_entry(scratch, PINS_AT, pinned->pin);
	range_add(scratch, entry[0] + (__u64)pinned->page * 4096 + BPF_CORE_READ(buffer, offset),
		  BPF_CORE_READ(buffer, len));
	pinned->head++;
	pinned->page++;
	if (pinned->page >= entry[1]) {
		pinned->pin++;
		pinned->page = 0;
	}
	return 0;
}

__noinline int buffers_some(__u32 slot, __u64 pipe_address)
{
	for (__u32 i = 0; i < LOOP; i++)
		if (buffer_take(slot, pipe_address))
			return 1;
	return 0;
}

SEC("?fexit/pipe_lock")
int BPF_PROG(vmsplice_lock, struct pipe_inode_info *pipe)
{
	struct scratch *scratch = held_of(VMT_VMSPLICE);

	if (scratch)
		scratch->pinned.head = BPF_CORE_READ(pipe, head);
	return 0;
}

/* Nobody else adds to the pipe before it is unlocked. */
SEC("?fentry/pipe_unlock")
int vmsplice_unlock(__u64 *ctx)
{
	struct scratch *scratch = held_of(VMT_VMSPLICE);
	__u64 pipe = argument(ctx, 0); /* a number: newer verifiers pass no pointer for one */
	__u32 *slot = inflight_slot();

	if (!scratch || !slot || scratch->held.end)
		return 0;
	scratch->pinned.until = BPF_CORE_READ((struct pipe_inode_info *)pipe, head);
	for (__u32 i = 0; i < LOOP; i++)
		if (buffers_some(*slot, pipe))
			break;
	if (scratch->pinned.head != scratch->pinned.until)
		scratch->pinned.incomplete = true;
	return 0;
}

ON_EXIT(vmsplice_return, __x64_sys_vmsplice, VMT_VMSPLICE, 278, false, vmsplice_exit)
ON_EXIT(vmsplice_return_ia32, __ia32_sys_vmsplice, VMT_VMSPLICE, 316, true, vmsplice_exit)

/* ---- splice, tee, sendfile ---- */

ON_ENTRY(splice_entry, __x64_sys_splice, VMT_SPLICE)
ON_ENTRY(splice_entry_ia32, __ia32_sys_splice, VMT_SPLICE)
ON_ENTRY(tee_entry, __x64_sys_tee, VMT_TEE)
ON_ENTRY(tee_entry_ia32, __ia32_sys_tee, VMT_TEE)
ON_ENTRY(sendfile_entry, __x64_sys_sendfile64, VMT_SENDFILE)
ON_ENTRY(sendfile_entry_ia32, __ia32_compat_sys_sendfile, VMT_SENDFILE)
ON_ENTRY(sendfile64_entry_ia32, __ia32_compat_sys_sendfile64, VMT_SENDFILE)
ON_ENTRY(sendfile64_entry_ia32_same, __ia32_sys_sendfile64, VMT_SENDFILE)

static __always_inline void side_in(struct scratch *scratch, struct file *file)
{
	struct vmt_splice *ev = (void *)scratch;

	fd_describe(&ev->in, -1, file);
	scratch->held.in = file;
}

static __always_inline void side_out(struct scratch *scratch, struct file *file)
{
	struct vmt_splice *ev = (void *)scratch;

	fd_describe(&ev->out, -1, file);
	scratch->held.out = file;
	feed_announce(scratch, &ev->out);
}

/* The kernel's own copy of an offset, NULL where the caller passed none. */
static __always_inline __u8 offset_copy(__s64 *out, __u64 address)
{
	*out = 0;
	if (!address)
		return VMT_READ_ABSENT;
	return bpf_probe_read_kernel(out, sizeof(*out), (void *)address) ? VMT_READ_FAULT : VMT_READ_OK;
}

static __always_inline void both_offsets(struct scratch *scratch, __u64 in, __u64 out)
{
	struct vmt_splice *ev = (void *)scratch;

	ev->off_in_status = offset_copy(&ev->off_in, in);
	ev->off_out_status = offset_copy(&ev->off_out, out);
	scratch->held.offsets_known = true;
}

SEC("?fentry/do_splice")
int splice_files(__u64 *ctx)
{
	struct scratch *scratch = held_of(VMT_SPLICE);

	if (!scratch)
		return 0;
	side_in(scratch, (void *)argument(ctx, 0));
	side_out(scratch, (void *)argument(ctx, 2));
	both_offsets(scratch, argument(ctx, 1), argument(ctx, 3));
	return 0;
}

SEC("?fentry/do_tee")
int tee_files(__u64 *ctx)
{
	struct scratch *scratch = held_of(VMT_TEE);

	if (!scratch)
		return 0;
	side_in(scratch, (void *)argument(ctx, 0));
	side_out(scratch, (void *)argument(ctx, 1));
	both_offsets(scratch, 0, 0);
	return 0;
}

SEC("?fentry/do_sendfile")
int sendfile_offset(__u64 *ctx)
{
	struct scratch *scratch = held_of(VMT_SENDFILE);

	if (scratch)
		both_offsets(scratch, argument(ctx, 2), 0);
	return 0;
}

SEC("?fentry/do_splice_direct")
int sendfile_files(__u64 *ctx)
{
	struct scratch *scratch = held_of(VMT_SENDFILE);

	if (!scratch)
		return 0;
	side_in(scratch, (void *)argument(ctx, 0));
	side_out(scratch, (void *)argument(ctx, 2));
	return 0;
}

/* Into a pipe, since 5.12: its file was looked at just before. */
SEC("?fentry/splice_file_to_pipe")
int sendfile_in(__u64 *ctx)
{
	struct scratch *scratch = held_of(VMT_SENDFILE);

	if (scratch)
		side_in(scratch, (void *)argument(ctx, 0));
	return 0;
}

SEC("?fentry/get_pipe_info")
int sendfile_out(__u64 *ctx)
{
	struct scratch *scratch = held_of(VMT_SENDFILE);

	if (scratch)
		side_out(scratch, (void *)argument(ctx, 0));
	return 0;
}

ON_EXIT(splice_return, __x64_sys_splice, VMT_SPLICE, 275, false, splice_exit)
ON_EXIT(splice_return_ia32, __ia32_sys_splice, VMT_SPLICE, 313, true, splice_exit)
ON_EXIT(tee_return, __x64_sys_tee, VMT_TEE, 276, false, splice_exit)
ON_EXIT(tee_return_ia32, __ia32_sys_tee, VMT_TEE, 315, true, splice_exit)
ON_EXIT(sendfile_return, __x64_sys_sendfile64, VMT_SENDFILE, 40, false, splice_exit)
ON_EXIT(sendfile_return_ia32, __ia32_compat_sys_sendfile, VMT_SENDFILE, 187, true, splice_exit)
ON_EXIT(sendfile64_return_ia32, __ia32_compat_sys_sendfile64, VMT_SENDFILE, 239, true, splice_exit)
ON_EXIT(sendfile64_return_ia32_same, __ia32_sys_sendfile64, VMT_SENDFILE, 239, true, splice_exit)

/* ---- Reads and writes of known pipes ---- */

/* Where the last `moved` bytes of an iov_iter went to or came from, if that is one range; else 0. */
static __always_inline __u64 iter_before(struct iov_iter *iter, __u64 moved)
{
	__u64 done = BPF_CORE_READ(iter, iov_offset);
	struct iov_iter___iov *older = (void *)iter;
	const struct iovec *range;

	if (bpf_core_enum_value_exists(enum iter_type, ITER_UBUF) &&
	    BPF_CORE_READ(iter, iter_type) == bpf_core_enum_value(enum iter_type, ITER_UBUF))
		return done >= moved ? (__u64)BPF_CORE_READ(iter, ubuf) + done - moved : 0;
	range = bpf_core_field_exists(iter->__iov) ? BPF_CORE_READ(iter, __iov) : BPF_CORE_READ(older, iov);
	if (!done) { /* the range is full, and the next one begins */
		range--;
		done = BPF_CORE_READ(range, iov_len);
	}
	return done >= moved ? (__u64)BPF_CORE_READ(range, iov_base) + done - moved : 0;
}

/* Whether an iov_iter is of the caller's memory. Before 5.12 sendfile writes into a pipe by way of pipe_write(), from
 * pages: that is an event of its own. */
static __always_inline bool is_of_user(struct iov_iter *iter)
{
	struct iov_iter___type *older = (void *)iter;
	__u32 type =
		bpf_core_field_exists(older->type) ? BPF_CORE_READ(older, type) & ~1U : BPF_CORE_READ(iter, iter_type);

	return type == bpf_core_enum_value(enum iter_type, ITER_IOVEC) ||
	       (bpf_core_enum_value_exists(enum iter_type, ITER_UBUF) &&
		type == bpf_core_enum_value(enum iter_type, ITER_UBUF));
}

static __always_inline int pipe_io_function(struct kiocb *iocb, struct iov_iter *iter, long ret, __u32 event)
{
	struct file *file = BPF_CORE_READ(iocb, ki_filp);
	struct call call = {.kind = event, .tier = VMT_TIER_FUNCTION, .ret = ret};
	struct task_struct *task = current_task();
	struct vmt_pipe_io *ev;
	struct scratch *scratch;
	__u32 at = sizeof(*ev);
	__u64 base;

	if (ret <= 0 || (event == VMT_PIPE_WRITE && !is_of_user(iter)) || !pipe_io_concerns(file, event))
		return 0;
	call.compat = (task_read(task, thread_info.status) & TS_COMPAT) != 0;
	call.slot = slot_take();
	if (call.slot == NO_SLOT) {
		count_unplaced(event);
		return 0;
	}
	scratch = scratch_at(call.slot);
	if (scratch) {
		ev = (void *)scratch;
		base = iter_before(iter, ret);
		__builtin_memset(&ev->local, 0, sizeof(ev->local));
		if (base)
			at = iovs_one(scratch, at, &ev->local, base, ret + BPF_CORE_READ(iter, count));
		pipe_io_record(&call, scratch, file, -1, at, event);
	}
	slot_put(call.slot);
	return 0;
}

SEC("?fexit/pipe_read")
int BPF_PROG(pipe_read_return, struct kiocb *iocb, struct iov_iter *iter, long ret)
{
	return pipe_io_function(iocb, iter, ret, VMT_PIPE_READ);
}

/* 6.13 and later; a FIFO's read goes through it too. */
SEC("?fexit/anon_pipe_read")
int BPF_PROG(pipe_read_return_anon, struct kiocb *iocb, struct iov_iter *iter, long ret)
{
	return pipe_io_function(iocb, iter, ret, VMT_PIPE_READ);
}

SEC("?fexit/pipe_write")
int BPF_PROG(pipe_write_return, struct kiocb *iocb, struct iov_iter *iter, long ret)
{
	return pipe_io_function(iocb, iter, ret, VMT_PIPE_WRITE);
}

/* 6.13 and later; a FIFO's write goes through it too. */
SEC("?fexit/anon_pipe_write")
int BPF_PROG(pipe_write_return_anon, struct kiocb *iocb, struct iov_iter *iter, long ret)
{
	return pipe_io_function(iocb, iter, ret, VMT_PIPE_WRITE);
}

#endif
