/* SPDX-License-Identifier: GPL-2.0-only */
/* Accounting, the place where a record is put together, and its delivery. */
#ifndef VMTRACE_DELIVERY_BPF_H
#define VMTRACE_DELIVERY_BPF_H

#include "common.bpf.h"

/* ---- Accounting: atomic, since a program may be preempted by one of another task on its CPU ---- */

static __always_inline struct vmt_stats *stats_of(__u32 kind)
{
	return bpf_map_lookup_elem(&stats, &kind);
}

static __always_inline void count_seen(__u32 kind)
{
	struct vmt_stats *s = stats_of(kind);

	if (s)
		__sync_fetch_and_add(&s->seen, 1);
}

static __always_inline void count_filtered(__u32 kind)
{
	struct vmt_stats *s = stats_of(kind);

	if (s)
		__sync_fetch_and_add(&s->filtered, 1);
}

/* An event that is counted as seen, and of which no record can be made. */
static __always_inline void count_unbuilt(__u32 kind)
{
	struct vmt_stats *s = stats_of(kind);

	if (s)
		__sync_fetch_and_add(&s->unplaced, 1);
}

/* An event for whose record no scratch was free. */
static __always_inline void count_unplaced(__u32 kind)
{
	struct vmt_stats *s = stats_of(kind);

	if (!s)
		return;
	__sync_fetch_and_add(&s->seen, 1);
	__sync_fetch_and_add(&s->unplaced, 1);
}

static __always_inline void count_lost(__u32 kind, __u64 now)
{
	__u32 zero = 0;
	struct vmt_stats *s = stats_of(kind);
	struct vmt_loss *loss = bpf_map_lookup_elem(&losses, &zero);

	if (s)
		__sync_fetch_and_add(&s->lost, 1);
	if (!loss || kind >= VMT_EVENTS)
		return;
	if (!loss->total)
		loss->first_ns = now;
	loss->last_ns = now;
	__sync_fetch_and_add(&loss->count[kind], 1);
	__sync_fetch_and_add(&loss->total, 1);
}

/* ---- Scratch ---- */

#define NO_SLOT 0xffffffff

static __always_inline struct scratch *scratch_at(__u32 slot)
{
	return bpf_map_lookup_elem(&scratches, &slot);
}

/* Returns `value` by way of map memory, so that the verifier knows nothing about it. Branches that meet again then meet
 * in one state, and what follows is checked once instead of once for each path. */
static __always_inline __u64 opaque(struct scratch *scratch, __u64 value)
{
	volatile __u64 *place = &scratch->opaque;

	*place = value;
	return *place;
}

static __always_inline __u32 spare_take(void)
{
	__u32 slot = NO_SLOT;

	return bpf_map_pop_elem(&spares, &slot) ? NO_SLOT : slot;
}

static __always_inline void spare_put(__u32 slot)
{
	bpf_map_push_elem(&spares, &slot, BPF_ANY);
}

static __always_inline struct own *own(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&owns, &zero);
}

/* The scratch of the program at the exit of syscalls, which alone uses it. Tracepoints run that program with preemption
 * off; kernels where it can be preempted do not start it on a CPU where it has not ended. */
static __always_inline __u32 slot_of_exit(void)
{
	return bpf_get_smp_processor_id();
}

/* A scratch for a record of any other program: the CPU's own, or a spare one if the program interrupted another that
 * uses it. A program counts itself in before it looks, so at most one finds itself alone. NO_SLOT if none is free. */
static __always_inline __u32 slot_take(void)
{
	volatile struct own *cpu = own();
	__u32 slot;

	if (!cpu)
		return NO_SLOT;
	__sync_fetch_and_add(&cpu->in, 1);
	if (cpu->in - cpu->out == 1)
		return knobs.cpus + bpf_get_smp_processor_id();
	slot = spare_take();
	if (slot == NO_SLOT)
		__sync_fetch_and_add(&cpu->out, 1);
	return slot;
}

