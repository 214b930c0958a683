/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All BPF programs. The recorder loads those that it needs (src/record/probes/load). Syscalls are served by one of two
 * tiers:
 *
 * - hooks in the functions that do the work (*_function.bpf.h). They see what the kernel itself uses, and cost calls
 *   that do something else nothing;
 * - below, one program at the exit of every syscall, for kernels that have no such hooks or do not allow them. All
 *   arguments are still in pt_regs then, so there is no program at the entry and no map between the two. It also sees
 *   32-bit calls, which syscalls:sys_exit_* do not.
 */
#include "holders.bpf.h"
#include "mem_function.bpf.h"
#include "mem_open_function.bpf.h"
#include "pidfd_function.bpf.h"
#include "pipe_function.bpf.h"
#include "process.bpf.h"
#include "ptrace_function.bpf.h"
#include "uffd_function.bpf.h"
#include "uring_function.bpf.h"
#include "vm_function.bpf.h"

/* A call that the tables of syscalls name, and that no family records. It is lost, and a gap says why. */
static __always_inline int count_unrecorded(__u32 kind)
{
	struct vmt_switches *s = switches();

	count_unbuilt(kind);
	if (s)
		__sync_fetch_and_add(&s->calls_unrecorded, 1);
	return 0;
}

static __always_inline int family_exit(struct call *call, __u32 slot)
{
	if (call->piped)
		return pipe_io_exit(slot);
	switch (call->kind) {
	case VMT_PROCESS_VM_READV:
	case VMT_PROCESS_VM_WRITEV:
		return vm_exit(slot);
	case VMT_VMSPLICE:
		return vmsplice_exit(slot);
	case VMT_SPLICE:
	case VMT_TEE:
	case VMT_SENDFILE:
		return splice_exit(slot);
	case VMT_PTRACE:
		return ptrace_exit(slot);
	case VMT_MEM_OPEN:
		return mem_open_exit(slot);
	case VMT_PIDFD_GETFD:
		return pidfd_getfd_exit(slot);
	case VMT_PROCESS_MADVISE:
		return process_madvise_exit(slot);
	case VMT_UFFD_COPY:
	case VMT_UFFD_MOVE:
	case VMT_UFFD_ZEROPAGE:
	case VMT_UFFD_POISON:
		return uffd_exit(slot);
	case VMT_READ:
	case VMT_WRITE:
	case VMT_PREAD:
	case VMT_PWRITE:
	case VMT_READV:
	case VMT_WRITEV:
	case VMT_PREADV:
	case VMT_PWRITEV:
	case VMT_PREADV2:
	case VMT_PWRITEV2:
		return call->entered ? mem_exit_entered(slot) : mem_exit(slot);
	default:
		return count_unrecorded(call->kind);
	}
}

/* Whether a read or write is recorded: its file shows the memory of a process, or is a pipe that a recorded call has
 * used (`piped`). */
static __always_inline bool read_concerns(struct file *file, __u32 kind, __s32 fd, long ret, bool *piped, __u32 *then)
{
	struct task_struct *task = current_task();
	bool of_mem = mem_concerns(task, fd, file);
	struct vmt_switches *s = switches();
	__u32 event = pipe_event(kind);

	if (s && is_wanted(kind) && !is_by_function(s, kind)) {
		if (of_mem)
			holder_note((__u64)file);
		*then = file_compare(task, kind, fd, file, of_mem);
		if (of_mem || *then == FILE_AT_ENTRY)
			return true;
	}
	if (of_mem)
		return false;
	if (ret <= 0 || !event || !s || is_by_function(s, event) || !pipe_io_concerns(file, event))
		return false;
	*piped = true;
	return true;
}

/* A call that may have to be recorded. */
static __always_inline void call_exit(struct task_struct *task, struct pt_regs *regs, long ret, __u32 kind, bool compat)
{
	struct vmt_switches *s = switches();
	struct scratch *scratch;
	__u32 then = FILE_AT_EXIT;
	struct file *file = NULL;
	bool piped = false;
	struct call *call;
	__u32 slot;

	if (!s || kind >= VMT_KINDS)
		return;
	if (kind == VMT_OPENS || kind == VMT_PIDFD_GETFD)
		holder_obtains(task, ret);
	if (kind == VMT_RECEIVES && ret >= 0 && !compat && !is_by_function(s, VMT_PREAD))
		holder_receives(regs->si);
	if (kind == VMT_OPENS || kind == VMT_RECEIVES)
		return;
	if (kind == VMT_MEM_OPEN) {
		if (ret >= 0)
			file = file_of_fd(task, ret);
		holder_note((__u64)file);
		if (!open_may_concern(ret, file) || !open_may_be_selected(task))
			return;
	}
	if (is_read_or_write(kind)) {
		__s32 fd = compat ? regs->bx : regs->di;

		file = file_of_fd(task, fd);
		if (!read_concerns(file, kind, fd, ret, &piped, &then))
			return;
	} else if (is_by_function(s, kind)) {
		return;
	}
	if (is_uffd_call(kind)) {
		file = file_of_fd(task, compat ? regs->bx : regs->di);
		if (!is_wanted(kind) || !is_userfaultfd((__u64)file))
			return;
	}
	if (is_bystander(task))
		return;
	slot = slot_of_exit();
	scratch = scratch_at(slot);
	if (!scratch)
		return;
	call = &scratch->call;
	call->kind = kind;
	call->nr = regs->orig_ax;
	call->slot = slot;
	call->compat = compat;
	call->held = false;
	call->file = (__u64)file;
	call->piped = piped;
	call->entered = then == FILE_AT_ENTRY;
	call->raced = then != FILE_AT_EXIT;
	call->tier = VMT_TIER_TRACEPOINT;
	call->ret = ret;
	call->begin_ns = 0;
	args_read(call, regs);
	if (kind == VMT_MEM_OPEN && !open_is_of_memory(slot))
		return;
	/* What is done to a known pipe is counted by its family: it is of another kind. */
	if (piped || call_seen(scratch, task))
		family_exit(call, slot);
}

SEC("?tp_btf/sys_exit")
int BPF_PROG(sys_exit, struct pt_regs *regs, long ret)
{
	__u64 nr = regs->orig_ax;
	struct task_struct *task;
	bool compat;
	__u32 kind;

	/* Every syscall of the machine runs this program, and most are not recorded. */
	if (nr >= VMT_SYSCALLS || !(knobs.syscalls_native[nr] | knobs.syscalls_compat[nr]))
		return 0;
	task = current_task();
	compat = (task_read(task, thread_info.status) & TS_COMPAT) != 0;
	kind = compat ? knobs.syscalls_compat[nr] : knobs.syscalls_native[nr];
	if (kind == VMT_IOCTL)
		kind = uffd_kind(compat ? regs->cx : regs->si);
	if (kind)
		call_exit(task, regs, ret, kind, compat);
	return 0;
}

/* Attached while some process has the memory of another open. */
SEC("?tp_btf/sys_enter")
int BPF_PROG(sys_enter, struct pt_regs *regs, long number)
{
	struct task_struct *task;
	__u64 nr = number;
	bool compat;
	__u32 kind;

	if (nr >= VMT_SYSCALLS || !(knobs.syscalls_native[nr] | knobs.syscalls_compat[nr]))
		return 0;
	task = current_task();
	compat = (task_read(task, thread_info.status) & TS_COMPAT) != 0;
	kind = compat ? knobs.syscalls_compat[nr] : knobs.syscalls_native[nr];
	if (is_read_or_write(kind) && is_wanted(kind) && is_holder(task))
		holder_enters(kind, compat ? regs->bx : regs->di);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
