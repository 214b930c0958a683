/* SPDX-License-Identifier: GPL-2.0-only */
/* What every family shares: knobs, maps, selection, accounting, and delivery of records. */
#ifndef VMTRACE_COMMON_BPF_H
#define VMTRACE_COMMON_BPF_H

#include "kernel.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "wire.h"

/* Set by src/record/probes/load before loading. */
const volatile struct vmt_knobs knobs SEC(".rodata.knobs");

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

/* What identifies a pipe: numbers of pipes count up, so that none comes again in a recording. */
struct pipe_key {
	__u64 ino;
	__u64 dev;
};

/* The state of one count of the bytes in a pipe, in map memory for the same reason. */
struct fill {
	__u64 pipe;
	__u64 bytes; /* in the buffers before `at` */
	__u32 at;
	__u32 head;
};

/* What is known of a call that the function tier follows from its begin to its end. */
struct held {
	__u64 begin_ns;
	__u32 kind; /* enum vmt_kind of the call, or of one of its family */
	__u32 end; /* where the record ends so far */
	__u32 count; /* of what the family gathers */
	bool target_known; /* the kernel's own look-up of the target was seen */
	bool offsets_known; /* the kernel's own copies of offsets were seen */
	bool feeding; /* it was announced as one that feeds the pipe `fed` */
	struct pipe_key fed;
	struct file *in; /* the files of both sides, as the kernel found them */
	struct file *out;
};

/* The pages that a vmsplice took, and the pipe's buffers that they became. */
struct pinned {
	struct file *file; /* the pipe's, as the kernel found it */
	__u32 pins; /* get_user_pages_fast() calls listed at PINS_AT: address, pages */
	__u32 pin; /* of them, the one whose page the next buffer holds */
	__u32 page;
	__u32 head; /* of the pipe: where its next buffer goes */
	__u32 until; /* the same when the pipe was unlocked */
	__u32 ranges; /* ranges listed at RANGES_AT */
	bool incomplete; /* some page or buffer is not listed */
};

/* A syscall as its exit shows it, and the scratch where its record is put together. It stands there, since families are
 * recorded by global functions, which the verifier checks once each and which take numbers only (5.10). */
struct call {
	__u32 kind;
	__u32 nr;
	__u32 slot;
	bool compat;
	bool held; /* the function tier has followed it since its begin: see struct held */
	bool raced; /* its descriptor led elsewhere when it began */
	bool entered; /* to the memory of a process, that is: see struct entered */
	__u8 tier; /* enum vmt_tier */
	long ret;
	__u64 begin_ns; /* 0 if not seen */
	__u64 fed_file; /* of a read of a fed pipe its file; else 0 */
	__u64 args[6];
};

/* A record is put together here. A plain array, since per-CPU values are limited to 32 KiB. Offsets are masked with
 * SCRATCH_MASK, and what is copied to the last of them still fits. */
#define SCRATCH_MASK 0x1ffff
struct scratch {
	__u8 bytes[SCRATCH_MASK + 1 + VMT_SNAPLEN_MAX + 64];
	struct gather gather;
	struct walk walk;
	struct fill fill;
	struct held held;
	struct pinned pinned;
	struct call call;
	__u64 opaque; /* see opaque() */
};
/* Of each CPU one for the exit of syscalls and one for all other programs, and VMT_SPARES behind them. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* Spare scratches that are free, filled by the recorder. */
struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, VMT_SPARES);
	__uint(value_size, sizeof(__u32));
} spares SEC(".maps");

/* What each CPU keeps for itself. */
struct own {
	/* How many programs began and ended to use the CPU's scratch. */
	__u64 in;
	__u64 out;
	/* Bytes that were delivered since somebody last looked how full the ring is. */
	__u64 unlooked;
	/* The process last found in `tracked`: see is_tracked(). */
	__u64 tracked;
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct own);
} owns SEC(".maps");

/* One value. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct vmt_switches);
} switch_values SEC(".maps");

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

static __always_inline struct vmt_switches *switches(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&switch_values, &zero);
}

_Static_assert((VMT_KINDS & (VMT_KINDS - 1)) == 0, "kinds are masked");

/* Whether anybody asked for events of a kind. */
static __always_inline bool is_wanted(__u32 kind)
{
	asm volatile("" : "+r"(kind));
	return knobs.wanted[kind & (VMT_KINDS - 1)];
}

/* Whether function hooks record events of a kind. */
static __always_inline bool is_by_function(struct vmt_switches *s, __u32 kind)
{
	asm volatile("" : "+r"(kind));
	return s->by_function[kind & (VMT_KINDS - 1)];
}

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

/* Counted as seen already, and larger than any place to put it together. */
static __always_inline void count_oversize(__u32 kind)
{
	struct vmt_stats *s = stats_of(kind);

	if (s)
		__sync_fetch_and_add(&s->unplaced, 1);
}

