/* SPDX-License-Identifier: GPL-2.0-only */
/* Parts that syscall families share: arguments, the prologue of an exit, iovec arrays, payload. */
#ifndef VMTRACE_CALL_BPF_H
#define VMTRACE_CALL_BPF_H

#include "file.bpf.h"
#include "regions.bpf.h"
#include "target.bpf.h"

/* ---- Kinds of calls ---- */

static __always_inline bool is_vm_call(__u32 kind)
{
	return kind == VMT_PROCESS_VM_READV || kind == VMT_PROCESS_VM_WRITEV;
}

static __always_inline bool is_pipe_call(__u32 kind)
{
	return kind >= VMT_VMSPLICE && kind <= VMT_SENDFILE;
}

static __always_inline bool is_read_or_write(__u32 kind)
{
	return kind >= VMT_READ && kind <= VMT_PWRITEV2;
}

static __always_inline bool is_uffd_call(__u32 kind)
{
	return kind >= VMT_UFFD_COPY && kind <= VMT_UFFD_POISON;
}

/* ---- Arguments ---- */

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

/* Fills a record's header for a call of the current task. */
static __always_inline void call_header(struct vmt_hdr *hdr, struct task_struct *task, struct call *call)
{
	header(hdr, task, call->kind, call->compat ? VMT_ABI_COMPAT32 : VMT_ABI_NATIVE);
	hdr->tier = call->tier;
	hdr->begin_ns = call->begin_ns;
}

/* ---- What the exit of every call begins with ---- */

/* Counts a call at its exit and looks at its caller. False if the call is not recorded, whatever it reaches. What calls
 * the function of a family calls this before. */
static __always_inline bool call_seen(struct scratch *scratch, struct task_struct *task)
{
	struct call *call = &scratch->call;

	count_seen(call->kind);
	call->selected = caller_selected(task);
	if (call->selected || (is_pipe_call(call->kind) ? may_be_outsider(task) : !knobs.select_all))
		return true;
	count_filtered(call->kind);
	return false;
}

/* How the record of every call begins. */
struct outcome {
	struct vmt_hdr hdr;
	__s64 ret;
};
#define BEGINS_WITH_OUTCOME(type)                                                                                      \
	_Static_assert(__builtin_offsetof(type, ret) == __builtin_offsetof(struct outcome, ret),                       \
		       "call_admit() writes the result")
BEGINS_WITH_OUTCOME(struct vmt_vm);
BEGINS_WITH_OUTCOME(struct vmt_vmsplice);
BEGINS_WITH_OUTCOME(struct vmt_splice);
BEGINS_WITH_OUTCOME(struct vmt_ptrace);
BEGINS_WITH_OUTCOME(struct vmt_mem);
BEGINS_WITH_OUTCOME(struct vmt_mem_open);
BEGINS_WITH_OUTCOME(struct vmt_pidfd_getfd);
BEGINS_WITH_OUTCOME(struct vmt_process_madvise);
BEGINS_WITH_OUTCOME(struct vmt_uffd);

/* Decides about a call that call_seen() let pass. `reaches`: it concerns something that is recorded whoever calls.
 * Fills header and result of a call that is recorded; counts another as filtered and returns false. */
static __always_inline bool call_admit(struct scratch *scratch, struct task_struct *task, bool reaches)
{
	struct outcome *ev = (void *)scratch;
	struct call *call = &scratch->call;

	if (!call->selected && !reaches) {
		count_filtered(call->kind);
		return false;
	}
	call_header(&ev->hdr, task, call);
	ev->ret = call->ret;
	return true;
}

/* The same for a call on a target, which is in the record. */
static __always_inline bool target_admit(struct scratch *scratch, struct task_struct *task, struct vmt_process *target)
{
	if (!call_admit(scratch, task, !scratch->call.selected && reaches_selected(task, target)))
		return false;
	mappings_reached((void *)scratch);
	departed_returned(target, scratch->call.ret);
	return true;
}

/* ---- iovec arrays ---- */

