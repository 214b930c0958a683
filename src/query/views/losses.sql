-- What happened and is not in the capture: one row per event and cause, as the ledger counts it.
--
-- rows, since and until come from the `lost` rows that tell where the gaps were, and a cause that has none is known in number
-- only. No row at all means that nothing was lost.
WITH gaps AS (
    SELECT
        capture,
        lost_event AS event,
        CASE lost_cause WHEN 'left_in_ring' THEN 'lost_unread' ELSE 'lost_' || lost_cause END AS cause,
        count(*) AS gaps,
        min(mono_ns - coalesce(dur_ns, 0)) AS since_mono_ns,
        max(mono_ns) AS until_mono_ns
    FROM events
    WHERE event = 'lost'
    GROUP BY capture, lost_event, CASE lost_cause WHEN 'left_in_ring' THEN 'lost_unread' ELSE 'lost_' || lost_cause END
)
SELECT
    ledger.capture,
    ledger.event,
    ledger.entry AS cause,
    ledger.count,
    coalesce(gaps.gaps, 0) AS gaps,
    gaps.since_mono_ns,
    gaps.until_mono_ns
FROM ledger
LEFT JOIN gaps ON gaps.capture = ledger.capture AND gaps.event = ledger.event AND gaps.cause = ledger.entry
WHERE ledger.entry LIKE 'lost%' AND ledger.count > 0