/* Seen, and nowhere to put it together. */
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
	if (!loss || kind >= VMT_KINDS)
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

/* The same value, of which the verifier knows nothing any more: it has been in map memory. Where branches meet again,
 * they do so in one state then, and what follows is checked once instead of once for each way that leads there. */
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

/* The scratch of the program at the exit of syscalls, which is the only one to use it: tracepoints run it with
 * preemption off, or, since they can be preempted, the kernel does not begin it on a CPU where it has not ended. */
static __always_inline __u32 slot_of_exit(void)
{
	return bpf_get_smp_processor_id();
}

/* A scratch for any other record that is put together at once: the CPU's own, or a spare one if the program interrupted
 * another that uses it. Two programs on a CPU have both counted themselves in before either looks, so that at most one
 * finds itself alone. NO_SLOT if there is none. */
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

/* Wakes the consumer when the ring holds more than the threshold; below it, its timer comes soon enough, but when it
 * sleeps for long. Looks after each eighth of the threshold, since a look costs as much as a small part of the record,
 * and waking far more. */
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

/* Reports, in front of the next record, what this CPU lost before it. */
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
	/* What was reported; a program that interrupted us may have counted more. */
	for (__u32 i = 0; i < VMT_KINDS; i++) {
		if (!lost.count[i])
			continue;
		__sync_fetch_and_add(&loss->count[i], -lost.count[i]);
		__sync_fetch_and_add(&loss->total, -(__u64)lost.count[i]);
	}
	return 0;
}

/* Hands `size` bytes at `record` over, or counts them as lost. */
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

/* Delivers a record that stands in `scratch` and ends at `end`. What was put there keeps within the scratch; if it ever
 * did not, the record is counted as one for which there was no room. */
