/* SPDX-License-Identifier: GPL-2.0-only */
/* Family @vm, function tier: the iovecs that the kernel has copied and uses (mm/process_vm_access.c,
 * process_vm_rw_core), and the target that it found. */
#ifndef VMTRACE_VM_FUNCTION_BPF_H
#define VMTRACE_VM_FUNCTION_BPF_H

#include "function.bpf.h"
#include "vm.bpf.h"

/* process_vm_rw_core(pid, iter, rvec, riovcnt, ...): compilers may drop arguments behind these. */
SEC("?kprobe/process_vm_rw_core")
int vm_core(struct pt_regs *ctx)
{
	struct scratch *scratch = is_followed() ? held_begin(VMT_PROCESS_VM_READV, 0) : NULL;
	struct vmt_vm *ev = (void *)scratch;
	__u32 at = sizeof(*ev);

	if (!ev)
		return 0;
	at = iovs_of_iter(scratch, at, &ev->local, (void *)ctx->si);
	at = iovs_copy(scratch, at, &ev->remote, (void *)ctx->dx, (__u32)ctx->cx);
	scratch->held.end = at;
	return 0;
}

/* The target, also of a call that is denied. */
SEC("?fexit/mm_access")
int BPF_PROG(vm_target, struct task_struct *task)
{
	struct scratch *scratch = held_find();
	struct vmt_vm *ev = (void *)scratch;

	if (!ev || !is_vm_call(scratch->held.kind))
		return 0;
	__builtin_memset(&ev->target, 0, sizeof(ev->target));
	process_of(&ev->target, task);
	scratch->held.target_known = true;
	return 0;
}

ON_EXIT(vm_readv, __x64_sys_process_vm_readv, VMT_PROCESS_VM_READV, 310, false, vm_exit)
ON_EXIT(vm_writev, __x64_sys_process_vm_writev, VMT_PROCESS_VM_WRITEV, 311, false, vm_exit)
ON_EXIT(vm_readv_ia32, __ia32_sys_process_vm_readv, VMT_PROCESS_VM_READV, 347, true, vm_exit)
ON_EXIT(vm_writev_ia32, __ia32_sys_process_vm_writev, VMT_PROCESS_VM_WRITEV, 348, true, vm_exit)

#endif
