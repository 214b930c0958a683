//! Bytes in quotes, as strace writes them: what is not printable is an escape of C, octal where it has no letter.

use std::fmt::{self, Display, Formatter, Write};

/// Bytes in quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quoted<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// There are more, which `...` behind the quotes says.
    pub is_cut: bool,
}

impl<'a> Quoted<'a> {
    /// A whole text.
    pub fn text(text: &'a str) -> Self {
        Quoted { bytes: text.as_bytes(), is_cut: false }
    }
}

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for (index, &byte) in self.bytes.iter().enumerate() {
            match byte {
                b'"' | b'\\' => write!(f, "\\{}", char::from(byte))?,
                b' '..=b'~' => f.write_char(char::from(byte))?,
                b'\t' => f.write_str("\\t")?,
                b'\n' => f.write_str("\\n")?,
                0x0b => f.write_str("\\v")?,
                0x0c => f.write_str("\\f")?,
                b'\r' => f.write_str("\\r")?,
                // A digit behind it would belong to it.
                _ if matches!(self.bytes.get(index + 1), Some(b'0'..=b'7')) => write!(f, "\\{byte:03o}")?,
                _ => write!(f, "\\{byte:o}")?,
            }
        }
        f.write_str(if self.is_cut { "\"..." } else { "\"" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As strace 6.1 wrote these bytes.
    #[test]
    fn bytes_are_quoted_as_strace_quotes_them() {
        let quoted = |bytes: &[u8], is_cut| Quoted { bytes, is_cut }.to_string();
        assert_eq!(quoted(b"\x008\x009\x001\xff7\x1f", false), r#""\08\09\0001\3777\37""#);
        assert_eq!(quoted(b"\x008\x009\x00", true), r#""\08\09\0"..."#);
        assert_eq!(
            quoted(b"a\x001b\0zz\x7f\xff8\x1b[31m\\\"\t\n\r\x0b\x0cq", false),
            r#""a\0001b\0zz\177\3778\33[31m\\\"\t\n\r\v\fq""#
        );
        assert_eq!(quoted(b"", false), r#""""#);
        assert_eq!(Quoted::text("ä").to_string(), r#""\303\244""#);
    }

    #[test]
    fn no_byte_acts_on_a_terminal() {
        let all: Vec<u8> = (0..=255).collect();
        let text = Quoted { bytes: &all, is_cut: true }.to_string();
        assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
    }
}
