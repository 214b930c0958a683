//! Sizes and times as they are typed.

use std::time::Duration;

use crate::record::encode::flight_recorder::Limit;

const MIN_KEPT: u64 = 64 << 10;
/// Maximum number of bytes that the flight recorder keeps if it was given a time.
const KEPT_FOR_TIME: u64 = 512 << 20;

/// Parses sizes such as `64M`; units are powers of 1,024.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let shift = match unit.to_ascii_uppercase().trim_end_matches("IB").trim_end_matches('B') {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        _ => return Err("a size is a number of bytes, or one with K, M or G".into()),
    };
    let number: u64 = number.parse().map_err(|_| "a size is a number of bytes, or one with K, M or G".to_string())?;
    number.checked_mul(1 << shift).ok_or_else(|| "that size is too large".into())
}

/// `1.5`, `250ms`, `10s`, `2m`, `1h`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("a time is a number of seconds, or one with ms, s, m or h".into()),
    };
    let number: f64 =
        number.parse().map_err(|_| "a time is a number of seconds, or one with ms, s, m or h".to_string())?;
    let time = Duration::try_from_secs_f64(number * seconds).map_err(|_| "that time is too long".to_string())?;
    if time.is_zero() { Err("that time is zero".into()) } else { Ok(time) }
}

/// What the flight recorder keeps: a size has a unit of its own, or none.
pub(super) fn parse_flight_limit(text: &str) -> Result<Limit, String> {
    let is_time = ["ms", "s", "m", "h"]
        .iter()
        .any(|unit| text.strip_suffix(unit).is_some_and(|number| number.ends_with(|c: char| c.is_ascii_digit())));
    let limit = if is_time {
        Limit { bytes: KEPT_FOR_TIME, age: Some(parse_duration(text)?) }
    } else {
        Limit { bytes: parse_size(text)?, age: None }
    };
    if limit.bytes < MIN_KEPT { Err("at least 64K are kept".into()) } else { Ok(limit) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_have_units() {
        assert_eq!(parse_size("4096"), Ok(4096));
        assert_eq!(parse_size("64M"), Ok(64 << 20));
        assert_eq!(parse_size("1GiB"), Ok(1 << 30));
        for bad in ["", "M", "1T", "-1", "99999999999G"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_flight_limit("64M"), Ok(Limit { bytes: 64 << 20, age: None }));
        assert_eq!(parse_flight_limit("30s"), Ok(Limit { bytes: KEPT_FOR_TIME, age: Some(Duration::from_secs(30)) }));
        assert!(parse_flight_limit("5m").unwrap().age.is_some(), "minutes, as everywhere");
        assert!(parse_flight_limit("1K").is_err() && parse_flight_limit("x").is_err());
        assert_eq!(parse_duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "s", "1d", "0", "1e400", "99999999999999999999h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
