-- What the captures do not show: events lost, by cause, and what the recorder could not see from the start.
--
-- Read this before a missing event is taken for one that did not happen.
-- Lead: losses just when something else went on may be meant (ATT&CK T1562, Impair Defenses: a flood of events).
-- Benign: a busy machine and a small buffer.
SELECT capture, event, cause AS what, count, since_mono_ns, until_mono_ns, host
FROM losses
UNION ALL
SELECT capture, NULL AS event, gap AS what, NULL AS count, NULL AS since_mono_ns, NULL AS until_mono_ns, NULL AS host
FROM (SELECT capture, unnest(gaps) AS gap FROM manifest) AS unseen
ORDER BY capture, event, what, host
