//! Terminal safety: captured text and bytes, escaped for people to read.
//!
//! The traced programs chose names, paths, argument lists and payloads; whoever made the file chose the manifest. All
//! such text passes through here before it reaches a terminal. Anything that is not plainly visible is written as an
//! escape, and so is the backslash, so an escape cannot be forged. Owns no layout.

use std::fmt::{self, Display, Formatter, Write};
use std::ops::RangeInclusive;

/// Captured text, displayed safely.
#[derive(Clone, Copy, Debug)]
pub struct Safe<'a>(pub &'a str);

impl Display for Safe<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            ' '..='~' if c != '\\' => f.write_char(c),
            c if c.is_ascii() => f.write_str(Escape::of(c as u8).as_str()),
            c if is_visible(c) => f.write_char(c),
            c => {
                // At once: who writes no more than there is room for gets no half of it.
                let mut escape = [0; 10];
                escape.iter_mut().zip(c.escape_unicode()).for_each(|(slot, c)| *slot = c as u8);
                let length = c.escape_unicode().len().min(escape.len());
                f.write_str(escape.get(..length).and_then(|e| std::str::from_utf8(e).ok()).unwrap_or("?"))
            }
        })
    }
}

/// The same on one line, whatever it contains: a path, or text from a journal. Backslashes stay.
#[derive(Clone, Copy, Debug)]
pub struct SafeLine<'a>(pub &'a str);

impl Display for SafeLine<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.split('\n').enumerate().try_for_each(|(index, part)| {
            let before = if index == 0 { "" } else { "\\n" };
            write!(f, "{before}{}", SafeMessage(part))
        })
    }
}

/// What vmtrace says on stderr: in front of each line stands its name, or blanks where the text has several lines, so that
/// none can pass for another message.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a>(pub &'a str);

impl Display for Said<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("vmtrace: ")?;
        self.0.split('\n').enumerate().try_for_each(|(index, line)| {
            let before = match index {
                0 => "",
                _ if line.is_empty() || line.starts_with("  ") => "\n",
                _ => "\n  ",
            };
            write!(f, "{before}{}", SafeMessage(line))
        })
    }
}

/// Text from this program and a capture mixed, such as an error message. Line breaks and backslashes stay.
#[derive(Clone, Copy, Debug)]
pub struct SafeMessage<'a>(pub &'a str);

impl Display for SafeMessage<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\n' | '\\' => f.write_char(c),
            c => Safe(c.encode_utf8(&mut [0; 4])).fmt(f),
        })
    }
}

/// Letters that turn the order of a line around on terminals that know how.
const RIGHT_TO_LEFT: [RangeInclusive<u32>; 5] =
    [0x0590..=0x08ff, 0xfb1d..=0xfdff, 0xfe70..=0xfefe, 0x10800..=0x10fff, 0x1e800..=0x1efff];
/// Letters by their class, yet drawn as nothing.
const INVISIBLE: [RangeInclusive<u32>; 4] = [0x115f..=0x1160, 0x17b4..=0x17b5, 0x3164..=0x3164, 0xffa0..=0xffa0];
/// Signs and punctuation that are drawn as themselves.
const SIGNS: [RangeInclusive<u32>; 5] = [0xa1..=0xac, 0xae..=0xff, 0x2010..=0x2027, 0x2030..=0x205e, 0x20a0..=0x20bf];

/// Whether `c`, beyond ASCII, is drawn as itself, where it stands. An allowed list: what it does not know
/// (controls, bidirectional marks, joiners, private use, unassigned) is not visible.
fn is_visible(c: char) -> bool {
    let within = |ranges: &[RangeInclusive<u32>]| ranges.iter().any(|r| r.contains(&(c as u32)));
    within(&SIGNS) || (c.is_alphanumeric() && !within(&RIGHT_TO_LEFT) && !within(&INVISIBLE))
}

