-- One process read much of another one's memory: 64 KiB or more, or 100 reads or more.
--
-- Lead: dumping of memory (ATT&CK T1003.007, OS Credential Dumping: Proc Filesystem).
-- Benign: gdb's and gcore's dumps, CRIU, profilers such as py-spy, MPI's large messages.
SELECT
    capture, dst_pid AS pid, arg_max(dst_comm, seq) AS comm, arg_max(dst_exe, seq) AS exe,
    src_pid AS target_pid, arg_max(src_comm, seq) AS target_comm, arg_max(src_exe, seq) AS target_exe,
    count(*) AS reads,
    CAST(sum(bytes) AS BIGINT) AS bytes,
    min(ts) AS first_ts,
    max(ts) AS last_ts,
    host
FROM transfers
WHERE src_kind = 'process' AND dst_kind = 'process' AND dst_pid = pid AND src_pid <> dst_pid
GROUP BY capture, host, dst_pid, dst_key, src_pid, src_key
HAVING sum(bytes) >= 65536 OR count(*) >= 100
ORDER BY bytes DESC, capture, host, pid, target_pid, first_ts
