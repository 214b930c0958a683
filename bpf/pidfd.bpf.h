/* SPDX-License-Identifier: GPL-2.0-only */
/* Families @pidfd and @madvise: pidfd_getfd and process_madvise as their exit shows them. Both name their target by a
 * PID file descriptor. The function tier has found target and file before (pidfd_function.bpf.h). */
#ifndef VMTRACE_PIDFD_BPF_H
#define VMTRACE_PIDFD_BPF_H

#include "call.bpf.h"

/* Until 6.8 a pidfd is an anonymous inode of this name, which programs cannot choose (kernel/fork.c, pidfd_prepare). */
static __always_inline bool is_named_pidfd(struct file *file)
{
	static const char wanted[] = "[pidfd]";
	char name[sizeof(wanted)] = {};

	bpf_probe_read_kernel(name, sizeof(name), BPF_CORE_READ(file, f_path.dentry, d_name.name));
	return *(__u64 *)name == *(const __u64 *)wanted;
}

/* What a pidfd stands for; NULL where the file is no pidfd. */
static __always_inline struct pid *pid_of_file(struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	unsigned long magic = BPF_CORE_READ(inode, i_sb, s_magic);

	if (magic == PID_FS_MAGIC) /* 6.9, fs/pidfs.c, pidfd_pid */
		return BPF_CORE_READ(inode, i_private);
	if (magic == ANON_INODE_FS_MAGIC && is_named_pidfd(file))
		return BPF_CORE_READ(file, private_data);
	return NULL;
}

/* The process of a pidfd of the current task. Leaves pid 0 where the descriptor is no pidfd. */
static __always_inline void target_by_pidfd(struct vmt_process *target, struct task_struct *task, __s32 pidfd)
{
	struct pid *pid = pid_of_file(file_of_fd(task, pidfd));

	__builtin_memset(target, 0, sizeof(*target));
	if (pid)
		target_by_pid(target, pid);
}

/* Describes the file that was obtained; returns the record's new end. */
static __always_inline __u32 obtained_file(struct scratch *scratch, struct vmt_pidfd_getfd *ev, struct call *call)
{
	struct file *file = NULL;

	if (call->ret >= 0 && call->held && scratch->held.end) {
		ev->fd.fd = call->ret;
		return scratch->held.end;
	}
	if (call->ret >= 0) {
		file = file_of_fd(current_task(), call->ret);
		ev->exact = false;
	}
	fd_describe(&ev->fd, call->ret, file);
	return fd_path(scratch, call->slot, sizeof(*ev), &ev->fd, file);
}

__noinline int pidfd_getfd_exit(__u32 slot)
{
	struct task_struct *task = current_task();
	struct scratch *scratch = scratch_at(slot);
	struct vmt_pidfd_getfd *ev = (void *)scratch;
	struct call *call;
	__u32 at;

	if (!ev)
		return 0;
	call = &scratch->call;
	ev->exact = call->held && scratch->held.target_known;
	if (!ev->exact)
		target_by_pidfd(&ev->target, task, call->args[0]);
	else
		departed_mark(&ev->target);
	if (!target_admit(scratch, task, &ev->target))
		return 0;
	ev->pidfd = call->args[0];
	ev->targetfd = call->args[1];
	ev->flags = (__u32)call->args[2];
	at = obtained_file(scratch, ev, call);
	deliver_scratch(scratch, at, call->kind);
	return 0;
}

static __always_inline bool is_self(__s32 pidfd)
{
	return pidfd == PIDFD_SELF_THREAD || pidfd == PIDFD_SELF_THREAD_GROUP;
}

/* The process that was advised, looked up now. */
static __always_inline void advised_target(struct vmt_process *target, struct task_struct *task, struct call *call)
{
	target_by_pidfd(target, task, call->args[0]);
	if (is_self(call->args[0]) && call->ret != -EBADF)
		process_of(target, task);
}

__noinline int process_madvise_exit(__u32 slot)
{
	struct task_struct *task = current_task();
	struct scratch *scratch = scratch_at(slot);
	struct vmt_process_madvise *ev = (void *)scratch;
	__u32 at = sizeof(*ev);
	struct call *call;

	if (!ev)
		return 0;
	call = &scratch->call;
	if (!call->held || !scratch->held.target_known)
		advised_target(&ev->target, task, call);
	else
		departed_mark(&ev->target);
	if (!target_admit(scratch, task, &ev->target))
		return 0;
	ev->pidfd = call->args[0];
	ev->advice = call->args[3];
	ev->flags = (__u32)call->args[4];
	at = iovs_read(slot, at, offsetof(typeof(*ev), remote), call->args[1], call->args[2]);
	deliver_scratch(scratch, at, call->kind);
	return 0;
}

#endif
