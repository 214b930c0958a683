/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the families of the function tier share. Its hooks sit in the functions that do the work: the first of a call
 * takes a scratch and enters it in `inflight`, later ones put what the kernel uses into it, and the syscall's exit
 * delivers. Functions that other syscalls run through find nothing in `inflight` and return. Nothing but the functions
 * themselves becomes slower.
 */
#ifndef VMTRACE_FUNCTION_BPF_H
#define VMTRACE_FUNCTION_BPF_H

#include "call.bpf.h"

/* Thread -> scratch of its call under way. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4 * VMT_SPARES);
	__type(key, __u32);
	__type(value, __u32);
} inflight SEC(".maps");

static __always_inline __u32 *inflight_slot(void)
{
	__u32 tid = bpf_get_current_pid_tgid();

	return bpf_map_lookup_elem(&inflight, &tid);
}

/* The scratch of the current thread's call under way, NULL without one. */
static __always_inline struct scratch *held_find(void)
{
	__u32 *slot = inflight_slot();

	return slot ? scratch_at(*slot) : NULL;
}

/* Begins to follow a call. NULL if there is no room: its exit then reads user memory. */
static __always_inline struct scratch *held_begin(__u32 kind, __u32 end)
{
	__u32 tid = bpf_get_current_pid_tgid(), slot = NO_SLOT;
	__u32 *known = inflight_slot();
	struct scratch *scratch;

	if (known) {
		slot = *known; /* its exit was not seen */
	} else {
		slot = spare_take();
		if (slot == NO_SLOT)
			return NULL;
		if (bpf_map_update_elem(&inflight, &tid, &slot, BPF_NOEXIST)) {
			spare_put(slot);
			return NULL;
		}
	}
	scratch = scratch_at(slot);
	if (!scratch)
		return NULL;
	scratch->held.begin_ns = bpf_ktime_get_ns();
	scratch->held.kind = kind;
	scratch->held.end = end;
	scratch->held.count = 0;
	scratch->held.target_known = false;
	return scratch;
}

/* Whether calls of the current task may matter at all. */
static __always_inline bool is_followed(void)
{
	struct task_struct *task = current_task();

	return task_read(task, tgid) != knobs.recorder_tgid && !is_bystander(task);
}

/* A call at its exit: takes it out of `inflight`, or a scratch for one that was not followed. */
static __always_inline bool call_begin(struct call *call, struct pt_regs *regs, long ret)
{
	__u32 tid = bpf_get_current_pid_tgid();
	__u32 *slot = inflight_slot();

	call->ret = ret;
	args_read(call, regs);
	if (slot) {
		call->held = true;
		call->slot = *slot;
		bpf_map_delete_elem(&inflight, &tid);
		return true;
	}
	if (!is_followed() || call->kind >= VMT_KINDS || !knobs.wanted[call->kind])
		return false;
	call->slot = slot_take();
	if (call->slot != NO_SLOT)
		return true;
	count_unplaced(call->kind);
	return false;
}

static __always_inline void call_end(struct call *call)
{
	if (call->held)
		spare_put(call->slot);
	else
		slot_put(call->slot);
}

/* Makes `family` tell a syscall at its exit. `function` is its entry point: __x64_sys_* for native calls, __ia32_* for
 * 32-bit ones, numbered `number` there. */
#define ON_EXIT(program, function, is_kind, number, is_compat, family)                                                 \
	SEC("?fexit/" #function) int BPF_PROG(program, struct pt_regs *regs, long ret)                                 \
	{                                                                                                              \
		struct call call = {.kind = is_kind, .nr = number, .compat = is_compat, .tier = VMT_TIER_FUNCTION};    \
                                                                                                                       \
		if (!call_begin(&call, regs, ret))                                                                     \
			return 0;                                                                                      \
		family(&call);                                                                                         \
		call_end(&call);                                                                                       \
		return 0;                                                                                              \
	}

/* ---- The kernel's own iovecs ---- */

/* Copies `count` iovecs from kernel memory into the record at `at`; returns the record's new end. */
static __always_inline __u32 iovs_copy(struct scratch *scratch, __u32 at, struct vmt_iovs *iovs, const void *from,
				       __u64 count)
{
	__u64 bytes = count * 16;

	iovs->count = count;
	iovs->kept = 0;
	iovs->entry = 16;
	iovs->source = VMT_SOURCE_KERNEL;
	iovs->status = VMT_READ_ABSENT;
	if (!count)
		return at;
	iovs->status = VMT_READ_FAULT;
	asm volatile("" : "+r"(bytes), "+r"(at));
	at &= SCRATCH_MASK;
	if (bytes > VMT_IOV_MAX * 16 || bpf_probe_read_kernel(scratch->bytes + at, bytes, from))
		return at;
	iovs->status = VMT_READ_OK;
	iovs->kept = count;
	return at + bytes;
}

/* Copies the ranges of an iov_iter that nothing has been taken from yet. */
static __always_inline __u32 iovs_of_iter(struct scratch *scratch, __u32 at, struct vmt_iovs *iovs,
					  struct iov_iter *iter)
{
	struct iov_iter___iov *older = (void *)iter;
	const struct iovec *array;

	if (bpf_core_enum_value_exists(enum iter_type, ITER_UBUF) &&
	    BPF_CORE_READ(iter, iter_type) == bpf_core_enum_value(enum iter_type, ITER_UBUF))
		return iovs_one(scratch, at, iovs, (__u64)BPF_CORE_READ(iter, ubuf), BPF_CORE_READ(iter, count));
	if (bpf_core_field_exists(iter->__iov))
		array = BPF_CORE_READ(iter, __iov);
	else
		array = BPF_CORE_READ(older, iov);
	return iovs_copy(scratch, at, iovs, array, BPF_CORE_READ(iter, nr_segs));
}

#endif
