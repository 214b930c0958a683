//! Bytes from the kernel as capture text: UTF-8, with what is not UTF-8 escaped without loss.

/// The bytes as text. Valid UTF-8 without a backslash stays as it is; else each invalid byte becomes `\xNN` and
/// each backslash two, so that the original can be told.
pub fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    escape_into(&mut out, bytes);
    out
}

/// Appends the bytes as text to `out`.
pub fn escape_into(out: &mut String, bytes: &[u8]) {
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

/// A command line, words ended by NUL, as text with spaces between.
pub fn argv(bytes: &[u8]) -> String {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    let mut out = String::with_capacity(bytes.len());
    for (index, word) in bytes.split(|b| *b == 0).enumerate() {
        if index > 0 {
            out.push(' ');
        }
        escape_into(&mut out, word);
    }
    out
}

/// Appends a path told as components, last first, each ended by NUL, to `out`.
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
    for component in components.split(|b| *b == 0).rev().filter(|c| !c.is_empty()) {
        out.push('/');
        escape_into(out, component);
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
        assert_eq!(argv(b"ls\0-l\0\0a b\0"), "ls -l  a b");
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
