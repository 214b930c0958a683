/* SPDX-License-Identifier: GPL-2.0-only */
/* Family @mem, tracepoint tier: reads and writes of /proc/PID/mem, told from other files by their operations. */
#ifndef VMTRACE_MEM_BPF_H
#define VMTRACE_MEM_BPF_H

#include "call.bpf.h"

static __always_inline bool is_vectored(__u32 kind)
{
	return kind >= VMT_READV && kind <= VMT_PWRITEV2;
}

/* Where the call began in the target's memory. read, write and *v2 with offset -1 use the file position, which
 * has moved on by the exit. */
static __always_inline __u64 mem_offset(struct call *call, struct file *file)
{
	__u64 offset = call->args[3];
	bool positioned = call->kind != VMT_READ && call->kind != VMT_WRITE && call->kind != VMT_READV &&
			  call->kind != VMT_WRITEV;

	if (call->compat)
		offset = (__u32)call->args[3] | call->args[4] << 32;
	if ((call->kind == VMT_PREADV2 || call->kind == VMT_PWRITEV2) && offset == (__u64)-1)
		positioned = false;
	if (positioned)
		return offset;
	return BPF_CORE_READ(file, f_pos) - (call->ret > 0 ? call->ret : 0);
}

/* The process whose memory the file shows: private_data is its mm (fs/proc/base.c, mem_open). */
static __always_inline void mem_target(struct vmt_process *target, struct file *file)
{
	struct mm_struct *mm = BPF_CORE_READ(file, private_data);
	struct task_struct *owner = NULL;

	__builtin_memset(target, 0, sizeof(*target));
	if (mm && bpf_core_field_exists(mm->owner))
		owner = BPF_CORE_READ(mm, owner);
	if (owner)
		process_of(target, owner);
}

/* Whether a call is about a /proc/PID/mem file. Also learns how such files look, from the recorder's own. */
static __always_inline bool mem_concerns(struct call *call)
{
	struct task_struct *task = current_task();
	struct file *file = file_of_fd(task, call->args[0]);
	__u64 fops = (__u64)BPF_CORE_READ(file, f_op);
	struct vmt_switches *s = switches();

	if (!file || !s)
		return false;
	if (s->learn_fd >= 0 && task_read(task, tgid) == knobs.recorder_tgid && (__s32)call->args[0] == s->learn_fd) {
		s->mem_fops = fops;
		return false;
	}
	return fops == s->mem_fops;
}

static __noinline int mem_exit(struct call *call)
{
	struct task_struct *task = current_task();
	struct file *file = file_of_fd(task, call->args[0]);
	struct scratch *scratch = scratch_at(call->slot);
	struct vmt_mem *ev = (void *)scratch;
	__u32 at = sizeof(*ev), local_at = at;
	bool selected = caller_selected(task);

	if (!ev || !file)
		return 0;
	count_seen(call->kind);
	mem_target(&ev->target, file);
	if (!selected && (knobs.select_all || !target_selected(task, ev->target.pid))) {
		count_filtered(call->kind);
		return 0;
	}
	call_header(&ev->hdr, call);
	ev->ret = call->ret;
	ev->offset = mem_offset(call, file);
	ev->flags = call->kind == VMT_PREADV2 || call->kind == VMT_PWRITEV2 ? (__u32)call->args[5] : 0;
	if (is_vectored(call->kind))
		at = iovs_read(scratch, at, &ev->local, call->args[1], call->args[2], call->compat);
	else
		at = iovs_one(scratch, at, &ev->local, call->args[1], call->args[2]);
	fd_describe(&ev->fd, call->args[0], file);
	at = fd_path(scratch, call->slot, at, &ev->fd, file);
	at = payload_gather(scratch, call->slot, at, &ev->payload, &ev->local, local_at, call->ret);
	deliver_scratch(scratch, at, call->kind);
	return 0;
}

#endif
