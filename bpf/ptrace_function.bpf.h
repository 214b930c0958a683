/* SPDX-License-Identifier: GPL-2.0-only */
/* Family @ptrace, function tier: the target that the kernel found, and PEEK's word as it was copied. */
#ifndef VMTRACE_PTRACE_FUNCTION_BPF_H
#define VMTRACE_PTRACE_FUNCTION_BPF_H

#include "function.bpf.h"
#include "ptrace.bpf.h"

SEC("?fexit/find_get_task_by_vpid")
int BPF_PROG(ptrace_target, int vpid, struct task_struct *task)
{
	struct scratch *scratch = held_of(VMT_PTRACE);
	struct vmt_ptrace *ev = (void *)scratch;

	if (!ev)
		return 0;
	__builtin_memset(&ev->target, 0, sizeof(ev->target));
	if (task)
		process_of(&ev->target, task);
	scratch->held.target_known = true;
	return 0;
}

SEC("?fexit/__access_remote_vm")
int BPF_PROG(ptrace_word)
{
	struct scratch *scratch = held_of(VMT_PTRACE);

	if (scratch)
		scratch->held.count = copied_append(ctx, scratch, PTRACE_WORD_AT, knobs.snaplen);
	return 0;
}

ON_ENTRY(ptrace_enter, __x64_sys_ptrace, VMT_PTRACE)
ON_ENTRY(ptrace_enter_ia32, __ia32_compat_sys_ptrace, VMT_PTRACE)
ON_EXIT(ptrace_native, __x64_sys_ptrace, VMT_PTRACE, 101, false, ptrace_exit)
ON_EXIT(ptrace_ia32, __ia32_compat_sys_ptrace, VMT_PTRACE, 26, true, ptrace_exit)

#endif
