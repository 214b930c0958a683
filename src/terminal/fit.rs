//! Columns of a terminal: how many text takes, where it can be cut, and how many there are.

use std::io::IsTerminal;

use terminal_size::{Width, terminal_size_of};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Columns of a terminal that does not say how many it has.
const USUAL: usize = 80;
/// Fewest and most columns that are used: nobody reads longer lines, and shorter ones have no room for what matters.
const USED: [usize; 2] = [40, 250];

/// Bytes of the longest escape, behind its backslash.
const LONGEST: usize = "u{10ffff}".len();

/// Columns for text on stdout; `None` where that is no terminal.
pub fn stdout_columns() -> Option<usize> {
    let stdout = std::io::stdout();
    let size = || terminal_size_of(&stdout).map_or(USUAL, |(Width(columns), _)| columns.into());
    stdout.is_terminal().then(size).map(|columns| columns.clamp(USED[0], USED[1]))
}

/// Columns that `text` takes.
pub fn columns(text: &str) -> usize {
    units(text).map(UnicodeWidthStr::width).sum()
}

/// Whether `text` takes at most `most` columns. No more of it is read than is needed for the answer.
pub fn fits(text: &str, most: usize) -> bool {
    cut(text, most).len() == text.len()
}

/// The longest beginning of `text` that takes at most `most` columns.
pub fn cut(text: &str, most: usize) -> &str {
    let mut used = 0;
    let fitting = units(text).take_while(|unit| {
        used += unit.width();
        used <= most
    });
    let end: usize = fitting.map(str::len).sum();
    text.get(..end).unwrap_or_default()
}

/// The parts of `text` that are not to be cut: escapes as `terminal::escape` writes them, and grapheme clusters.
fn units(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = escape(rest).or_else(|| rest.graphemes(true).next().map(str::len))?;
        let (unit, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(unit)
    })
}

/// Length of the escape that `text` begins with.
fn escape(text: &str) -> Option<usize> {
    let body = text.strip_prefix('\\')?;
    let first = body.chars().next()?;
    let length = match first {
        'x' => 3,
        'u' if body.starts_with("u{") => body.bytes().take(LONGEST).position(|byte| byte == b'}')? + 1,
        first => first.len_utf8(),
    };
    text.get(..1 + length).map(str::len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::escape::Safe;

    #[test]
    fn width_is_in_columns() {
        assert_eq!(columns("abc"), 3);
        assert_eq!(columns("日本"), 4);
        assert_eq!(columns("… ← 5"), 5);
        assert_eq!(columns("e\u{301}"), 1, "an accent of its own");
        assert_eq!(columns(""), 0);
    }

    #[test]
    fn text_fits_or_not() {
        for text in ["", "abc", "日本", "e\u{301}", "a\\x1b\\u{10ffff}"] {
            let wide = columns(text);
            assert!(fits(text, wide), "{text}");
            assert!(wide == 0 || !fits(text, wide - 1), "{text}");
        }
        assert_eq!(cut("\\u{10ffff}", 9), "");
    }

    #[test]
    fn a_wide_character_is_not_cut() {
        assert_eq!(cut("日本", 3), "日");
        assert_eq!(cut("日本", 4), "日本");
        assert_eq!(cut("日本", 1), "");
        assert_eq!(cut("ae\u{301}b", 2), "ae\u{301}");
        assert_eq!(cut("ae\u{301}b", 1), "a");
    }

    #[test]
    fn an_escape_is_not_cut() {
        let text = Safe("a\x1b\u{202e}\n\\b").to_string();
        assert_eq!(text, "a\\x1b\\u{202e}\\n\\\\b");
        let cuts: std::collections::BTreeSet<&str> = (0..=text.len()).map(|most| cut(&text, most)).collect();
        let wanted =
            ["", "a", "a\\x1b", "a\\x1b\\u{202e}", "a\\x1b\\u{202e}\\n", "a\\x1b\\u{202e}\\n\\\\", text.as_str()];
        assert_eq!(cuts.into_iter().collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn what_only_begins_like_an_escape_is_cut_anywhere() {
        for text in ["\\", "\\x", "\\x1", "\\u{", "\\u{12", "\\é", "|\\|"] {
            assert_eq!(cut(text, 99), text);
            assert_eq!(cut(text, 0), "");
        }
    }
}
