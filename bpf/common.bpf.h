/* SPDX-License-Identifier: GPL-2.0-only */
/* What every family shares: knobs, maps, selection, accounting, and delivery of records. */
#ifndef VMTRACE_COMMON_BPF_H
#define VMTRACE_COMMON_BPF_H

#include "kernel.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "wire.h"

/* ---- Knobs: set by src/record/load.rs before loading, constant afterwards. ---- */

/* Syscall number -> enum vmt_kind, 0 for calls nobody asked for. From the event table in src/schema/events.rs. */
const volatile __u8 syscalls_native[VMT_SYSCALLS];
const volatile __u8 syscalls_compat[VMT_SYSCALLS];
/* The same by kind, for requests that come through io_uring. */
const volatile __u8 kinds_uring[VMT_KINDS];
/* Payload bytes kept per event, 0 with --payload none. */
const volatile __u32 snaplen = 256;
/* Every process is selected (-a); else those in `tracked`. */
const volatile bool select_all;
/* Children of tracked processes become tracked. */
const volatile bool follow = true;
/* The recorder itself, never recorded. */
const volatile __s32 recorder_tgid;
/* uids selected by -u; none means any. */
#define MAX_UIDS 16
const volatile __u32 uids[MAX_UIDS];
const volatile __u32 uid_count;
/* cgroup v2 selected by --cgroup, with its descendants; 0 means any. */
const volatile __u64 cgroup_id;
const volatile __u32 cgroup_level;
/* Rings in `rings`, at least 1, and the fill at which a sleeping consumer is woken before its timer. */
const volatile __u32 ring_count = 1;
const volatile __u32 wake_bytes = 1 << 20;

/* ---- Switches: set by the recorder while running. ---- */

/* The next process that the recorder starts is the COMMAND: track it. */
bool arm_spawn;
/* A descriptor of /proc/self/mem in the recorder, while it shows us the operations of such files; else -1. */
int learn_fd = -1;
/* Those operations: a file with these is a /proc/PID/mem. Learned, since kallsyms need not list data. */
__u64 mem_fops;
/* Children that could not be tracked because the map was full. */
__u64 untracked;

/* ---- Maps ---- */

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

/* One ring per CPU up to a limit, so that CPUs do not share a reservation lock. Made by the recorder. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct ring);
} rings SEC(".maps");

/* Processes selected by -p or COMMAND, and what they started. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __s32);
	__type(value, __u8);
} tracked SEC(".maps");

/* The state of one gather over an iovec array that stands in the record. It lives in map memory, of which the
 * verifier assumes nothing: on the stack it would follow every value through every iteration. */
struct gather {
	__u32 iovs_at; /* where the array begins */
	__u32 entry; /* 8 or 16 */
	__u32 count;
	__u32 at; /* where the next byte goes */
	__u32 room; /* bytes of the snap length left */
	__u32 faults;
	__u64 left; /* bytes that moved and are not gathered yet */
};

/* The state of one walk from a file up to the root of its mount namespace, in map memory for the same reason. */
struct walk {
	struct dentry *dentry;
	struct dentry *root; /* of the mount we are in */
	struct mount *mount;
	__u32 start; /* where the path begins in the record */
	__u32 at; /* where the next component goes */
	bool whole; /* the root was reached */
};

/* A record is put together here. One per CPU: tracepoint programs run with preemption off and do not nest.
 * A plain array, since per-CPU values are limited to 32 KiB. Offsets are masked with SCRATCH_MASK, and what is
 * copied to the last of them still fits. */
#define SCRATCH_MASK 0x1ffff
struct scratch {
	__u8 bytes[SCRATCH_MASK + 1 + VMT_SNAPLEN_MAX + 64];
	struct gather gather;
	struct walk walk;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, VMT_KINDS);
	__type(key, __u32);
	__type(value, struct vmt_stats);
} stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct vmt_loss);
} losses SEC(".maps");

/* ---- Accounting ---- */

static __always_inline struct vmt_stats *stats_of(__u32 kind)
{
	return bpf_map_lookup_elem(&stats, &kind);
}

static __always_inline void count_seen(__u32 kind)
{
	struct vmt_stats *s = stats_of(kind);

	if (s)
		s->seen++;
}

static __always_inline void count_filtered(__u32 kind)
{
	struct vmt_stats *s = stats_of(kind);

	if (s)
		s->filtered++;
}

static __always_inline void count_lost(__u32 kind, __u64 now)
{
	__u32 zero = 0;
	struct vmt_stats *s = stats_of(kind);
	struct vmt_loss *loss = bpf_map_lookup_elem(&losses, &zero);

	if (s)
		s->lost++;
	if (!loss || kind >= VMT_KINDS)
		return;
	if (!loss->total)
		loss->first_ns = now;
	loss->last_ns = now;
	loss->total++;
	loss->count[kind]++;
}

/* ---- Delivery ---- */

static __always_inline struct scratch *scratch_get(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&scratches, &cpu);
}

