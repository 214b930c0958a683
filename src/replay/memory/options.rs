//! The options of `vmtrace memory`, and how ranges, instants and bytes are read from them.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};

use crate::model::select::Span;
use crate::model::time::{self, When, Zone};
use crate::sandbox::Sandbox;
use crate::schema::limits::{AllowLarge, MAX_PATTERN};
use crate::terminal::Format;

/// Bytes that an address without a length stands for.
const LENGTH: u64 = 64;

/// Options of `vmtrace memory`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A byte is `seen` where a read showed that it was there, `written` where a write brought it there, as \
long ago as the line says. The process itself can have changed it since: that is not recorded. `··` is a byte that is not \
known. `??` is one of which two calls that ran at the same time show different values. `can be stale` means that lost events \
may have changed it. Exit status: 0 something is known, 1 nothing is known, 2 an error."
)]
pub struct Args {
    /// Captures of one recording; behind them a range of memory to show, as A+LEN, or as A for 64 bytes
    #[arg(required = true, value_name = "FILE|A[+LEN]")]
    pub(super) words: Vec<PathBuf>,
    /// The process whose memory is shown
    #[arg(short, long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pub(super) pid: i32,
    /// The host of that process, in a capture of several hosts
    #[arg(long, value_name = "HOST")]
    pub(super) host: Option<String>,
    /// The instant: seconds since the start (1.5, 250ms, 2m), UTC (2026-01-02T03:04:05Z), or @UNIX [default: the end]
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub(super) at: Option<String>,
    /// Show every event that read or wrote this range, with its bytes before and after
    #[arg(long, value_name = "A[+LEN]", conflicts_with_all = ["diff", "search"])]
    pub(super) history: Option<String>,
    /// Show what differs between two instants
    #[arg(long, num_args = 2, value_names = ["T1", "T2"], allow_hyphen_values = true, conflicts_with_all = ["at", "search"])]
    pub(super) diff: Option<Vec<String>>,
    /// Show where and when these bytes stood: text, or hexadecimal digits after 0x
    #[arg(long, value_name = "BYTES|TEXT", value_parser = pattern)]
    pub(super) search: Option<Pattern>,
    /// List at most N ranges [default: 10 in text, else all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Output")]
    top: Option<u32>,
    /// Write the bytes of the range into OUT, with zeros where they are not known, and what is known into OUT.json
    #[arg(short = 'o', long, value_name = "OUT", conflicts_with_all = ["history", "diff", "search"], help_heading = "Output")]
    pub(super) raw: Option<PathBuf>,
    /// With -o: replace existing files
    #[arg(long, requires = "raw", help_heading = "Output")]
    pub(super) force: bool,
    /// Output format
    #[arg(short = 'T', long, value_enum, default_value_t, help_heading = "Output")]
    pub(super) format: Format,
    #[command(flatten)]
    pub(super) large: AllowLarge,
    #[command(flatten)]
    pub(super) sandbox: Sandbox,
}

impl Args {
    /// `--top`.
    pub(super) fn top(&self) -> Option<usize> {
        self.top.and_then(|top| usize::try_from(top).ok())
    }
}

/// Files, and the range behind them.
pub(super) fn words(words: &[PathBuf]) -> Result<(&[PathBuf], Option<Span>)> {
    match words.split_last() {
        Some((last, files)) if !files.is_empty() && is_range(last) => {
            Ok((files, last.to_str().map(|text| range_of("", text)).transpose()?))
        }
        Some(_) | None => Ok((words, None)),
    }
}

/// Whether a word begins as a range does, and is no file.
fn is_range(word: &Path) -> bool {
    word.to_str().is_some_and(|text| text.starts_with(|c: char| c.is_ascii_digit())) && !word.exists()
}

/// The range of an option.
pub(super) fn range_of(option: &str, text: &str) -> Result<Span> {
    let span = Span::parse(text);
    let span = if text.contains('+') { span } else { span.and_then(|span| span.of_length(LENGTH)) };
    span.map_err(|error| anyhow!("{option}{error}"))
}

/// The instant of an option.
pub(super) fn instant(option: &str, text: &str) -> Result<When> {
    time::parse_in(text, Zone::Utc).map_err(|error| anyhow!("{option}: {error}"))
}

/// Bytes that are searched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(pub Vec<u8>);

/// Reads text, or hexadecimal digits after 0x.
fn pattern(text: &str) -> Result<Pattern, String> {
    let bytes = match text.strip_prefix("0x") {
        None => Some(text.as_bytes().to_vec()),
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
            let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
            let pairs = pairs.map(|pair| u8::from_str_radix(pair.filter(|pair| pair.len() == 2)?, 16).ok());
            pairs.collect()
        }
        Some(_) => None,
    };
    let bytes = bytes.ok_or_else(|| format!("{text:?}: two hexadecimal digits for each byte are expected after 0x"))?;
    match bytes.len() {
        1..=MAX_PATTERN => Ok(Pattern(bytes)),
        _ => Err(format!("1 to {MAX_PATTERN} bytes can be searched for")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_text_or_digits() {
        assert_eq!(pattern("PASS"), Ok(Pattern(b"PASS".to_vec())));
        assert_eq!(pattern("0x50fF00"), Ok(Pattern(vec![0x50, 0xff, 0])));
        for text in ["0x5", "0x5g", "0x+5"] {
            assert!(pattern(text).unwrap_err().contains("two hexadecimal digits"), "{text}");
        }
        for text in [String::new(), "0x".into(), "x".repeat(MAX_PATTERN + 1)] {
            assert!(pattern(&text).unwrap_err().contains("can be searched for"), "{text:.9}");
        }
    }

    #[test]
    fn a_last_word_that_begins_with_a_digit_is_a_range_if_it_is_no_file() {
        let of = |given: &[&str]| {
            let given: Vec<PathBuf> = given.iter().map(PathBuf::from).collect();
            words(&given).map(|(files, range)| (files.len(), range.map(|range| range.to_string())))
        };
        assert_eq!(of(&["a", "0x10"]).unwrap(), (1, Some("0x10+64".into())));
        assert_eq!(of(&["a", "16+4"]).unwrap(), (1, Some("0x10+4".into())));
        assert_eq!(of(&["0x10"]).unwrap(), (1, None));
        assert_eq!(of(&["a", "b"]).unwrap(), (2, None));
        assert!(of(&["a", "2x"]).unwrap_err().to_string().starts_with("\"2x\" is not a range of memory"));
    }
}
