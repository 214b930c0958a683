-- Attempts that were refused: EPERM and EACCES, who was refused what, and of whom. See `failed` for every other error.
--
-- Lead: EPERM and EACCES on another user's process may be somebody probing (ATT&CK T1055, Process Injection).
-- Benign: a debugger or profiler without CAP_SYS_PTRACE, Yama's ptrace_scope.
SELECT
    capture, event, errno, pid, arg_max(comm, seq) AS comm, arg_max(exe, seq) AS exe, arg_max(uid, seq) AS uid, target_pid,
    arg_max(target_comm, seq) AS target_comm, arg_max(target_uid, seq) AS target_uid,
    count(*) AS calls,
    count(DISTINCT target_pid_arg) AS pids_tried,
    min(ts) AS first_ts,
    max(ts) AS last_ts,
    host
FROM events
WHERE errno IN ('EPERM', 'EACCES')
GROUP BY capture, host, event, errno, pid, process_key, target_pid, target_key
ORDER BY calls DESC, capture, host, pid, event, errno, target_pid, first_ts
