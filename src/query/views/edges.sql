-- Who reached whom: one row per caller and target.
--
-- calls are all calls of that caller that named that target, failures those of them that returned an error. bytes_in went
-- from the target to the caller, bytes_out the other way. Of pipe_read, the target is who fed the pipe last. Attempts on a
-- process that was not there have no target and are not here: see the analysis `denied`.
WITH counted AS (
    SELECT
        capture, pid, process_key, comm, exe, target_pid, target_key, target_comm, target_exe,
        max(seq) AS last_seq,
        count(*) AS calls,
        count(errno) AS failures,
        sum(CASE WHEN direction = 'in' THEN bytes ELSE 0 END) AS bytes_in,
        sum(CASE WHEN direction = 'out' THEN bytes ELSE 0 END) AS bytes_out,
        min(ts) AS first_ts,
        max(ts) AS last_ts
    FROM events
    WHERE target_pid IS NOT NULL
    GROUP BY capture, pid, process_key, comm, exe, target_pid, target_key, target_comm, target_exe
)
SELECT
    capture,
    pid,
    process_key,
    substr(max(lpad(CAST(last_seq AS VARCHAR), 20, '0') || comm), 21) AS comm,
    substr(max(lpad(CAST(last_seq AS VARCHAR), 20, '0') || exe), 21) AS exe,
    target_pid,
    target_key,
    substr(max(lpad(CAST(last_seq AS VARCHAR), 20, '0') || target_comm), 21) AS target_comm,
    substr(max(lpad(CAST(last_seq AS VARCHAR), 20, '0') || target_exe), 21) AS target_exe,
    CAST(sum(calls) AS BIGINT) AS calls,
    CAST(sum(failures) AS BIGINT) AS failures,
    CAST(sum(bytes_in) AS BIGINT) AS bytes_in,
    CAST(sum(bytes_out) AS BIGINT) AS bytes_out,
    min(first_ts) AS first_ts,
    max(last_ts) AS last_ts
FROM counted
GROUP BY capture, pid, process_key, target_pid, target_key
