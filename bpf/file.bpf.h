/* SPDX-License-Identifier: GPL-2.0-only */
/* Files: what a descriptor leads to, its path, and the names of a socket. */
#ifndef VMTRACE_FILE_BPF_H
#define VMTRACE_FILE_BPF_H

#include "task.bpf.h"

/* ---- File descriptors ---- */

static __always_inline struct file *file_of_fd(struct task_struct *task, __u32 fd)
{
	struct files_struct *files = task_read(task, files);
	struct fdtable *table;
	struct file **slots;

	if (!files)
		return NULL;
	table = task_read(files, fdt);
	if (fd >= task_read(table, max_fds))
		return NULL;
	slots = task_read(table, fd);
	return (struct file *)word_at((__u64)slots + fd * sizeof(*slots));
}

static __always_inline bool is_mem_file(struct file *file)
{
	struct vmt_switches *s = switches();

	return s && s->mem_fops && (__u64)peek(file, struct file, f_op) == s->mem_fops;
}

static __always_inline __u8 fd_kind(struct file *file, __u16 mode, unsigned long magic)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return is_mem_file(file) ? VMT_FD_PROC_MEM : VMT_FD_FILE;
	case S_IFDIR:
		return VMT_FD_DIR;
	case S_IFIFO:
		return magic == PIPEFS_MAGIC ? VMT_FD_PIPE : VMT_FD_FIFO;
	case S_IFSOCK:
		return VMT_FD_SOCKET;
	case S_IFCHR:
		return VMT_FD_CHARDEV;
	case S_IFBLK:
		return VMT_FD_BLOCKDEV;
	default:
		return magic == ANON_INODE_FS_MAGIC ? VMT_FD_ANON_INODE : VMT_FD_OTHER;
	}
}

/* Describes descriptor `fd`. The table is read now, later than the kernel read it. */
static __always_inline void fd_describe(struct vmt_fd *out, __s32 fd, struct file *file)
{
	struct inode *inode;
	struct socket *socket;
	unsigned long magic;
	__u32 mode;

	__builtin_memset(out, 0, sizeof(*out));
	out->fd = fd;
	if (!file)
		return;
	inode = peek(file, struct file, f_inode);
	magic = peek(inode, struct inode, i_sb, s_magic);
	mode = peek(file, struct file, f_mode);
	out->ino = peek(inode, struct inode, i_ino);
	out->dev = peek(inode, struct inode, i_sb, s_dev);
	out->flags = mode & (FMODE_READ | FMODE_WRITE);
	out->kind = fd_kind(file, peek(inode, struct inode, i_mode), magic);
	if (out->kind == VMT_FD_FIFO)
		out->generation = peek(inode, struct inode, i_generation);
	if (out->kind == VMT_FD_SOCKET) {
		socket = BPF_CORE_READ(file, private_data);
		out->family = BPF_CORE_READ(socket, sk, __sk_common.skc_family);
	}
}

/* Takes one step towards the root: a component, or from a mount to where it is mounted. Returns 1 at the end. */
__noinline int walk_step(__u32 slot)
{
	struct scratch *scratch = scratch_at(slot);
	struct dentry *dentry, *parent;
	struct mount *mount, *above;
	struct walk *w;
	long n, orphan;
	__u32 at;

	if (!scratch)
		return 1;
	w = &scratch->walk;
	at = w->at;
	dentry = w->dentry; /* BPF_CORE_READ relocates every step it sees, also ours */
	mount = w->mount;
	parent = BPF_CORE_READ(dentry, d_parent);
	if (dentry == w->root) {
		above = BPF_CORE_READ(mount, mnt_parent);
		w->whole = above == mount;
		if (w->whole)
			return 1;
		w->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		w->root = BPF_CORE_READ(above, mnt.mnt_root);
		w->mount = above;
		return 0;
	}
	/* A file without a directory, such as a memfd, is its own parent: its name is the path. */
	orphan = dentry == parent;
	w->whole = orphan;
	if (at - w->start > VMT_PATH_MAX - 256)
		return 1;
	asm volatile("" : "+r"(at));
	at &= SCRATCH_MASK;
	n = bpf_probe_read_kernel_str(scratch->bytes + at, 256, BPF_CORE_READ(dentry, d_name.name));
	if (n <= 0)
		return 1;
	w->at = at + n;
	w->dentry = parent;
	asm volatile("" : "+r"(orphan));
	return orphan & 1; /* the verifier wants to see that it is 0 or 1 */
}

__noinline int walk_some(__u32 slot)
{
	for (__u32 i = 0; i < LOOP; i++)
		if (walk_step(slot))
			return 1;
	return 0;
}

/* Appends the components of a file's path to the record at `at`, last first, up to the root of its mount
 * namespace. A global function, which the verifier checks once. */
__noinline int walk_path(__u64 file_address, __u32 slot, __u32 at)
{
	struct file *file = (void *)file_address;
	struct scratch *scratch = scratch_at(slot);
	struct vfsmount *vfsmount = BPF_CORE_READ(file, f_path.mnt);

	if (!scratch)
		return 0;
	scratch->walk.dentry = BPF_CORE_READ(file, f_path.dentry);
	scratch->walk.root = BPF_CORE_READ(vfsmount, mnt_root);
	scratch->walk.mount = (void *)vfsmount - bpf_core_field_offset(struct mount, mnt);
	scratch->walk.start = scratch->walk.at = at;
	scratch->walk.whole = false;
	for (__u32 i = 0; i < LOOP; i++)
		if (walk_some(slot))
			break;
	return 0;
}

