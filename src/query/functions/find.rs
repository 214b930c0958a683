//! Finds the matches of a regular expression in bytes. Bytes that are not printable ASCII count as line ends, so a
//! match ends there unless the expression asks for more.

use regex::Regex;

/// The expression of the row before: most queries have one for all rows.
#[derive(Debug, Default)]
pub struct Finder {
    pattern: String,
    regex: Option<Regex>,
}

/// One match: its offset, and its text.
pub type Hit = (usize, String);

impl Finder {
    /// Every match in `bytes`, none of them empty, none within another.
    ///
    /// # Errors
    /// When `pattern` is not a regular expression.
    pub fn all(&mut self, bytes: &[u8], pattern: &str) -> Result<Vec<Hit>, String> {
        let regex = match &mut self.regex {
            Some(regex) if self.pattern == pattern => regex,
            other => {
                // Remembered before it can fail: the next row may have the same pattern.
                *other = None;
                self.pattern = pattern.to_string();
                other.insert(Regex::new(pattern).map_err(|error| error.to_string())?)
            }
        };
        let line = |byte: &u8| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '\n' };
        let text: String = bytes.iter().map(line).collect();
        let hits = regex.find_iter(&text).filter(|hit| !hit.is_empty());
        Ok(hits.map(|hit| (hit.start(), hit.as_str().to_string())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_have_their_offsets() {
        let mut finder = Finder::default();
        let hit = |at: usize, text: &str| (at, text.to_string());
        let bytes = b"\0ab=1\xffab=22\nab=";
        assert_eq!(finder.all(bytes, "ab=[0-9]+").unwrap(), [hit(1, "ab=1"), hit(6, "ab=22")]);
        assert_eq!(finder.all(bytes, "ab=.*").unwrap(), [hit(1, "ab=1"), hit(6, "ab=22"), hit(12, "ab=")]);
        assert_eq!(finder.all(bytes, "x*").unwrap(), []);
        for _ in 0..2 {
            assert!(finder.all(bytes, "(").unwrap_err().contains("unclosed group"));
        }
        assert_eq!(finder.all(bytes, "22").unwrap(), [hit(9, "22")], "after a failure");
    }
}
