-- One row per process that acted or was reached: who it was, when it lived, who started it, what moved in and out.
--
-- process_key distinguishes a process from a later one with its pid. It is null if it is not known. comm, exe, argv, uid
-- and container are those last seen (by seq), the parent is the one first seen. bytes_in came into its memory, bytes_out left
-- it, whoever made the call. exit_code is a wait status (wait(2)). In a capture of several hosts, host is its own.
WITH seen AS (
    SELECT
        capture, host, seq, ts, pid, process_key, start_ns, comm, exe, argv, uid, container, parent_pid, parent_key, exit_code,
        CASE WHEN event = 'process_exit' THEN ts END AS exit_ts,
        CASE WHEN event IN ('process_fork', 'process_exec', 'process_exit', 'process_snapshot') THEN 0 ELSE 1 END AS calls,
        CASE WHEN errno IS NULL THEN 0 ELSE 1 END AS failures,
        0 AS reached,
        CASE WHEN direction = 'in' THEN bytes ELSE 0 END AS bytes_in,
        CASE WHEN direction = 'out' THEN bytes ELSE 0 END AS bytes_out
    FROM events
    WHERE event <> 'lost'
    UNION ALL
    -- Of a row in which a process reaches itself, its names come from the part above alone.
    SELECT
        capture, host, seq, ts, target_pid, target_key, target_start_ns,
        CASE WHEN self THEN NULL ELSE target_comm END,
        CASE WHEN self THEN NULL ELSE target_exe END,
        NULL,
        CASE WHEN self THEN NULL ELSE target_uid END,
        CASE WHEN self THEN NULL ELSE target_container END,
        NULL,
        NULL,
        NULL,
        NULL,
        0,
        0,
        1,
        CASE WHEN direction = 'out' THEN bytes ELSE 0 END,
        -- What was put into a pipe is counted already where its feeder did so.
        CASE WHEN direction = 'in' AND event NOT IN ('pipe_read', 'vmsplice') THEN bytes ELSE 0 END
    FROM (SELECT *, target_pid = pid AND target_key IS NOT DISTINCT FROM process_key AS self FROM events) AS reaching
    WHERE target_pid IS NOT NULL
)
SELECT
    capture,
    pid,
    process_key,
    max(start_ns) AS start_ns,
    arg_max(comm, seq) AS comm,
    arg_max(exe, seq) AS exe,
    arg_max(argv, seq) AS argv,
    CAST(arg_max(uid, seq) AS BIGINT) AS uid,
    arg_max(container, seq) AS container,
    arg_max(parent_pid, -TRY_CAST(seq AS BIGINT)) AS parent_pid,
    arg_max(parent_key, -TRY_CAST(seq AS BIGINT)) AS parent_key,
    min(ts) AS first_ts,
    max(ts) AS last_ts,
    max(exit_ts) AS exit_ts,
    arg_max(exit_code, seq) AS exit_code,
    CAST(sum(calls) AS BIGINT) AS calls,
    CAST(sum(failures) AS BIGINT) AS failures,
    CAST(sum(reached) AS BIGINT) AS reached,
    CAST(sum(bytes_in) AS BIGINT) AS bytes_in,
    CAST(sum(bytes_out) AS BIGINT) AS bytes_out,
    host
FROM seen
GROUP BY capture, host, pid, process_key
