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
    AND gaps.host IS NOT DISTINCT FROM counted.host
