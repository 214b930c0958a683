/* SPDX-License-Identifier: GPL-2.0-only */
/* Processes that have ended while calls on them may be under way: who they were, and whether they were selected. */
#ifndef VMTRACE_DEPARTED_BPF_H
#define VMTRACE_DEPARTED_BPF_H

#include "task.bpf.h"

/* The word in a member of what stands at an address. */
#define word_of(address, type, member) word_at((__u64)(address) + bpf_core_field_offset(type, member))

/* The process of a task that has ended. */
struct departed {
	struct vmt_process process;
	__u64 pid; /* address of the task's struct pid, which stays in use while somebody holds it */
	__u64 noted_ns; /* CLOCK_MONOTONIC */
};

/* The last process that had a number, by that number in the initial pid namespace. Selected ones have a map of their
 * own, so that others on a busy machine do not push them out. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __s32);
	__type(value, struct departed);
} departed_selected SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __s32);
	__type(value, struct departed);
} departed_others SEC(".maps");

/* Remembers who had the number of `task`, which is the current task or its thread group's leader. */
static __always_inline void departed_note(struct task_struct *task, bool selected)
{
	struct departed departed = {};
	__s32 number = task->pid;

	process_of(&departed.process, task);
	departed.pid = (__u64)task->thread_pid;
	departed.noted_ns = bpf_ktime_get_ns();
	if (selected)
		bpf_map_update_elem(&departed_selected, &number, &departed, BPF_ANY);
	else
		bpf_map_update_elem(&departed_others, &number, &departed, BPF_ANY);
}

/* The last process that had a number; NULL if it is not known. */
static __always_inline struct departed *departed_by_number(__s32 number)
{
	struct departed *selected = bpf_map_lookup_elem(&departed_selected, &number);
	struct departed *other = knobs.select_all ? NULL : bpf_map_lookup_elem(&departed_others, &number);

	return !selected || (other && other->noted_ns > selected->noted_ns) ? other : selected;
}

/* The process that a struct pid belonged to, whoever has had its number since. */
static __always_inline struct departed *departed_by_pid(struct pid *pid)
{
	__s32 number = BPF_CORE_READ(pid, numbers[0].nr);
	struct departed *found = bpf_map_lookup_elem(&departed_selected, &number);

	if (found && found->pid == (__u64)pid)
		return found;
	found = bpf_map_lookup_elem(&departed_others, &number);
	return found && found->pid == (__u64)pid ? found : NULL;
}

static __always_inline bool is_process_of(struct departed *departed, const struct vmt_process *process)
{
	return departed && departed->process.start_boottime == process->start_boottime;
}

/* Fills in a process that has ended. Its thread may have ended before. */
static __always_inline void departed_restore(struct vmt_process *process, struct departed *departed)
{
	struct departed *whole;

	if (!departed)
		return;
	*process = departed->process;
	if (process->ended)
		return;
	whole = departed_by_number(process->pid);
	process->ended = is_process_of(whole, process) && whole->process.ended;
}

/* Marks a target that has ended since the call began. */
static __always_inline void departed_mark(struct vmt_process *process)
{
	struct departed *whole = departed_by_number(process->pid);

	process->ended = is_process_of(whole, process) && whole->process.ended;
}

/* Whether a call reaches into a process that is selected, or was until it ended. */
static __always_inline bool reaches_selected(struct task_struct *task, const struct vmt_process *target)
{
	__s32 number = target->pid;

	if (!number || task_read(task, tgid) == knobs.recorder_tgid || !caller_admitted(task))
		return false;
	return tracked_as(number) || is_process_of(bpf_map_lookup_elem(&departed_selected, &number), target);
}

/* Whether a thread's process was selected until it ended. The last thread to end need not be the last to get here: what
 * it leaves is noted and no longer tracked by then. */
static __always_inline bool ended_selected(struct task_struct *task)
{
	__s32 number = task->tgid;
	struct departed *departed = bpf_map_lookup_elem(&departed_selected, &number);

	return departed && departed->process.start_boottime == task->group_leader->start_boottime;
}

/* A call on a target has returned. The recorder waits for as many as were under way when the target ended. A call that
 * found nobody, or nothing to copy, began later and is not one of them. */
static __always_inline void departed_returned(const struct vmt_process *target, long ret)
{
	struct vmt_switches *s = switches();

	if (target->ended && s && s->calls_on_ended > 0 && ret && ret != -ESRCH)
		__sync_fetch_and_add(&s->calls_on_ended, -1);
}

/* Threads that are looked at when a process ends. */
#define THREADS 64

/* How many threads of a process still have its memory. */
__noinline __s32 threads_with_memory(__u64 signal, __u64 mm)
{
	__u64 head = signal + bpf_core_field_offset(struct signal_struct, thread_head), node = head;
	__s32 count = 0;

	for (int i = 0; i < THREADS; i++) {
		node = word_of(node, struct list_head, next);
		if (!node || node == head)
			break;
		count += word_of(node - bpf_core_field_offset(struct task_struct, thread_node), struct task_struct,
				 mm) == mm;
	}
	return count;
}

/* Counts the other users of the memory of a selected process that ends: calls that copy from or to it. If the memory
 * belongs to another process, its users are that one's threads. Addresses, since global functions take no typed
 * pointers. */
static __always_inline void departed_await(struct task_struct *task)
{
	__u64 mm = (__u64)BPF_CORE_READ(task, mm), owner = 0;
	struct vmt_switches *s = switches();
	__s32 others;

	if (!mm)
		mm = (__u64)BPF_CORE_READ(task, active_mm); /* before 6.16 it has left its memory by now */
	if (!s || !mm)
		return;
	if (bpf_core_field_exists(((struct mm_struct *)0)->owner))
		owner = word_of(mm, struct mm_struct, owner);
	if (owner && BPF_CORE_READ((struct task_struct *)owner, tgid) != task->tgid)
		return;
	others = BPF_CORE_READ((struct mm_struct *)mm, mm_users.counter) -
		 threads_with_memory((__u64)BPF_CORE_READ(task, signal), mm);
	if (others > 0)
		__sync_fetch_and_add(&s->calls_on_ended, others);
}

#endif
