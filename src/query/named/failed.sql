-- Calls that failed, whatever the error: who wanted what, and whether whom it wanted was there at all.
--
-- Lead: ESRCH over many pids, or EFAULT and EIO over many addresses, may be somebody probing (ATT&CK T1057, Process
-- Discovery; T1055, Process Injection). What was refused alone: `denied`.
-- Benign: a target that ended a moment before, a debugger that reads past a mapping, a pipe that is empty or full (EAGAIN).
SELECT
    capture, event, errno, pid, arg_max(comm, seq) AS comm, arg_max(exe, seq) AS exe, arg_max(uid, seq) AS uid, target_pid,
    arg_max(target_comm, seq) AS target_comm, arg_max(target_uid, seq) AS target_uid,
    count(*) AS calls,
    count(DISTINCT target_pid_arg) AS pids_tried,
    min(ts) AS first_ts,
    max(ts) AS last_ts,
    host
FROM events
WHERE errno IS NOT NULL
GROUP BY capture, host, event, errno, pid, process_key, target_pid, target_key
ORDER BY calls DESC, capture, host, pid, event, errno, target_pid, first_ts
