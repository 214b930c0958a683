-- Writes that can reach executable or read-only mappings: ptrace's words and /proc/PID/mem are written with force, as
-- process_vm_writev is not.
--
-- Where the mapping is known (region_source is maps), a write is here if that is not writable or is executable: perms and
-- region are those of the first range, process_vm_writev may write to others. Where it is not known, or a range goes on
-- behind it, every write with force is here. PTRACE_POKETEXT is the one call that says that it means code.
-- Lead: code patched in a running process (ATT&CK T1055.008, Ptrace System Calls; T1055.009, Proc Memory).
-- Benign: breakpoints of debuggers (one byte 0xcc, or the original put back), uprobes-like tools, live patching.
WITH judged AS (
    SELECT capture, seq, CASE WHEN max(forced) = 1 THEN 1 WHEN count(forced) = count(*) THEN 0 END AS forced
    FROM (
        SELECT
            capture, seq,
            CASE
                WHEN region['perms'] NOT LIKE '_w-_' THEN 1
                WHEN CAST(place['base'] AS DOUBLE) + CAST(place['len'] AS DOUBLE) <= CAST(region['end'] AS DOUBLE) THEN 0
            END AS forced
        FROM (
            SELECT capture, seq, unnest(remote_regions) AS region, unnest(remote_iov) AS place
            FROM events
            WHERE direction = 'out' AND bytes > 0 AND region_source = 'maps'
        ) AS written
    ) AS ranges
    GROUP BY capture, seq
)
SELECT
    events.capture, events.seq, ts, event, ptrace_request, pid, comm, exe, target_pid, target_comm, target_exe, bytes,
    remote_iov,
    region_source,
    remote_regions[1]['perms'] AS perms,
    remote_regions[1]['path'] AS region,
    contains_bytes(payload, x'cc') AS has_int3,
    payload
FROM events
LEFT JOIN judged ON judged.capture = events.capture AND judged.seq = events.seq
WHERE direction = 'out' AND bytes > 0
    AND (forced = 1
        OR (forced IS NULL AND (ptrace_request IN ('PTRACE_POKETEXT', 'PTRACE_POKEDATA') OR fd_out_kind = 'proc_mem')))
ORDER BY events.capture, events.seq
