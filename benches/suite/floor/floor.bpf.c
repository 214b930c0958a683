/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The least that BPF can do for the bytes that vmtrace records, to measure its cost against: at the exit of syscalls, a
 * record of fixed size is reserved, both iovec arrays and the bytes are copied into it from the caller's memory, and it
 * is submitted. No ledger, no selection but by one pid, no identity of the target, no 32-bit calls.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* Syscall numbers of x86-64. */
enum { SYS_READ = 0, SYS_VMSPLICE = 278, SYS_READV = 310, SYS_WRITEV = 311 };

struct range {
	__u64 base, len;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 << 20);
} ring SEC(".maps");

/* Set by floor.c before the command is let go. */
__u32 tgid;
__u64 lost;

struct head {
	__u64 ns;
	__u64 pid_tgid;
	long ret;
	__u64 nr;
};

/* A record of `SEGMENTS` local ranges of `BYTES` each. */
#define RECORD(name, SEGMENTS, BYTES)                                                                                  \
	struct name {                                                                                                  \
		struct head head;                                                                                      \
		struct range local[SEGMENTS], remote;                                                                  \
		__u8 bytes[SEGMENTS][BYTES];                                                                           \
	}

RECORD(small, 1, 64);
RECORD(page, 1, 4096);
RECORD(gather, 16, 64);

static __always_inline void head(struct head *head, struct pt_regs *regs, long ret)
{
	head->ns = bpf_ktime_get_ns();
	head->pid_tgid = bpf_get_current_pid_tgid();
	head->ret = ret;
	head->nr = regs->orig_ax;
}

static __always_inline bool is_ours(struct pt_regs *regs, __u64 nr)
{
	return regs->orig_ax == nr && bpf_get_current_pid_tgid() >> 32 == tgid;
}

#define COPY(name, program, nr)                                                                                        \
	SEC("?tp_btf/sys_exit") int BPF_PROG(program, struct pt_regs *regs, long ret)                                  \
	{                                                                                                              \
		struct name *record;                                                                                   \
                                                                                                                       \
		if (!is_ours(regs, nr))                                                                                \
			return 0;                                                                                      \
		record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);                                               \
		if (!record)                                                                                           \
			return __sync_fetch_and_add(&lost, 1), 0;                                                      \
		head(&record->head, regs, ret);                                                                        \
		bpf_probe_read_user(record->local, sizeof(record->local), (void *)regs->si);                           \
		bpf_probe_read_user(&record->remote, sizeof(record->remote), (void *)regs->r10);                       \
		for (int i = 0; i < (int)(sizeof(record->bytes) / sizeof(*record->bytes)); i++)                        \
			bpf_probe_read_user(record->bytes[i], sizeof(*record->bytes), (void *)record->local[i].base);  \
		bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);                                                          \
		return 0;                                                                                              \
	}

COPY(small, floor_readv, SYS_READV)
COPY(page, floor_writev, SYS_WRITEV)
COPY(gather, floor_gather, SYS_WRITEV)

/* vmsplice has one array, and the read of the pipe behind it none. */
SEC("?tp_btf/sys_exit") int BPF_PROG(floor_vmsplice, struct pt_regs *regs, long ret)
{
	bool splice = regs->orig_ax == SYS_VMSPLICE;
	struct page *record;

	if ((!splice && regs->orig_ax != SYS_READ) || bpf_get_current_pid_tgid() >> 32 != tgid)
		return 0;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record)
		return __sync_fetch_and_add(&lost, 1), 0;
	head(&record->head, regs, ret);
	record->local->base = regs->si;
	record->local->len = regs->dx;
	if (splice)
		bpf_probe_read_user(record->local, sizeof(record->local), (void *)regs->si);
	bpf_probe_read_user(record->bytes, sizeof(record->bytes), (void *)record->local->base);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}

/* What it costs to be called at all. */
SEC("?tp_btf/sys_exit") int BPF_PROG(floor_empty, struct pt_regs *regs, long ret)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
