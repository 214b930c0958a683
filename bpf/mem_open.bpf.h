/* SPDX-License-Identifier: GPL-2.0-only */
/* Family @mem: attempts to open /proc/PID/mem, also those that fail. Of one that succeeded the file says so, whatever
 * led to it. One that failed has only the path that the caller passed. It is read from the caller's memory and followed
 * from its end to the front, as far as it names a process. */
#ifndef VMTRACE_MEM_OPEN_BPF_H
#define VMTRACE_MEM_OPEN_BPF_H

#include "mem.bpf.h"

/* PATH_MAX (include/uapi/linux/limits.h): a longer path is refused. */
#define OPEN_PATH_MAX 4096
/* Steps over a path: one of more than 95 characters is not followed to its front. */
#define OPEN_STEPS 96

/* What the next component to the front has to be. */
enum {
	OPEN_MEM,
	OPEN_TASK, /* the number of a process or thread, or self or thread-self */
	OPEN_PROC_OR_TASK, /* proc, or the directory of threads */
	OPEN_GROUP, /* the process of a thread */
	OPEN_PROC,
	OPEN_ROOT, /* nothing: a directory called proc elsewhere is another one */
	OPEN_FOUND, /* nothing: it is the memory of a process */
	OPEN_OTHER, /* nothing: it is something else */
};

/* Names of components as their first eight characters stand in memory. */
#define NAME_MEM 0x6d656dULL
#define NAME_PROC 0x636f7270ULL
#define NAME_TASK 0x6b736174ULL
#define NAME_SELF 0x666c6573ULL
#define NAME_THREAD_SELF 0x732d646165726874ULL /* "thread-s" */

/* The calls, by their numbers in both tables. */
static __always_inline bool is_open(__u32 nr)
{
	return nr == 2 || nr == 5;
}

static __always_inline bool is_creat(__u32 nr)
{
	return nr == 85 || nr == 8;
}

static __always_inline bool is_openat2(__u32 nr)
{
	return nr == 437;
}

/* Whether the open of a file may have to be recorded: it shows memory, is closed again, or was not opened. */
static __always_inline bool open_may_concern(long ret, struct file *file)
{
	return ret < 0 ? ret != -EFAULT : !file || is_mem_file(file);
}

/* Whether anybody may want the calls of a task: its own, or those that reach a process which is selected. */
static __always_inline bool open_may_be_selected(struct task_struct *task)
{
	return !knobs.select_all || caller_selected(task);
}

/* What openat2 takes (include/uapi/linux/openat2.h) stands in the record as it does in memory. */
_Static_assert(__builtin_offsetof(struct vmt_mem_open, resolve) - __builtin_offsetof(struct vmt_mem_open, flags) == 16,
	       "struct open_how");
#define OPEN_HOW_SIZE 24

/* Reads the arguments into the record, and returns where the path is. */
static __always_inline __u64 open_arguments(struct call *call, struct vmt_mem_open *ev)
{
	ev->has_dirfd = !is_open(call->nr) && !is_creat(call->nr);
	ev->how = VMT_READ_ABSENT;
	ev->resolve = 0;
	if (!ev->has_dirfd) {
		ev->dirfd = AT_FDCWD;
		ev->flags = is_creat(call->nr) ? O_CREAT | O_WRONLY | O_TRUNC : (__u32)call->args[1];
		ev->mode = is_creat(call->nr) ? (__u16)call->args[1] : (__u16)call->args[2];
		return call->args[0];
	}
	ev->dirfd = call->args[0];
	ev->flags = (__u32)call->args[2];
	ev->mode = (__u16)call->args[3];
	if (is_openat2(call->nr)) {
		ev->how = VMT_READ_FAULT;
		if (call->args[3] >= OPEN_HOW_SIZE &&
		    !bpf_probe_read_user(&ev->flags, OPEN_HOW_SIZE, (void *)call->args[2]))
			ev->how = VMT_READ_OK;
	}
	return call->args[1];
}

