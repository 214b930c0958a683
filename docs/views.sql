-- Captures of vmtrace in DuckDB, without vmtrace: its views and functions (docs/query.md). Say which captures, then read this file:
--     SET VARIABLE captures = 'captures/*.parquet';    -- or a list: ['a.parquet', 'b.parquet']; else *.parquet in this directory
--     .read views.sql
--     SELECT * FROM edges;
-- Made by `vmtrace query --print-duckdb-views`.
CREATE OR REPLACE MACRO captures() AS coalesce(
    TRY_CAST(getvariable('captures') AS VARCHAR[]),
    CASE WHEN getvariable('captures') IS NOT NULL THEN [getvariable('captures')::VARCHAR] END,
    ['*.parquet']);
-- What vmtrace reads from the footer, and its functions, for DuckDB. Captures are a list of names or patterns.
CREATE OR REPLACE MACRO contains_bytes(b, x) AS
    regexp_matches(hex(b), '^(..)*' || hex(x));
CREATE OR REPLACE MACRO entropy(b) AS
    CASE WHEN octet_length(b) > 0 THEN round(list_aggregate(regexp_extract_all(hex(b), '..'), 'entropy'), 4) END;
CREATE OR REPLACE MACRO printable(b) AS
    array_to_string(list_transform(regexp_extract_all(hex(b), '..'),
        lambda c: CASE WHEN c BETWEEN '20' AND '7E' THEN chr(('0x' || c)::INTEGER) ELSE '.' END), '');
CREATE OR REPLACE MACRO hexdump(b) AS
    array_to_string(list_transform(range(0, octet_length(b), 16), lambda o:
        printf('%08x  ', o)
        || rpad(array_to_string(regexp_extract_all(lower(hex(b[o + 1:o + 8])), '..'), ' '), 23, ' ') || '  '
        || rpad(array_to_string(regexp_extract_all(lower(hex(b[o + 9:o + 16])), '..'), ' '), 23, ' ') || '  |'
        || printable(b[o + 1:o + 16]) || '|'), chr(10));
