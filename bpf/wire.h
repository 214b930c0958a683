/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Records on their way from the kernel to the recorder. Both sides use this file: the BPF programs include it,
 * build.rs turns it into Rust. It is not the capture format: src/record/decode/ translates, and nothing here
 * reaches a file, so layouts may change freely as long as both sides are built together.
 *
 * * Every record is a fixed struct that starts with struct vmt_hdr, and behind it a tail of variable length whose
 * parts follow each other without padding in the order the struct's comment gives. Integers are in host order.
 */
#ifndef VMTRACE_WIRE_H
#define VMTRACE_WIRE_H

#ifndef __bpf__
#include <linux/types.h>
#endif

#define VMT_COMM_LEN 16
/* UIO_MAXIOV (include/uapi/linux/uio.h): above it the kernel refuses an iovec array unread. */
#define VMT_IOV_MAX 1024
#define VMT_SNAPLEN_MAX 65536
/* Bytes of path components kept per file. */
#define VMT_PATH_MAX 1024
/* Bytes of a socket's name: sun_path (unix(7)). */
#define VMT_NAME_MAX 108
/* Bytes of a new program's arguments kept. */
#define VMT_ARGV_MAX 2048
/* Numbers of syscall tables: above every number of x86-64 (469 in 6.18) and i386 (469). */
#define VMT_SYSCALLS 512
/* Most uids that -u selects. */
#define VMT_UIDS_MAX 16
/* Records that can be under way in the function tier, or interrupted by another on the same CPU. */
#define VMT_SPARES 64
/* Pipes that recorded calls have used, as far as they are known at a time. */
#define VMT_PIPES 16384

/* What happened. src/record/decode/ maps these to the names in the capture. 0 is no event. */
enum vmt_kind {
	VMT_PROCESS_VM_READV = 1,
	VMT_PROCESS_VM_WRITEV = 2,
	VMT_VMSPLICE = 3,
	VMT_SPLICE = 4,
	VMT_TEE = 5,
	VMT_SENDFILE = 6,
	VMT_PTRACE = 7,
	VMT_READ = 8,
	VMT_WRITE = 9,
	VMT_PREAD = 10,
	VMT_PWRITE = 11,
	VMT_READV = 12,
	VMT_WRITEV = 13,
	VMT_PREADV = 14,
	VMT_PWRITEV = 15,
	VMT_PREADV2 = 16,
	VMT_PWRITEV2 = 17,
	VMT_EXEC = 18,
	VMT_FORK = 19,
	VMT_EXIT = 20,
	VMT_LOST = 21,
	VMT_PIDFD_GETFD = 22,
	VMT_PROCESS_MADVISE = 23,
	VMT_PIPE_READ = 24,
	VMT_PIPE_WRITE = 25,
	VMT_MEM_OPEN = 26,
	VMT_UFFD_COPY = 27,
	VMT_UFFD_MOVE = 28,
	VMT_UFFD_ZEROPAGE = 29,
	VMT_UFFD_POISON = 30,
	/* Above every event. */
	VMT_EVENTS = 32,
	/* No events: calls that bring a descriptor, as their result or with a message; ioctl, whose command says
	 * more. */
	VMT_OPENS = 32,
	VMT_RECEIVES = 33,
	VMT_IOCTL = 34,
	VMT_KINDS = 64,
};

enum vmt_abi {
	VMT_ABI_NATIVE = 0,
	VMT_ABI_COMPAT32 = 1,
	VMT_ABI_IO_URING = 2,
};

/* Which hooks made a record: at the syscalls' exit, or in the functions that do the work. */
enum vmt_tier {
	VMT_TIER_TRACEPOINT = 0,
	VMT_TIER_FUNCTION = 1,
};

/* Whose copy of a value was read. */
enum vmt_source {
	VMT_SOURCE_USER = 0,
	VMT_SOURCE_KERNEL = 1,
	VMT_SOURCE_PAGES = 2, /* ranges of the pages that the kernel took, joined where they meet */
};

