/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who has a file of /proc/PID/mem open, tracepoint tier. At the exit of a read its descriptor may lead to another
 * file than when the call began, because another thread closed or replaced it. So processes that get such a file
 * are remembered, and while any of them lives, another program also looks at the start of their reads and writes.
 */
#ifndef VMTRACE_HOLDERS_BPF_H
#define VMTRACE_HOLDERS_BPF_H

#include "mem.bpf.h"

/* Processes that have one open, and their tables of descriptors, by address: those can be shared. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __s32);
	__type(value, __u8);
} holders SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u8);
} holder_tables SEC(".maps");

/* Wakes the recorder's main thread when their number changes. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} holder_bell SEC(".maps");

/* A read or write at its start. */
struct entered {
	__u64 file; /* address of the one that its descriptor led to */
	__u64 position;
	struct vmt_process target; /* whose memory that shows */
	struct vmt_fd fd; /* what it is, if it is a memory file */
	__u32 kind;
	__s32 number; /* of the descriptor */
};

/* By thread. An entry whose end was not seen is pushed out in time. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct entered);
} entered_calls SEC(".maps");

/* Calls that may have been on the memory of a process, which cannot be known, by their caller. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __s32);
	__type(value, struct vmt_unknown);
} unknown_calls SEC(".maps");

/* What is known of a call's file. */
enum {
	FILE_AT_EXIT, /* the exit alone shows it, or both say the same */
	FILE_AT_ENTRY, /* a memory file when the call began, another one now */
	FILE_CHANGED, /* a memory file now, another one when the call began */
};

static __always_inline bool anybody_holds(void)
{
	struct vmt_switches *s = switches();

	return s && s->mem_holders;
}

static __always_inline bool is_holder(struct task_struct *task)
{
	__u64 table = (__u64)task_read(task, files);
	__s32 tgid = task_read(task, tgid);

	return bpf_map_lookup_elem(&holder_tables, &table) || bpf_map_lookup_elem(&holders, &tgid);
}

/* Whether another thread or process uses the task's table of descriptors, and could change it under way. */
static __always_inline bool table_is_shared(struct task_struct *task)
{
	struct files_struct *files = task_read(task, files);

	return files && BPF_CORE_READ(files, count.counter) > 1;
}

static __always_inline void holders_count(struct vmt_switches *s, __s64 more)
{
	__u64 rung = 1;

	__sync_fetch_and_add(&s->mem_holders, more);
	bpf_ringbuf_output(&holder_bell, &rung, sizeof(rung), BPF_RB_FORCE_WAKEUP);
}

/* Notes that a process has a memory file open. */
static __always_inline void holder_add(__s32 tgid, __u64 table)
{
	struct vmt_switches *s = switches();
	long refused, exists;
	__u8 one = 1;

	if (!s)
		return;
	refused = bpf_map_update_elem(&holder_tables, &table, &one, BPF_ANY);
	exists = bpf_map_update_elem(&holders, &tgid, &one, BPF_NOEXIST);
	if (!exists)
		holders_count(s, 1);
	if (refused || (exists && !bpf_map_lookup_elem(&holders, &tgid)))
		__sync_fetch_and_add(&s->holders_refused, 1);
}

/* Notes the current task as a holder if the file shows memory that is to be recorded. A function of its own, so that
 * its stack does not count where another function is called. */
__noinline int holder_note(__u64 file_address)
{
	struct file *file = (void *)file_address;
	struct task_struct *task = current_task();
	struct vmt_switches *s = switches();
	struct vmt_process target;

	if (!file || !s || is_by_function(s, VMT_PREAD) || !is_mem_file(file) || is_holder(task))
		return 0;
	mem_target(&target, file);
	if (caller_selected(task) || reaches_selected(task, &target))
		holder_add(task_read(task, tgid), (__u64)task_read(task, files));
	return 0;
}

/* A call that made a descriptor has returned it. */
static __always_inline void holder_obtains(struct task_struct *task, long ret)
{
	if (ret >= 0)
		holder_note((__u64)file_of_fd(task, ret));
}

/* struct msghdr and struct cmsghdr of 64-bit callers (include/linux/socket.h). */
#define MSG_CONTROL 32
#define CMSG_DATA 16
#define SOL_SOCKET 1
#define SCM_RIGHTS 1
/* include/net/scm.h: most descriptors of a message. */
#define SCM_MAX_FD 253

/* Looks at descriptor `index` of those that stand at an address of the caller's. */
__noinline int holder_received(__u64 fds, __u32 index)
{
	struct task_struct *task = current_task();
	__s32 fd = -1;

	if (!bpf_probe_read_user(&fd, sizeof(fd), (void *)(fds + index * sizeof(fd))) && fd >= 0)
		holder_note((__u64)file_of_fd(task, fd));
	return 0;
}