/* Wakes the consumer when the fill crosses the threshold; below it, its timer comes soon enough. */
static __always_inline __u64 wake_flags(void *ring, __u64 size)
{
	__u64 fill = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);

	return fill < wake_bytes && fill + size >= wake_bytes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

/* Tells, in front of the next record, what this CPU lost before it. */
static __noinline int deliver_loss(void *unused)
{
	__u32 zero = 0, cpu = bpf_get_smp_processor_id();
	__u32 index = cpu % ring_count;
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
	if (!bpf_ringbuf_output(ring, &lost, sizeof(lost), 0))
		__builtin_memset(loss, 0, sizeof(*loss));
	return 0;
}

/* Hands `size` bytes at `record` over, or counts them as lost. */
static __always_inline void deliver(void *record, __u64 size, __u32 kind, __u64 now)
{
	__u32 zero = 0, index = bpf_get_smp_processor_id() % ring_count;
	struct vmt_loss *loss = bpf_map_lookup_elem(&losses, &zero);
	void *ring = bpf_map_lookup_elem(&rings, &index);
	struct vmt_stats *s = stats_of(kind);

	if (loss && loss->total)
		deliver_loss(NULL);
	if (ring && !bpf_ringbuf_output(ring, record, size, wake_flags(ring, size))) {
		if (s)
			s->delivered++;
		return;
	}
	count_lost(kind, now);
}

/* Delivers a record that stands in `scratch` and ends at `end`. */
static __always_inline void deliver_scratch(struct scratch *scratch, __u32 end, __u32 kind)
{
	struct vmt_hdr *hdr = (void *)scratch;
	__u64 size = end;

	asm volatile("" : "+r"(size));
	if (size > sizeof(scratch->bytes))
		return;
	hdr->size = size;
	deliver(scratch, size, kind, hdr->mono_ns);
}

/* ---- Who ---- */

/* Whether the current task comes as a pointer that the verifier knows, so that its fields are read like any memory:
 * bpf_get_current_task_btf(), 5.11. Before, it is an address of which nothing is known. */
static __always_inline bool task_is_typed(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id___task, BPF_FUNC_get_current_task_btf);
}

static __always_inline struct task_struct *current_task(void)
{
	return task_is_typed() ? bpf_get_current_task_btf() : (void *)bpf_get_current_task();
}

/* task->a->b, as BPF_CORE_READ has it. Which of the two is a constant to the verifier. */
#define task_read(task, ...) (task_is_typed() ? ___arrow(task, __VA_ARGS__) : BPF_CORE_READ(task, __VA_ARGS__))

static __always_inline void process_of(struct vmt_process *p, struct task_struct *task)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);

	p->start_boottime = BPF_CORE_READ(leader, start_boottime);
	/* kernel/bpf/helpers.c, bpf_get_current_cgroup_id, for any task */
	p->cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	p->pid = BPF_CORE_READ(task, tgid);
	p->uid = BPF_CORE_READ(task, cred, euid.val);
	BPF_CORE_READ_STR_INTO(&p->comm, leader, comm);
}

/* Fills the header for the current task. */
static __always_inline void header(struct vmt_hdr *hdr, __u32 kind, __u32 abi)
{
	struct task_struct *task = current_task();

	hdr->size = 0;
	hdr->kind = kind;
	hdr->abi = abi;
	hdr->pad = 0;
	hdr->mono_ns = bpf_ktime_get_ns();
	hdr->cpu = bpf_get_smp_processor_id();
	hdr->tid = task_read(task, pid);
	hdr->self.start_boottime = task_read(task, group_leader, start_boottime);
	hdr->self.cgroup_id = bpf_get_current_cgroup_id();
	hdr->self.pid = task_read(task, tgid);
	hdr->self.uid = task_read(task, cred, euid.val);
	bpf_get_current_comm(hdr->self.comm, sizeof(hdr->self.comm));
}

static __always_inline bool is_tracked(__s32 tgid)
{
	return bpf_map_lookup_elem(&tracked, &tgid) != NULL;
}

/* -u and --cgroup, which narrow the callers. */
static __always_inline bool caller_admitted(struct task_struct *task)
{
	__u32 uid = task_read(task, cred, euid.val);
	bool admitted = uid_count == 0;

	for (__u32 i = 0; i < MAX_UIDS; i++)
		admitted |= i < uid_count && uids[i] == uid;
	if (cgroup_id && bpf_get_current_ancestor_cgroup_id(cgroup_level) != cgroup_id)
		return false;
	return admitted;
}

/* Whether the current task is recorded for its own sake. */
static __always_inline bool caller_selected(struct task_struct *task)
{
	__s32 tgid = task_read(task, tgid);

	return tgid != recorder_tgid && caller_admitted(task) && (select_all || is_tracked(tgid));
}

/* Whether a call is recorded because it reaches into a tracked process. */
static __always_inline bool target_selected(struct task_struct *task, __s32 target)
{
	return task_read(task, tgid) != recorder_tgid && target && caller_admitted(task) && is_tracked(target);
}

#endif
