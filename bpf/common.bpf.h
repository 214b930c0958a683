/* SPDX-License-Identifier: GPL-2.0-only */
/* What every program shares: knobs, maps, and what stands in them. */
#ifndef VMTRACE_COMMON_BPF_H
#define VMTRACE_COMMON_BPF_H

#include "kernel.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "wire.h"

/* Set by src/record/probes/load before loading. */
const volatile struct vmt_knobs knobs SEC(".rodata.knobs");

/* ---- Maps ---- */

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

/* One ring per CPU up to a limit, so that CPUs do not share a reservation lock. Made by the recorder. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct ring);
} rings SEC(".maps");

/* Processes selected by -p or COMMAND, and what they started. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __s32);
	__type(value, __u8);
} tracked SEC(".maps");

/* The state of one gather over an iovec array in the record. It is in map memory, about which the verifier assumes
 * nothing. On the stack it would follow every value through every iteration. */
struct gather {
	__u32 iovs_at; /* where the array begins */
	__u32 entry; /* 8 or 16 */
	__u32 count;
	__u32 at; /* where the next byte goes */
	__u32 room; /* bytes of the snap length left */
	__u32 faults;
	__u64 left; /* bytes that moved and are not gathered yet */
};

/* The state of one walk from a file up to the root of its mount namespace, in map memory for the same reason. */
struct walk {
	struct dentry *dentry;
	struct dentry *root; /* of the mount we are in */
	struct mount *mount;
	__u32 start; /* where the path begins in the record */
	__u32 at; /* where the next component goes */
	bool whole; /* the root was reached */
};

/* The state of one walk along a path of the caller's from its end, in map memory for the same reason. */
struct naming {
	__u64 word; /* of the component: its first eight characters */
	__u64 number; /* the component as a number, if it is one */
	__u64 place; /* of the next digit in front */
	__u64 pid; /* address of the struct pid that the path is relative to */
	__u32 len; /* of the component */
	__u32 left; /* characters in front */
	__u32 wants; /* what the component in front has to be */
	__u32 vpid; /* who is named, by number */
	bool own; /* or the caller */
	bool is_number;
};

/* What identifies a pipe. Inode numbers of pipes count up, so none is used twice during a recording. A file system
 * gives those of FIFOs again, with another generation. */
struct pipe_key {
	__u64 ino;
	__u32 dev;
	__u32 generation; /* as in struct vmt_fd */
};

/* The state of one count of the bytes in a pipe, in map memory for the same reason. */
struct fill {
	__u64 pipe;
	__u64 bytes; /* in the buffers before `at` */
	__u32 at;
	__u32 head;
};

/* The state of a call that the function tier follows from its start to its end. */
struct held {
	__u64 begin_ns;
	__u32 kind; /* enum vmt_kind of the call, or of one of its family */
	__u32 end; /* where the record ends so far */
	__u32 count; /* of what the family gathers */
	bool target_known; /* the kernel's own look-up of the target was seen */
	bool offsets_known; /* the kernel's own copies of offsets were seen */
	bool feeding; /* the pipe `fed` counts it among the calls that feed it */
	struct pipe_key fed;
	struct file *in; /* the files of both sides, as the kernel found them */
	struct file *out;
};

/* The pages that a vmsplice took, and the pipe's buffers that they became. */
struct pinned {
	struct file *file; /* the pipe's, as the kernel found it */
	__u32 pins; /* get_user_pages_fast() calls listed at PINS_AT: address, pages */
	__u32 pin; /* of them, the one whose page the next buffer holds */
	__u32 page;
	__u32 head; /* of the pipe: where its next buffer goes */
	__u32 until; /* the same when the pipe was unlocked */
	__u32 ranges; /* ranges listed at RANGES_AT */
	bool incomplete; /* some page or buffer is not listed */
};

/* A syscall at its exit. It is kept in the scratch where its record is built, because each family is a global function:
 * the verifier checks it once, and on 5.10 it takes only numbers. */
struct call {
	__u32 kind;
	__u32 nr;
	__u32 slot;
	bool compat;
	bool held; /* the function tier has followed it since its begin: see struct held */
	bool selected; /* its caller is: see call_seen() */
	bool raced; /* its descriptor led elsewhere when it began */
	bool entered; /* to the memory of a process, that is: see struct entered */
	__u8 tier; /* enum vmt_tier */
	long ret;
	__u64 begin_ns; /* 0 if not seen */
	__u64 file; /* of a read or write its file, at the exit of syscalls; of an open the one that it opened */
	bool piped; /* a read or write of a pipe that a recorded call has used */
	__u64 args[6];
};

/* A record is built here. The map is a plain array, since per-CPU values are limited to 32 KiB. Offsets are masked with
 * SCRATCH_MASK; a copy to the last offset still fits. */
#define SCRATCH_MASK 0x1ffff
struct scratch {
	__u8 bytes[SCRATCH_MASK + 1 + VMT_SNAPLEN_MAX + 64];
	struct gather gather;
	struct walk walk;
	struct naming naming;
	struct fill fill;
	struct held held;
	struct pinned pinned;
	struct call call;
	__u64 opaque; /* see opaque() */
};
/* For each CPU one for the exit of syscalls and one for all other programs, then VMT_SPARES. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* Spare scratches that are free, filled by the recorder. */
struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, VMT_SPARES);
	__uint(value_size, sizeof(__u32));
} spares SEC(".maps");

/* The state of one CPU. */
struct own {
	/* How many programs started and stopped using the CPU's scratch. */
	__u64 in;
	__u64 out;
	/* Bytes delivered since the fill of the ring was last checked. */
	__u64 unlooked;
	/* The process last found in `tracked`: see tracked_as(). */
	__u64 tracked;
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct own);
} owns SEC(".maps");

/* One value. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct vmt_switches);
} switch_values SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, VMT_KINDS);
	__type(key, __u32);
	__type(value, struct vmt_stats);
} stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct vmt_loss);
} losses SEC(".maps");

static __always_inline struct vmt_switches *switches(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&switch_values, &zero);
}

_Static_assert((VMT_KINDS & (VMT_KINDS - 1)) == 0, "kinds are masked");

/* Whether events of a kind are to be recorded. */
static __always_inline bool is_wanted(__u32 kind)
{
	asm volatile("" : "+r"(kind));
	return knobs.wanted[kind & (VMT_KINDS - 1)];
}

/* Whether function hooks record events of a kind. */
static __always_inline bool is_by_function(struct vmt_switches *s, __u32 kind)
{
	asm volatile("" : "+r"(kind));
	return s->by_function[kind & (VMT_KINDS - 1)];
}

/* To the verifier a call of a global function is one step, so loops over such calls may be long (bpf_loop() needs
 * 5.17). Two loops of 32 cost it far less than one of 1,024, where it compares each turn with all turns before. */
#define LOOP 32
_Static_assert(LOOP *LOOP >= VMT_IOV_MAX && LOOP * LOOP >= VMT_PATH_MAX, "the loops end too early");

#endif
