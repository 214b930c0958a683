/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's types, as far as vmtrace looks at them. Only names matter: libbpf relocates every access to the
 * running kernel (CO-RE), so fields stand here without their neighbours. Checked on 5.10, 6.1, 6.12, 6.18 and 7.3;
 * what only some of them have says so.
 */
#ifndef VMTRACE_KERNEL_H
#define VMTRACE_KERNEL_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef unsigned long size_t;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;
enum { false = 0, true = 1 };
#define NULL ((void *)0)

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_QUEUE = 22,
	BPF_MAP_TYPE_STACK = 23,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
};
enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
	BPF_F_NO_PREALLOC = 1,
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
	BPF_F_MMAPABLE = 1024,
};
enum {
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2,
	BPF_RB_AVAIL_DATA = 0,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pt_regs {
	unsigned long r10, r9, r8, ax, cx, dx, si, di, bp, bx, orig_ax;
};

struct thread_info {
	__u32 status;
};

typedef struct {
	__u32 val;
} kuid_t;

typedef struct {
	int counter;
} atomic_t;

struct cred {
	kuid_t euid;
};

struct qstr {
	__u32 len;
	const unsigned char *name;
};

struct hlist_bl_node {
	struct hlist_bl_node **pprev;
};

struct pipe_buffer {
	__u32 offset;
	__u32 len;
};

struct pipe_inode_info {
	__u32 head;
	__u32 tail;
	__u32 ring_size;
	struct pipe_buffer *bufs;
};

struct super_block {
	__u32 s_dev;
	unsigned long s_magic;
};

struct inode {
	__u16 i_mode;
	unsigned long i_ino;
	struct super_block *i_sb;
	__u32 i_generation;
	void *i_private;
};

struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
	struct super_block *d_sb;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file_operations;

struct file {
	struct path f_path;
	struct inode *f_inode;
	const struct file_operations *f_op;
	__u32 f_mode;
	long long f_pos;
	void *private_data;
};

struct fdtable {
	__u32 max_fds;
	struct file **fd;
};

struct files_struct {
	atomic_t count;
	struct fdtable *fdt;
};

struct fs_struct {
	struct path pwd;
};

struct in6_addr {
	__u8 in6_u[16];
};

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	unsigned short skc_family;
	struct in6_addr skc_v6_daddr; /* CONFIG_IPV6 */
	struct in6_addr skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
	__u16 sk_type;
};

struct socket {
	struct sock *sk;
};

/* include/net/inet_sock.h: sockets of AF_INET and AF_INET6. */
struct inet_sock {
	__be16 inet_sport;
};

/* include/net/af_unix.h; in the BTF of a module where unix sockets are one. */
struct sockaddr_un {
	unsigned short sun_family;
	char sun_path[108];
};

struct unix_address {
	int len; /* with the family in front and, of a path, the NUL behind it */
	struct sockaddr_un name[];
};

struct unix_sock {
	struct unix_address *addr;
	struct sock *peer;
};

struct task_struct;

/* arch/x86/include/asm/mmu.h: a number that no other address space ever has. */
typedef struct {
	__u64 ctx_id;
} mm_context_t;

struct seqcount {
	unsigned int sequence;
};

struct mm_struct {
	atomic_t mm_users;
	mm_context_t context;
	int mm_lock_seq; /* CONFIG_PER_VMA_LOCK, 6.4 */
	struct task_struct *owner; /* CONFIG_MEMCG */
	struct file *exe_file;
	unsigned long arg_start, arg_end;
};

/* Since 6.13. */
struct mm_struct___seqcount {
	struct seqcount mm_lock_seq;
};

struct list_head {
	struct list_head *next;
};

struct signal_struct {
	atomic_t live;
	struct list_head thread_head;
	int group_exit_code;
	unsigned int flags;
};

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct xarray {
	void *xa_head;
};

struct xa_node {
	unsigned char shift;
	void *slots[64];
};

struct idr {
	struct xarray idr_rt;
};

struct pid_namespace {
	struct idr idr;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct hlist_head tasks[4];
	struct upid numbers[1];
};

