/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which state of its target's mappings a call has reached. The kernel counts the changes of the mappings of an address
 * space (mm_lock_seq: each release of its lock by a writer). A call that copies from or to another process takes that
 * lock as a reader first. When it releases it, the program here notes address space and count for the calling thread;
 * no writer can be at work then.
 *
 * The first note of a call is what counts: if the recorder finds the same count after the call, nothing has changed
 * since before the first byte was copied. A note that an earlier call has left is as right then, if it is of the same
 * target.
 */
#ifndef VMTRACE_REGIONS_BPF_H
#define VMTRACE_REGIONS_BPF_H

#include "target.bpf.h"

/* The note of one thread. */
struct reached {
	__u64 call; /* tells calls from each other: see call_mark() */
	__u32 space;
	__u32 changes;
};
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct reached);
} reached SEC(".maps");

/* How often mappings of an address space have changed: a plain number until 6.12. */
static __always_inline __u32 changes_of(__u64 mm)
{
	if (bpf_core_field_exists(((struct mm_struct___seqcount *)0)->mm_lock_seq.sequence))
		return peek(mm, struct mm_struct___seqcount, mm_lock_seq.sequence);
	return peek(mm, struct mm_struct, mm_lock_seq);
}

/* The number of an address space; the upper half of it is left out. */
static __always_inline __u32 space_of(__u64 mm)
{
	return peek(mm, struct mm_struct, context.ctx_id);
}

/* What tells most calls from the one that the thread made before: number and first argument, as they came. */
static __always_inline __u64 call_mark(struct task_struct *task)
{
	__u64 regs = bpf_task_pt_regs(task);

	return peek(regs, struct pt_regs, orig_ax) << 32 ^ peek(regs, struct pt_regs, di);
}

/* Somebody releases the lock of an address space: mostly of its own. */
SEC("?tp_btf/mmap_lock_released")
int BPF_PROG(mappings_visited, struct mm_struct *mm)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_struct *plain = untrusted(task);
	struct vmt_switches *s;
	struct reached *note;
	__u64 mark;

	if (plain->mm == mm || !plain->mm)
		return 0;
	note = bpf_task_storage_get(&reached, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!note) {
		s = switches();
		if (s)
			__sync_fetch_and_add(&s->notes_missed, 1);
		return 0;
	}
	mark = call_mark(task);
	if (note->call == mark && note->space)
		return 0;
	note->call = mark;
	note->space = space_of((__u64)mm);
	note->changes = changes_of((__u64)mm);
	return 0;
}

/* Puts into a record what the current call has reached. */
static __always_inline void mappings_reached(struct vmt_hdr *hdr)
{
	struct task_struct *task;
	struct reached *note;

	if (!knobs.regions)
		return;
	task = bpf_get_current_task_btf();
	note = bpf_task_storage_get(&reached, task, NULL, 0);
	if (!note || note->call != call_mark(task))
		return;
	hdr->space = note->space;
	hdr->changes = note->changes;
	note->space = 0;
}

extern void bpf_rcu_read_lock(void) __ksym __weak;
extern void bpf_rcu_read_unlock(void) __ksym __weak;

/* Answers the recorder: the present state of a process's mappings. */
SEC("?syscall")
int mappings_now(struct vmt_mappings *asked)
{
	__u64 task, mm = 0;

	asked->space = 0;
	asked->changes = 0;
	bpf_rcu_read_lock();
	task = task_by_vpid(asked->pid);
	if (task)
		mm = word_of(task, struct task_struct, mm);
	if (mm) {
		asked->space = space_of(mm);
		asked->changes = changes_of(mm);
	}
	bpf_rcu_read_unlock();
	return 0;
}

#endif
