-- One row per process that acted or was reached: who it was, when it lived, who started it, what moved in and out.
--
-- A process is told from a later one with its pid by process_key, and where that is not known it is null. comm, exe and uid
-- are those last seen, argv that of the last exec. bytes_in came into its memory, bytes_out left it, whoever made the call.
-- exit_code is a wait status (wait(2)).
WITH seen AS (
    SELECT
        capture, pid, process_key, start_ns, comm, exe, uid, container,
        max(seq) AS last_seq,
        min(ts) AS first_ts,
        max(ts) AS last_ts,
        max(CASE WHEN event = 'process_exit' THEN ts END) AS exit_ts,
        max(exit_code) AS exit_code,
        max(parent_pid) AS parent_pid,
        max(parent_key) AS parent_key,
        max(argv) AS argv,
        count(CASE WHEN event NOT IN ('process_fork', 'process_exec', 'process_exit', 'process_snapshot') THEN 1 END)
            AS calls,
        count(errno) AS failures,
        0 AS reached,
        sum(CASE WHEN direction = 'in' THEN bytes ELSE 0 END) AS bytes_in,
        sum(CASE WHEN direction = 'out' THEN bytes ELSE 0 END) AS bytes_out
    FROM events
    WHERE event <> 'lost'
    GROUP BY capture, pid, process_key, start_ns, comm, exe, uid, container
    UNION ALL
    SELECT
        capture, target_pid, target_key, target_start_ns, target_comm, target_exe, target_uid, target_container,
        max(seq),
        min(ts),
        max(ts),
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
        0,
        0,
        count(*),
        sum(CASE WHEN direction = 'out' THEN bytes ELSE 0 END),
        sum(CASE WHEN direction = 'in' AND event <> 'pipe_read' THEN bytes ELSE 0 END)
    FROM events
    WHERE target_pid IS NOT NULL
    GROUP BY
        capture, target_pid, target_key, target_start_ns, target_comm, target_exe, target_uid, target_container
)
SELECT
    capture,
    pid,
    process_key,
    max(start_ns) AS start_ns,
    substr(max(lpad(CAST(last_seq AS VARCHAR), 20, '0') || comm), 21) AS comm,
    substr(max(lpad(CAST(last_seq AS VARCHAR), 20, '0') || exe), 21) AS exe,
    substr(max(lpad(CAST(last_seq AS VARCHAR), 20, '0') || argv), 21) AS argv,
    CAST(substr(max(lpad(CAST(last_seq AS VARCHAR), 20, '0') || CAST(uid AS VARCHAR)), 21) AS BIGINT) AS uid,
    max(container) AS container,
    max(parent_pid) AS parent_pid,
    max(parent_key) AS parent_key,
    min(first_ts) AS first_ts,
    max(last_ts) AS last_ts,
    max(exit_ts) AS exit_ts,
    max(exit_code) AS exit_code,
    CAST(sum(calls) AS BIGINT) AS calls,
    CAST(sum(failures) AS BIGINT) AS failures,
    CAST(sum(reached) AS BIGINT) AS reached,
    CAST(sum(bytes_in) AS BIGINT) AS bytes_in,
    CAST(sum(bytes_out) AS BIGINT) AS bytes_out
FROM seen
GROUP BY capture, pid, process_key
