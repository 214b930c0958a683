-- Calls whose arguments changed under way, or contradict what the kernel did.
--
-- Lead: a thread that flips iovec arrays while the kernel reads them wants tracers to see another call (ATT&CK T1562,
-- Impair Defenses).
-- Benign: a program that reuses its iovec array from several threads without care, or reads into memory where its array
-- stands; one that unmaps a buffer while a call fills it.
SELECT
    capture, seq, ts, event, pid, tid, comm, exe, target_pid, target_comm, bytes, bytes_requested, iov_source, iov_verdict,
    toctou, local_iov, remote_iov
FROM events
WHERE toctou OR iov_verdict = 'conflict'
ORDER BY capture, seq
