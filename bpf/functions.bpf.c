/* SPDX-License-Identifier: GPL-2.0-only */
/* The function tier: hooks in the kernel's functions, by family. The recorder loads those of the families that it finds
 * whole on the running kernel; see src/record/load/families.rs. */
#include "vm_function.bpf.h"

char LICENSE[] SEC("license") = "GPL";
