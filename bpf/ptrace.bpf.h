/* SPDX-License-Identifier: GPL-2.0-only */
/* Family @ptrace, tracepoint tier: ptrace as its exit shows it. */
#ifndef VMTRACE_PTRACE_BPF_H
#define VMTRACE_PTRACE_BPF_H

#include "call.bpf.h"

/* The word that moved: PEEK* wrote it where `data` points (man 2 ptrace, "C library/kernel differences"), POKE*
 * passes it in `data`. */
static __always_inline void word_read(struct vmt_ptrace *ev, struct call *call)
{
	__u64 request = call->args[0], data = call->args[3];
	__u32 word32 = 0;

	ev->word = 0;
	ev->word_status = VMT_READ_ABSENT;
	if (!knobs.snaplen)
		return;
	if (request >= PTRACE_POKETEXT && request <= PTRACE_POKEUSER) {
		ev->word = data;
		ev->word_status = VMT_READ_OK;
	} else if (request >= PTRACE_PEEKTEXT && request <= PTRACE_PEEKUSER && !call->ret) {
		ev->word_status = VMT_READ_OK;
		if (call->compat) {
			if (bpf_probe_read_user(&word32, sizeof(word32), (void *)data))
				ev->word_status = VMT_READ_FAULT;
			ev->word = word32;
		} else if (bpf_probe_read_user(&ev->word, sizeof(ev->word), (void *)data)) {
			ev->word_status = VMT_READ_FAULT;
		}
	}
}

static __noinline int ptrace_exit(struct call *call)
{
	struct task_struct *task = current_task();
	struct scratch *scratch = scratch_at(call->slot);
	struct vmt_ptrace *ev = (void *)scratch;
	bool selected = caller_selected(task);

	if (!ev)
		return 0;
	count_seen(call->kind);
	if (!selected && knobs.select_all) {
		count_filtered(call->kind);
		return 0;
	}
	__builtin_memset(&ev->target, 0, sizeof(ev->target));
	if (call->args[0] != PTRACE_TRACEME)
		target_by_vpid(&ev->target, call->args[1]);
	if (!selected && !target_selected(task, ev->target.pid)) {
		count_filtered(call->kind);
		return 0;
	}
	call_header(&ev->hdr, call);
	ev->ret = call->ret;
	ev->request = call->args[0];
	ev->pid_arg = call->args[1];
	ev->addr = call->args[2];
	ev->data = call->args[3];
	word_read(ev, call);
	deliver_scratch(scratch, sizeof(*ev), call->kind);
	return 0;
}

#endif