/* recvmsg has received a message. Its descriptors are in the control data, behind credentials. */
__noinline int holder_receives(__u64 message)
{
	__u64 control[2] = {}, at, end;

	if (bpf_probe_read_user(control, sizeof(control), (void *)(message + MSG_CONTROL)))
		return 0;
	at = control[0];
	end = at + control[1];
	for (int i = 0; i < 4; i++) {
		struct {
			__u64 len;
			__s32 level, type;
		} head = {};

		if (at + CMSG_DATA > end || bpf_probe_read_user(&head, sizeof(head), (void *)at) ||
		    head.len < CMSG_DATA)
			return 0;
		if (head.level == SOL_SOCKET && head.type == SCM_RIGHTS) {
			for (__u32 fd = 0; fd < SCM_MAX_FD; fd++) {
				if (CMSG_DATA + fd * 4 + 4 > head.len)
					break;
				holder_received(at + CMSG_DATA, fd);
			}
			return 0;
		}
		at += (head.len + 7) & ~7ULL;
	}
	return 0;
}

/* A process was created. It shares its parent's table of descriptors, or has a copy. */
static __always_inline void holder_inherits(struct task_struct *parent, struct task_struct *child)
{
	if (anybody_holds() && is_holder(parent))
		holder_add(child->tgid, (__u64)child->files);
}

/* A process has executed another program, and may have another table. */
static __always_inline void holder_execs(struct task_struct *task)
{
	__s32 tgid = task->tgid;

	if (anybody_holds() && bpf_map_lookup_elem(&holders, &tgid))
		holder_add(tgid, (__u64)task->files);
}

/* A process ends. */
static __always_inline void holder_ends(struct task_struct *task)
{
	struct vmt_switches *s = switches();
	__u64 table = (__u64)task->files;
	__s32 tgid = task->tgid;

	if (!s || !s->mem_holders || bpf_map_delete_elem(&holders, &tgid))
		return;
	holders_count(s, -1);
	if (!table_is_shared(task))
		bpf_map_delete_elem(&holder_tables, &table);
}

/* The start of a read or write of a holder. Nobody else can change a table that is not shared. */
__noinline int holder_enters(__u32 kind, __s32 fd)
{
	struct task_struct *task = current_task();
	__u32 tid = bpf_get_current_pid_tgid();
	struct entered entered = {.kind = kind, .number = fd};
	struct file *file;

	if (!table_is_shared(task))
		return 0;
	file = file_of_fd(task, fd);
	entered.file = (__u64)file;
	if (file && is_mem_file(file)) {
		fd_describe(&entered.fd, fd, file);
		mem_target(&entered.target, file);
		entered.position = BPF_CORE_READ(file, f_pos);
	}
	bpf_map_update_elem(&entered_calls, &tid, &entered, BPF_ANY);
	return 0;
}

static __always_inline struct entered *entered_find(void)
{
	__u32 tid = bpf_get_current_pid_tgid();

	return bpf_map_lookup_elem(&entered_calls, &tid);
}

static __always_inline void entered_remove(void)
{
	__u32 tid = bpf_get_current_pid_tgid();

	bpf_map_delete_elem(&entered_calls, &tid);
}

/* Counts a call that may have been on the memory of a process. */
__noinline int count_unknown(__u32 kind)
{
	struct task_struct *task = current_task();
	struct vmt_stats *s = stats_of(kind);
	__s32 tgid = task_read(task, tgid);
	struct vmt_unknown *known = bpf_map_lookup_elem(&unknown_calls, &tgid), fresh = {.calls = 1};

	if (s)
		__sync_fetch_and_add(&s->unknown, 1);
	if (known) {
		__sync_fetch_and_add(&known->calls, 1);
		return 0;
	}
	process_of(&fresh.caller, task);
	bpf_map_update_elem(&unknown_calls, &tgid, &fresh, BPF_NOEXIST);
	return 0;
}

/* Compares the file that a call's descriptor leads to at its exit with the one at its begin. */
static __always_inline __u32 file_compare(struct task_struct *task, __u32 kind, __s32 fd, struct file *file,
					  bool of_mem)
{
	struct entered *entered;

	if (!anybody_holds() || !is_holder(task))
		return FILE_AT_EXIT;
	entered = entered_find();
	if (entered && entered->kind == kind && entered->number == fd) {
		if (entered->file != (__u64)file && entered->fd.kind == VMT_FD_PROC_MEM)
			return FILE_AT_ENTRY;
		of_mem &= entered->file != (__u64)file;
		entered_remove();
		return of_mem ? FILE_CHANGED : FILE_AT_EXIT;
	}
	if (!of_mem && table_is_shared(task) && caller_admitted(task))
		count_unknown(kind);
	return FILE_AT_EXIT;
}

/* A read or write of a memory file that its descriptor no longer leads to. */
__noinline int mem_exit_entered(__u32 slot)
{
	struct scratch *scratch = scratch_at(slot);
	struct vmt_mem *ev = (void *)scratch;
	struct entered *entered = entered_find();
	struct call *call;

	if (!ev)
		return 0;
	call = &scratch->call;
	if (!entered) { /* pushed out since it was compared */
		count_unbuilt(call->kind);
		return 0;
	}
	ev->target = entered->target;
	departed_mark(&ev->target);
	ev->fd = entered->fd;
	ev->offset = mem_offset(call, entered->position);
	entered_remove();
	if (!target_admit(scratch, current_task(), &ev->target))
		return 0;
	mem_record_exit(call, scratch, slot, NULL);
	return 0;
}

#endif
