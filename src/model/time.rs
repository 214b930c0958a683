//! Instants: parsing them from options, and writing them in front of a line.
//!
//! Owns both directions of every notation. `rel` is measured on CLOCK_MONOTONIC from the moment the hooks were
//! attached (`manifest.start.monotonic_ns`); rows of processes that existed before can have negative times.

use std::fmt::Write;

use chrono::{DateTime, Local, MappedLocalTime, NaiveDate, NaiveDateTime, SecondsFormat, TimeZone, Utc};
use clap::ValueEnum;

use crate::schema::Event;
use crate::schema::manifest::Clocks;

const SECOND: i64 = 1_000_000_000;

/// How the text output writes instants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Notation {
    /// RFC 3339 in UTC
    Utc,
    /// RFC 3339 in this machine's time zone
    Local,
    /// Seconds since the recording started
    #[default]
    Rel,
    /// Seconds since the line before
    Delta,
    /// Seconds since 1970
    Unix,
    /// Seconds of the recording machine's CLOCK_MONOTONIC
    Mono,
}

impl Notation {
    /// The zone of the times that it writes.
    pub fn zone(self) -> Zone {
        match self {
            Notation::Local => Zone::Local,
            Notation::Utc | Notation::Rel | Notation::Delta | Notation::Unix | Notation::Mono => Zone::Utc,
        }
    }
}

/// The zone of times that do not name theirs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Zone {
    /// UTC.
    #[default]
    Utc,
    /// This machine's.
    Local,
}

/// An instant as an option names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// ns since the recording started.
    Relative(i64),
    /// ns since 1970, UTC.
    Absolute(i64),
}

/// Reads `1.5`, `+250ms`, `2m`, `@1700000000.5`, `2026-01-02T03:04:05Z`, or `2026-01-02 03:04:05` (in `zone`).
///
/// # Errors
/// Says which notations there are, or that the zone's clock skips or repeats that time.
pub fn parse_in(text: &str, zone: Zone) -> Result<When, String> {
    let trimmed = text.trim();
    let when = match trimmed.strip_prefix('@') {
        Some(seconds) => decimal(seconds, SECOND).map(When::Absolute),
        None => match relative(trimmed) {
            Some(ns) => Some(When::Relative(ns)),
            None => absolute(trimmed, zone)?.map(When::Absolute),
        },
    };
    when.ok_or_else(|| {
        let zone = match zone {
            Zone::Utc => "UTC",
            Zone::Local => "local",
        };
        format!(
            "{text:?} is not a time: give seconds since the start (1.5, 250ms, 2m), a {zone} time \
             (2026-01-02 03:04:05.678), one with its zone (2026-01-02T03:04:05Z), or @seconds since 1970"
        )
    })
}

fn relative(text: &str) -> Option<i64> {
    const UNITS: [(&str, i64); 9] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("ms", 1_000_000),
        ("min", 60 * SECOND),
        ("s", SECOND),
        ("m", 60 * SECOND),
        ("h", 3600 * SECOND),
        ("d", 86_400 * SECOND),
    ];
    let (sign, amount) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let unit = UNITS.iter().find_map(|(name, ns)| Some((amount.strip_suffix(name)?, *ns)));
    let (number, ns) = unit.unwrap_or((amount, SECOND));
    Some(sign * decimal(number.trim_end(), ns)?)
}

/// `number` × `unit` exactly, digits below a nanosecond cut off.
fn decimal(number: &str, unit: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // 18 digits keep the sum exact for every unit up to a day; more are below a nanosecond.
    let fraction: i128 = format!("{fraction:0<18.18}").parse().ok()?;
    let part = i64::try_from(fraction * i128::from(unit) / 10i128.pow(18)).ok()?;
    whole.checked_mul(unit)?.checked_add(part)
}

fn absolute(text: &str, zone: Zone) -> Result<Option<i64>, String> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Ok(instant.timestamp_nanos_opt());
    }
    let utc = text.strip_suffix("UTC").or(text.strip_suffix('Z'));
    let bare = utc.unwrap_or(text).trim_end();
    let formats = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"];
    let instant = formats.iter().find_map(|f| NaiveDateTime::parse_from_str(bare, f).ok());
    let midnight = || NaiveDate::parse_from_str(bare, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    let Some(instant) = instant.or_else(midnight) else { return Ok(None) };
    match zone {
        Zone::Local if utc.is_none() => in_zone(&Local, instant),
        Zone::Local | Zone::Utc => Ok(instant.and_utc().timestamp_nanos_opt()),
    }
}

/// The instant at which clocks in `zone` show `shown`.
fn in_zone(zone: &impl TimeZone, shown: NaiveDateTime) -> Result<Option<i64>, String> {
    let how = match zone.from_local_datetime(&shown) {
        MappedLocalTime::Single(instant) => return Ok(instant.timestamp_nanos_opt()),
        MappedLocalTime::Ambiguous(..) => "shows it twice",
        MappedLocalTime::None => "skips it",
    };
    Err(format!("{shown} is no one time here: the clock {how}; add the offset from UTC, as in {shown:?}+01:00"))
}

