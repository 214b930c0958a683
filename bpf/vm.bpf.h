/* SPDX-License-Identifier: GPL-2.0-only */
/* Family @vm, tracepoint tier: process_vm_readv and process_vm_writev as their exit shows them. */
#ifndef VMTRACE_VM_BPF_H
#define VMTRACE_VM_BPF_H

#include "call.bpf.h"

static __noinline int vm_exit(struct call *call)
{
	struct task_struct *task = current_task();
	struct scratch *scratch = scratch_get();
	struct vmt_vm *ev = (void *)scratch;
	bool selected = caller_selected(task);
	__u32 at = sizeof(*ev), local_at = at;

	if (!ev)
		return 0;
	count_seen(call->kind);
	if (!selected && select_all) {
		count_filtered(call->kind);
		return 0;
	}
	target_by_vpid(&ev->target, call->args[0]);
	if (!selected && !target_selected(task, ev->target.pid)) {
		count_filtered(call->kind);
		return 0;
	}
	header(&ev->hdr, call->kind, call->compat);
	ev->ret = call->ret;
	ev->pid_arg = call->args[0];
	ev->pad = 0;
	ev->flags = call->args[5];
	at = iovs_read(scratch, at, &ev->local, call->args[1], call->args[2], call->compat);
	at = iovs_read(scratch, at, &ev->remote, call->args[3], call->args[4], call->compat);
	at = payload_gather(scratch, at, &ev->payload, &ev->local, local_at, call->ret);
	deliver_scratch(scratch, at, call->kind);
	return 0;
}

#endif
