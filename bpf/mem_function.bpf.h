/* SPDX-License-Identifier: GPL-2.0-only */
/* Family @mem, function tier: every transfer ends in mem_rw (fs/proc/base.c), which has the file, the buffer and the
 * offset, and copies through a page of the kernel. Vectored calls reach it once per segment. Requests of io_uring reach
 * it, too. */
#ifndef VMTRACE_MEM_FUNCTION_BPF_H
#define VMTRACE_MEM_FUNCTION_BPF_H

#include "function.bpf.h"
#include "mem.bpf.h"

/* call.nr of a request of io_uring, which is no syscall. */
#define NO_SYSCALL 0xffffffff

/* Identifies the call that the current task is in. kind is 0 if it is not to be recorded. */
static __always_inline void mem_call(struct call *call, bool writes)
{
	struct task_struct *task = current_task();
	struct pt_regs *regs = user_regs(task);
	__u64 nr = BPF_CORE_READ(regs, orig_ax);

	call->tier = VMT_TIER_FUNCTION;
	if ((task_read(task, flags) & (PF_IO_WORKER | PF_KTHREAD)) || nr == NR_IO_URING_ENTER) {
		call->nr = NO_SYSCALL;
		call->kind = writes ? VMT_PWRITE : VMT_PREAD;
		if (!is_wanted(call->kind))
			call->kind = 0;
		return;
	}
	if (nr >= VMT_SYSCALLS)
		return;
	call->nr = nr;
	call->compat = (task_read(task, thread_info.status) & TS_COMPAT) != 0;
	call->kind = call->compat ? knobs.syscalls_compat[nr] : knobs.syscalls_native[nr];
	if (!is_read_or_write(call->kind))
		call->kind = 0;
	args_probe(call, regs);
}

/* Learns what memory files look like, from the recorder's own. */
static __always_inline void mem_learn(struct file *file)
{
	struct vmt_switches *s = switches();

	if (s && s->learn_fd >= 0 && task_read(current_task(), tgid) == knobs.recorder_tgid)
		s->mem_fops = (__u64)BPF_CORE_READ(file, f_op);
}

SEC("?fentry/mem_rw")
int BPF_PROG(mem_begin, struct file *file)
{
	struct call call = {};
	struct scratch *scratch;
	struct vmt_mem *ev;

	mem_learn(file);
	if (!is_followed())
		return 0;
	mem_call(&call, (__u32)argument(ctx, 4));
	/* One that is looked at for the sake of others has an entry in the table, too. */
	if (!call.kind || !is_wanted(call.kind))
		return 0;
	scratch = held_of(call.kind);
	ev = (void *)scratch;
	if (ev && is_vectored(call.kind) && ev->local.kept) {
		scratch->held.count = ev->payload.kept; /* one more segment of the same call */
		return 0;
	}
	scratch = held_begin(call.kind, 0);
	ev = (void *)scratch;
	if (!ev)
		return 0;
	bpf_probe_read_kernel(&ev->offset, sizeof(ev->offset), (void *)argument(ctx, 3));
	ev->payload.kept = 0;
	ev->local.kept = 0;
	return 0;
}

SEC("?fexit/__access_remote_vm")
int BPF_PROG(mem_copied)
{
	struct scratch *scratch = held_find();
	struct vmt_mem *ev = (void *)scratch;
	__u32 kept;

	if (!ev || !is_read_or_write(scratch->held.kind))
		return 0;
	kept = ev->payload.kept;
	if (kept < knobs.snaplen)
		ev->payload.kept = kept + copied_append(ctx, scratch, sizeof(*ev) + kept, knobs.snaplen - kept);
	return 0;
}

