-- A capture in DuckDB, after `vmtrace query FILE --print-duckdb-views >views.sql`: duckdb -init views.sql <duckdb.sql

-- Who moved what, second by second.
SELECT time_bucket(INTERVAL 1 SECOND, ts) AS second, comm, sum(bytes)::BIGINT AS bytes
FROM transfers GROUP BY ALL ORDER BY ALL;

-- Every range of the target's memory that was touched; addresses stay 64-bit integers.
SELECT seq, unnest(remote_iov, recursive := true) FROM events WHERE remote_iov IS NOT NULL ORDER BY seq;

-- The time between the calls of each process, in ns.
SELECT pid, seq, mono_ns - lag(mono_ns) OVER (PARTITION BY pid ORDER BY mono_ns, seq) AS gap_ns
FROM events WHERE event <> 'lost' ORDER BY pid, seq;

-- Payloads by what they hold.
SELECT seq, entropy(payload) AS bits, printable(payload[1:16]) AS begin
FROM events WHERE payload IS NOT NULL ORDER BY bits DESC, seq LIMIT 5;

-- How much of what happened is in the capture.
SELECT event, entry, count FROM ledger WHERE entry IN ('seen', 'written') ORDER BY ALL;
