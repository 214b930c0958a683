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
    FROM read_parquet({files}, filename = true, union_by_name = true)
    UNION ALL BY NAME -- columns that captures of an older vmtrace lack
    SELECT {columns} WHERE false;
CREATE OR REPLACE VIEW footers AS
    SELECT kv.file_name AS capture, decode(kv.value) AS manifest, files.num_rows AS rows, versions.version
    FROM parquet_kv_metadata({files}) AS kv
    JOIN parquet_file_metadata({files}) AS files USING (file_name)
    JOIN (
        SELECT file_name, decode(value)::INTEGER AS version
        FROM parquet_kv_metadata({files}) WHERE decode(key) = 'vmtrace.schema_version'
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
