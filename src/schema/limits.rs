//! Limits on what a capture can make its reader do. Captures come from strangers: all limits on their claims are here.
//!
//! A capture of vmtrace is far below each limit, whatever was recorded: a row group ends with 131,072 rows or 64 MiB of
//! payload and iovecs, a payload has at most 64 KiB, a row at most 1,024 ranges on each side. Anything above is refused
//! in a sentence that names the column and the limit, before memory is allocated. So a reader of one capture takes at
//! most 512 MiB. `--allow-large` raises what depends on [`Limits`]; the constants are fixed.

use std::fmt;

/// Largest footer accepted; ours take about 10 KB per row group.
pub const MAX_FOOTER: u64 = 256 << 20;
/// Groups of columns in each other; ours has 4 levels (a list of structs).
pub const MAX_NESTING: usize = 16;
/// Columns and groups of columns; ours has about 80.
pub const MAX_ELEMENTS: u64 = 10_000;
/// Bytes of the name of one of them: a column below it has its own copy.
pub const MAX_NAME: u64 = 100;
/// Row groups: the Parquet library numbers them with 16 bits.
pub const MAX_ROW_GROUPS: u64 = 1 << 15;
/// Most rows accepted in one row group.
pub const MAX_ROW_GROUP_ROWS: i64 = 16 << 20;
/// Ranges of a row on one side, as the kernel has it (UIO_MAXIOV).
pub const MAX_RANGES: u64 = 1024;
/// Ranges of a row group that are not counted row by row: they take little, whatever rows they are in.
pub const FEW_RANGES: u64 = 1 << 18;
/// Longest JSON: a manifest with the longest command line that Linux allows stays below.
pub const MAX_JSON: usize = 32 << 20;
/// Values, objects and lists in it.
pub const MAX_JSON_VALUES: usize = 1 << 20;
/// Largest description of a row group, unpacked; ours take 7 to 30 KB.
pub const MAX_DESCRIPTION: u64 = 2 << 20;

/// What `--allow-large` is where it is not given. A row group's payload and iovecs, and then some.
const LARGE: u64 = 80 << 20;

/// Limits that grow with `--allow-large`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    large: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { large: LARGE }
    }
}

impl Limits {
    /// Limits for captures of which one part may take `large` bytes; never less than the usual ones.
    pub fn of(large: u64) -> Self {
        Limits { large: large.max(LARGE) }
    }

    /// Bytes of one page of a column, or of its dictionary, unpacked.
    pub fn page(self) -> u64 {
        self.large
    }

    /// Bytes of the pages and dictionaries that are held at a time, of all columns together.
    pub fn pages(self) -> u64 {
        self.large.saturating_mul(3) / 2
    }

    /// Bytes of the rows that are decoded at a time.
    pub fn batch(self) -> u64 {
        self.large
    }

    /// Bytes of one value: a payload, a text.
    pub fn value(self) -> u64 {
        self.large / 64
    }

    /// Bytes of one row group, unpacked.
    pub fn row_group(self) -> u64 {
        self.large.saturating_mul(12).max(1 << 30)
    }

    /// Bytes that footer and page indexes of a file of `size` bytes take in memory. A long recording has many row groups, and
    /// a large file; that a small one takes much is what must not be.
    pub fn metadata(self, size: u64) -> u64 {
        self.large.max(size / 4)
    }
}

/// Something is larger than the limits allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// What it is, with its column.
    pub what: String,
    /// Its bytes.
    pub bytes: u64,
    /// Bytes that are accepted.
    pub most: u64,
    /// The SIZE for `--allow-large` with which it is read.
    pub needs: u64,
}

impl std::error::Error for TooLarge {}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooLarge { what, bytes, most, needs } = self;
        let needs = needs.div_ceil(1 << 20);
        write!(f, "{what} of {bytes} bytes, where at most {most} are accepted: ")?;
        write!(f, "give --allow-large {needs}M if the file is trusted")
    }
}

impl Limits {
    /// Whether a page of `bytes` may be read; `what` says whose it is.
    ///
    /// # Errors
    /// When it is too large.
    pub fn check_page(self, bytes: u64, what: impl FnOnce() -> String) -> Result<(), TooLarge> {
        within(bytes, self.page(), bytes, what)
    }

    /// Whether pages of `bytes` may be held together.
    ///
    /// # Errors
    /// As [`Limits::check_page`].
    pub fn check_pages(self, bytes: u64, what: impl FnOnce() -> String) -> Result<(), TooLarge> {
        within(bytes, self.pages(), (bytes / 3).saturating_mul(2).saturating_add(2), what)
    }

    /// Whether rows of `bytes` may be decoded together.
    ///
    /// # Errors
    /// As [`Limits::check_page`].
    pub fn check_batch(self, bytes: u64, what: impl FnOnce() -> String) -> Result<(), TooLarge> {
        within(bytes, self.batch(), bytes, what)
    }

