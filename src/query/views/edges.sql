-- Who reached whom: one row per caller and target.
--
-- calls are all calls of that caller that named that target, failures those of them that returned an error. bytes_in went
-- from the target to the caller, bytes_out the other way. Of what came out of a pipe (pipe_read, vmsplice, splice, tee,
-- sendfile) the target is who fed it last. What tee has duplicated and another call takes counts as often as it was taken.
-- Attempts on a process that was not there have no target and are not here: see the analysis `failed`. Names are those
-- last seen (by seq). In a capture of several hosts, host is theirs.
SELECT
    capture,
    pid,
    process_key,
    arg_max(comm, seq) AS comm,
    arg_max(exe, seq) AS exe,
    target_pid,
    target_key,
    arg_max(target_comm, seq) AS target_comm,
    arg_max(target_exe, seq) AS target_exe,
    count(*) AS calls,
    count(errno) AS failures,
    CAST(sum(CASE WHEN direction = 'in' OR event IN ('splice', 'tee', 'sendfile') THEN bytes ELSE 0 END) AS BIGINT)
        AS bytes_in,
    CAST(sum(CASE WHEN direction = 'out' THEN bytes ELSE 0 END) AS BIGINT) AS bytes_out,
    min(ts) AS first_ts,
    max(ts) AS last_ts,
    host
FROM events
WHERE target_pid IS NOT NULL
GROUP BY capture, host, pid, process_key, target_pid, target_key
