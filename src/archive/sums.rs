//! The file of digests in a bundle, in the form that sha256sum(1) reads and writes.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use sha2::{Digest as _, Sha256};

use crate::schema::quote::quoted;

/// Its name.
pub const NAME: &str = "SHA256SUMS";
/// Digits of a digest.
const DIGITS: usize = 64;

/// Digests by name.
pub type Sums = BTreeMap<String, String>;

/// A digest under way.
#[derive(Clone, Debug, Default)]
pub struct Digest(Sha256);

impl Digest {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Of all bytes, in hexadecimal.
    pub fn hex(self) -> String {
        self.0.finalize().iter().fold(String::with_capacity(DIGITS), |mut hex, byte| {
            // Writing to a String cannot fail, here and below.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

/// The file's lines, in the order of the names.
pub fn lines(sums: &Sums) -> String {
    sums.iter().fold(String::new(), |mut lines, (name, sum)| {
        let _ = writeln!(lines, "{sum}  {name}");
        lines
    })
}

/// Reads the file. Every line must be one that [`lines`] writes: a digest that is not understood would not be compared.
///
/// # Errors
/// One sentence about the first line that is none.
pub fn parse(text: &[u8]) -> Result<Sums> {
    let text = std::str::from_utf8(text).ok().context("it is not text")?;
    let mut sums = Sums::new();
    for (at, line) in text.lines().enumerate() {
        let parts = line.split_once("  ").filter(|(sum, name)| {
            let is_digit = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
            sum.len() == DIGITS && sum.bytes().all(is_digit) && !name.is_empty()
        });
        let (sum, name) = parts.with_context(|| format!("line {} is not a digest and a name", at + 1))?;
        let before = sums.insert(name.to_string(), sum.to_string());
        ensure!(before.is_none(), "it has two digests of {}", quoted(name));
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let mut digest = Digest::default();
        digest.update(b"ab");
        digest.update(b"c");
        let hex = digest.hex();
        assert_eq!(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let sums = Sums::from([("a b".into(), hex.clone()), ("c".into(), hex.clone())]);
        assert_eq!(lines(&sums), format!("{hex}  a b\n{hex}  c\n"));
        assert_eq!(parse(lines(&sums).as_bytes()).unwrap(), sums);
        assert_eq!(parse(b"").unwrap(), Sums::new());
    }

    #[test]
    fn a_line_that_would_not_be_compared_is_refused() {
        let sum = "0".repeat(DIGITS);
        for text in ["x  a".into(), format!("{sum} *a"), format!("{sum}  "), format!("{}  a", "A".repeat(DIGITS))] {
            assert!(parse(text.as_bytes()).unwrap_err().to_string().starts_with("line 1"), "{text}");
        }
        assert!(parse(format!("{sum}  a\n{sum}  a").as_bytes()).is_err());
        assert!(parse(b"\xff").is_err());
    }
}
