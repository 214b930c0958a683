/* SPDX-License-Identifier: GPL-2.0-only */
/* Family @process: exec, fork and exit, which also carry the selection from parent to child. These records are
 * always delivered for selected processes, since names are resolved from them. */
#ifndef VMTRACE_PROCESS_BPF_H
#define VMTRACE_PROCESS_BPF_H

#include "holders.bpf.h"

static __always_inline void count_untracked(void)
{
	struct vmt_switches *s = switches();

	if (s)
		__sync_fetch_and_add(&s->untracked, 1);
}

static __always_inline void track(__s32 tgid, __u8 as)
{
	if (bpf_map_update_elem(&tracked, &tgid, &as, BPF_ANY))
		count_untracked();
}

/* Whether a name, in two words and padded with zeros, matches a pattern. */
static __always_inline bool name_matches(__u64 front, __u64 back, const volatile struct vmt_names *names)
{
	__u64 states = names->first;

#pragma unroll
	for (int i = 0; i < VMT_COMM_LEN - 1; i++) {
		__u8 byte = i < 8 ? front >> 8 * i : back >> 8 * (i - 8);

		if (!byte)
			break;
		states = (states & names->accept[byte]) << 1 | (states & names->star);
		states |= (states & names->star) << 1;
	}
	return states & names->last;
}

/* As what a name selects the process that has it (enum vmt_tracked). */
__noinline __u32 named_as(__u64 front, __u64 back)
{
	if (!knobs.named)
		return 0;
	if (name_matches(front, back, &knobs.names_both))
		return VMT_TRACKED_BOTH | VMT_TRACKED_BY_NAME;
	return name_matches(front, back, &knobs.names_target) ? VMT_TRACKED_TARGET | VMT_TRACKED_BY_NAME : 0;
}

static __always_inline void untrack(__s32 tgid)
{
	struct vmt_switches *s = switches();

	if (!bpf_map_delete_elem(&tracked, &tgid) && s)
		__sync_fetch_and_add(&s->untrackings, 1);
}

/* As what a process is selected by the name that it has from its exec on, or that it gives itself. */
static __always_inline void track_named(__s32 tgid, const __u64 *comm)
{
	__u8 named = named_as(comm[0], comm[1]), before = tracked_as(tgid);

	/* Who is selected for another reason stays so; a target can become more than that. */
	if ((named & ~before) & VMT_TRACKED_BOTH)
		track(tgid, before ? before | (named & VMT_TRACKED_BOTH) : named);
}

/* A process gets a name. That of the main thread is the process's. */
SEC("tp_btf/task_rename")
int process_rename(__u64 *ctx)
{
	struct task_struct *task = untrusted((void *)ctx[0]);
	__u64 comm[VMT_COMM_LEN / 8] = {}, name = 0;
	__s32 tgid;

	if (!knobs.named || is_self_test())
		return 0;
	tgid = task->tgid;
	if (task->pid != tgid || tgid == knobs.recorder_tgid)
		return 0;
	/* By its address: 5.10 refuses arguments that point to anything but structs. */
	bpf_probe_read_kernel(&name, sizeof(name), ctx + 1);
	bpf_probe_read_kernel_str(comm, sizeof(comm), (void *)name);
	track_named(tgid, comm);
	return 0;
}

/* Processes whose end was recorded. Two threads that end together can both find that none is left. */
struct ended_key {
	__u64 start_boottime;
	__u64 tgid;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct ended_key);
	__type(value, __u8);
} ended SEC(".maps");

static __always_inline bool ends_first(struct task_struct *task)
{
	struct ended_key key = {.start_boottime = task->group_leader->start_boottime, .tgid = task->tgid};
	__u8 one = 1;

	return bpf_map_update_elem(&ended, &key, &one, BPF_NOEXIST) == 0;
}

/* Whether the life of a process is recorded that its name has selected, and its parent not. */
static __always_inline bool name_admitted(struct task_struct *task, __u8 as)
{
	return as & VMT_TRACKED_CALLS ? caller_admitted(task) : as;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	struct vmt_switches *s = switches();
	bool testing = is_self_test(), spawned;
	struct vmt_fork ev = {};
	__u8 as = 0, named = 0;

	parent = untrusted(parent);
	child = untrusted(child);
	spawned = s && s->arm_spawn && parent->tgid == knobs.recorder_tgid;
	if (parent->tgid != child->tgid)
		holder_inherits(parent, child);
	if (parent->tgid == child->tgid || (!spawned && is_bystander(parent)))
		return 0;
	/* Children of a target are other processes. */
	if (spawned || ((knobs.follow || testing) && is_tracked(parent->tgid)))
		as = VMT_TRACKED_BOTH;
	else if (knobs.named && !testing && parent->tgid != knobs.recorder_tgid) {
		const __u64 *comm = (const void *)child->comm;

		as = named = named_as(comm[0], comm[1]);
	}
	if (as && (!knobs.select_all || testing))
		track(child->tgid, as);
	else if (!knobs.select_all)
		untrack(child->tgid); /* one that had the number before, and was found when it had ended */
	count_seen(VMT_FORK);
	if (!spawned && !life_selected(parent) && !name_admitted(parent, named)) {
		count_filtered(VMT_FORK);
		return 0;
	}
	header(&ev.hdr, parent, VMT_FORK, VMT_ABI_NATIVE);
	ev.hdr.size = sizeof(ev);
	ev.hdr.tid = child->pid;
	process_of(&ev.hdr.self, child);
	process_of(&ev.parent, parent);
	deliver(&ev, sizeof(ev), VMT_FORK, ev.hdr.mono_ns);
	return 0;
}

