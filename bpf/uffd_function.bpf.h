/* SPDX-License-Identifier: GPL-2.0-only */
/* Family @uffd, function tier: the ioctl(2) of a userfaultfd, which has file and command, and within it the functions
 * that fill, move and poison pages (mm/userfaultfd.c), which have the kernel's own copy of the arguments. */
#ifndef VMTRACE_UFFD_FUNCTION_BPF_H
#define VMTRACE_UFFD_FUNCTION_BPF_H

#include "function.bpf.h"
#include "uffd.bpf.h"

/* Arguments of userfaultfd_ioctl: the file, the command, and the address of its struct. */

SEC("?fentry/userfaultfd_ioctl")
int BPF_PROG(uffd_begin)
{
	__u32 kind = uffd_kind(argument(ctx, 1));
	struct scratch *scratch;
	struct vmt_uffd *ev;

	if (!kind || !is_followed() || !is_wanted(kind))
		return 0;
	scratch = held_begin(kind, 0);
	ev = (void *)scratch;
	if (!ev)
		return 0;
	uffd_target(&ev->target, (void *)argument(ctx, 0));
	scratch->held.target_known = true;
	return 0;
}

/* Keeps what a function has done of the call that is under way. */
static __always_inline int uffd_done(__u32 kind, __u64 dst, __u64 src, __u64 len, __s64 result)
{
	struct scratch *scratch = held_of(kind);
	struct vmt_uffd *ev = (void *)scratch;

	if (!ev)
		return 0;
	ev->dst = dst;
	ev->src = src;
	ev->len = len;
	ev->result = result;
	scratch->held.count = 1;
	return 0;
}

/* What a function returned whose number of arguments changed (5.17). */
static __always_inline __s64 returned(void *ctx)
{
	__u64 value = 0;

	bpf_get_func_ret(ctx, &value);
	return value;
}

/* All have the memory in front, since 6.8 the userfaultfd. */

SEC("?fexit/mfill_atomic_copy")
int BPF_PROG(uffd_copied)
{
	return uffd_done(VMT_UFFD_COPY, argument(ctx, 1), argument(ctx, 2), argument(ctx, 3), returned(ctx));
}

/* Until 6.2. */
SEC("?fexit/mcopy_atomic")
int BPF_PROG(uffd_copied_before)
{
	return uffd_done(VMT_UFFD_COPY, argument(ctx, 1), argument(ctx, 2), argument(ctx, 3), argument(ctx, 6));
}

SEC("?fexit/move_pages")
int BPF_PROG(uffd_moved_pages)
{
	return uffd_done(VMT_UFFD_MOVE, argument(ctx, 1), argument(ctx, 2), argument(ctx, 3), returned(ctx));
}

SEC("?fexit/mfill_atomic_zeropage")
int BPF_PROG(uffd_zeroed)
{
	return uffd_done(VMT_UFFD_ZEROPAGE, argument(ctx, 1), 0, argument(ctx, 2), returned(ctx));
}

/* Until 6.2. */
SEC("?fexit/mfill_zeropage")
int BPF_PROG(uffd_zeroed_before)
{
	return uffd_done(VMT_UFFD_ZEROPAGE, argument(ctx, 1), 0, argument(ctx, 2), argument(ctx, 4));
}

SEC("?fexit/mfill_atomic_poison")
int BPF_PROG(uffd_poisoned)
{
	return uffd_done(VMT_UFFD_POISON, argument(ctx, 1), 0, argument(ctx, 2), returned(ctx));
}

SEC("?fexit/userfaultfd_ioctl")
int BPF_PROG(uffd_end)
{
	struct task_struct *task = current_task();
	struct call call = {.tier = VMT_TIER_FUNCTION};

	call.kind = uffd_kind(argument(ctx, 1));
	if (!call.kind)
		return 0;
	/* The descriptor is in the registers with which the caller entered the kernel. */
	call.compat = (task_read(task, thread_info.status) & TS_COMPAT) != 0;
	args_probe(&call, user_regs(task));
	call.file = argument(ctx, 0);
	call.args[2] = argument(ctx, 2);
	call.ret = argument(ctx, 3);
	if (!call_place(&call))
		return 0;
	if (call_put(&call))
		uffd_exit(call.slot);
	call_end(&call);
	return 0;
}

#endif
