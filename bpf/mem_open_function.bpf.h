/* SPDX-License-Identifier: GPL-2.0-only */
/* Family @mem, function tier: attempts to open /proc/PID/mem at the exits of the calls that open files. What is known
 * of them is the same as at the exit of all syscalls; other syscalls do not pass here. */
#ifndef VMTRACE_MEM_OPEN_FUNCTION_BPF_H
#define VMTRACE_MEM_OPEN_FUNCTION_BPF_H

#include "function.bpf.h"
#include "mem_open.bpf.h"

/* Finishes a call that was placed. */
__noinline int open_end(__u32 slot)
{
	if (open_is_of_memory(slot) && call_is_recorded(slot))
		mem_open_exit(slot);
	return 0;
}

/* Every open of the machine comes here, and few are recorded. */
#define ON_OPEN(program, function, number, is_compat)                                                                  \
	SEC("?fexit/" #function) int program(__u64 *ctx)                                                               \
	{                                                                                                              \
		struct call call = {                                                                                   \
			.kind = VMT_MEM_OPEN, .nr = number, .compat = is_compat, .tier = VMT_TIER_FUNCTION};           \
		struct task_struct *task = current_task();                                                             \
		long ret = ctx[1];                                                                                     \
		struct scratch *scratch;                                                                               \
                                                                                                                       \
		if (ret >= 0)                                                                                          \
			call.file = (__u64)file_of_fd(task, ret);                                                      \
		if (!open_may_concern(ret, (void *)call.file) || !open_may_be_selected(task))                          \
			return 0;                                                                                      \
		if (!call_begin(&call, ctx))                                                                           \
			return 0;                                                                                      \
		scratch = scratch_at(call.slot);                                                                       \
		if (scratch) {                                                                                         \
			scratch->call = call;                                                                          \
			open_end(call.slot);                                                                           \
		}                                                                                                      \
		call_end(&call);                                                                                       \
		return 0;                                                                                              \
	}

ON_OPEN(mem_open_native, __x64_sys_open, 2, false)
ON_OPEN(mem_creat_native, __x64_sys_creat, 85, false)
ON_OPEN(mem_openat_native, __x64_sys_openat, 257, false)
ON_OPEN(mem_openat2_native, __x64_sys_openat2, 437, false)
ON_OPEN(mem_open_ia32, __ia32_compat_sys_open, 5, true)
ON_OPEN(mem_creat_ia32, __ia32_sys_creat, 8, true)
ON_OPEN(mem_openat_ia32, __ia32_compat_sys_openat, 295, true)
ON_OPEN(mem_openat2_ia32, __ia32_sys_openat2, 437, true)

#endif