/* Whether a value could be read. */
enum vmt_read {
	VMT_READ_ABSENT = 0, /* NULL or not applicable */
	VMT_READ_OK = 1,
	VMT_READ_FAULT = 2,
	VMT_READ_REFUSED = 3, /* count above VMT_IOV_MAX: the kernel does not read it either */
};

enum vmt_payload_status {
	VMT_PAYLOAD_NONE = 0,
	VMT_PAYLOAD_OK = 1,
	VMT_PAYLOAD_TRUNCATED = 2,
	VMT_PAYLOAD_FAULT = 3, /* parts that could not be read are zero */
	VMT_PAYLOAD_OFF = 4,
};

/* Where a payload was read. */
enum vmt_side {
	VMT_SIDE_CALLER = 0, /* its memory, as the call returned */
	VMT_SIDE_KERNEL = 1, /* the kernel's own buffer, as it copied */
	VMT_SIDE_REGISTER = 2,
};

enum vmt_fd_kind {
	VMT_FD_CLOSED = 0,
	VMT_FD_FILE = 1,
	VMT_FD_DIR = 2,
	VMT_FD_PIPE = 3,
	VMT_FD_FIFO = 4,
	VMT_FD_SOCKET = 5,
	VMT_FD_CHARDEV = 6,
	VMT_FD_BLOCKDEV = 7,
	VMT_FD_ANON_INODE = 8,
	VMT_FD_PROC_MEM = 9,
	VMT_FD_REGISTERED = 10, /* io_uring: fd is an index of the ring's registered files */
	VMT_FD_OTHER = 11,
};

#define VMT_MODE_READ 1
#define VMT_MODE_WRITE 2
#define VMT_PATH_CUT 4
#define VMT_PATH_DELETED 8

/* A process, in the initial namespaces. pid 0: not resolved. */
struct vmt_process {
	__u64 start_boottime; /* ns of CLOCK_BOOTTIME */
	__u64 cgroup_id; /* in the cgroup v2 hierarchy */
	__s32 pid;
	__u32 uid; /* effective */
	char comm[VMT_COMM_LEN];
	__u64 ended; /* of a target: it had ended by the time the call returned */
};

struct vmt_hdr {
	__u32 size; /* of the whole record, tail included */
	__u16 kind; /* enum vmt_kind */
	__u8 abi; /* enum vmt_abi */
	__u8 tier; /* enum vmt_tier */
	__u64 mono_ns; /* CLOCK_MONOTONIC */
	__u64 begin_ns; /* the same clock, when the call began; 0 if that was not seen */
	__u32 cpu;
	__s32 tid;
	/* The address space of the target, and how often its mappings had changed when the call first reached it. 0:
	 * not known. */
	__u32 space;
	__u32 changes;
	struct vmt_process self;
};

/* An iovec array, or one range recorded as such. The tail holds `kept` entries of `entry` bytes: 16 or, for 32-bit
 * callers, 8. */
struct vmt_iovs {
	__u64 count; /* as passed */
	__u64 at; /* where the array was read in the caller's memory; 0 if it was not */
	__u16 kept;
	__u8 entry;
	__u8 status; /* enum vmt_read */
	__u8 source; /* enum vmt_source */
	__u8 pad[3];
};

struct vmt_payload {
	__u64 total; /* bytes that moved */
	__u32 kept; /* bytes in the tail */
	__u8 status; /* enum vmt_payload_status */
	__u8 side; /* enum vmt_side */
	__u8 pad[2];
};

/* A file descriptor. The tail holds `path_len` bytes: the path's components, last first, each ended by NUL; of a socket
 * none, or a struct vmt_socket with its names. */
struct vmt_fd {
	__u64 ino;
	__u32 dev;
	__s32 fd;
	__u16 family;
	__u16 path_len;
	__u8 kind; /* enum vmt_fd_kind */
	__u8 flags; /* VMT_MODE_*, VMT_PATH_* */
	__u16 generation; /* of a pipe: low bits of its inode's, which tell it from an earlier one with the same number
			   */
};

/* Where a socket is bound and whom it is connected to. Behind it stand the local name and the peer's: addresses in
 * network order, of unix sockets what bind(2) got; no bytes where there is none. */