CREATE OR REPLACE MACRO payload_at(b, iov, address) AS (
    SELECT nullif(b[first.skip + address - first.base + 1:least(first.skip + first.len, octet_length(b))], ''::BLOB)
    FROM (
        SELECT list_filter(list_transform(range(1, len(iov) + 1), lambda i: {
            'base': iov[i].base::HUGEINT,
            'len': iov[i].len::HUGEINT,
            'skip': coalesce(list_sum(list_transform(iov[1:i - 1], lambda s: s.len::HUGEINT)), 0)
        }), lambda s: address >= s.base AND address < s.base + s.len)[1] AS first
    )
);
CREATE OR REPLACE MACRO address_of(iov, place) AS (
    SELECT TRY_CAST(first.base + place - first.skip AS UBIGINT)
    FROM (
        SELECT list_filter(list_transform(range(1, len(iov) + 1), lambda i: {
            'base': iov[i].base::HUGEINT,
            'len': iov[i].len::HUGEINT,
            'skip': coalesce(list_sum(list_transform(iov[1:i - 1], lambda s: s.len::HUGEINT)), 0)
        }), lambda s: place >= s.skip AND place < s.skip + s.len)[1] AS first
    )
);
CREATE OR REPLACE MACRO find_all(b, pattern) AS (
    SELECT list_transform(range(1, len(hits) + 1), lambda i: {
        'at': coalesce(list_sum(list_transform(gaps[1:i], lambda g: length(g))), 0)::BIGINT
            + coalesce(list_sum(list_transform(hits[1:i - 1], lambda h: length(h))), 0)::BIGINT,
        'text': hits[i]
    })
    FROM (
        SELECT regexp_extract_all(lines, pattern) AS hits, string_split_regex(lines, pattern) AS gaps
        FROM (
            SELECT array_to_string(list_transform(regexp_extract_all(hex(b), '..'),
                lambda c: CASE WHEN c BETWEEN '20' AND '7E' THEN chr(('0x' || c)::INTEGER) ELSE chr(10) END), '') AS lines
        )
    )
);
CREATE OR REPLACE VIEW events AS
    SELECT filename AS capture, * EXCLUDE (filename)
    FROM read_parquet(captures(), filename = true, union_by_name = true)
    UNION ALL BY NAME -- columns that captures of an older vmtrace lack
    SELECT NULL::BIGINT AS dur_ns, NULL::VARCHAR AS abi, NULL::VARCHAR AS exe, NULL::VARCHAR AS process_key, NULL::VARCHAR AS cgroup, NULL::VARCHAR AS container, NULL::INTEGER AS target_pid, NULL::INTEGER AS target_pid_arg, NULL::INTEGER AS pidfd, NULL::VARCHAR AS target_comm, NULL::VARCHAR AS target_exe, NULL::UINTEGER AS target_uid, NULL::BIGINT AS target_start_ns, NULL::VARCHAR AS target_key, NULL::VARCHAR AS target_cgroup, NULL::VARCHAR AS target_container, NULL::BOOLEAN AS target_ended, NULL::VARCHAR AS direction, NULL::BIGINT AS ret, NULL::VARCHAR AS errno, NULL::BIGINT AS bytes, NULL::BIGINT AS bytes_requested, NULL::STRUCT(base UBIGINT, len UBIGINT)[] AS local_iov, NULL::UBIGINT AS liovcnt, NULL::STRUCT(base UBIGINT, len UBIGINT)[] AS remote_iov, NULL::UBIGINT AS riovcnt, NULL::UBIGINT AS flags, NULL::VARCHAR AS iov_source, NULL::VARCHAR AS iov_verdict, NULL::BOOLEAN AS toctou, NULL::INTEGER AS fd_in, NULL::INTEGER AS fd_out, NULL::BIGINT AS off_in, NULL::BIGINT AS off_out, NULL::VARCHAR AS fd_in_kind, NULL::VARCHAR AS fd_out_kind, NULL::VARCHAR AS fd_in_mode, NULL::VARCHAR AS fd_out_mode, NULL::VARCHAR AS fd_in_path, NULL::VARCHAR AS fd_out_path, NULL::VARCHAR AS fd_in_family, NULL::VARCHAR AS fd_out_family, NULL::VARCHAR AS fd_in_local_addr, NULL::UINTEGER AS fd_in_local_port, NULL::VARCHAR AS fd_in_peer_addr, NULL::UINTEGER AS fd_in_peer_port, NULL::VARCHAR AS fd_out_local_addr, NULL::UINTEGER AS fd_out_local_port, NULL::VARCHAR AS fd_out_peer_addr, NULL::UINTEGER AS fd_out_peer_port, NULL::UBIGINT AS pipe_in, NULL::UBIGINT AS pipe_out, NULL::VARCHAR AS ptrace_request, NULL::VARCHAR AS advice, NULL::BLOB AS payload, NULL::VARCHAR AS payload_status, NULL::VARCHAR AS payload_side, NULL::VARCHAR AS payload_at, NULL::BOOLEAN AS payload_by_ref, NULL::INTEGER AS parent_pid, NULL::VARCHAR AS parent_key, NULL::VARCHAR AS argv, NULL::INTEGER AS exit_code, NULL::UBIGINT AS lost_count, NULL::VARCHAR AS lost_event, NULL::VARCHAR AS lost_cause, NULL::VARCHAR AS path, NULL::INTEGER AS dirfd, NULL::UBIGINT AS open_mode, NULL::UBIGINT AS open_resolve, NULL::VARCHAR AS payload_entropy, NULL::VARCHAR AS payload_digest, NULL::VARCHAR AS host, NULL::UBIGINT AS host_seq, NULL::VARCHAR AS region_source, NULL::STRUCT(start UBIGINT, "end" UBIGINT, perms VARCHAR, path VARCHAR, file_offset UBIGINT, device VARCHAR, inode UBIGINT, build_id VARCHAR)[] AS remote_regions WHERE false;
CREATE OR REPLACE VIEW footers AS
    SELECT kv.file_name AS capture, decode(kv.value) AS manifest, files.num_rows AS rows, versions.version
    FROM parquet_kv_metadata(captures()) AS kv
    JOIN parquet_file_metadata(captures()) AS files USING (file_name)
    JOIN (
        SELECT file_name, decode(value)::INTEGER AS version
        FROM parquet_kv_metadata(captures()) WHERE decode(key) = 'vmtrace.schema_version'
    ) AS versions USING (file_name)
    WHERE decode(kv.key) = 'vmtrace.manifest';
