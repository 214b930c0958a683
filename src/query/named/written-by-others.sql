-- Memory of a process that another one wrote: which ranges, by which call, how the bytes begin.
--
-- Lead: code or data put into a process from outside (ATT&CK T1055, Process Injection; T1055.008, Ptrace System Calls;
-- T1055.009, Proc Memory).
-- Benign: debuggers write breakpoints, MPI and Wine deliver messages this way, tests of /proc/self/mem write to themselves
-- (those are left out here).
SELECT
    capture, seq, ts, event, src_pid, src_comm, src_exe, dst_pid, dst_comm, dst_exe, bytes, dst_iov, iov_verdict,
    printable(payload) AS text
FROM transfers
WHERE src_kind = 'process' AND dst_kind = 'process' AND src_pid = pid AND dst_pid IS NOT NULL AND dst_pid <> src_pid
ORDER BY capture, seq