/* Reads the path to where it stays in the record: behind the struct. */
static __always_inline void open_path(struct scratch *scratch, struct vmt_mem_open *ev, __u64 path)
{
	long bytes = bpf_probe_read_user_str(scratch->bytes + sizeof(*ev), OPEN_PATH_MAX, (void *)path);

	ev->path = VMT_READ_FAULT;
	ev->path_len = 0;
	if (bytes <= 0 || bytes > OPEN_PATH_MAX)
		return;
	ev->path = VMT_READ_OK;
	ev->path_len = bytes - 1;
}

static __always_inline bool is_named(struct naming *n, __u64 name, __u32 len)
{
	return n->word == name && n->len == len;
}

static __always_inline bool is_number(struct naming *n)
{
	return n->is_number && n->len && n->len <= 10 && n->number && n->number <= 0x7fffffff;
}

/* The directory from which a relative path leads: its entry, if it is one of /proc. */
static __always_inline struct dentry *open_base(__s32 dirfd)
{
	struct dentry *dentry = NULL;
	struct fs_struct *fs;
	struct file *file;

	if (dirfd == AT_FDCWD) {
		fs = (void *)word_of(bpf_get_current_task(), struct task_struct, fs);
		dentry = BPF_CORE_READ(fs, pwd.dentry);
	} else {
		file = file_of_fd(current_task(), dirfd);
		if (file)
			dentry = BPF_CORE_READ(file, f_path.dentry);
	}
	if (!dentry || BPF_CORE_READ(dentry, d_sb, s_magic) != PROC_SUPER_MAGIC)
		return NULL;
	return dentry;
}

/* The process whose directory in /proc an entry is; NULL if it is another one. */
static __always_inline struct pid *pid_of_directory(struct dentry *dentry)
{
	__u64 inode = (__u64)BPF_CORE_READ(dentry, d_inode) - bpf_core_field_offset(struct proc_inode, vfs_inode);
	char first = 0;

	bpf_probe_read_kernel(&first, sizeof(first), BPF_CORE_READ(dentry, d_name.name));
	return first >= '1' && first <= '9' ? (void *)word_of(inode, struct proc_inode, pid) : NULL;
}

/* The front of a path: it is /proc, or if it is relative, the directory that it begins in may be there. */
static __always_inline void naming_end(struct scratch *scratch, struct naming *n)
{
	struct vmt_mem_open *ev = (void *)scratch;
	struct dentry *base;

	if (scratch->bytes[sizeof(*ev)] == '/') {
		if (n->wants == OPEN_ROOT)
			n->wants = OPEN_FOUND;
		return;
	}
	if (n->wants == OPEN_MEM || n->wants >= OPEN_ROOT)
		return;
	base = open_base(ev->dirfd);
	if (!base)
		return;
	if (n->wants == OPEN_TASK)
		n->pid = (__u64)pid_of_directory(base);
	if (n->wants != OPEN_TASK || n->pid)
		n->wants = OPEN_FOUND;
}

/* A component has been read. */
static __always_inline void naming_component(struct naming *n)
{
	bool own = is_named(n, NAME_SELF, 4) || is_named(n, NAME_THREAD_SELF, 11);

	switch (n->wants) {
	case OPEN_MEM:
		n->wants = is_named(n, NAME_MEM, 3) ? OPEN_TASK : OPEN_OTHER;
		break;
	case OPEN_TASK:
		n->wants = own || is_number(n) ? OPEN_PROC_OR_TASK : OPEN_OTHER;
		n->own = own;
		n->vpid = n->number;
		break;
	case OPEN_PROC_OR_TASK:
		if (is_named(n, NAME_PROC, 4))
			n->wants = OPEN_ROOT;
		else
			n->wants = is_named(n, NAME_TASK, 4) && !n->own ? OPEN_GROUP : OPEN_OTHER;
		break;
	case OPEN_GROUP:
		n->wants = own || is_number(n) ? OPEN_PROC : OPEN_OTHER;
		break;
	case OPEN_PROC:
		n->wants = is_named(n, NAME_PROC, 4) ? OPEN_ROOT : OPEN_OTHER;
		break;
	default:
		n->wants = OPEN_OTHER;
	}
}