static __always_inline void deliver_scratch(struct scratch *scratch, __u32 end, __u32 kind)
{
	struct vmt_hdr *hdr = (void *)scratch;
	__u64 size = end;

	asm volatile("" : "+r"(size));
	if (size > sizeof(scratch->bytes)) {
		count_oversize(kind);
		return;
	}
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

extern void *bpf_rdonly_cast(const void *address, __u32 type) __ksym __weak;

/* Whether the verifier takes our word for the type of an address, so that what stands there is read like any memory:
 * 6.2. Else each step takes a helper call, which costs several times more. */
static __always_inline bool can_cast(void)
{
	return bpf_ksym_exists(bpf_rdonly_cast);
}

#define cast(address, type) ((type *)bpf_rdonly_cast((void *)(address), bpf_core_type_id_kernel(type)))

/* A task that came as a pointer which the verifier trusts, as one that it does not. Of the former it looks up at each
 * step, through all types of the kernel, whether to trust the next one: that took most of the time to load. */
static __always_inline struct task_struct *untrusted(struct task_struct *task)
{
	return can_cast() ? cast(task, struct task_struct) : task;
}

static __always_inline struct task_struct *current_task(void)
{
	if (can_cast())
		return cast(bpf_get_current_task(), struct task_struct);
	return task_is_typed() ? bpf_get_current_task_btf() : (void *)bpf_get_current_task();
}

/* task->a->b, as BPF_CORE_READ has it. Which of the two is a constant to the verifier. */
#define task_read(task, ...) (task_is_typed() ? ___arrow(task, __VA_ARGS__) : BPF_CORE_READ(task, __VA_ARGS__))

/* address->a->b of what stands at an address, as BPF_CORE_READ has it. */
#define peek(address, type, ...)                                                                                       \
	(can_cast() ? ___arrow(cast(address, type), __VA_ARGS__) : BPF_CORE_READ((type *)(address), __VA_ARGS__))

/* A struct that begins with a number, as whose first member any word can be read: typed pointers are no numbers. */
struct timespec64 {
	__s64 tv_sec;
} __attribute__((preserve_access_index));

/* The word at an address, 0 if there is none. */
static __always_inline __u64 word_at(__u64 address)
{
	__u64 word = 0;

	if (can_cast())
		return cast(address, struct timespec64)->tv_sec;
	bpf_probe_read_kernel(&word, sizeof(word), (void *)address);
	return word;
}

/* comm of a task that the verifier knows; it is padded with zeros. */
static __always_inline void comm_of(char *comm, struct task_struct *task)
{
	const __u64 *from = (const void *)task->comm;
	__u64 *to = (void *)comm;

	to[0] = from[0];
	to[1] = from[1];
}

static __always_inline void process_of(struct vmt_process *p, struct task_struct *task)
{
	struct task_struct *leader;

	if (can_cast()) {
		task = cast(task, struct task_struct);
		leader = task->group_leader;
		p->start_boottime = leader->start_boottime;
		p->cgroup_id = task->cgroups->dfl_cgrp->kn->id;
		p->pid = task->tgid;
		p->uid = task->cred->euid.val;
		p->ended = task->signal->live.counter == 0;
		comm_of(p->comm, leader);
		return;
	}
	leader = BPF_CORE_READ(task, group_leader);

	p->start_boottime = BPF_CORE_READ(leader, start_boottime);
	/* kernel/bpf/helpers.c, bpf_get_current_cgroup_id, for any task */
	p->cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	p->pid = BPF_CORE_READ(task, tgid);
	p->uid = BPF_CORE_READ(task, cred, euid.val);
	p->ended = BPF_CORE_READ(task, signal, live.counter) == 0;
	BPF_CORE_READ_STR_INTO(&p->comm, leader, comm);
}

/* Fills the header for `task`, which is the current one. */
static __always_inline void header(struct vmt_hdr *hdr, struct task_struct *task, __u32 kind, __u32 abi)
{
	hdr->size = 0;
	hdr->kind = kind;
	hdr->abi = abi;
	hdr->tier = VMT_TIER_TRACEPOINT;
	hdr->mono_ns = bpf_ktime_get_ns();
	hdr->begin_ns = 0;
	hdr->cpu = bpf_get_smp_processor_id();
	hdr->tid = task_read(task, pid);
	hdr->self.start_boottime = task_read(task, group_leader, start_boottime);
	hdr->self.cgroup_id = task_is_typed() ? task->cgroups->dfl_cgrp->kn->id : bpf_get_current_cgroup_id();
	hdr->self.pid = task_read(task, tgid);
	hdr->self.uid = task_read(task, cred, euid.val);
	hdr->self.ended = 0;
	if (task_is_typed())
		comm_of(hdr->self.comm, task);
	else
		bpf_get_current_comm(hdr->self.comm, sizeof(hdr->self.comm));
}

/* Whether a process is in `tracked`. One that was found there is found again without a look-up, until some process is
 * taken out. */
static __always_inline bool is_tracked(__s32 tgid)
{
	volatile struct vmt_switches *s = switches();
	struct own *cpu = own();
	__u64 known;

	if (!s || !cpu || !tgid)
		return false;
	known = (__u64)s->untrackings << 32 | (__u32)tgid;
	if (cpu->tracked == known)
		return true;
	if (!bpf_map_lookup_elem(&tracked, &tgid))
		return false;
	cpu->tracked = known;
	return true;
}

/* Whether the recorder tests itself: its processes are tracked, whatever is selected otherwise. */
static __always_inline bool is_self_test(void)
{
	struct vmt_switches *s = switches();

	return s && s->self_test;
}

/* Whether the recorder tests itself and this task has no part in it. The recorder has, while it shows us what files of
 * /proc/PID/mem look like. */
static __always_inline bool is_bystander(struct task_struct *task)
{
	struct vmt_switches *s = switches();
	__s32 tgid;

	if (!s || !s->self_test)
		return !s;
	tgid = task_read(task, tgid);
	return !is_tracked(tgid) && (tgid != knobs.recorder_tgid || s->learn_fd < 0);
}

/* The cgroup at a level above the current task's own, or that one. Tracing programs have no helper for it in 5.10
 * (kernel/trace/bpf_trace.c, bpf_tracing_func_proto). */
static __always_inline __u64 ancestor_cgroup_id(struct task_struct *task, __u32 level)
{
	struct cgroup___ids *cgroup;
	__u64 id = 0;

	if (!bpf_core_field_exists(struct cgroup___ids, ancestor_ids))
		return bpf_get_current_ancestor_cgroup_id(level);
	cgroup = (void *)BPF_CORE_READ(untrusted(task), cgroups, dfl_cgrp);
	if (BPF_CORE_READ(cgroup, level) < (int)level)
		return 0;
	bpf_probe_read_kernel(&id, sizeof(id), (void *)&cgroup->ancestor_ids[0] + level * sizeof(id));
	return id;
}

/* -u and --cgroup, which narrow the callers. */
static __always_inline bool caller_admitted(struct task_struct *task)
{
	__u32 uid = task_read(task, cred, euid.val);
	bool admitted = knobs.uid_count == 0;

	if (knobs.uid_count)
		for (__u32 i = 0; i < VMT_UIDS_MAX; i++)
			admitted |= i < knobs.uid_count && knobs.uids[i] == uid;
	if (knobs.cgroup_id && ancestor_cgroup_id(task, knobs.cgroup_level) != knobs.cgroup_id)
		admitted = false;
	return admitted || is_self_test();
}

/* Whether the current task is recorded for its own sake. */
static __always_inline bool caller_selected(struct task_struct *task)
{
	__s32 tgid = task_read(task, tgid);

	return tgid != knobs.recorder_tgid && caller_admitted(task) && (knobs.select_all || is_tracked(tgid));
}

/* Whether a call is recorded because it reaches into a tracked process. */
static __always_inline bool target_selected(struct task_struct *task, __s32 target)
{
	return task_read(task, tgid) != knobs.recorder_tgid && target && caller_admitted(task) && is_tracked(target);
}

#endif