/// An ASCII or raw byte written so that it can be seen.
#[derive(Clone, Copy, Debug)]
struct Escape {
    text: [u8; 4],
    len: usize,
}

impl Escape {
    fn of(byte: u8) -> Self {
        let short = match byte {
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            b'\\' | b'"' => byte,
            _ => {
                let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).map_or(b'?', |c| c as u8);
                return Escape { text: [b'\\', b'x', digit(byte >> 4), digit(byte & 15)], len: 4 };
            }
        };
        Escape { text: [b'\\', short, 0, 0], len: 2 }
    }

    fn as_str(&self) -> &str {
        self.text.get(..self.len).and_then(|t| std::str::from_utf8(t).ok()).unwrap_or("?")
    }
}

/// The first bytes of a payload as a quoted string of at most `width` columns, `…` behind it where it goes on.
/// Not decoded as UTF-8: a preview shows bytes.
#[derive(Clone, Copy, Debug)]
pub struct Preview<'a> {
    /// The payload.
    pub bytes: &'a [u8],
    /// Columns between the quotes.
    pub width: usize,
}

impl Display for Preview<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        let mut left = self.width;
        for &byte in self.bytes {
            let plain = matches!(byte, b' '..=b'~') && byte != b'\\' && byte != b'"';
            let escape = Escape::of(byte);
            let width = if plain { 1 } else { escape.len };
            let Some(rest) = left.checked_sub(width) else { return f.write_str("\"…") };
            left = rest;
            if plain { f.write_char(char::from(byte))? } else { f.write_str(escape.as_str())? }
        }
        f.write_char('"')
    }
}

/// One row of a hexdump: where its first byte is, the bytes in hexadecimal, and the same bytes as ASCII.
#[derive(Clone, Copy, Debug)]
pub struct HexRow<'a> {
    /// Where the first byte is.
    pub at: HexPlace,
    /// At most `per_row` bytes.
    pub bytes: &'a [u8],
    /// Bytes for which there is space.
    pub per_row: usize,
}

/// Where the first byte of a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HexPlace {
    /// At this offset within the payload.
    Offset(usize),
    /// At this address of a process.
    Address(u64),
}

impl Display for HexRow<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.at {
            HexPlace::Offset(offset) => write!(f, "      {offset:04x} ")?,
            HexPlace::Address(address) => write!(f, "  {address:#14x} ")?,
        }
        for column in 0..self.per_row {
            if column == 8 {
                f.write_char(' ')?;
            }
            match self.bytes.get(column) {
                Some(byte) => write!(f, " {byte:02x}")?,
                None => f.write_str("   ")?,
            }
        }
        f.write_str("  |")?;
        for &byte in self.bytes {
            f.write_char(if matches!(byte, b' '..=b'~') { char::from(byte) } else { '.' })?;
        }
        f.write_char('|')
    }
}

/// Bytes in hexadecimal, without any separator.
#[derive(Clone, Copy, Debug)]
pub struct Hex<'a>(pub &'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// JSON in which everything but visible text is `\uXXXX`: the same value to a reader, harmless on a terminal.
#[derive(Clone, Copy, Debug, Default)]
pub struct SafeJson;