struct kernfs_node {
	__u64 id;
};

struct cgroup {
	struct kernfs_node *kn;
};

/* Until 5.19 it keeps the ids of its ancestors, by their levels; the last is its own. */
struct cgroup___ids {
	int level;
	__u64 ancestor_ids[];
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

struct task_struct {
	struct thread_info thread_info;
	void *stack;
	unsigned int flags;
	struct mm_struct *mm;
	struct mm_struct *active_mm;
	__s32 exit_code;
	__s32 pid;
	__s32 tgid;
	struct task_struct *group_leader;
	__u64 start_boottime;
	const struct cred *cred;
	char comm[16];
	struct fs_struct *fs;
	struct files_struct *files;
	struct signal_struct *signal;
	struct pid *thread_pid;
	struct hlist_node pid_links[4];
	struct list_head thread_node;
	struct css_set *cgroups;
};

/* fs/proc/internal.h: what files of /proc are embedded in. */
struct proc_inode {
	struct pid *pid;
	struct inode vfs_inode;
};

/* include/linux/userfaultfd_k.h, in older kernels fs/userfaultfd.c: what a userfaultfd's private_data is. */
struct userfaultfd_ctx {
	struct mm_struct *mm;
};

struct linux_binprm;

struct iovec {
	void *iov_base;
	__u64 iov_len;
};

/* include/linux/uio.h: what is left to transfer. */
struct iov_iter {
	__u8 iter_type;
	size_t iov_offset;
	size_t count;
	const struct iovec *__iov;
	void *ubuf; /* 6.0: one range without an array */
	unsigned long nr_segs;
};

struct kiocb {
	struct file *ki_filp;
};

struct splice_desc {
	union {
		void *data;
	} u;
};

/* Until 6.3. */
struct iov_iter___iov {
	const struct iovec *iov;
};

/* Before 5.14; bit 0 is the direction. */
struct iov_iter___type {
	__u32 type;
};

/* io_uring/splice.c: what IORING_OP_SPLICE and _TEE keep in a request. */
struct io_splice {
	long long off_out;
	long long off_in;
	__u64 len;
	int splice_fd_in;
	unsigned int flags;
};

/* Until 6.1 it also keeps the file to write to. */
struct io_splice___file {
	struct file *file_out;
};

struct io_cqe {
	__u64 user_data;
	__s32 res;
	int fd;
};

struct io_cmd_data {
	__u8 data[56];
};

/* 6.0 and later: `cmd` holds the opcode's own struct. */
struct io_kiocb {
	struct io_cmd_data cmd;
	__u8 opcode;
	__u64 flags;
	struct io_cqe cqe;
};

struct io_uring_cqe {
	__u64 user_data;
	__s32 res;
};

struct io_uring_sqe {
	__s32 fd;
};

/* Whole, since a type that is only declared matches no other. */
struct io_ring_ctx {
	unsigned int flags;
};

/* 5.15, and 5.10 as it is maintained: the opcode's own struct stands in a union, the descriptor's number nowhere. */
struct io_kiocb___union {
	struct io_splice___file splice;
	__u8 opcode;
	unsigned int flags;
	__u64 user_data;
};

struct io_ring_ctx___array {
	struct io_uring_sqe *sq_sqes;
	__u32 *sq_array;
	unsigned int cached_sq_head;
	unsigned int sq_entries;
};

#pragma clang attribute pop

/* Arguments of tracepoints that changed, behind the void * that all have. include/trace/events/io_uring.h */
typedef void (*btf_trace_io_uring_submit_sqe___req)(void *, struct io_kiocb *, bool); /* 6.1 */
typedef void (*btf_trace_io_uring_complete___cqe)(void *, struct io_ring_ctx *, void *req,
						  struct io_uring_cqe *); /* 6.18, 7.3 */
typedef void (*btf_trace_io_uring_complete___req)(void *, void *ring, void *req, __u64 user_data, int res,
						  unsigned int cflags, __u64, __u64); /* 6.1, 6.12 */
typedef void (*btf_trace_io_uring_complete___data)(void *, void *ring, __u64 user_data, int res,
						   unsigned int cflags); /* 5.10 */

/* include/linux/uio.h; before 6.0 an iov_iter of user memory always has an array. */
enum iter_type {
	ITER_IOVEC = 0xfe,
	ITER_UBUF = 0xff,
};

/* include/uapi/linux/bpf.h: helpers that not every kernel has. */
enum bpf_func_id___task {
	BPF_FUNC_get_current_task_btf = 158,
};
enum bpf_func_id___regs {
	BPF_FUNC_task_pt_regs = 175,
};

/* include/linux/fs.h */
#define FMODE_READ 1
#define FMODE_WRITE 2
/* include/uapi/linux/userfaultfd.h; UFFDIO_POISON since 6.6, UFFDIO_MOVE since 6.8. */
#define UFFDIO_COPY 0xc028aa03
#define UFFDIO_ZEROPAGE 0xc020aa04
#define UFFDIO_MOVE 0xc028aa05
#define UFFDIO_POISON 0xc020aa08
/* include/uapi/linux/stat.h */
#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define S_IFREG 0100000
#define S_IFBLK 0060000
#define S_IFDIR 0040000
#define S_IFCHR 0020000
#define S_IFIFO 0010000
/* include/linux/socket.h */
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
/* include/uapi/linux/magic.h */
#define PIPEFS_MAGIC 0x50495045
#define ANON_INODE_FS_MAGIC 0x09041934
#define PID_FS_MAGIC 0x50494446
#define PROC_SUPER_MAGIC 0x9fa0
/* include/uapi/linux/fcntl.h, include/uapi/asm-generic/fcntl.h */
#define AT_FDCWD -100
#define O_WRONLY 1
#define O_CREAT 0100
#define O_TRUNC 01000
/* arch/x86/include/asm/thread_info.h: an i386 call is under way (a 32-bit program, or int 0x80). */
#define TS_COMPAT 2
/* arch/x86/include/asm/page_64_types.h, without KASAN. */
#define THREAD_SIZE 16384
/* include/linux/sched.h */
#define PF_IO_WORKER 0x10
#define PF_KTHREAD 0x200000
/* arch/x86/entry/syscalls, the same number in both tables. */
#define NR_IO_URING_ENTER 426
/* include/linux/sched/signal.h */
#define SIGNAL_GROUP_EXIT 4
/* include/uapi/linux/ptrace.h */
#define PTRACE_TRACEME 0
#define PTRACE_PEEKUSER 3
#define PTRACE_POKETEXT 4
#define PTRACE_POKEUSER 6
#define PTRACE_PEEKTEXT 1
#define PTRACE_GETSIGINFO 0x4202
#define PTRACE_SETSIGINFO 0x4203
#define PTRACE_GETREGSET 0x4204
#define PTRACE_SETREGSET 0x4205
/* arch/x86/include/uapi/asm/ptrace-abi.h */
#define PTRACE_GETREGS 12
#define PTRACE_SETREGS 13
#define PTRACE_GETFPREGS 14
#define PTRACE_SETFPREGS 15
#define PTRACE_GETFPXREGS 18
#define PTRACE_SETFPXREGS 19
#define PTRACE_GET_THREAD_AREA 25
#define PTRACE_SET_THREAD_AREA 26
/* include/uapi/linux/pidfd.h: stand for the caller itself, since 6.15. */
#define PIDFD_SELF_THREAD -10000
#define PIDFD_SELF_THREAD_GROUP -10001
/* include/uapi/asm-generic/errno-base.h */
#define ENOENT 2
#define ESRCH 3
#define EBADF 9
#define EAGAIN 11
#define EFAULT 14
/* include/uapi/linux/io_uring.h */
#define IORING_OP_SPLICE 30
#define IORING_OP_TEE 33
#define SPLICE_F_FD_IN_FIXED (1U << 31)
/* include/linux/io_uring_types.h: REQ_F_FIXED_FILE_BIT is IOSQE_FIXED_FILE_BIT */
#define REQ_F_FIXED_FILE 1

#endif
