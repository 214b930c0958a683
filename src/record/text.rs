//! Bytes from the kernel as capture text: UTF-8, with other bytes escaped without loss.
//!
//! A text is plain or escaped as a whole. Valid UTF-8 is plain and stays unchanged. If a byte is not valid UTF-8, each
//! such byte becomes `\xNN` and each backslash becomes two. The same is done to valid UTF-8 that contains `\x80` to
//! `\xff`. So a text that contains one of these is escaped, one that does not is plain, and the original can be
//! restored from either.

/// The bytes as text.
pub fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    escape_into(&mut out, bytes);
    out
}

/// Appends the bytes as text to `out`, which is empty.
pub fn escape_into(out: &mut String, bytes: &[u8]) {
    match plain(bytes) {
        Some(text) => out.push_str(text),
        None => push_escaped(out, bytes),
    }
}

/// The bytes, if they are a text that needs no escapes.
fn plain(bytes: &[u8]) -> Option<&str> {
    // The bytes that are not UTF-8 are 0x80 to 0xff.
    let like_escape = |w: &[u8]| matches!(w, [b'\\', b'x', b'8'..=b'9' | b'a'..=b'f', b'0'..=b'9' | b'a'..=b'f']);
    std::str::from_utf8(bytes).ok().filter(|_| !bytes.windows(4).any(like_escape))
}

fn push_escaped(out: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        for part in chunk.valid().split_inclusive('\\') {
            out.push_str(part);
            if part.ends_with('\\') {
                out.push('\\');
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
}

/// The bytes up to the first NUL.
pub fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == 0).next().unwrap_or_default()
}

/// A command line, words ended by NUL, as text with spaces between. `cut`: its end is missing.
pub fn argv(bytes: &[u8], cut: bool) -> String {
    let mut words = if cut { whole_characters(bytes) } else { bytes }.to_vec();
    if words.ends_with(b"\0") {
        words.pop();
    }
    words.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
    let mut out = escape(&words);
    if cut {
        out.push_str(" ...");
    }
    out
}

/// The bytes without the front of a character that was cut at their end: it is UTF-8 that is missing, not something else.
fn whole_characters(bytes: &[u8]) -> &[u8] {
    // A character has four bytes at most, so three of it can be there.
    let begin =
        (1..=3).filter_map(|n| bytes.len().checked_sub(n)).find(|at| bytes.get(*at).is_some_and(|b| *b >= 0xc0));
    match begin.and_then(|at| bytes.split_at_checked(at)) {
        Some((before, last)) if std::str::from_utf8(last).is_err_and(|error| error.error_len().is_none()) => before,
        _ => bytes,
    }
}

/// Appends a path given as components, last first, each ended by NUL, to `out`.
///
/// `cut`: the front is missing. `deleted`: the file has no name any more, which proc(5) marks the same way.
pub fn path_into(out: &mut String, components: &[u8], cut: bool, deleted: bool) {
    if cut {
        out.push_str("...");
    }
    let components = components.strip_suffix(b"\0").unwrap_or(components);
    if components.is_empty() && !cut {
        out.push('/');
    }
    // An escape contains no slash: if no component needs escapes, neither does the path.
    let is_plain = components.split(|b| *b == 0).all(|component| plain(component).is_some());
    for component in components.split(|b| *b == 0).rev().filter(|c| !c.is_empty()) {
        out.push('/');
        match plain(component).filter(|_| is_plain) {
            Some(text) => out.push_str(text),
            None => push_escaped(out, component),
        }
    }
    if deleted {
        out.push_str(" (deleted)");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_kept_and_the_rest_is_escaped() {
        assert_eq!(escape("grün".as_bytes()), "grün");
        assert_eq!(escape(b"a\xff\\b"), "a\\xff\\\\b");
        assert_eq!(escape(b"\x1b[31m"), "\x1b[31m", "control characters are the renderer's business");
        assert_eq!(until_nul(b"cat\0\0x"), b"cat");
        assert_eq!(argv(b"ls\0-l\0\0a b\0", false), "ls -l  a b");
    }

    #[test]
    fn backslashes_of_plain_text_stay_as_they_are() {
        assert_eq!(argv(b"tr\0-d\0'\\0'\0", false), r"tr -d '\0'");
        for text in [r"a\b", r"\", r"\\", r"\x7f \x00", r"\xFF", r"\x8", r"grün\n"] {
            assert_eq!(escape(text.as_bytes()), text);
        }
        // One word that is not UTF-8 escapes them all.
        assert_eq!(argv(b"a\\b\0\xff\0", false), r"a\\b \xff");
        let mut path = String::new();
        path_into(&mut path, b"a\\b\0\xfe\0c\\d\0", false, false);
        assert_eq!(path, r"/c\\d/\xfe/a\\b");
        path.clear();
        path_into(&mut path, b"a\\b\0c\\d\0", false, false);
        assert_eq!(path, r"/c\d/a\b");
    }

    /// What FORMAT.md says of reading it.
    fn original(text: &str) -> Vec<u8> {
        let escape = |at: usize| -> Option<u8> {
            let digits = text.get(at..at + 4)?.strip_prefix(r"\x")?;
            let lower = digits.bytes().all(|d| matches!(d, b'0'..=b'9' | b'a'..=b'f'));
            u8::from_str_radix(digits, 16).ok().filter(|byte| lower && *byte >= 0x80)
        };
        let mut out = Vec::new();
        if !(0..text.len()).any(|at| escape(at).is_some()) {
            return text.into();
        }
        let mut at = 0;
        while at < text.len() {
            let (byte, len) = match (text.as_bytes()[at], escape(at)) {
                (b'\\', Some(byte)) => (byte, 4),
                (b'\\', None) => (b'\\', 2),
                (byte, _) => (byte, 1),
            };
            out.push(byte);
            at += len;
        }
        out
    }

    #[test]
    fn the_original_can_be_had_back() {
        let parts: [&[u8]; 8] = [b"\\", b"x", b"f", b"8", b"\xff", b"\xc3", "ü".as_bytes(), b"0"];
        for word in 0..parts.len().pow(5) {
            let pick = |n: u32| parts[word / parts.len().pow(n) % parts.len()];
            let bytes = (0..5).map(pick).collect::<Vec<_>>().concat();
            assert_eq!(original(&escape(&bytes)), bytes, "{:?}", escape(&bytes));
        }
    }

    #[test]
    fn a_cut_in_a_character_makes_no_other_bytes() {
        let line = "tr\0\\ü€𝄞".as_bytes();
        let cut = |n: usize| argv(&line[..n], true);
        assert_eq!(
            [4, 5, 6, 8, 9, 12].map(cut),
            ["tr \\ ...", "tr \\ ...", "tr \\ü ...", "tr \\ü ...", "tr \\ü€ ...", "tr \\ü€ ..."]
        );
        assert_eq!(argv(line, true), "tr \\ü€𝄞 ...");
        assert_eq!(argv(b"a\xff", true), r"a\xff ...", "that was there");
    }

    #[test]
    fn paths_come_last_component_first() {
        let path = |bytes: &[u8], cut, deleted| {
            let mut out = String::new();
            path_into(&mut out, bytes, cut, deleted);
            out
        };
        assert_eq!(path(b"ls\0bin\0usr\0", false, false), "/usr/bin/ls");
        assert_eq!(path(b"", false, false), "/");
        assert_eq!(path(b"x\0deep\0", true, true), ".../deep/x (deleted)");
    }
}
