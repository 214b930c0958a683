/* SPDX-License-Identifier: GPL-2.0-only */
/* Families @pidfd and @madvise, function tier: the target that the kernel found, and the file that it took. */
#ifndef VMTRACE_PIDFD_FUNCTION_BPF_H
#define VMTRACE_PIDFD_FUNCTION_BPF_H

#include "function.bpf.h"
#include "pidfd.bpf.h"

SEC("?fentry/pidfd_getfd")
int BPF_PROG(pidfd_target, struct pid *pid)
{
	struct scratch *scratch = held_of(VMT_PIDFD_GETFD);
	struct vmt_pidfd_getfd *ev = (void *)scratch;

	if (!ev)
		return 0;
	target_by_pid(&ev->target, pid);
	scratch->held.target_known = true;
	return 0;
}

SEC("?fexit/fget_task")
int BPF_PROG(pidfd_file)
{
	struct file *file =
		(void *)argument(ctx, 2); /* without a type, as older verifiers want it for global functions */
	struct scratch *scratch = held_of(VMT_PIDFD_GETFD);
	struct vmt_pidfd_getfd *ev = (void *)scratch;
	__u32 *slot = inflight_slot();

	if (!ev || !slot || !file)
		return 0;
	fd_describe(&ev->fd, 0, file);
	scratch->held.end = fd_path(scratch, *slot, sizeof(*ev), &ev->fd, file);
	return 0;
}

SEC("?fexit/mm_access")
int BPF_PROG(madvise_target, struct task_struct *task)
{
	struct scratch *scratch = held_of(VMT_PROCESS_MADVISE);
	struct vmt_process_madvise *ev = (void *)scratch;

	if (!ev)
		return 0;
	__builtin_memset(&ev->target, 0, sizeof(ev->target));
	process_of(&ev->target, task);
	scratch->held.target_known = true;
	return 0;
}

ON_ENTRY(pidfd_enter, __x64_sys_pidfd_getfd, VMT_PIDFD_GETFD)
ON_ENTRY(pidfd_enter_ia32, __ia32_sys_pidfd_getfd, VMT_PIDFD_GETFD)
ON_EXIT(pidfd_native, __x64_sys_pidfd_getfd, VMT_PIDFD_GETFD, 438, false, pidfd_getfd_exit)
ON_EXIT(pidfd_ia32, __ia32_sys_pidfd_getfd, VMT_PIDFD_GETFD, 438, true, pidfd_getfd_exit)

ON_ENTRY(madvise_enter, __x64_sys_process_madvise, VMT_PROCESS_MADVISE)
ON_ENTRY(madvise_enter_ia32, __ia32_sys_process_madvise, VMT_PROCESS_MADVISE)
/* Not by ON_EXIT: 5.10 describes the registers as a type that it does not know. */
static __always_inline int madvise_end(void *ctx, bool compat)
{
	struct call call = {.kind = VMT_PROCESS_MADVISE, .nr = 440, .compat = compat, .tier = VMT_TIER_FUNCTION};

	args_probe(&call, (void *)argument(ctx, 0));
	call.ret = argument(ctx, 1);
	if (!call_place(&call))
		return 0;
	if (call_put(&call))
		process_madvise_exit(call.slot);
	call_end(&call);
	return 0;
}

SEC("?fexit/__x64_sys_process_madvise")
int BPF_PROG(madvise_native)
{
	return madvise_end(ctx, false);
}

SEC("?fexit/__ia32_sys_process_madvise")
int BPF_PROG(madvise_ia32)
{
	return madvise_end(ctx, true);
}

#endif
