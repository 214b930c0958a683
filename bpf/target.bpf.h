/* SPDX-License-Identifier: GPL-2.0-only */
/* The target of a call that names it by pid, looked up as the kernel does. */
#ifndef VMTRACE_TARGET_BPF_H
#define VMTRACE_TARGET_BPF_H

#include "departed.bpf.h"

/* The address of the current task's pid namespace (kernel/pid.c, task_active_pid_ns). Addresses, since the verifier
 * computes with no typed pointer. */
static __always_inline __u64 pid_namespace_of_current(void)
{
	__u64 pid = word_of(bpf_get_current_task(), struct task_struct, thread_pid);
	__u64 upid = pid + bpf_core_field_offset(struct pid, numbers) +
		     (__u64)peek(pid, struct pid, level) * bpf_core_type_size(struct upid);

	return word_of(upid, struct upid, ns);
}

/* Whether the current task names processes by the numbers that records have. */
static __always_inline bool is_in_initial_namespace(void)
{
	__u64 pid = word_of(bpf_get_current_task(), struct task_struct, thread_pid);

	return peek(pid, struct pid, level) == 0;
}

/* Levels of a tree that holds every pid (4,194,304 at most) with at least 16 slots a node. */
#define PID_TREE_LEVELS 6
/* What xa_node pointers are marked with (include/linux/xarray.h, xa_mk_internal). */
#define XA_INTERNAL 2

/* The address of the task that holds a struct pid as its own, 0 if none: tasks[PIDTYPE_PID], the first of them. */
static __always_inline __u64 task_of_pid(struct pid *pid)
{
	__u64 link = word_of(pid, struct pid, tasks[0].first);

	return link ? link - bpf_core_field_offset(struct task_struct, pid_links) : 0;
}

/* The address of the task that `vpid` names in the current task's pid namespace, 0 if none: the walk that idr_find()
 * does (lib/radix-tree.c), whose nodes this program's RCU read side keeps alive. */
__noinline __u64 task_by_vpid(__u32 vpid)
{
	__u64 entry = word_of(pid_namespace_of_current(), struct pid_namespace, idr.idr_rt.xa_head);
	__u32 slots = bpf_core_field_size(((struct xa_node *)0)->slots) / sizeof(void *);

	for (int i = 0; i < PID_TREE_LEVELS; i++) {
		__u64 node = entry - XA_INTERNAL, slot;
		__u32 shift;

		if ((entry & 3) != XA_INTERNAL)
			return 0;
		shift = peek(node, struct xa_node, shift) & 31;
		slot = vpid >> shift;
		if (i == 0 && slot >= slots)
			return 0;
		entry = word_of(node + (slot & (slots - 1)) * 8, struct xa_node, slots);
		if (!entry)
			return 0;
		if (shift == 0)
			break;
	}
	if (entry & 3)
		return 0;
	return task_of_pid((struct pid *)entry);
}

/* The process that a pid names in the caller's own pid namespace, at the exit of a call that returned `ret`. Where
 * nobody has the number any more it is the process that had it last, unless the kernel found nobody either: a call that
 * began while it lived. Leaves pid 0 where there is none. */
static __always_inline void target_by_vpid(struct vmt_process *target, __s32 vpid, long ret)
{
	__u64 task = vpid > 0 ? task_by_vpid(vpid) : 0;

	__builtin_memset(target, 0, sizeof(*target));
	if (task)
		process_of(target, (void *)task);
	else if (vpid > 0 && ret != -ESRCH && is_in_initial_namespace())
		departed_restore(target, departed_by_number(vpid));
}

/* The process of a struct pid, which somebody holds. */
static __always_inline void target_by_pid(struct vmt_process *target, struct pid *pid)
{
	struct task_struct *task = (void *)task_of_pid(pid);

	__builtin_memset(target, 0, sizeof(*target));
	/* Accepted only if the task leads back to it: a later kernel may keep something else there. */
	if (task && BPF_CORE_READ(task, thread_pid) == pid)
		process_of(target, task);
	else
		departed_restore(target, departed_by_pid(pid));
}

#endif
