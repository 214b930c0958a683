/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All programs; the recorder loads those it needs (src/record/load). Two tiers serve the syscalls:
 *
 * - hooks in the functions that do the work (*_function.bpf.h), which see what the kernel itself uses, and cost calls
 *   that do something else nothing;
 * - below, one program at the exit of every syscall, where the kernel has or allows no such hooks. It finds all
 *   arguments still in pt_regs, and so needs no program at the entry and no map between the two. It sees 32-bit calls,
 *   which syscalls:sys_exit_* do not.
 */
#include "mem.bpf.h"
#include "pidfd.bpf.h"
#include "pipe.bpf.h"
#include "process.bpf.h"
#include "ptrace.bpf.h"
#include "uring.bpf.h"
#include "vm_function.bpf.h"

static __always_inline int family_exit(struct call *call)
{
	if (call->kind <= VMT_PROCESS_VM_WRITEV)
		return vm_exit(call);
	if (call->kind == VMT_VMSPLICE)
		return vmsplice_exit(call);
	if (call->kind <= VMT_SENDFILE)
		return splice_exit(call);
	if (call->kind == VMT_PTRACE)
		return ptrace_exit(call);
	if (call->kind == VMT_PIDFD_GETFD)
		return pidfd_getfd_exit(call);
	if (call->kind == VMT_PROCESS_MADVISE)
		return process_madvise_exit(call);
	return mem_exit(call);
}

SEC("?tp_btf/sys_exit")
int BPF_PROG(sys_exit, struct pt_regs *regs, long ret)
{
	struct task_struct *task = current_task();
	struct vmt_switches *s = switches();
	__u64 nr = regs->orig_ax;
	struct call call = {};

	if (nr >= VMT_SYSCALLS)
		return 0;
	call.compat = (task_read(task, thread_info.status) & TS_COMPAT) != 0;
	call.kind = call.compat ? knobs.syscalls_compat[nr] : knobs.syscalls_native[nr];
	if (!call.kind || call.kind >= VMT_KINDS || !s || s->by_function[call.kind])
		return 0;
	call.nr = nr;
	call.ret = ret;
	args_read(&call, regs);
	if (call.kind >= VMT_READ && call.kind <= VMT_PWRITEV2 && !mem_concerns(&call))
		return 0;
	if (is_bystander(task))
		return 0;
	call.slot = slot_take();
	if (call.slot == NO_SLOT) {
		count_unplaced(call.kind);
		return 0;
	}
	family_exit(&call);
	slot_put(call.slot);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
