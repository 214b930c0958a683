-- Attempts that failed: who was refused what, and whether whom it wanted was there at all.
--
-- Lead: EPERM and EACCES on another user's process, or ESRCH over many pids, may be somebody probing (ATT&CK T1055,
-- Process Injection; T1057, Process Discovery).
-- Benign: a debugger or profiler without CAP_SYS_PTRACE, Yama's ptrace_scope, a target that ended a moment before.
SELECT
    capture, event, errno, pid, max(comm) AS comm, max(uid) AS uid, target_pid, max(target_comm) AS target_comm,
    max(target_uid) AS target_uid,
    count(*) AS calls,
    count(DISTINCT target_pid_arg) AS pids_tried,
    min(ts) AS first_ts,
    max(ts) AS last_ts
FROM events
WHERE errno IS NOT NULL AND errno NOT IN ('EAGAIN', 'EINTR', 'EPIPE')
    AND (target_pid IS NOT NULL OR target_pid_arg IS NOT NULL OR pidfd IS NOT NULL)
GROUP BY capture, event, errno, pid, process_key, target_pid, target_key
ORDER BY calls DESC, capture, pid, event, errno, target_pid, first_ts
