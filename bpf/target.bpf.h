/* SPDX-License-Identifier: GPL-2.0-only */
/* Whom a pid names: the target of a call, found as the kernel finds it. */
#ifndef VMTRACE_TARGET_BPF_H
#define VMTRACE_TARGET_BPF_H

#include "common.bpf.h"

extern struct task_struct *bpf_task_from_vpid(__s32 vpid) __ksym __weak;
extern void bpf_task_release(struct task_struct *p) __ksym __weak;

/* The pid namespace of the current task (kernel/pid.c, task_active_pid_ns). */
static __always_inline struct pid_namespace *pid_namespace_of(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid); /* an address: 6.1 computes with no typed pointer */
	__u64 entry = (__u64)pid + bpf_core_field_offset(struct pid, numbers) +
		      (__u64)BPF_CORE_READ(pid, level) * bpf_core_type_size(struct upid);

	return BPF_CORE_READ((struct upid *)entry, ns);
}

/* Levels of a tree that holds every pid (4,194,304 at most) with at least 16 slots a node. */
#define PID_TREE_LEVELS 6
/* What xa_node pointers are marked with (include/linux/xarray.h, xa_mk_internal). */
#define XA_INTERNAL 2

/* The address of the task that holds a struct pid as its own, 0 if none: tasks[PIDTYPE_PID], the first of them. */
static __always_inline __u64 task_of_pid(struct pid *pid)
{
	struct hlist_node *link = BPF_CORE_READ(pid, tasks[0].first);

	return link ? (__u64)link - bpf_core_field_offset(struct task_struct, pid_links) : 0;
}

/* The address of the task that `vpid` names in the current task's pid namespace, 0 if none: the walk that idr_find()
 * does (lib/radix-tree.c), for kernels without bpf_task_from_vpid(). */
__noinline __u64 task_by_vpid(__u32 vpid)
{
	struct pid_namespace *ns = pid_namespace_of(current_task());
	__u64 entry = (__u64)BPF_CORE_READ(ns, idr.idr_rt.xa_head);
	__u32 slots = bpf_core_field_size(((struct xa_node *)0)->slots) / sizeof(void *);

	for (int i = 0; i < PID_TREE_LEVELS; i++) {
		struct xa_node *node = (void *)(entry - XA_INTERNAL);
		__u32 shift = BPF_CORE_READ(node, shift) & 31;
		__u64 slot = vpid >> shift;

		if ((entry & 3) != XA_INTERNAL)
			return 0;
		if (i == 0 && slot >= slots)
			return 0;
		slot = (__u64)node + bpf_core_field_offset(struct xa_node, slots) + (slot & (slots - 1)) * 8;
		if (bpf_probe_read_kernel(&entry, sizeof(entry), (void *)slot) || !entry)
			return 0;
		if (shift == 0)
			break;
	}
	if (entry & 3)
		return 0;
	return task_of_pid((struct pid *)entry);
}

/* The process a pid names in the caller's own pid namespace. Leaves pid 0 where there is none. */
static __always_inline void target_by_vpid(struct vmt_process *target, __s32 vpid)
{
	struct task_struct *task;

	__builtin_memset(target, 0, sizeof(*target));
	/* kfunc since 6.13 */
	if (bpf_ksym_exists(bpf_task_from_vpid) && bpf_ksym_exists(bpf_task_release)) {
		task = bpf_task_from_vpid(vpid);
		if (!task)
			return;
		process_of(target, task);
		bpf_task_release(task);
	} else if (vpid > 0) {
		task = (void *)task_by_vpid(vpid);
		if (task)
			process_of(target, task);
	}
}

#endif