struct vmt_socket {
	__u16 local_port; /* in network order */
	__u16 peer_port;
	__u16 type; /* SOCK_STREAM, ... */
	__u8 local_len;
	__u8 peer_len;
};

/* process_vm_readv, process_vm_writev. Tail: local iovecs, remote iovecs, payload, and where the iovecs are the
 * kernel's the caller's as they stand in its memory at the exit. */
struct vmt_vm {
	struct vmt_hdr hdr;
	__s64 ret;
	__s32 pid_arg;
	__u32 pad;
	__u64 flags;
	struct vmt_process target;
	struct vmt_iovs local;
	struct vmt_iovs remote;
	struct vmt_payload payload;
	struct vmt_iovs user_local;
	struct vmt_iovs user_remote;
};

/* vmsplice. `writer` is who fed the pipe that was taken from. Tail: iovecs, path, payload, and where the iovecs are the
 * kernel's the caller's as they stand in its memory at the exit. */
struct vmt_vmsplice {
	struct vmt_hdr hdr;
	__s64 ret;
	__u64 flags;
	struct vmt_process writer;
	struct vmt_fd fd;
	struct vmt_iovs local;
	struct vmt_payload payload;
	struct vmt_iovs user_local;
};

/* splice, tee, sendfile. `writer` is who fed the pipe `in`. Tail: path of in, path of out. */
struct vmt_splice {
	struct vmt_hdr hdr;
	__s64 ret;
	__u64 len;
	__u64 flags;
	__s64 off_in;
	__s64 off_out;
	__u8 off_in_status; /* enum vmt_read */
	__u8 off_out_status;
	__u8 finished; /* 0: the call had no result yet; ret means nothing */
	__u8 offsets_before; /* the offsets are those at the call's begin; else those at its end */
	__u8 source; /* enum vmt_source of offsets and files */
	__u8 raced; /* a descriptor leads elsewhere by the exit */
	__u8 pad[2];
	struct vmt_process writer;
	struct vmt_fd in;
	struct vmt_fd out;
};

/* ptrace. Tail: the range of the caller's memory that the request names, as an iovec array of one; payload. */
struct vmt_ptrace {
	struct vmt_hdr hdr;
	__s64 ret;
	__u64 request;
	__u64 addr;
	__u64 data;
	__s32 pid_arg;
	__u32 pad;
	struct vmt_process target;
	struct vmt_iovs local;
	struct vmt_payload payload;
};

/* Reads and writes of /proc/PID/mem. Tail: payload; iovecs; where these are what a vectored call came to the caller's
 * as they stand in its memory at the exit; path. */
struct vmt_mem {
	struct vmt_hdr hdr;
	__s64 ret;
	__u64 offset; /* where the call began */
	__u64 flags; /* preadv2, pwritev2 */
	struct vmt_process target;
	struct vmt_fd fd;
	struct vmt_iovs local;
	struct vmt_payload payload;
	struct vmt_iovs user_local;
	__u8 exact; /* file and offset are what the kernel used; else looked up as the call returned */
	__u8 raced; /* the descriptor led to one file as the call began, and to another as it returned */
	__u8 pad[6];
};

/* An attempt to open /proc/PID/mem. Tail: the path that the caller passed; path of the file. */
struct vmt_mem_open {
	struct vmt_hdr hdr;
	__s64 ret;
	/* These three of openat2 stand in the caller's memory. */
	__u64 flags;
	__u64 mode;
	__u64 resolve;
	struct vmt_process target;
	struct vmt_fd fd; /* the new one */
	__s32 dirfd;
	__u16 path_len;
	__u8 path; /* enum vmt_read */
	__u8 has_dirfd; /* the call takes one */
	__u8 how; /* enum vmt_read: of struct open_how */
	__u8 pad[7];
};

/* pidfd_getfd. Tail: path. */
struct vmt_pidfd_getfd {
	struct vmt_hdr hdr;
	__s64 ret;
	__u64 flags;
	__s32 pidfd;
	__s32 targetfd;
	struct vmt_process target;
	struct vmt_fd fd; /* the new one, in the caller */
	__u8 exact; /* target and file are what the kernel found; else looked up as the call returned */
	__u8 pad[7];
};

