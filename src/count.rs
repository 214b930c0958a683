//! Numbers with their unit, as sentences use them: `1 event`, `12,345 events`.

use std::fmt;

/// A number, and the word behind it: for one, and for any other number.
#[derive(Clone, Copy, Debug)]
pub struct Count<'a>(pub u64, pub &'a str, pub &'a str);

impl fmt::Display for Count<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count(number, one, many) = *self;
        write!(f, "{} {}", grouped(number), if number == 1 { one } else { many })
    }
}

/// Events.
pub fn events(number: u64) -> Count<'static> {
    Count(number, "event", "events")
}

/// Rows.
pub fn rows(number: u64) -> Count<'static> {
    Count(number, "row", "rows")
}

/// Row groups.
pub fn row_groups(number: usize) -> Count<'static> {
    Count(number as u64, "row group", "row groups")
}

/// Bytes.
pub fn bytes(number: u64) -> Count<'static> {
    Count(number, "byte", "bytes")
}

/// A size in few characters: `4096`, `64K`, `40.2M`. K, M and the others are powers of
/// 1024; what has a decimal place is rounded.
pub fn short_size(bytes: u64) -> String {
    const SMALL: u64 = 10_000;
    let unit = ["K", "M", "G", "T", "P"].into_iter().zip(1..).take_while(|(_, power)| bytes >> (10 * power) > 0).last();
    match unit {
        Some((name, power)) if bytes >= SMALL => {
            let unit = 1u64 << (10 * power);
            match bytes.is_multiple_of(unit) {
                true => format!("{}{name}", bytes / unit),
                false => format!("{:.1}{name}", bytes as f64 / unit as f64),
            }
        }
        Some(_) | None => bytes.to_string(),
    }
}

/// 1234567 as 1,234,567.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A size with its unit: `4,096 B`, `40.2 MiB`; with a decimal place it is rounded.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let unit = UNITS.into_iter().zip(1..).take_while(|(_, power)| bytes >> (10 * power) > 0).last();
    match unit.filter(|_| bytes >= 10_000) {
        Some((name, power)) => format!("{:.1} {name}", bytes as f64 / (1u64 << (10 * power)) as f64),
        None => format!("{} B", grouped(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        assert_eq!([size(0), size(9_999)], ["0 B", "9,999 B"]);
        assert_eq!([size(42_160_128), size(u64::MAX)], ["40.2 MiB", "16384.0 PiB"]);
    }

    #[test]
    fn one_is_singular_and_thousands_are_grouped() {
        assert_eq!(events(0).to_string(), "0 events");
        assert_eq!(events(1).to_string(), "1 event");
        assert_eq!(row_groups(1).to_string(), "1 row group");
        assert_eq!(rows(1_234_567).to_string(), "1,234,567 rows");
        assert_eq!(Count(1, "row is", "rows are").to_string(), "1 row is");
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn short_sizes_have_a_letter_for_their_unit() {
        for (bytes, text) in [
            (0, "0"),
            (9_999, "9999"),
            (10_000, "9.8K"),
            (65_536, "64K"),
            (65_537, "64.0K"),
            (1 << 20, "1M"),
            (42_160_128, "40.2M"),
            (1 << 40, "1T"),
            (u64::MAX, "16384.0P"),
        ] {
            assert_eq!(short_size(bytes), text);
        }
    }
}
