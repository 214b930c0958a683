/* SPDX-License-Identifier: GPL-2.0-only */
/* Family @ptrace: ptrace as its exit shows it. The function tier has found the target and kept the word that PEEK
 * brought before (ptrace_function.bpf.h). */
#ifndef VMTRACE_PTRACE_BPF_H
#define VMTRACE_PTRACE_BPF_H

#include "call.bpf.h"

/* Where a word that the kernel copied is kept in the record: behind the array of one. */
#define PTRACE_WORD_AT (sizeof(struct vmt_ptrace) + 16)

static __always_inline bool is_peek(__u64 request)
{
	return request >= PTRACE_PEEKTEXT && request <= PTRACE_PEEKUSER;
}

static __always_inline bool is_poke(__u64 request)
{
	return request >= PTRACE_POKETEXT && request <= PTRACE_POKEUSER;
}

/* Bytes of the caller's memory at `data` that a request reads or writes, 0 if none; *REGSET name them by an iovec
 * there. PEEK writes its word to `data` (man 2 ptrace, "C library/kernel differences"). Registers are struct
 * user_regs_struct and user_i387_struct (arch/x86/include/asm/user_64.h), for 32-bit callers those of user32.h. */
static __always_inline __u64 ptrace_size(__u64 request, bool compat)
{
	switch (request) {
	case PTRACE_PEEKTEXT ... PTRACE_PEEKUSER:
		return compat ? 4 : 8;
	case PTRACE_GETREGS:
	case PTRACE_SETREGS:
		return compat ? 68 : 216;
	case PTRACE_GETFPREGS:
	case PTRACE_SETFPREGS:
		return compat ? 108 : 512;
	case PTRACE_GETFPXREGS:
	case PTRACE_SETFPXREGS:
		return compat ? 512 : 0;
	case PTRACE_GET_THREAD_AREA:
	case PTRACE_SET_THREAD_AREA:
		return 16; /* struct user_desc */
	case PTRACE_GETSIGINFO:
	case PTRACE_SETSIGINFO:
		return 128;
	default:
		return 0;
	}
}

/* Describes the range of the caller's memory. Returns the record's new end, and in `len` the range's length. For
 * *REGSET the kernel has stored the length that it moved in the iovec. */
static __always_inline __u32 ptrace_range(struct scratch *scratch, __u32 at, struct vmt_ptrace *ev, struct call *call,
					  __u64 *len)
{
	__u32 start = at;

	*len = ptrace_size(ev->request, call->compat);
	if (*len)
		return iovs_one(scratch, at, &ev->local, ev->data, *len);
	if (ev->request != PTRACE_GETREGSET && ev->request != PTRACE_SETREGSET)
		return iovs_read(call->slot, at, offsetof(typeof(*ev), local), 0, 0);
	at = iovs_read(call->slot, at, offsetof(typeof(*ev), local), ev->data, 1);
	if (ev->local.status != VMT_READ_OK)
		return at;
	*len = call->compat ? *(__u32 *)(scratch->bytes + start + 4) : *(__u64 *)(scratch->bytes + start + 8);
	return at;
}

/* Appends what moved: POKE's word is an argument, PEEK's word may be held; all else is read where the range is. */
static __always_inline __u32 ptrace_payload(struct scratch *scratch, __u32 at, struct vmt_ptrace *ev, struct call *call,
					    __u64 len)
{
	__u32 word = call->compat ? 4 : 8, kept = word < knobs.snaplen ? word : knobs.snaplen;

	if (is_poke(ev->request)) {
		*(__u64 *)(scratch->bytes + sizeof(*ev)) = ev->data;
		payload_state(&ev->payload, call->ret < 0 ? 0 : word, kept, VMT_SIDE_REGISTER);
		return at + ev->payload.kept;
	}
	if (call->held && is_peek(ev->request) && ev->request != PTRACE_PEEKUSER) {
		payload_state(&ev->payload, call->ret < 0 ? 0 : word, scratch->held.count, VMT_SIDE_KERNEL);
		return at + ev->payload.kept;
	}
	return payload_gather(scratch, call->slot, at, &ev->payload, &ev->local, sizeof(*ev), call->ret < 0 ? 0 : len);
}

__noinline int ptrace_exit(__u32 slot)
{
	struct task_struct *task = current_task();
	struct scratch *scratch = scratch_at(slot);
	struct vmt_ptrace *ev = (void *)scratch;
	__u32 at = sizeof(*ev);
	struct call *call;
	__u64 len;

	if (!ev)
		return 0;
	call = &scratch->call;
	if (!call->held || !scratch->held.target_known) {
		__builtin_memset(&ev->target, 0, sizeof(ev->target));
		if (call->args[0] != PTRACE_TRACEME)
			target_by_vpid(&ev->target, call->args[1], call->ret);
	} else {
		departed_mark(&ev->target);
	}
	if (!target_admit(scratch, task, &ev->target))
		return 0;
	ev->request = call->args[0];
	ev->pid_arg = call->args[1];
	ev->pad = 0;
	ev->addr = call->args[2];
	ev->data = call->args[3];
	at = opaque(scratch, ptrace_range(scratch, at, ev, call, &len));
	len = opaque(scratch, len);
	at = ptrace_payload(scratch, at, ev, call, len);
	deliver_scratch(scratch, at, call->kind);
	return 0;
}

#endif