/* Appends a file's path; returns the record's new end. */
static __always_inline __u32 path_append(struct scratch *scratch, __u32 slot, __u32 at, struct vmt_fd *fd,
					 struct file *file)
{
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);

	if (!BPF_CORE_READ(dentry, d_hash.pprev) && dentry != BPF_CORE_READ(dentry, d_parent))
		fd->flags |= VMT_PATH_DELETED;
	walk_path((__u64)file, slot, at);
	if (!scratch->walk.whole)
		fd->flags |= VMT_PATH_CUT;
	fd->path_len = scratch->walk.at - at;
	return scratch->walk.at;
}

/* Whether the descriptor has a useful path. */
static __always_inline bool has_path(const struct vmt_fd *fd)
{
	return fd->kind != VMT_FD_CLOSED && fd->kind != VMT_FD_PIPE && fd->kind != VMT_FD_SOCKET &&
	       fd->kind != VMT_FD_REGISTERED;
}

/* ---- Sockets ---- */

/* Appends part of a socket's name from kernel memory to the record at `at`; returns the record's new end. */
static __always_inline __u32 name_append(struct scratch *scratch, __u32 at, const void *from, __u64 len)
{
	asm volatile("" : "+r"(len), "+r"(at));
	at &= SCRATCH_MASK;
	if (len == 0 || len > VMT_NAME_MAX || bpf_probe_read_kernel(scratch->bytes + at, len, from))
		return at;
	return at + len;
}

/* The name that a unix socket was bound to, if it was. A path is kept without the NUL behind the longest one. */
static __always_inline __u32 unix_name_append(struct scratch *scratch, __u32 at, struct unix_sock *sk)
{
	struct unix_address *address = sk ? BPF_CORE_READ(sk, addr) : NULL;
	__s64 len;

	if (!address)
		return at;
	len = BPF_CORE_READ(address, len) - (__s64)sizeof(address->name[0].sun_family);
	if (len > VMT_NAME_MAX)
		len = VMT_NAME_MAX;
	return name_append(scratch, at, &address->name[0].sun_path, len);
}

/* Appends one of the names of a socket to the record at `at`; returns the record's new end. A global function, which
 * the verifier checks once, as below. */
__noinline __u64 socket_name(__u64 sk_address, __u32 slot, __u32 at, __u32 peer)
{
	struct scratch *scratch = scratch_at(slot);
	struct sock *sk = (void *)sk_address;
	struct vmt_switches *s = switches();

	if (!scratch || !s)
		return at;
	switch (BPF_CORE_READ(sk, __sk_common.skc_family)) {
	case AF_INET:
		return name_append(scratch, at,
				   peer ? (void *)&sk->__sk_common.skc_daddr : (void *)&sk->__sk_common.skc_rcv_saddr,
				   4);
	case AF_INET6:
		if (!bpf_core_field_exists(sk->__sk_common.skc_v6_daddr))
			return at;
		return name_append(
			scratch, at,
			peer ? (void *)&sk->__sk_common.skc_v6_daddr : (void *)&sk->__sk_common.skc_v6_rcv_saddr, 16);
	case AF_UNIX:
		if (!bpf_core_type_exists(struct unix_sock)) {
			s->unix_unknown = 1;
			return at;
		}
		if (peer)
			sk = BPF_CORE_READ((struct unix_sock *)sk, peer);
		return unix_name_append(scratch, at, (void *)sk);
	default:
		return at;
	}
}

/* Appends what a socket is bound and connected to to the record at `at`; returns the record's new end. */
__noinline __u64 socket_names(__u64 file_address, __u32 slot, __u32 at)
{
	struct file *file = (void *)file_address;
	struct socket *socket = BPF_CORE_READ(file, private_data);
	struct sock *sk = BPF_CORE_READ(socket, sk);
	struct scratch *scratch = scratch_at(slot);
	struct vmt_socket names = {};
	__u32 local_end, end, family;

	if (!scratch || !sk)
		return at;
	at &= SCRATCH_MASK;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	names.type = BPF_CORE_READ(sk, sk_type);
	if (family == AF_INET || family == AF_INET6) {
		/* skc_num is gone once a connection is closed */
		names.local_port = BPF_CORE_READ((struct inet_sock *)sk, inet_sport);
		names.peer_port = BPF_CORE_READ(sk, __sk_common.skc_dport);
	}
	local_end = socket_name((__u64)sk, slot, at + sizeof(names), 0);
	end = socket_name((__u64)sk, slot, local_end, 1);
	names.local_len = local_end - (at + sizeof(names));
	names.peer_len = end - local_end;
	bpf_probe_read_kernel(scratch->bytes + at, sizeof(names), &names);
	return end;
}

/* Appends the names of a socket; returns the record's new end. */
static __always_inline __u32 socket_append(__u32 slot, __u32 at, struct vmt_fd *fd, struct file *file)
{
	__u32 end = socket_names((__u64)file, slot, at);

	fd->path_len = end - at;
	return end;
}

/* Appends a path where the descriptor has a meaningful one, and of a socket its names. */
static __always_inline __u32 fd_path(struct scratch *scratch, __u32 slot, __u32 at, struct vmt_fd *fd,
				     struct file *file)
{
	if (has_path(fd))
		at = path_append(scratch, slot, at, fd, file);
	else if (fd->kind == VMT_FD_SOCKET)
		at = socket_append(slot, at, fd, file);
	return opaque(scratch, at);
}

#endif