CREATE OR REPLACE VIEW manifest AS
    SELECT
        capture,
        manifest ->> '$.capture_id' AS capture_id,
        version AS schema_version,
        manifest ->> '$.tool.version' AS tool_version,
        manifest ->> '$.tool.git' AS tool_git,
        array_to_string(manifest ->> '$.argv[*]', ' ') AS argv,
        manifest ->> '$.comment' AS comment,
        manifest ->> '$.host.hostname' AS hostname,
        manifest ->> '$.host.release' AS kernel,
        manifest ->> '$.host.machine' AS machine,
        manifest ->> '$.host.boot_id' AS boot_id,
        (manifest ->> '$.start.realtime_ns')::BIGINT AS start_ts_ns,
        (manifest ->> '$.end.realtime_ns')::BIGINT AS end_ts_ns,
        (manifest ->> '$.start.monotonic_ns')::BIGINT AS start_mono_ns,
        (manifest ->> '$.end.monotonic_ns')::BIGINT AS end_mono_ns,
        (manifest ->> '$.filters.snaplen')::BIGINT AS snaplen,
        manifest ->> '$.end_reason' AS end_reason,
        rows,
        manifest ->> '$.gaps[*]' AS gaps,
        manifest
    FROM footers;
CREATE OR REPLACE VIEW ledger AS
    SELECT capture, line ->> '$.event' AS event, entry, (line ->> ('$.' || entry))::BIGINT AS count, host
    FROM (
        SELECT capture, host, line, unnest(json_keys(line)) AS entry
        FROM (
            SELECT capture, NULL::VARCHAR AS host, unnest(json_extract(manifest, '$.ledger[*]')) AS line
            FROM footers WHERE coalesce(json_array_length(manifest, '$.hosts'), 0) = 0
            UNION ALL -- of several hosts each has its own
            SELECT capture, part ->> 'host', unnest(json_extract(part, '$.manifest.ledger[*]'))
            FROM (SELECT capture, unnest(json_extract(manifest, '$.hosts[*]')) AS part FROM footers)
        )
    )
    WHERE entry <> 'event';

CREATE OR REPLACE VIEW transfers AS
-- One row per movement of bytes, whichever call did it: from where (src_*) to where (dst_*).
--
-- An end is a process (its memory or registers), a pipe, a socket, or another file. Of a socket, *_local_addr and its port
-- are where it is bound, *_peer_addr whom it is connected to. `pid`, `tid` and `comm` are of the caller that moved the
-- bytes, `seq` leads to the whole event. Where bytes came from a pipe, src_pid and its companions name who fed it last, if a
-- recorded call did.
-- In a capture of several hosts, host is that of the call.
-- Failed calls, and calls that moved nothing, are not here.
SELECT
    capture,
    seq,
    ts,
    ts_ns,
    mono_ns,
    event,
    pid,
    tid,
    comm,
    bytes,
    src_kind,
    CASE WHEN src_kind = 'process' AND outward THEN pid ELSE target_pid END AS src_pid,
    CASE WHEN src_kind = 'process' AND outward THEN process_key ELSE target_key END AS src_key,
    CASE WHEN src_kind = 'process' AND outward THEN comm ELSE target_comm END AS src_comm,
    CASE WHEN src_kind = 'process' AND outward THEN exe ELSE target_exe END AS src_exe,
    CASE WHEN src_kind = 'process' AND outward THEN container ELSE target_container END AS src_container,
    CASE WHEN src_kind <> 'process' THEN pipe_in END AS src_pipe,
    CASE WHEN src_kind <> 'process' THEN fd_in_path END AS src_path,
    CASE WHEN src_kind = 'socket' THEN fd_in_local_addr END AS src_local_addr,
    CASE WHEN src_kind = 'socket' THEN fd_in_local_port END AS src_local_port,
    CASE WHEN src_kind = 'socket' THEN fd_in_peer_addr END AS src_peer_addr,
    CASE WHEN src_kind = 'socket' THEN fd_in_peer_port END AS src_peer_port,
    CASE WHEN src_kind = 'process' AND outward THEN local_iov
         WHEN src_kind = 'process' THEN remote_iov END AS src_iov,
    dst_kind,
    CASE WHEN dst_kind = 'process' AND outward THEN target_pid
         WHEN dst_kind = 'process' THEN pid END AS dst_pid,
    CASE WHEN dst_kind = 'process' AND outward THEN target_key
         WHEN dst_kind = 'process' THEN process_key END AS dst_key,
    CASE WHEN dst_kind = 'process' AND outward THEN target_comm
         WHEN dst_kind = 'process' THEN comm END AS dst_comm,
    CASE WHEN dst_kind = 'process' AND outward THEN target_exe
         WHEN dst_kind = 'process' THEN exe END AS dst_exe,
    CASE WHEN dst_kind = 'process' AND outward THEN target_container
         WHEN dst_kind = 'process' THEN container END AS dst_container,
    CASE WHEN dst_kind <> 'process' THEN pipe_out END AS dst_pipe,
    CASE WHEN dst_kind <> 'process' THEN fd_out_path END AS dst_path,
    CASE WHEN dst_kind = 'socket' THEN fd_out_local_addr END AS dst_local_addr,
    CASE WHEN dst_kind = 'socket' THEN fd_out_local_port END AS dst_local_port,
    CASE WHEN dst_kind = 'socket' THEN fd_out_peer_addr END AS dst_peer_addr,
    CASE WHEN dst_kind = 'socket' THEN fd_out_peer_port END AS dst_peer_port,
    CASE WHEN dst_kind = 'process' AND outward THEN remote_iov
         WHEN dst_kind = 'process' THEN local_iov END AS dst_iov,
    iov_verdict,
    toctou,
    payload,
    payload_len,
    payload_total,
    payload_status,
    host
