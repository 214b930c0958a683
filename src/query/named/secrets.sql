-- Bytes that look like secrets and crossed a process border. Only the captured beginning of each payload is searched.
--
-- Lead: credentials taken from memory or passed on (ATT&CK T1552, Unsecured Credentials; T1003, OS Credential Dumping).
-- Benign: web servers and their helpers pass such headers on by trade; words such as `password=` stand in help texts.
SELECT
    capture, seq, ts, event, what, src_kind, src_pid, src_comm, dst_kind, dst_pid, dst_comm, bytes, text
FROM (
    SELECT
        *,
        printable(payload) AS text,
        CASE
            WHEN contains_bytes(payload, 'PRIVATE KEY-----') THEN 'private key'
            WHEN contains_bytes(payload, 'AKIA') THEN 'AWS access key id'
            WHEN contains_bytes(payload, 'ghp_') THEN 'GitHub token'
            WHEN contains_bytes(payload, 'Authorization: ') THEN 'HTTP authorization'
            WHEN contains_bytes(payload, 'Set-Cookie: ') THEN 'HTTP cookie'
            WHEN contains_bytes(payload, '$6$') OR contains_bytes(payload, '$y$') THEN 'hash of a password'
            WHEN contains_bytes(payload, 'assword=') OR contains_bytes(payload, 'assword:') THEN 'password'
        END AS what
    FROM transfers
    WHERE payload IS NOT NULL
) AS searched
WHERE what IS NOT NULL
ORDER BY capture, seq
