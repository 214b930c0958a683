/* SPDX-License-Identifier: GPL-2.0-only */
/* Parts that syscall families share: arguments, targets, iovec arrays, payload, file descriptors. */
#ifndef VMTRACE_CALL_BPF_H
#define VMTRACE_CALL_BPF_H

#include "target.bpf.h"

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

/* ---- iovec arrays ---- */

/* Reads `bytes` of user memory into the record at `at`; 0 if that went. By way of the stack where they are few, since
 * the kernel checks what it copies to elsewhere for longer (CONFIG_HARDENED_USERCOPY). */
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

/* Copies an iovec array of the call's from user memory into the record at `at`, and states it in the struct vmt_iovs at
 * `where`; returns the record's new end. With a stack below 64 bytes it is the thread's own (BPF_PRIV_STACK_MIN_SIZE).
 */
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

/* States one range, which came in registers, as an iovec array of one. */
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

/* Calls of a global function are one step to the verifier, so that loops over them may be long; bpf_loop() needs 5.17.
 * Two loops of 32 cost it far less than one of 1,024, of which it compares every turn with those before. */
#define LOOP 32
_Static_assert(LOOP *LOOP >= VMT_IOV_MAX && LOOP * LOOP >= VMT_PATH_MAX, "the loops end too early");

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

/* Gathers what moved, over all segments in transfer order, up to the snap length. `iovs` is the array of the
 * caller's side, which stands in the record at `iovs_at`; `moved` is the syscall's result. Returns the record's
 * new end. */
static __always_inline __u32 payload_gather(struct scratch *scratch, __u32 slot, __u32 at, struct vmt_payload *payload,
					    struct vmt_iovs *iovs, __u32 iovs_at, long moved)
{
	return opaque(scratch, payload_take(scratch, slot, at, payload, iovs, iovs_at, moved));
}

/* States a payload that stands in the record: the first `kept` of `moved` bytes. */
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

/* Says what descriptor `fd` is. The table is read now, which is later than the kernel read it. */
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
