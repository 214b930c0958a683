-- Writes that can reach executable or read-only mappings: ptrace's words and /proc/PID/mem are written with force, as
-- process_vm_writev is not.
--
-- A capture of this format does not say how the written memory was mapped. PTRACE_POKETEXT is the one call that says that
-- it means code. process_vm_writev is left out: the kernel refuses it where the mapping is not writable.
-- Lead: code patched in a running process (ATT&CK T1055.008, Ptrace System Calls; T1055.009, Proc Memory).
-- Benign: breakpoints of debuggers (one byte 0xcc, or the original put back), uprobes-like tools, live patching.
SELECT
    capture, seq, ts, event, ptrace_request, pid, comm, exe, target_pid, target_comm, target_exe, bytes, remote_iov,
    contains_bytes(payload, x'cc') AS has_int3,
    payload
FROM events
WHERE direction = 'out' AND bytes > 0
    AND (ptrace_request IN ('PTRACE_POKETEXT', 'PTRACE_POKEDATA') OR fd_out_kind = 'proc_mem')
ORDER BY capture, seq