/// Writes the instants of one capture.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    notation: Notation,
    start_mono_ns: i64,
    last_mono_ns: Option<i64>,
    micros: bool,
}

impl Clock {
    /// A clock for the capture that started at `start`.
    pub fn new(notation: Notation, start: &Clocks) -> Self {
        Clock { notation, start_mono_ns: start.monotonic_ns, last_mono_ns: None, micros: false }
    }

    /// The same, which writes microseconds.
    #[must_use]
    pub fn in_micros(self) -> Self {
        Clock { micros: true, ..self }
    }

    /// Lets the next line count as the first.
    pub fn restart(&mut self) {
        self.last_mono_ns = None;
    }

    /// Counts an event as the line before, of which nothing is written.
    pub fn pass(&mut self, event: &Event<'_>) {
        self.last_mono_ns = Some(event.mono_ns);
    }

    /// Appends the instant of `event`, right-aligned so that lines stay in columns.
    pub fn write(&mut self, out: &mut String, event: &Event<'_>) {
        let before = self.last_mono_ns.replace(event.mono_ns).unwrap_or(event.mono_ns);
        let format = if self.micros { SecondsFormat::Micros } else { SecondsFormat::Nanos };
        let instant = DateTime::from_timestamp_nanos(event.ts_ns);
        let mut text = match self.notation {
            Notation::Utc => instant.to_rfc3339_opts(format, true),
            Notation::Local => instant.with_timezone(&Local).to_rfc3339_opts(format, false),
            Notation::Rel => seconds(event.mono_ns.into(), self.start_mono_ns.into()),
            Notation::Delta => {
                let text = seconds(event.mono_ns.into(), before.into());
                if text.starts_with('-') { text } else { format!("+{text}") }
            }
            Notation::Unix => seconds(event.ts_ns.into(), 0),
            Notation::Mono => seconds(event.mono_ns.into(), 0),
        };
        let decimals = !matches!(self.notation, Notation::Utc | Notation::Local);
        if decimals && self.micros {
            // The last three of nine.
            text.truncate(text.len().saturating_sub(3));
        }
        let width = match self.notation {
            Notation::Rel | Notation::Delta if self.micros => 11,
            Notation::Rel | Notation::Delta => 13,
            Notation::Utc | Notation::Local | Notation::Unix | Notation::Mono => 0,
        };
        // Writing to a String cannot fail.
        let _ = write!(out, "{text:>width$}");
    }
}

