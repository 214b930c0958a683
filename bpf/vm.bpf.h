/* SPDX-License-Identifier: GPL-2.0-only */
/* Family @vm: process_vm_readv and process_vm_writev as their exit shows them. The function tier has put the kernel's
 * own iovecs and target into the record before (vm_function.bpf.h). */
#ifndef VMTRACE_VM_BPF_H
#define VMTRACE_VM_BPF_H

#include "call.bpf.h"

/* The caller's arrays as they stand in its memory now, to be compared with the kernel's. */
static __always_inline __u32 vm_user_iovs(struct scratch *scratch, __u32 at, struct vmt_vm *ev, struct call *call)
{
	at = iovs_read(call->slot, at, offsetof(typeof(*ev), user_local), call->args[1], call->args[2]);
	return iovs_read(call->slot, at, offsetof(typeof(*ev), user_remote), call->args[3], call->args[4]);
}

static __always_inline void iovs_state_one(struct vmt_iovs *iovs, __u64 at)
{
	iovs->count = 1;
	iovs->at = at;
	iovs->kept = 1;
	iovs->entry = 16;
	iovs->source = VMT_SOURCE_USER;
	iovs->status = VMT_READ_OK;
}

/* Reads both arrays at once if they are one iovec each and adjacent, as variables of a function are: half the cost.
 * Returns the record's new end; 0 if they are not adjacent or cannot be read, and then describes nothing. Its stack is
 * limited like that of iovs_read(). */
__noinline __u32 vm_iovs_adjacent(__u32 slot)
{
	struct scratch *scratch = scratch_at(slot);
	struct vmt_vm *ev = (void *)scratch;
	__u64 pair[4], local, remote, first, *to;
	struct call *call;

	if (!ev)
		return 0;
	call = &scratch->call;
	local = call->args[1];
	remote = call->args[3];
	first = local < remote ? local : remote;
	if (call->compat || call->args[2] != 1 || call->args[4] != 1 || local + remote - 2 * first != 16 ||
	    bpf_probe_read_user(pair, sizeof(pair), (void *)first))
		return 0;
	iovs_state_one(&ev->local, local);
	iovs_state_one(&ev->remote, remote);
	to = (void *)(scratch->bytes + sizeof(*ev));
	to[0] = first == local ? pair[0] : pair[2];
	to[1] = first == local ? pair[1] : pair[3];
	to[2] = first == local ? pair[2] : pair[0];
	to[3] = first == local ? pair[3] : pair[1];
	return sizeof(*ev) + sizeof(pair);
}

__noinline int vm_exit(__u32 slot)
{
	struct task_struct *task = current_task();
	struct scratch *scratch = scratch_at(slot);
	struct vmt_vm *ev = (void *)scratch;
	__u32 at = sizeof(*ev), local_at = at;
	struct call *call;

	if (!ev)
		return 0;
	call = &scratch->call;
	if (!call->held || !scratch->held.target_known)
		target_by_vpid(&ev->target, call->args[0], call->ret);
	else
		departed_mark(&ev->target);
	if (!target_admit(scratch, task, &ev->target))
		return 0;
	ev->pid_arg = call->args[0];
	ev->pad = 0;
	ev->flags = call->args[5];
	if (call->held) {
		at = scratch->held.end;
	} else {
		at = vm_iovs_adjacent(slot);
		if (!at) {
			at = iovs_read(slot, sizeof(*ev), offsetof(typeof(*ev), local), call->args[1], call->args[2]);
			at = iovs_read(slot, at, offsetof(typeof(*ev), remote), call->args[3], call->args[4]);
		}
	}
	at = payload_gather(scratch, slot, at, &ev->payload, &ev->local, local_at, call->ret);
	__builtin_memset(&ev->user_local, 0, 2 * sizeof(ev->user_local));
	if (call->held)
		at = vm_user_iovs(scratch, at, ev, call);
	deliver_scratch(scratch, at, call->kind);
	return 0;
}

#endif
