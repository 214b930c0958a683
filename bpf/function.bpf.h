/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the families of the function tier share. Its hooks are in the functions that do the work. The first hook of
 * a call takes a scratch and enters it in `inflight`, later ones store in it what the kernel uses, and the one at
 * the syscall's exit delivers the record. Hooks that other syscalls pass find nothing in `inflight` and return.
 * Only the hooked functions become slower.
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

/* Starts to follow a call. NULL if no scratch is free: its exit then reads user memory. */
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
	scratch->held.offsets_known = false;
	scratch->held.feeding = false;
	scratch->held.in = scratch->held.out = NULL;
	return scratch;
}

/* The same, if it is a call of that kind. */
static __always_inline struct scratch *held_of(__u32 kind)
{
	struct scratch *scratch = held_find();

	return scratch && scratch->held.kind == kind ? scratch : NULL;
}

/* An argument of the hooked function, also one whose type older verifiers do not know: 5.10 refuses pointers to
 * anything but structs. */
static __always_inline __u64 argument(void *ctx, __u32 index)
{
	__u64 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), ctx + index * sizeof(value));
	return value;
}

/* Whether calls of the current task may be recorded at all. */
static __always_inline bool is_followed(void)
{
	struct task_struct *task = current_task();

	return task_read(task, tgid) != knobs.recorder_tgid && !is_bystander(task);
}

/* Finds the scratch of a call at its exit: the one in `inflight`, or a new one for a call that was not followed. */
static __always_inline bool call_place(struct call *call)
{
	__u32 tid = bpf_get_current_pid_tgid();
	__u32 *slot = inflight_slot();
	struct scratch *scratch;

	if (slot) {
		call->held = true;
		call->slot = *slot;
		scratch = scratch_at(call->slot);
		/* The first hook of @vm and @mem is behind the entry. */
		if (scratch && !is_vm_call(call->kind) && !is_read_or_write(call->kind))
			call->begin_ns = scratch->held.begin_ns;
		bpf_map_delete_elem(&inflight, &tid);
		return true;
	}
	if (!is_followed() || !is_wanted(call->kind))
		return false;
	call->slot = slot_take();
	if (call->slot != NO_SLOT)
		return true;
	count_unplaced(call->kind);
	return false;
}

/* The same as args_read() where the verifier does not know the registers. */
static __always_inline void args_probe(struct call *call, struct pt_regs *regs)
{
	if (call->compat) {
		call->args[0] = (__u32)BPF_CORE_READ(regs, bx);
		call->args[1] = (__u32)BPF_CORE_READ(regs, cx);
		call->args[2] = (__u32)BPF_CORE_READ(regs, dx);
		call->args[3] = (__u32)BPF_CORE_READ(regs, si);
		call->args[4] = (__u32)BPF_CORE_READ(regs, di);
		call->args[5] = (__u32)BPF_CORE_READ(regs, bp);
	} else {
		call->args[0] = BPF_CORE_READ(regs, di);
		call->args[1] = BPF_CORE_READ(regs, si);
		call->args[2] = BPF_CORE_READ(regs, dx);
		call->args[3] = BPF_CORE_READ(regs, r10);
		call->args[4] = BPF_CORE_READ(regs, r8);
		call->args[5] = BPF_CORE_READ(regs, r9);
	}
}

/* The registers with which the current task entered the kernel (task_pt_regs). */
static __always_inline struct pt_regs *user_regs(struct task_struct *task)
{
	if (bpf_core_enum_value_exists(enum bpf_func_id___regs, BPF_FUNC_task_pt_regs))
		return (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	return (void *)((__u64)task_read(task, stack) + THREAD_SIZE - bpf_core_type_size(struct pt_regs));
}

/* A syscall at its exit, by the context of its entry point's hook: registers and result. */
static __always_inline bool call_begin(struct call *call, __u64 *ctx)
{
	call->ret = ctx[1];
	if (task_is_typed())
		args_read(call, (void *)ctx[0]);
	else /* 5.10 refuses registers whose type it does not find whole */
		args_probe(call, (void *)argument(ctx, 0));
	return call_place(call);
}

/* call_seen() with a frame of its own: in those of the programs its values would count against the 512 bytes that 5.10
 * allows for all frames together. */
__noinline int call_is_recorded(__u32 slot)
{
	struct scratch *scratch = scratch_at(slot);

	return scratch && call_seen(scratch, current_task());
}

/* Stores a call where the function of its family finds it. False if the call is not recorded. */
static __always_inline bool call_put(struct call *call)
{
	struct scratch *scratch = scratch_at(call->slot);

	if (!scratch)
		return false;
	scratch->call = *call;
	return call_is_recorded(call->slot);
}

static __always_inline void vmsplices_add(__u64 n)
{
	struct vmt_switches *s = switches();

	if (s)
		__sync_fetch_and_add(&s->vmsplices, n);
}

static __always_inline void call_end(struct call *call)
{
	if (call->held && call->kind == VMT_VMSPLICE)
		vmsplices_add(-1);
	if (call->held)
		spare_put(call->slot);
	else
		slot_put(call->slot);
}

/* Makes `family` record a syscall at its exit. `function` is its entry point: __x64_sys_* for native calls, __ia32_*
 * for 32-bit ones, numbered `number` there. */
#define ON_EXIT(program, function, is_kind, number, is_compat, family)                                                 \
	SEC("?fexit/" #function) int program(__u64 *ctx)                                                               \
	{                                                                                                              \
		struct call call = {.kind = is_kind, .nr = number, .compat = is_compat, .tier = VMT_TIER_FUNCTION};    \
                                                                                                                       \
		if (!call_begin(&call, ctx))                                                                           \
			return 0;                                                                                      \
		if (call_put(&call))                                                                                   \
			family(call.slot);                                                                             \
		call_end(&call);                                                                                       \
		return 0;                                                                                              \
	}

/* Follows calls of a syscall from their entry on. */
#define ON_ENTRY(program, function, is_kind)                                                                           \
	SEC("?fentry/" #function) int BPF_PROG(program)                                                                \
	{                                                                                                              \
		if (is_followed() && is_wanted(is_kind))                                                               \
			held_begin(is_kind, 0);                                                                        \
		return 0;                                                                                              \
	}

/* ---- What the kernel copied from or to another process ---- */

/* Appends to the record at `at` what __access_remote_vm has copied, as it stands in the kernel's buffer; at most `room`
 * bytes. Returns how many. The function has the arguments (mm, addr, buf, len, flags), until 5.11 a task in front:
 * then the fourth is no length but the buffer, an address of the kernel's half. */
static __always_inline __u32 copied_append(void *ctx, struct scratch *scratch, __u32 at, __u64 room)
{
	__u64 words[7] = {}, from;
	__s32 moved;

	bpf_probe_read_kernel(words, sizeof(words), ctx);
	if ((__s64)words[3] < 0) {
		from = words[3];
		moved = words[6];
	} else {
		from = words[2];
		moved = words[5];
	}
	if (moved <= 0)
		return 0;
	if (room > (__u64)moved)
		room = moved;
	asm volatile("" : "+r"(room), "+r"(at));
	at &= SCRATCH_MASK;
	if (room == 0 || room > VMT_SNAPLEN_MAX || bpf_probe_read_kernel(scratch->bytes + at, room, (void *)from))
		return 0;
	return room;
}

/* ---- The kernel's own iovecs ---- */

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
