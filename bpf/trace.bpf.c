/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tracepoint tier: one program at the exit of every syscall, which finds all arguments still in pt_regs and
 * so needs no program at the entry and no map between the two. It sees 32-bit calls, which syscalls:sys_exit_*
 * do not. Families stand in headers of their own; this file only dispatches.
 */
#include "mem.bpf.h"
#include "pidfd.bpf.h"
#include "pipe.bpf.h"
#include "process.bpf.h"
#include "ptrace.bpf.h"
#include "uring.bpf.h"
#include "vm.bpf.h"

static __always_inline void args_read(struct call *call, struct pt_regs *regs)
{
	if (call->compat) {
		call->args[0] = (__u32)regs->bx;
		call->args[1] = (__u32)regs->cx;
		call->args[2] = (__u32)regs->dx;
		call->args[3] = (__u32)regs->si;
		call->args[4] = (__u32)regs->di;
		call->args[5] = (__u32)regs->bp;
	} else {
		call->args[0] = regs->di;
		call->args[1] = regs->si;
		call->args[2] = regs->dx;
		call->args[3] = regs->r10;
		call->args[4] = regs->r8;
		call->args[5] = regs->r9;
	}
}

SEC("tp_btf/sys_exit")
int BPF_PROG(sys_exit, struct pt_regs *regs, long ret)
{
	struct task_struct *task = current_task();
	__u64 nr = regs->orig_ax;
	struct call call;

	if (nr >= VMT_SYSCALLS)
		return 0;
	call.compat = (task_read(task, thread_info.status) & TS_COMPAT) != 0;
	call.kind = call.compat ? syscalls_compat[nr] : syscalls_native[nr];
	if (!call.kind)
		return 0;
	call.nr = nr;
	call.ret = ret;
	args_read(&call, regs);
	if (call.kind <= VMT_PROCESS_VM_WRITEV)
		return vm_exit(&call);
	if (call.kind == VMT_VMSPLICE)
		return vmsplice_exit(&call);
	if (call.kind <= VMT_SENDFILE)
		return splice_exit(&call);
	if (call.kind == VMT_PTRACE)
		return ptrace_exit(&call);
	if (call.kind == VMT_PIDFD_GETFD)
		return pidfd_getfd_exit(&call);
	if (call.kind == VMT_PROCESS_MADVISE)
		return process_madvise_exit(&call);
	return mem_exit(&call);
}

char LICENSE[] SEC("license") = "GPL";