static __always_inline void slot_put(__u32 slot)
{
	struct own *cpu = own();

	if (slot >= 2 * knobs.cpus)
		spare_put(slot);
	if (cpu)
		__sync_fetch_and_add(&cpu->out, 1);
}

/* ---- Delivery ---- */

/* Wakes the consumer when the ring holds more than the threshold. Below it, the consumer's timer is soon enough, unless
 * it sleeps for long (`wake_at_once`). The fill is checked after each eighth of the threshold: a check costs as much as
 * a small part of a record, and a wakeup far more. */
static __always_inline __u64 wake_flags(void *ring, __u64 size)
{
	struct vmt_switches *s = switches();
	struct own *cpu = own();

	if (!cpu || !s)
		return BPF_RB_NO_WAKEUP;
	if (s->wake_at_once) {
		s->wake_at_once = 0;
		return BPF_RB_FORCE_WAKEUP;
	}
	cpu->unlooked += size;
	if (cpu->unlooked < knobs.wake_bytes / 8)
		return BPF_RB_NO_WAKEUP;
	cpu->unlooked = 0;
	return bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) >= knobs.wake_bytes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

/* Reports what this CPU has lost, in front of its next record. */
static __noinline int deliver_loss(void *unused)
{
	__u32 zero = 0, cpu = bpf_get_smp_processor_id();
	__u32 index = cpu % knobs.ring_count;
	struct vmt_loss *loss = bpf_map_lookup_elem(&losses, &zero);
	void *ring = bpf_map_lookup_elem(&rings, &index);
	struct vmt_lost lost = {};

	if (!loss || !ring)
		return 0;
	lost.hdr.size = sizeof(lost);
	lost.hdr.kind = VMT_LOST;
	lost.hdr.cpu = cpu;
	lost.hdr.mono_ns = loss->last_ns;
	lost.first_ns = loss->first_ns;
	lost.last_ns = loss->last_ns;
	__builtin_memcpy(lost.count, loss->count, sizeof(lost.count));
	if (bpf_ringbuf_output(ring, &lost, sizeof(lost), 0))
		return 0;
	/* Only what was reported: a program that interrupted this one may have counted more. */
	for (__u32 i = 0; i < VMT_EVENTS; i++) {
		if (!lost.count[i])
			continue;
		__sync_fetch_and_add(&loss->count[i], -lost.count[i]);
		__sync_fetch_and_add(&loss->total, -(__u64)lost.count[i]);
	}
	return 0;
}

/* Delivers the `size` bytes at `record`, or counts the record as lost. */
static __always_inline void deliver(void *record, __u64 size, __u32 kind, __u64 now)
{
	__u32 zero = 0, index = bpf_get_smp_processor_id() % knobs.ring_count;
	struct vmt_loss *loss = bpf_map_lookup_elem(&losses, &zero);
	void *ring = bpf_map_lookup_elem(&rings, &index);
	struct vmt_stats *s = stats_of(kind);

	if (loss && loss->total)
		deliver_loss(NULL);
	if (ring && !bpf_ringbuf_output(ring, record, size, wake_flags(ring, size))) {
		if (s)
			__sync_fetch_and_add(&s->delivered, 1);
		return;
	}
	count_lost(kind, now);
}

/* Delivers the record in `scratch`, which ends at `end`. Records fit in the scratch; one that did not is counted as
 * unplaced. */
static __always_inline void deliver_scratch(struct scratch *scratch, __u32 end, __u32 kind)
{
	struct vmt_hdr *hdr = (void *)scratch;
	__u64 size = end;

	asm volatile("" : "+r"(size));
	if (size > sizeof(scratch->bytes)) {
		count_unbuilt(kind);
		return;
	}
	hdr->size = size;
	deliver(scratch, size, kind, hdr->mono_ns);
}

#endif