FROM (
    SELECT
        *,
        direction IS NOT NULL AND direction = 'out' AS outward,
        CASE WHEN event IN ('splice', 'tee', 'sendfile', 'pipe_read') OR (event = 'vmsplice' AND direction = 'in')
             THEN coalesce(fd_in_kind, 'file') ELSE 'process' END AS src_kind,
        CASE WHEN event IN ('splice', 'tee', 'sendfile', 'pipe_write') OR (event = 'vmsplice' AND direction = 'out')
             THEN coalesce(fd_out_kind, 'file') ELSE 'process' END AS dst_kind
    FROM events
    WHERE bytes > 0 AND (direction IS NOT NULL OR event IN ('splice', 'tee', 'sendfile'))
) AS moved;

CREATE OR REPLACE VIEW processes AS
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
GROUP BY capture, host, pid, process_key;

CREATE OR REPLACE VIEW edges AS
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
GROUP BY capture, host, pid, process_key, target_pid, target_key;

CREATE OR REPLACE VIEW pipes AS
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
GROUP BY capture, host, pipe;

CREATE OR REPLACE VIEW losses AS
-- What happened and is not in the capture: one row per event and cause, as the ledger counts it.
--
-- reported, gaps, since and until come from the `lost` rows, which mark where the gaps were. A cause without such rows is known in
-- number only. No row at all means that nothing was lost. In a capture of several hosts, each has rows of its own.
WITH counted AS (
    SELECT capture, host, event, entry AS cause, count FROM ledger WHERE entry LIKE 'lost%' AND count > 0
), gaps AS (
    SELECT
        capture,
        host,
        lost_event AS event,
        CASE lost_cause
            WHEN 'left_in_ring' THEN 'lost_unread'
            WHEN 'recorder_killed' THEN 'lost_crash'
            ELSE 'lost_' || coalesce(lost_cause, 'unknown')
        END AS cause,
        CAST(sum(lost_count) AS BIGINT) AS reported,
        count(*) AS gaps,
        min(mono_ns - coalesce(dur_ns, 0)) AS since_mono_ns,
        max(mono_ns) AS until_mono_ns
    FROM events
    WHERE event = 'lost'
    GROUP BY
        capture,
        host,
        lost_event,
        CASE lost_cause
            WHEN 'left_in_ring' THEN 'lost_unread'
            WHEN 'recorder_killed' THEN 'lost_crash'
            ELSE 'lost_' || coalesce(lost_cause, 'unknown')
        END
)
SELECT
    coalesce(counted.capture, gaps.capture) AS capture,
    coalesce(counted.event, gaps.event) AS event,
    coalesce(counted.cause, gaps.cause) AS cause,
    coalesce(counted.count, gaps.reported) AS count,
    coalesce(gaps.reported, 0) AS reported,
    coalesce(gaps.gaps, 0) AS gaps,
    gaps.since_mono_ns,
    gaps.until_mono_ns,
    coalesce(counted.host, gaps.host) AS host
FROM counted
FULL JOIN gaps
    ON gaps.capture = counted.capture AND gaps.event = counted.event AND gaps.cause = counted.cause
    AND gaps.host IS NOT DISTINCT FROM counted.host;