    /// Whether a value may have so many bytes.
    ///
    /// # Errors
    /// As [`Limits::check_page`].
    pub fn check_value(self, bytes: u64, what: impl FnOnce() -> String) -> Result<(), TooLarge> {
        within(bytes, self.value(), bytes.saturating_add(1).saturating_mul(64), what)
    }

    /// Whether a row group may have so many bytes, unpacked.
    ///
    /// # Errors
    /// As [`Limits::check_page`].
    pub fn check_row_group(self, bytes: u64, what: impl FnOnce() -> String) -> Result<(), TooLarge> {
        within(bytes, self.row_group(), bytes / 12 + 1, what)
    }
}

fn within(bytes: u64, most: u64, needs: u64, what: impl FnOnce() -> String) -> Result<(), TooLarge> {
    if bytes <= most { Ok(()) } else { Err(TooLarge { what: what(), bytes, most, needs }) }
}

/// The option of every command that reads captures.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct AllowLarge {
    /// Accept captures with a page, or rows decoded at a time, of up to SIZE in memory; only for files that you trust
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    allow_large: Option<u64>,
}

impl AllowLarge {
    /// The limits that follow.
    pub fn limits(self) -> Limits {
        self.allow_large.map_or_else(Limits::default, Limits::of)
    }
}

/// Reads a size in bytes: `512M`, `4G`, `1GiB`.
///
/// # Errors
/// Says what it may look like.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "" | "B" => Some(0),
        "K" | "KiB" => Some(10),
        "M" | "MiB" => Some(20),
        "G" | "GiB" => Some(30),
        "T" | "TiB" => Some(40),
        _ => None,
    };
    let size = number.parse::<u64>().ok().zip(shift).and_then(|(n, shift)| n.checked_mul(1u64.checked_shl(shift)?));
    size.ok_or_else(|| format!("{text:?} is not a size: write 512M or 4G"))
}

/// Whether `json` has no more in it than memory should be taken for: an object of three bytes can become hundreds.
pub fn is_modest(json: &[u8]) -> bool {
    let (mut values, mut within, mut escaped) = (0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if within => escaped = true,
            b'"' => within = !within,
            b',' | b'{' | b'[' if !within => values += 1,
            _ => {}
        }
    }
    json.len() <= MAX_JSON && values <= MAX_JSON_VALUES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::batch::BATCH_BYTES;

    #[test]
    fn what_is_recorded_stays_below() {
        let limits = Limits::default();
        // A row group ends with the row that exceeds it.
        assert!(limits.page() > BATCH_BYTES as u64 + limits.value());
        assert!(limits.batch() > BATCH_BYTES as u64 + limits.value());
        assert!(limits.value() > 1 << 20);
        assert_eq!(Limits::of(5), limits);
        assert!(Limits::of(u64::MAX).row_group() > limits.row_group());
    }

    #[test]
    fn what_is_refused_says_what_would_do() {
        type Check = fn(Limits, u64) -> Result<(), TooLarge>;
        let checks: [Check; 5] = [
            |limits, bytes| limits.check_page(bytes, String::new),
            |limits, bytes| limits.check_pages(bytes, String::new),
            |limits, bytes| limits.check_batch(bytes, String::new),
            |limits, bytes| limits.check_value(bytes, String::new),
            |limits, bytes| limits.check_row_group(bytes, String::new),
        ];
        for check in checks {
            for bytes in [(2 << 30) + 1, (3 << 30) + 7, (5 << 32) + 1023] {
                let error = check(Limits::default(), bytes).unwrap_err();
                let size = error.to_string();
                let size = size.split_once("--allow-large ").unwrap().1.split(' ').next().unwrap();
                assert_eq!(check(Limits::of(parse_size(size).unwrap()), bytes), Ok(()), "{error}");
            }
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("64M"), Ok(64 << 20));
        assert_eq!(parse_size("2GiB"), Ok(2 << 30));
        assert_eq!(parse_size("7"), Ok(7));
        for bad in ["", "M", "1X", "-1", "99999999999999999999G", "99999999999T"] {
            assert!(parse_size(bad).unwrap_err().contains("is not a size"), "{bad}");
        }
    }

    #[test]
    fn json_is_counted_outside_of_texts() {
        assert!(is_modest(br#"{"a": [1, 2], "b": "[[[,,,{"}"#));
        assert!(is_modest(format!("\"{}\"", ",".repeat(2 << 20)).as_bytes()));
        assert!(!is_modest("{},".repeat(1 << 20).as_bytes()));
        assert!(!is_modest(format!("\"\\\"\"{}", ",".repeat(2 << 20)).as_bytes()), "a quote in a text does not end it");
        assert!(!is_modest(&vec![b' '; MAX_JSON + 1]));
    }
}