/* Reads `bytes` of user memory into the record at `at`; returns 0 on success. One iovec is read by way of the stack:
 * for other destinations the kernel's checks take longer (CONFIG_HARDENED_USERCOPY). */
static __always_inline long user_read(struct scratch *scratch, __u32 at, __u64 bytes, __u64 ptr)
{
	__u64 one[2], *to = (void *)(scratch->bytes + at);

	if (bytes != sizeof(one))
		return bpf_probe_read_user(to, bytes, (void *)ptr);
	if (bpf_probe_read_user(one, sizeof(one), (void *)ptr))
		return -1;
	to[0] = one[0];
	to[1] = one[1];
	return 0;
}

/* Copies an iovec array of the call from user memory into the record at `at`, and describes it in the struct vmt_iovs
 * at `where`. Returns the record's new end. Below 64 bytes of stack it uses that of the thread
 * (BPF_PRIV_STACK_MIN_SIZE). */
__noinline __u64 iovs_read(__u32 slot, __u32 at, __u32 where, __u64 ptr, __u64 count)
{
	struct scratch *scratch = scratch_at(slot);
	struct vmt_iovs *iovs;
	__u32 entry;
	__u64 bytes;

	if (!scratch)
		return at;
	entry = scratch->call.compat ? 8 : 16;
	where &= 0x1f8;
	iovs = (void *)(scratch->bytes + where);
	iovs->count = count;
	iovs->at = ptr;
	iovs->kept = 0;
	iovs->entry = entry;
	iovs->source = VMT_SOURCE_USER;
	iovs->status = VMT_READ_ABSENT;
	if (!count)
		return at;
	iovs->status = VMT_READ_REFUSED;
	if (count > VMT_IOV_MAX)
		return at;
	bytes = count * entry;
	asm volatile("" : "+r"(bytes), "+r"(at));
	at &= SCRATCH_MASK;
	if (bytes > VMT_IOV_MAX * 16)
		return at;
	iovs->status = VMT_READ_FAULT;
	if (user_read(scratch, at, bytes, ptr))
		return at;
	iovs->status = VMT_READ_OK;
	iovs->kept = count;
	return at + bytes;
}

/* Copies `count` iovecs from kernel memory into the record at `at`; returns the record's new end. */
static __always_inline __u32 iovs_copy(struct scratch *scratch, __u32 at, struct vmt_iovs *iovs, const void *from,
				       __u64 count)
{
	__u64 bytes = count * 16;

	iovs->count = count;
	iovs->at = 0;
	iovs->kept = 0;
	iovs->entry = 16;
	iovs->source = VMT_SOURCE_KERNEL;
	iovs->status = VMT_READ_ABSENT;
	if (!count)
		return at;
	iovs->status = VMT_READ_FAULT;
	asm volatile("" : "+r"(bytes), "+r"(at));
	at &= SCRATCH_MASK;
	if (bytes > VMT_IOV_MAX * 16 || bpf_probe_read_kernel(scratch->bytes + at, bytes, from))
		return at;
	iovs->status = VMT_READ_OK;
	iovs->kept = count;
	return at + bytes;
}

/* Describes one range, which came in registers, as an iovec array with one entry. */
static __always_inline __u32 iovs_one(struct scratch *scratch, __u32 at, struct vmt_iovs *iovs, __u64 base, __u64 len)
{
	__u64 *pair;

	iovs->count = 1;
	iovs->at = 0;
	iovs->kept = 1;
	iovs->entry = 16;
	iovs->source = VMT_SOURCE_KERNEL;
	iovs->status = VMT_READ_OK;
	asm volatile("" : "+r"(at));
	at &= SCRATCH_MASK & ~7;
	pair = (void *)(scratch->bytes + at);
	pair[0] = base;
	pair[1] = len;
	return at + 16;
}

/* ---- Payload ---- */

/* Appends up to `len` bytes from user memory. A fault leaves zeros and is counted. */
static __always_inline void gather_range(struct scratch *scratch, struct gather *g, __u64 base, __u64 len)
{
	__u64 n = len < g->left ? len : g->left;
	__u32 at = g->at;

	g->left -= n;
	if (n > g->room)
		n = g->room;
	asm volatile("" : "+r"(n), "+r"(at));
	at &= SCRATCH_MASK;
	if (n == 0 || n > VMT_SNAPLEN_MAX)
		return;
	if (bpf_probe_read_user(scratch->bytes + at, n, (void *)base))
		g->faults++;
	g->at = at + n;
	g->room -= n;
}

