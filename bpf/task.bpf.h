/* SPDX-License-Identifier: GPL-2.0-only */
/* Tasks: how their memory is read, the process that a record names, and whether its calls are selected. */
#ifndef VMTRACE_TASK_BPF_H
#define VMTRACE_TASK_BPF_H

#include "delivery.bpf.h"

/* Whether the current task is a typed pointer, whose fields are read by plain loads: bpf_get_current_task_btf(), 5.11.
 * Before, it is an address without a type. */
static __always_inline bool task_is_typed(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id___task, BPF_FUNC_get_current_task_btf);
}

extern void *bpf_rdonly_cast(const void *address, __u32 type) __ksym __weak;

/* Whether an address can be cast to a typed pointer, so that it is read by plain loads (6.2). Otherwise each step is a
 * helper call, which costs several times as much. */
static __always_inline bool can_cast(void)
{
	return bpf_ksym_exists(bpf_rdonly_cast);
}

#define cast(address, type) ((type *)bpf_rdonly_cast((void *)(address), bpf_core_type_id_kernel(type)))

/* Makes a trusted task pointer an untrusted one. With a trusted pointer the verifier searches all types of the kernel
 * at each step for whether to trust the next one: that took most of the time to load. */
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
	hdr->space = 0;
	hdr->changes = 0;
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

/* As what a process is in `tracked` (bits of enum vmt_tracked), 0 if it is not. A CPU remembers the last one that it
 * found there as both, until a process is removed. */
static __always_inline __u8 tracked_as(__s32 tgid)
{
	volatile struct vmt_switches *s = switches();
	struct own *cpu = own();
	__u64 known;
	__u8 *as;

	if (!s || !cpu || !tgid)
		return 0;
	known = (__u64)s->untrackings << 32 | (__u32)tgid;
	if (cpu->tracked == known)
		return VMT_TRACKED_BOTH;
	as = bpf_map_lookup_elem(&tracked, &tgid);
	if (!as)
		return 0;
	if ((*as & VMT_TRACKED_BOTH) == VMT_TRACKED_BOTH)
		cpu->tracked = known;
	return *as;
}

/* Whether a process's own calls are selected by its number. */
static __always_inline bool is_tracked(__s32 tgid)
{
	return tracked_as(tgid) & VMT_TRACKED_CALLS;
}

/* Whether the self-test is under way. Its processes are tracked, whatever the user selects. */
static __always_inline bool is_self_test(void)
{
	struct vmt_switches *s = switches();

	return s && s->self_test;
}

/* Whether the self-test is under way and this task is not part of it. The recorder is part of it while it shows what
 * files of /proc/PID/mem look like (`learn_fd`). */
static __always_inline bool is_bystander(struct task_struct *task)
{
	struct vmt_switches *s = switches();
	__s32 tgid;

	if (!s || !s->self_test)
		return !s;
	tgid = task_read(task, tgid);
	return !tracked_as(tgid) && (tgid != knobs.recorder_tgid || s->learn_fd < 0);
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

/* Whether -u and --cgroup admit the caller. */
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

/* Whether calls of the current task are recorded whatever they reach. */
static __always_inline bool caller_selected(struct task_struct *task)
{
	__s32 tgid = task_read(task, tgid);

	return tgid != knobs.recorder_tgid && caller_admitted(task) && (knobs.select_all || is_tracked(tgid));
}

/* Whether the life of the current task's process is recorded: also that of one which is selected as a target alone. */
static __always_inline bool life_selected(struct task_struct *task)
{
	return caller_selected(task) || (tracked_as(task_read(task, tgid)) & VMT_TRACKED_BOTH) == VMT_TRACKED_TARGET;
}

/* Whether calls of a task that is not selected are recorded if they are on a fed pipe. */
static __always_inline bool may_be_outsider(struct task_struct *task)
{
	struct vmt_switches *s = switches();

	return s && s->pipes_fed && task_read(task, tgid) != knobs.recorder_tgid && caller_admitted(task);
}

#endif