/* Appends the new program's arguments as they stand on its stack. */
static __always_inline __u32 argv_append(struct scratch *scratch, __u32 at, struct vmt_exec *ev, struct mm_struct *mm)
{
	unsigned long start = mm->arg_start;
	__u64 len = mm->arg_end - start;

	ev->argv_total = len;
	ev->argv_len = 0;
	if (len > VMT_ARGV_MAX)
		len = VMT_ARGV_MAX;
	asm volatile("" : "+r"(len), "+r"(at));
	at &= SCRATCH_MASK;
	if (len > VMT_ARGV_MAX || bpf_probe_read_user(scratch->bytes + at, len, (void *)start))
		return at;
	ev->argv_len = len;
	return at + len;
}

static __always_inline void exec_record(struct task_struct *task, __u32 slot)
{
	struct scratch *scratch = scratch_at(slot);
	struct vmt_exec *ev = (void *)scratch;
	struct mm_struct *mm = task->mm;
	__u32 at = sizeof(*ev);
	struct file *file;

	if (!ev || !mm)
		return;
	count_seen(VMT_EXEC);
	header(&ev->hdr, task, VMT_EXEC, VMT_ABI_NATIVE);
	file = BPF_CORE_READ(mm, exe_file);
	fd_describe(&ev->exe, -1, file);
	if (file)
		at = path_append(scratch, slot, at, &ev->exe, file);
	at = argv_append(scratch, at, ev, mm);
	deliver_scratch(scratch, at, VMT_EXEC);
}

/* A process that was selected by a name has become another one by exec, whose memory is another, too. Where children
 * are followed, it is such a child. */
static __always_inline void forget_name(struct task_struct *task)
{
	const __u64 *comm = (const void *)task->comm;
	__s32 tgid = task->tgid;
	__u8 *as;

	if (!knobs.named)
		return;
	as = bpf_map_lookup_elem(&tracked, &tgid);
	if (!as || !(*as & VMT_TRACKED_BY_NAME) || ((*as & VMT_TRACKED_CALLS) && knobs.follow))
		return;
	if (!named_as(comm[0], comm[1]))
		untrack(tgid);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, __s32 old_pid, struct linux_binprm *bprm)
{
	__u32 slot;

	task = untrusted(task);
	holder_execs(task);
	if (is_bystander(task))
		return 0;
	forget_name(task);
	if (!life_selected(task)) {
		count_seen(VMT_EXEC);
		count_filtered(VMT_EXEC);
		return 0;
	}
	slot = slot_take();
	if (slot == NO_SLOT) {
		count_unplaced(VMT_EXEC);
		return 0;
	}
	exec_record(task, slot);
	slot_put(slot);
	return 0;
}

/* The status a parent gets from wait(2): kernel/exit.c, wait_task_zombie. */
static __always_inline __s32 wait_status(struct task_struct *task)
{
	struct signal_struct *signal = task->signal;

	return signal->flags & SIGNAL_GROUP_EXIT ? signal->group_exit_code : task->group_leader->exit_code;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	struct vmt_exit ev = {};
	bool selected;
	__s32 tgid;

	task = untrusted(task);
	tgid = task->tgid;
	if (!task->signal->live.counter)
		holder_ends(task);
	if (is_bystander(task))
		return 0;
	selected = knobs.select_all || tracked_as(tgid);
	if (task->pid != tgid && (selected || ended_selected(task)))
		departed_note(task, true);
	if (task->signal->live.counter || !ends_first(task))
		return 0;
	departed_note(task->group_leader, selected);
	if (selected && !knobs.select_all)
		departed_await(task);
	count_seen(VMT_EXIT);
	if (life_selected(task)) {
		header(&ev.hdr, task, VMT_EXIT, VMT_ABI_NATIVE);
		ev.hdr.size = sizeof(ev);
		ev.status = wait_status(task);
		deliver(&ev, sizeof(ev), VMT_EXIT, ev.hdr.mono_ns);
	} else {
		count_filtered(VMT_EXIT);
	}
	untrack(tgid);
	return 0;
}

#endif