/* Ends a segment of a vectored call: keeps what it moved, and where. Empty segments are not listed. */
static __always_inline void segment_end(void *ctx, struct call *call)
{
	struct scratch *scratch = held_of(call->kind);
	struct vmt_mem *ev = (void *)scratch;
	__u64 count = argument(ctx, 2), whole;
	__u32 at;

	if (!ev || !count || ev->local.kept >= VMT_IOV_MAX)
		return;
	whole = scratch->held.count + (call->ret > 0 ? call->ret : 0);
	if (ev->payload.kept > whole)
		ev->payload.kept = whole;
	at = MEM_ARRAY_AT + ev->local.kept * 16;
	iovs_one(scratch, at, &ev->user_local, argument(ctx, 1), count);
	ev->local.kept++;
}

/* Records a call. `file_address` has no type: older verifiers demand that of global functions. `offset` is where the
 * call began, used if its start was not seen. */
__noinline int mem_record(__u32 slot, __u64 file_address, __u64 offset)
{
	struct file *file = (void *)file_address;
	struct scratch *scratch = scratch_at(slot);
	struct vmt_mem *ev = (void *)scratch;
	__u32 at = sizeof(*ev);
	struct call *call;
	bool followed;

	if (!ev)
		return 0;
	call = &scratch->call;
	mem_target(&ev->target, file);
	if (!target_admit(scratch, current_task(), &ev->target))
		return 0;
	followed = call->held && scratch->held.kind == call->kind;
	if (call->nr == NO_SYSCALL)
		ev->hdr.abi = VMT_ABI_IO_URING;
	ev->exact = true;
	ev->raced = false;
	if (!followed)
		ev->offset = offset;
	if (followed && is_vectored(call->kind) && ev->local.kept) {
		ev->local.count = call->args[2];
		ev->local.entry = 16;
		ev->local.status = VMT_READ_OK;
		ev->local.source = VMT_SOURCE_KERNEL;
	} else {
		mem_array(call, scratch, ev);
	}
	if (followed) {
		payload_state(&ev->payload, call->ret > 0 ? call->ret : 0, ev->payload.kept, VMT_SIDE_KERNEL);
		at += ev->payload.kept;
	} else {
		at = payload_gather(scratch, slot, at, &ev->payload, &ev->local, MEM_ARRAY_AT, call->ret);
	}
	mem_deliver(call, scratch, at, file, call->nr == NO_SYSCALL ? -1 : (__s32)call->args[0]);
	return 0;
}

SEC("?fexit/mem_rw")
int BPF_PROG(mem_end)
{
	struct call call = {};
	__u64 offset = 0;

	mem_call(&call, (__u32)argument(ctx, 4));
	if (!call.kind)
		return 0;
	call.ret = argument(ctx, 5);
	if (is_vectored(call.kind)) {
		segment_end(ctx, &call);
		return 0;
	}
	if (!call_place(&call))
		return 0;
	call.args[1] = argument(ctx, 1);
	call.args[2] = argument(ctx, 2);
	bpf_probe_read_kernel(&offset, sizeof(offset), (void *)argument(ctx, 3));
	if (call_put(&call))
		mem_record(call.slot, argument(ctx, 0), offset - (call.ret > 0 ? call.ret : 0));
	call_end(&call);
	return 0;
}

/* A vectored call at its end, also one that never reached mem_rw. */
static __always_inline void vector_end(void *ctx)
{
	struct file *file = (void *)argument(ctx, 0);
	struct call call = {};

	mem_call(&call, false);
	if (!is_vectored(call.kind))
		return;
	call.ret = argument(ctx, 5);
	if (!call_place(&call))
		return;
	if (call_put(&call))
		mem_record(call.slot, (__u64)file, mem_offset(&call, position_before(file, 0)));
	call_end(&call);
}

SEC("?fexit/vfs_readv")
int BPF_PROG(mem_readv, struct file *file)
{
	if (is_mem_file(file))
		vector_end(ctx);
	return 0;
}

SEC("?fexit/vfs_writev")
int BPF_PROG(mem_writev, struct file *file)
{
	if (is_mem_file(file))
		vector_end(ctx);
	return 0;
}

#endif