/* process_madvise. Tail: iovecs. */
struct vmt_process_madvise {
	struct vmt_hdr hdr;
	__s64 ret;
	__u64 flags;
	__s32 pidfd;
	__s32 advice;
	struct vmt_process target;
	struct vmt_iovs remote;
};

/* ioctl(2) of a userfaultfd that fills, moves or poisons pages. Tail: payload, path. */
struct vmt_uffd {
	struct vmt_hdr hdr;
	__s64 ret;
	/* The command's struct; `src` only of copies and moves. */
	__u64 dst;
	__u64 src;
	__u64 len;
	__u64 mode;
	__s64 result; /* its last member, or what the kernel's function returned: bytes, or -errno */
	__u64 moved; /* bytes that the call is done with */
	struct vmt_process target; /* whose pages they are */
	struct vmt_fd fd;
	struct vmt_payload payload;
	__u8 args; /* enum vmt_read: of the struct as the caller's memory has it at the exit */
	__u8 exact; /* all but `mode` is what the kernel used */
	__u8 changed; /* that is not what the caller's memory has at the exit */
	__u8 pad[5];
};

/* A read of a pipe that a recorded call has fed, or is feeding; a write into a pipe that one has fed or taken from.
 * Tail: iovecs, payload. */
struct vmt_pipe_io {
	struct vmt_hdr hdr;
	__s64 ret;
	struct vmt_process writer; /* of a read, who fed the pipe last */
	struct vmt_fd fd;
	struct vmt_iovs local;
	struct vmt_payload payload;
};

/* process_exec. Tail: path of the executable, arguments (each ended by NUL). */
struct vmt_exec {
	struct vmt_hdr hdr;
	struct vmt_fd exe;
	__u32 argv_len;
	__u32 argv_total;
};

/* process_fork: hdr.self is the child. No tail. */
struct vmt_fork {
	struct vmt_hdr hdr;
	struct vmt_process parent;
};

/* process_exit of the last thread. No tail. */
struct vmt_exit {
	struct vmt_hdr hdr;
	__s32 status; /* as wait(2) gives it */
	__u32 pad;
};

/* Records that this CPU could not deliver before this one. hdr.self means nothing. No tail. */
struct vmt_lost {
	struct vmt_hdr hdr;
	__u64 first_ns;
	__u64 last_ns;
	__u32 count[VMT_EVENTS];
};

/* The counters of one kind on one CPU, in the `stats` map: seen = filtered + lost + unplaced + delivered. */
struct vmt_stats {
	__u64 seen;
	__u64 filtered;
	__u64 lost; /* the ring was full */
	__u64 unplaced; /* there was no scratch to build the record in */
	__u64 delivered;
	__u64 unknown; /* may have been of this kind, and is in none of the other counters */
};

/* Calls of one process that may have been on the memory of another, in the `unknown_calls` map. */
struct vmt_unknown {
	struct vmt_process caller;
	__u64 calls;
};

/* What this CPU lost since it last delivered a record, in the `losses` map. */
struct vmt_loss {
	__u64 total;
	__u64 first_ns;
	__u64 last_ns;
	__u32 count[VMT_EVENTS];
};

/* What the recorder asks about the mappings of a process, and the answer: 0 where it has no memory. */
struct vmt_mappings {
	__s32 pid;
	__u32 space;
	__u32 changes;
};

/* As what a process in `tracked` is selected. */
enum vmt_tracked {
	VMT_TRACKED_TARGET = 1, /* calls that reach it */
	VMT_TRACKED_CALLS = 2, /* its own calls, too */
	VMT_TRACKED_BOTH = 3,
	VMT_TRACKED_BY_NAME = 4, /* beside one of these: by its name alone */
};

/* Patterns that a name can match: an automaton of up to 64 states that are all tried at once, a bit each. */
struct vmt_names {
	/* By byte: the states that it leads from to the next one. */
	__u64 accept[256];
	/* States that are there before the first byte; that any byte leaves where they are, and that are left without
	 * one; at which a pattern has matched. No pattern: none are there at first. */
	__u64 first, star, last;
};

