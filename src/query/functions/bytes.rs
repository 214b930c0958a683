//! Functions over the bytes of one value.

use std::fmt::Write;

use memchr::memmem;

/// Characters of a full row.
const ROW: usize = 79;

/// The bytes as rows of 16: offset, hexadecimal, text.
pub fn hexdump(bytes: &[u8]) -> String {
    let rows = bytes.len().div_ceil(16);
    let mut out = String::with_capacity(rows.saturating_mul(ROW));
    for (row, part) in bytes.chunks(16).enumerate() {
        let newline = if row == 0 { "" } else { "\n" };
        // Writing to a String cannot fail.
        let _ = write!(out, "{newline}{:08x} ", row * 16);
        for column in 0..16 {
            out.push_str(if column == 8 { "  " } else { " " });
            match part.get(column) {
                Some(byte) => out.extend([byte >> 4, byte & 15].map(digit)),
                None => out.push_str("  "),
            }
        }
        out.push_str("  |");
        out.extend(part.iter().map(shown));
        out.push('|');
    }
    out
}

fn digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).unwrap_or('?')
}

fn shown(byte: &u8) -> char {
    if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '.' }
}

/// The bytes as text, a dot for each that is not printable ASCII.
pub fn printable(bytes: &[u8]) -> String {
    bytes.iter().map(shown).collect()
}

/// Shannon entropy in bits per byte, to four digits; `None` of no bytes.
pub fn entropy(bytes: &[u8]) -> Option<f64> {
    if bytes.is_empty() {
        return None;
    }
    let mut counts = [0u64; 256];
    for byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let total = bytes.len() as f64;
    let shares = counts.iter().filter(|count| **count > 0).map(|count| *count as f64 / total);
    let bits: f64 = shares.map(|share| share * (1.0 / share).log2()).sum();
    Some((bits * 1e4).round() / 1e4)
}

/// Looks for one part in many values.
#[derive(Default)]
pub struct Finder {
    part: Vec<u8>,
    finder: Option<memmem::Finder<'static>>,
}

impl Finder {
    /// Whether `part` is in `whole`; the empty part is in everything.
    pub fn contains(&mut self, whole: &[u8], part: &[u8]) -> bool {
        if self.part != part {
            self.part = part.to_vec();
            self.finder = None;
        }
        self.finder.get_or_insert_with(|| memmem::Finder::new(part).into_owned()).find(whole).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hexdump_has_rows_of_sixteen() {
        let bytes: Vec<u8> = (0..20).collect();
        let rows: Vec<_> = hexdump(&bytes).lines().map(ToString::to_string).collect();
        assert_eq!(rows[0], "00000000  00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f  |................|");
        assert_eq!(rows[1], format!("00000010  10 11 12 13{}  {}  |....|", " ".repeat(12), " ".repeat(23)));
        assert_eq!(hexdump(b""), "");
    }

    #[test]
    fn what_is_not_printable_is_a_dot() {
        assert_eq!(printable(b"a\x1b[31m\xffz~\x7f\n"), "a.[31m.z~..");
    }

    #[test]
    fn entropy_is_between_none_and_eight() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(entropy(&all), Some(8.0));
        assert_eq!(entropy(b"aaaa"), Some(0.0));
        assert_eq!(entropy(b"aab"), Some(0.9183));
        assert_eq!(entropy(b""), None);
    }

    #[test]
    fn parts_are_found_at_any_offset() {
        let mut finder = Finder::default();
        assert!(finder.contains(b"xPASSx", b"PASS") && !finder.contains(b"xPAS", b"PASS"));
        assert!(finder.contains(b"\x12\x34", b"\x34") && !finder.contains(b"\x12\x34", b"\x23"), "no half bytes");
        assert!(finder.contains(b"", b"") && !finder.contains(b"", b"a"));
    }
}