/// `at − from` in seconds with nine decimals.
pub fn seconds(at: i128, from: i128) -> String {
    let difference = at - from;
    let (sign, ns) = (if difference < 0 { "-" } else { "" }, difference.unsigned_abs());
    format!("{sign}{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}

/// `2026-01-02T03:04:05.678901234Z`, as `--since` takes it.
pub fn utc(ts_ns: i64) -> String {
    DateTime::from_timestamp_nanos(ts_ns).to_rfc3339_opts(SecondsFormat::Nanos, true)
}

/// The same to the microsecond; the bare number where it is beyond the calendar.
pub fn utc_micros(ts: i64) -> String {
    let instant: Option<DateTime<Utc>> = DateTime::from_timestamp_micros(ts);
    instant.map_or_else(|| ts.to_string(), |i| i.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// A span in the unit that suits it: `17ns`, `4.5µs`, `250ms`, `2.410s`.
pub fn span(ns: i64) -> String {
    let value = ns as f64;
    match ns.unsigned_abs() {
        0..1_000 => format!("{ns}ns"),
        // What is rounded up to a thousand has the next unit.
        1_000..999_950 => format!("{:.1}µs", value / 1e3),
        999_950..999_950_000 => format!("{:.1}ms", value / 1e6),
        _ => format!("{:.3}s", value / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::FixedOffset;

    fn parse(text: &str) -> Result<When, String> {
        parse_in(text, Zone::Utc)
    }

    /// A zone whose clock was turned from 2:00 to 3:00 on one day, and from 3:00 to 2:00 on another.
    #[derive(Clone, Debug)]
    struct Turned;

    impl TimeZone for Turned {
        type Offset = FixedOffset;

        fn from_offset(_: &FixedOffset) -> Self {
            Turned
        }

        fn offset_from_local_date(&self, _: &NaiveDate) -> MappedLocalTime<FixedOffset> {
            MappedLocalTime::None
        }

        fn offset_from_local_datetime(&self, shown: &NaiveDateTime) -> MappedLocalTime<FixedOffset> {
            let hours = |hours| FixedOffset::east_opt(hours * 3600).unwrap();
            match shown.to_string().as_str() {
                "2026-03-29 02:30:00" => MappedLocalTime::None,
                "2026-10-25 02:30:00" => MappedLocalTime::Ambiguous(hours(2), hours(1)),
                _ => MappedLocalTime::Single(hours(1)),
            }
        }

        fn offset_from_utc_date(&self, _: &NaiveDate) -> FixedOffset {
            FixedOffset::east_opt(3600).unwrap()
        }

        fn offset_from_utc_datetime(&self, _: &NaiveDateTime) -> FixedOffset {
            FixedOffset::east_opt(3600).unwrap()
        }
    }

    #[test]
    fn a_clock_that_is_turned_skips_and_repeats_times() {
        let at = |text: &str| in_zone(&Turned, text.parse().unwrap());
        assert_eq!(at("1970-01-01T01:00:01"), Ok(Some(SECOND)));
        let skipped = "2026-03-29 02:30:00 is no one time here: the clock skips it; add the offset from UTC, as in \
                       2026-03-29T02:30:00+01:00";
        assert_eq!(at("2026-03-29T02:30:00"), Err(skipped.to_string()));
        assert!(at("2026-10-25T02:30:00").unwrap_err().contains("the clock shows it twice"));
    }

    #[test]
    fn relative_times_are_exact() {
        for (text, ns) in [
            ("1.5", 1_500_000_000),
            ("+1.5s", 1_500_000_000),
            ("250ms", 250_000_000),
            ("2m", 120_000_000_000),
            ("0.1min", 6_000_000_000),
            ("10us", 10_000),
            ("10µs", 10_000),
            ("7ns", 7),
            (".000000001", 1),
            ("0.0000000019", 1),
            ("1h", 3_600_000_000_000),
            ("-0.5", -500_000_000),
        ] {
            assert_eq!(parse(text), Ok(When::Relative(ns)), "{text}");
        }
    }

    #[test]
    fn absolute_times_are_utc() {
        let ns = 1_700_000_000_500_000_000;
        for text in [
            "@1700000000.5",
            "2023-11-14T22:13:20.5Z",
            "2023-11-14 22:13:20.5",
            "2023-11-14T22:13:20.5",
            "2023-11-14 22:13:20.5 UTC",
            "2023-11-14T23:13:20.5+01:00",
        ] {
            assert_eq!(parse(text), Ok(When::Absolute(ns)), "{text}");
        }
        assert_eq!(parse("2023-11-14"), Ok(When::Absolute(1_699_920_000_000_000_000)));
        assert_eq!(parse(&utc(ns + 7)), Ok(When::Absolute(ns + 7)), "what is printed can be given back");
    }

    #[test]
    fn nonsense_and_overflow_are_refused() {
        for text in ["", ".", "s", "@", "1x", "1.2.3", "yesterday", "99999999999999999999", "99999999999d", "@-", "1e3"]
        {
            assert!(parse(text).unwrap_err().contains("is not a time"), "{text}");
        }
    }

    #[test]
    fn instants_of_hostile_files_do_not_overflow() {
        let start = Clocks { monotonic_ns: i64::MIN, ..Clocks::default() };
        let event = Event { mono_ns: i64::MAX, ts_ns: i64::MIN, ts: i64::MAX, ..Event::default() };
        for notation in Notation::value_variants() {
            let mut text = String::new();
            Clock::new(*notation, &start).write(&mut text, &event);
            assert!(!text.is_empty());
        }
        assert_eq!(utc_micros(i64::MAX), i64::MAX.to_string());
    }

    #[test]
    fn each_notation_has_its_form() {
        let start = Clocks { monotonic_ns: 5_000_000_000, ..Clocks::default() };
        let event = Event { mono_ns: 6_000_000_007, ts_ns: 1_700_000_000_500_000_000, ..Event::default() };
        let write = |notation| {
            let mut text = String::new();
            Clock::new(notation, &start).write(&mut text, &event);
            text
        };
        assert_eq!(write(Notation::Rel), "  1.000000007");
        assert_eq!(write(Notation::Delta), " +0.000000000");
        assert_eq!(write(Notation::Utc), "2023-11-14T22:13:20.500000000Z");
        assert_eq!(write(Notation::Unix), "1700000000.500000000");
        assert_eq!(write(Notation::Mono), "6.000000007");
        assert_eq!(span(4_500), "4.5µs");
        assert_eq!([span(999_949), span(999_950), span(999_999)], ["999.9µs", "1.0ms", "1.0ms"]);
        assert_eq!([span(999_949_999), span(999_950_000), span(999)], ["999.9ms", "1.000s", "999ns"]);
        let short = |notation| {
            let mut text = String::new();
            Clock::new(notation, &start).in_micros().write(&mut text, &event);
            text
        };
        assert_eq!(short(Notation::Rel), "   1.000000");
        assert_eq!(short(Notation::Utc), "2023-11-14T22:13:20.500000Z");
        assert_eq!(short(Notation::Unix), "1700000000.500000");
    }
}