/* Takes a character of the path to the front; returns 1 at the end. */
__noinline int naming_step(__u32 slot)
{
	struct scratch *scratch = scratch_at(slot);
	struct naming *n;
	__u8 letter = '/';
	__u32 at;

	if (!scratch)
		return 1;
	n = &scratch->naming;
	if (n->left) {
		n->left--;
		at = sizeof(struct vmt_mem_open) + n->left;
		asm volatile("" : "+r"(at));
		letter = scratch->bytes[at & SCRATCH_MASK];
		if (letter != '/') {
			n->is_number &= letter >= '0' && letter <= '9';
			n->number += (letter - '0') * n->place;
			n->place *= 10;
			n->word = n->word << 8 | letter;
			n->len++;
			return 0;
		}
	}
	/* Nothing stands between two slashes, and a dot for the same directory. */
	if (n->len && !is_named(n, '.', 1))
		naming_component(n);
	if (!n->left)
		naming_end(scratch, n);
	n->word = n->number = n->len = 0;
	n->place = 1;
	n->is_number = true;
	return !n->left || n->wants >= OPEN_FOUND;
}

/* Whether the path of a failed call names the memory of a process. */
static __always_inline bool open_names_memory(struct scratch *scratch, __u32 slot)
{
	struct vmt_mem_open *ev = (void *)scratch;
	struct naming *n = &scratch->naming;
	__u32 at = sizeof(*ev) + ev->path_len - 3;

	if (ev->path != VMT_READ_OK || ev->path_len < 3)
		return false;
	asm volatile("" : "+r"(at));
	at &= SCRATCH_MASK;
	/* Few paths end like this, and all opens that fail come here. */
	if (scratch->bytes[at] != 'm' || scratch->bytes[at + 1] != 'e' || scratch->bytes[at + 2] != 'm')
		return false;
	__builtin_memset(n, 0, sizeof(*n));
	n->left = ev->path_len;
	n->place = 1;
	n->is_number = true;
	for (__u32 i = 0; i < OPEN_STEPS; i++)
		if (naming_step(slot))
			break;
	return n->wants == OPEN_FOUND;
}

/* Reads the arguments of an open that may concern us. False if it is of something else. */
__noinline int open_is_of_memory(__u32 slot)
{
	struct scratch *scratch = scratch_at(slot);
	struct vmt_mem_open *ev = (void *)scratch;

	if (!ev)
		return 0;
	open_path(scratch, ev, open_arguments(&scratch->call, ev));
	return scratch->call.file || open_names_memory(scratch, slot);
}

/* The process that a failed call was about. */
static __always_inline void named_target(struct vmt_process *target, struct naming *n, struct task_struct *task,
					 long ret)
{
	if (n->pid)
		target_by_pid(target, (void *)n->pid);
	else if (n->own)
		process_of(target, task);
	else /* no directory: the kernel found nobody of that number */
		target_by_vpid(target, n->vpid, ret == -ENOENT ? -ESRCH : ret);
}

__noinline int mem_open_exit(__u32 slot)
{
	struct task_struct *task = current_task();
	struct scratch *scratch = scratch_at(slot);
	struct vmt_mem_open *ev = (void *)scratch;
	__u32 at = sizeof(*ev);
	struct call *call;
	struct file *file;

	if (!ev)
		return 0;
	call = &scratch->call;
	file = (void *)call->file;
	__builtin_memset(&ev->target, 0, sizeof(ev->target));
	if (file)
		mem_target(&ev->target, file);
	else
		named_target(&ev->target, &scratch->naming, task, call->ret);
	/* No call that moves bytes: nobody waits for it (see departed_returned). */
	if (!call_admit(scratch, task, !call->selected && reaches_selected(task, &ev->target)))
		return 0;
	at += ev->path_len;
	fd_describe(&ev->fd, call->ret, file);
	at = fd_path(scratch, slot, at, &ev->fd, file);
	deliver_scratch(scratch, at, call->kind);
	return 0;
}

#endif
