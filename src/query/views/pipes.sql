-- One row per pipe or FIFO: who put bytes in, who took bytes out, how many.
--
-- Only what vmsplice, splice, tee, sendfile, pipe_read and pipe_write moved is known. What write(2) put in before the first of
-- these calls, and what read(2) took out before the pipe was fed, is not. So bytes_in, bytes_out and bytes_duplicated are null,
-- not 0, where nobody was seen who did that. Names are those of the time of each
-- call. A pipe's inode number is the same in every process that holds it. An unnamed pipe's number can come again after it is
-- gone. Pipes of two hosts are never the same: host is the pipe's.
WITH ends AS (
    SELECT
        capture, host, pipe_out AS pipe, pid, process_key, comm, 'in' AS way,
        count(*) AS calls, sum(bytes) AS bytes, min(ts) AS first_ts, max(ts) AS last_ts
    FROM events
    WHERE pipe_out IS NOT NULL AND bytes > 0
    GROUP BY capture, host, pipe_out, pid, process_key, comm
    UNION ALL
    SELECT
        capture, host, pipe_in, pid, process_key, comm, CASE WHEN event = 'tee' THEN 'tee' ELSE 'out' END,
        count(*), sum(bytes), min(ts), max(ts)
    FROM events
    WHERE pipe_in IS NOT NULL AND bytes > 0
    GROUP BY capture, host, pipe_in, pid, process_key, comm, CASE WHEN event = 'tee' THEN 'tee' ELSE 'out' END
), named AS (
    SELECT
        capture, host, pipe, way, comm || '[' || CAST(pid AS VARCHAR) || ']' AS who,
        sum(calls) AS calls, sum(bytes) AS bytes, min(first_ts) AS first_ts, max(last_ts) AS last_ts
    FROM ends
    GROUP BY capture, host, pipe, way, comm || '[' || CAST(pid AS VARCHAR) || ']'
)
SELECT
    capture,
    pipe,
    array_agg(who ORDER BY who) FILTER (WHERE way = 'in') AS writers,
    array_agg(who ORDER BY who) FILTER (WHERE way = 'out') AS readers,
    array_agg(who ORDER BY who) FILTER (WHERE way = 'tee') AS duplicators,
    CAST(sum(CASE WHEN way = 'in' THEN bytes END) AS BIGINT) AS bytes_in,
    CAST(sum(CASE WHEN way = 'out' THEN bytes END) AS BIGINT) AS bytes_out,
    CAST(sum(CASE WHEN way = 'tee' THEN bytes END) AS BIGINT) AS bytes_duplicated,
    CAST(sum(calls) AS BIGINT) AS calls,
    min(first_ts) AS first_ts,
    max(last_ts) AS last_ts,
    host
FROM named
GROUP BY capture, host, pipe