impl serde_json::ser::Formatter for SafeJson {
    fn write_string_fragment<W: ?Sized + std::io::Write>(&mut self, out: &mut W, text: &str) -> std::io::Result<()> {
        let mut clean = 0;
        for (at, c) in text.char_indices() {
            // JSON itself escapes characters below the space.
            if (c.is_ascii() && c != '\x7f') || is_visible(c) {
                continue;
            }
            out.write_all(text.get(clean..at).unwrap_or_default().as_bytes())?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            clean = at + c.len_utf8();
        }
        out.write_all(text.get(clean..).unwrap_or_default().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;

    fn safe(text: &str) -> String {
        Safe(text).to_string()
    }

    #[test]
    fn what_can_be_seen_stays() {
        for text in ["py-spy", "/opt/a b/Web Content", "größe", "日本語", "naïve – “quote” … 5 €", "id[7]"]
        {
            assert_eq!(safe(text), text);
        }
    }

    #[test]
    fn controls_become_escapes() {
        assert_eq!(safe("a\x1b[31mb\0\n\t\r\x7f"), "a\\x1b[31mb\\x00\\n\\t\\r\\x7f");
        assert_eq!(safe("\u{9b}31m\u{85}"), "\\u{9b}31m\\u{85}", "C1");
        assert_eq!(safe("\u{202e}evil\u{2066}\u{200f}\u{61c}"), "\\u{202e}evil\\u{2066}\\u{200f}\\u{61c}", "bidi");
        assert_eq!(
            safe("a\u{200b}\u{feff}\u{2028}\u{3164}\u{e0041}"),
            "a\\u{200b}\\u{feff}\\u{2028}\\u{3164}\\u{e0041}"
        );
        assert_eq!(safe("א\u{fffd}\u{e000}"), "\\u{5d0}\\u{fffd}\\u{e000}", "right to left, replaced, private");
    }

    #[test]
    fn an_escape_cannot_be_forged() {
        assert_eq!(safe("\\x1b"), "\\\\x1b");
        assert_eq!(SafeMessage("a\\b\nc\x1b").to_string(), "a\\b\nc\\x1b");
        assert_eq!(SafeLine("a\\b\nc\x1b").to_string(), "a\\b\\nc\\x1b");
        assert_eq!(Said("a\n  b\nvmtrace: c\n\n").to_string(), "vmtrace: a\n  b\n  vmtrace: c\n\n");
    }

    #[test]
    fn no_character_passes_that_moves_the_cursor() {
        for c in (0..=0x10ffff).filter_map(char::from_u32) {
            let shown = safe(&c.to_string());
            assert!(!shown.chars().any(char::is_control), "{:x}", c as u32);
            assert!(!shown.chars().any(|c| c.is_whitespace() && c != ' '), "{:x}", c as u32);
        }
    }

    #[test]
    fn previews_are_bounded_and_quoted() {
        let preview = |bytes, width| Preview { bytes, width }.to_string();
        assert_eq!(preview(b"GET /\r\n", 32), r#""GET /\r\n""#);
        assert_eq!(preview(b"\x7fELF\x02\"\\", 32), r#""\x7fELF\x02\"\\""#);
        assert_eq!(preview(b"abcdef", 4), "\"abcd\"…");
        assert_eq!(preview(b"abc\xff", 4), "\"abc\"…", "no half escape");
        assert_eq!(preview(b"", 4), "\"\"");
    }

    #[test]
    fn hexdump_rows_line_up() {
        let at = HexPlace::Offset(16);
        let row = HexRow { at, bytes: b"AB\x1b", per_row: 16 }.to_string();
        assert_eq!(row, "      0010  41 42 1b                                          |AB.|");
        let full = HexRow { at, bytes: b"0123456789abcdef", per_row: 16 }.to_string();
        assert_eq!(full.find('|'), row.find('|'));
        let at = HexPlace::Address(0x7f12_0040_00a0);
        let half = HexRow { at, bytes: b"01234567", per_row: 8 }.to_string();
        assert_eq!(half, "  0x7f12004000a0  30 31 32 33 34 35 36 37  |01234567|");
        assert_eq!(Hex(b"\0\xfe").to_string(), "00fe");
    }

    #[test]
    fn json_means_the_same_and_is_harmless() {
        let text = "a\x1b\u{9b}\u{202e}\u{1f600}é\\\"";
        let mut out = Vec::new();
        text.serialize(&mut serde_json::Serializer::with_formatter(&mut out, SafeJson)).unwrap();
        let json = String::from_utf8(out).unwrap();
        assert_eq!(json, r#""a\u001b\u009b\u202e\ud83d\ude00é\\\"""#);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
