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
) AS moved