/* Gathers segment `index`; returns 1 when there is nothing left to do. */
static __always_inline int gather_one(struct scratch *scratch, __u32 index)
{
	struct gather *g = &scratch->gather;
	__u32 at;

	if (index >= g->count || !g->left || !g->room)
		return 1;
	at = g->iovs_at + index * g->entry;
	asm volatile("" : "+r"(at));
	at &= SCRATCH_MASK & ~7;
	if (g->entry == 8) {
		__u32 *pair = (void *)(scratch->bytes + at);

		gather_range(scratch, g, pair[0], pair[1]);
	} else {
		__u64 *pair = (void *)(scratch->bytes + at);

		gather_range(scratch, g, pair[0], pair[1]);
	}
	return 0;
}

__noinline int gather_segment(__u32 slot, __u32 index)
{
	struct scratch *scratch = scratch_at(slot);

	return scratch ? gather_one(scratch, index) : 1;
}

__noinline int gather_some(__u32 slot, __u32 first)
{
	for (__u32 i = 0; i < LOOP; i++)
		if (gather_segment(slot, first + i))
			return 1;
	return 0;
}

__noinline int gather_all(__u32 slot)
{
	for (__u32 i = 0; i < LOOP; i++)
		if (gather_some(slot, i * LOOP))
			break;
	return 0;
}

static __always_inline __u32 payload_take(struct scratch *scratch, __u32 slot, __u32 at, struct vmt_payload *payload,
					  struct vmt_iovs *iovs, __u32 iovs_at, long moved)
{
	struct gather *g = &scratch->gather;

	g->iovs_at = iovs_at;
	g->entry = iovs->entry;
	g->count = iovs->kept;
	g->at = at;
	g->room = knobs.snaplen;
	g->faults = 0;
	g->left = moved > 0 ? moved : 0;
	__builtin_memset(payload, 0, sizeof(*payload));
	payload->total = g->left;
	if (!g->left)
		return at;
	payload->status = VMT_PAYLOAD_OFF;
	if (!knobs.snaplen)
		return at;
	if (g->count == 1)
		gather_one(scratch, 0);
	else
		gather_all(slot);
	payload->kept = g->at - at;
	if (g->faults || iovs->status != VMT_READ_OK)
		payload->status = VMT_PAYLOAD_FAULT;
	else
		payload->status = payload->kept < payload->total ? VMT_PAYLOAD_TRUNCATED : VMT_PAYLOAD_OK;
	return g->at;
}

/* Gathers the bytes that moved from all segments, in the order of the transfer, up to the snap length. `iovs` describes
 * the caller's array, which is in the record at `iovs_at`; `moved` is the syscall's result. Returns the record's new
 * end. */
static __always_inline __u32 payload_gather(struct scratch *scratch, __u32 slot, __u32 at, struct vmt_payload *payload,
					    struct vmt_iovs *iovs, __u32 iovs_at, long moved)
{
	return opaque(scratch, payload_take(scratch, slot, at, payload, iovs, iovs_at, moved));
}

/* Describes a payload that is in the record already: the first `kept` of `moved` bytes. */
static __always_inline void payload_state(struct vmt_payload *payload, __u64 moved, __u32 kept, __u8 side)
{
	__builtin_memset(payload, 0, sizeof(*payload));
	payload->total = moved;
	if (!moved)
		return;
	payload->kept = kept < moved ? kept : moved;
	payload->side = side;
	if (!knobs.snaplen)
		payload->status = VMT_PAYLOAD_OFF;
	else if (kept >= moved)
		payload->status = VMT_PAYLOAD_OK;
	else
		payload->status = kept < knobs.snaplen ? VMT_PAYLOAD_FAULT : VMT_PAYLOAD_TRUNCATED;
}

#endif