/* What the recorder sets before loading, constant to the programs. Section .rodata.knobs of every object. */
struct vmt_knobs {
	/* Syscall number -> enum vmt_kind, 0 for calls nobody asked for. From the event table in src/schema/events.rs.
	 */
	__u8 syscalls_native[VMT_SYSCALLS];
	__u8 syscalls_compat[VMT_SYSCALLS];
	/* By enum vmt_kind: whether anybody asked for it. */
	__u8 wanted[VMT_KINDS];
	/* Payload bytes kept per event, 0 with --payload none. */
	__u32 snaplen;
	/* The recorder itself, never recorded. */
	__s32 recorder_tgid;
	/* Possible CPUs: scratches behind two for each are spare. */
	__u32 cpus;
	/* uids selected by -u; none means any. */
	__u32 uid_count;
	__u32 uids[VMT_UIDS_MAX];
	/* cgroup v2 selected by --cgroup, with its descendants; 0 means any. */
	__u32 cgroup_level;
	/* Rings in `rings`, at least 1, and the fill at which a sleeping consumer is woken before its timer. */
	__u32 ring_count;
	__u64 cgroup_id;
	__u32 wake_bytes;
	/* Every process is selected (-a); else those in `tracked`. */
	__u8 select_all;
	/* Children of tracked processes become tracked. */
	__u8 follow;
	/* Whether names select processes. */
	__u8 named;
	/* Whether it is noted which state of the target's mappings calls reach. */
	__u8 regions;
	/* Processes with such names are tracked: as both, and as targets. */
	struct vmt_names names_both;
	struct vmt_names names_target;
};

/* What changes while recording: one value, shared by all programs and mapped by the recorder. */
struct vmt_switches {
	/* Operations of /proc/PID/mem files, learned, since kallsyms need not list data. */
	__u64 mem_fops;
	/* Children that could not be tracked because the map was full. */
	__u64 untracked;
	/* A descriptor of /proc/self/mem in the recorder, while it shows us the operations of such files; else -1. */
	__s32 learn_fd;
	/* The next process that the recorder starts is the COMMAND: track it. */
	__u8 arm_spawn;
	/* The recorder tests itself: only tracked processes count, whatever -a, -u, --cgroup and --no-follow say. */
	__u8 self_test;
	/* Some pipe was fed by a recorded transfer. */
	__u8 pipes_fed;
	/* Nothing came for a while, and whoever empties the rings sleeps longer: wake it with the next record. */
	__u8 wake_at_once;
	/* A unix socket was met, and the kernel does not describe where such have their names. */
	__u8 unix_unknown;
	__u8 pad[3];
	/* Processes that were taken out of `tracked`. */
	__u32 untrackings;
	/* Calls under way on the memory of selected processes that have ended. */
	__s64 calls_on_ended;
	/* Processes that have a file of /proc/PID/mem open, as far as somebody asked for what they do. */
	__u64 mem_holders;
	/* Calls of vmsplice under way in the function tier. */
	__u64 vmsplices;
	/* Pipes that were fed and are no longer known, since there were more than VMT_PIPES. */
	__u64 pipes_forgotten;
	/* Pipes that had been read when the first call that fed them returned, in which their readers were not seen,
	 * and how many of that call's bytes were gone. */
	__u64 pipes_read_before;
	__u64 bytes_read_before;
	/* Calls that fed a pipe of which no note could be made. */
	__u64 pipes_refused;
	/* Files of /proc/PID/mem that were opened by a process of which no note could be made. */
	__u64 holders_refused;
	/* Calls that the tables of syscalls name, and that no family records: a kind without an arm in family_exit().
	 */
	__u64 calls_unrecorded;
	/* Calls of which it could not be noted what they reach. */
	__u64 notes_missed;
	/* By enum vmt_kind: function hooks record these events, so the syscall's exit does not. */
	__u8 by_function[VMT_KINDS];
};

#endif
