-- Bytes that look like secrets and crossed a process border, and which part of what moved was searched.
--
-- found is the match, masked. payload_offset says where it begins in the payload, src_address and dst_address where that was in
-- the memory of each side. Only the captured beginning of each payload can be searched, so the first row of each capture,
-- `searched`, says how much that is: nothing found in 0.2 % of the bytes says nothing of the others.
-- Lead: credentials taken from memory or passed on (ATT&CK T1552, Unsecured Credentials; T1003, OS Credential Dumping).
-- Benign: web servers and their helpers pass such headers on by trade; words such as `password=` stand in help texts.
WITH patterns(what, shown, pattern) AS (
    VALUES
        ('GitHub token', 4, 'gh[pousr]_[A-Za-z0-9][A-Za-z0-9_.-]{19,}'),
        ('GitHub token', 11, 'github_pat_[A-Za-z0-9_]{20,}'),
        ('GitHub Actions secret', 20, '"isSecret" ?: ?true'),
        ('JSON web token', 3, 'eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+)?'),
        ('AWS access key id', 4, '(?:AKIA|ASIA)[A-Z0-9]{16}'),
        ('AWS secret access key', 6, '(?i:(?:aws_?)?secret_?access_?key)["'' ]{0,2}[=:] ?["'']?[A-Za-z0-9/+]{40}'),
        ('AWS session token', 7,
            '(?i:(?:aws_?)?session_?token)["'' ]{0,2}[=:] ?["'']?[A-Za-z0-9/+=]{16,}'
            || '|(?:IQoJb3JpZ2luX2|FwoGZXIvYXdz)[A-Za-z0-9/+=]{16,}'),
        ('private key', 80, '-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----'),
        -- What crypt(3) makes of a password, whole: libc itself has such prefixes in its text. In this order: SHA-512,
        -- SHA-256, yescrypt and its GOST variant, scrypt, bcrypt, MD5.
        ('hash of a password', 3,
            '\$6\$(?:rounds=[0-9]{4,9}\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{86}'
            || '|\$5\$(?:rounds=[0-9]{4,9}\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{43}'
            || '|\$g?y\$[./0-9A-Za-z]{1,20}\$[./0-9A-Za-z]{1,86}\$[./0-9A-Za-z]{43}'
            || '|\$7\$[./0-9A-Za-z]{11,97}\$[./0-9A-Za-z]{43}'
            || '|\$2[abxy]\$[0-9]{2}\$[./0-9A-Za-z]{53}'
            || '|\$1\$[./0-9A-Za-z]{1,8}\$[./0-9A-Za-z]{22}'),
        -- Up to the end of the line, or the quote behind: some have several parts, such as the signature of AWS, or several
        -- cookies.
        ('HTTP authorization', 15,
            '"(?i:authorization)\\?"?: ?\\?"?[A-Za-z][A-Za-z0-9-]{1,30} [!#-~][ !#-~]{3,}'
            || '|''(?i:authorization)''?: ?''?[A-Za-z][A-Za-z0-9-]{1,30} [!-&(-~][ -&(-~]{3,}'
            || '|(?i:authorization): ?[A-Za-z][A-Za-z0-9-]{1,30} [!-~][ -~]{3,}'),
        ('HTTP cookie', 7,
            '"(?i:(?:set-)?cookie)\\?"?: ?\\?"?[ !#-<>-~]{1,100}=[!#-~][ !#-~]{3,}'
            || '|''(?i:(?:set-)?cookie)''?: ?''?[ -&(-<>-~]{1,100}=[!-&(-~][ -&(-~]{3,}'
            || '|(?i:(?:set-)?cookie): ?[ -<>-~]{1,100}=[!-~][ -~]{3,}'),
        ('API key', 6,
            '(?i:\bx-[a-z-]{0,20}(?:api-?key|auth-?key|token|secret)|private-token|api[_-]?key|client[_-]secret|access[_-]token)'
            || '[\\"'' ]{0,3}[=:] ?[\\"'']{0,2}[!#-&(-+\--~]{8,}'),
        ('URL with a password', 6,
            '[A-Za-z][A-Za-z0-9+.-]{1,20}://[!#-&(-+\-.0-9;=?A-~]{0,64}:[!#-&(-+\-.0-;=?A-~]{1,128}@'),
        -- In quotes it may have blanks.
        ('password', 6,
            '(?i:passw(?:or)?d|passphrase)[\\"'' ]{0,3}(?:=>|:=|={1,2}|:) {0,16}'
            || '(?:\\"[ !#-\[\]-~]+|"(?:\\[ -~]|[ !#-\[\]-~])+|''[ -&(-~]+|[!-~]+)')
), candidates AS (
    -- One look at each payload leaves few for all patterns.
    SELECT
        capture, seq, ts, event, src_kind, src_pid, src_comm, src_iov, dst_kind, dst_pid, dst_comm, dst_iov, bytes, payload
    FROM transfers
    WHERE array_length(find_all(
        payload,
        'gh[pousr]_|github_pat_|isSecret|eyJ|AKIA|ASIA|(?i:access_?key)|(?i:session_?token)|IQoJb3|FwoGZX|PRIVATE KEY'
        || '|\$[1-7gy][abxy]?\$|(?i:authorization)|(?i:cookie)|(?i:passw|passphrase)|(?i:api[_-]?key)'
        || '|(?i:x-[a-z-]{0,20}(?:auth-?key|token|secret))|(?i:private-token|client[_-]secret|access[_-]token)'
        || '|://[!#-&(-+\-.0-;=?A-~]{0,193}@'
    )) > 0
), found AS (
    SELECT
        capture, seq, ts, event, src_kind, src_pid, src_comm, src_iov, dst_kind, dst_pid, dst_comm, dst_iov, bytes, what,
        shown, unnest(find_all(payload, pattern)) AS hit
    FROM candidates
    CROSS JOIN patterns
), kept AS (
    SELECT capture, CAST(sum(payload_len) AS BIGINT) AS kept, CAST(sum(bytes) AS BIGINT) AS moved
    FROM transfers
    GROUP BY capture
), parts AS (
    SELECT
        manifest.capture,
        coalesce(kept, 0) AS kept,
        coalesce(moved, 0) AS moved,
        CAST(floor(1000 * CAST(coalesce(kept, 0) AS DOUBLE) / CAST(CASE WHEN moved > 0 THEN moved ELSE 1 END AS DOUBLE)) AS BIGINT)
            AS thousandths
    FROM manifest
    LEFT JOIN kept ON kept.capture = manifest.capture
)
SELECT
    capture, seq, ts, event, what,
    substr(hit['text'], 1, shown)
    || CASE WHEN length(hit['text']) > shown
            THEN '*** (' || CAST(length(hit['text']) AS VARCHAR) || ' characters)' ELSE '' END AS found,
    hit['at'] AS payload_offset,
    address_of(src_iov, hit['at']) AS src_address,
    address_of(dst_iov, hit['at']) AS dst_address,
    src_kind, src_pid, src_comm, dst_kind, dst_pid, dst_comm, bytes
FROM found
UNION ALL
SELECT
    capture, NULL, NULL, NULL, 'searched',
    CASE WHEN moved = 0 THEN 'no bytes moved'
         ELSE CAST(CAST(floor(thousandths / 10) AS BIGINT) AS VARCHAR) || '.' || CAST(thousandths % 10 AS VARCHAR)
             || ' % kept: ' || CAST(kept AS VARCHAR) || ' of ' || CAST(moved AS VARCHAR) || ' bytes that moved' END,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, moved
FROM parts
ORDER BY capture, seq NULLS FIRST, payload_offset, what
