//! Text that somebody else chose, as an error message quotes it.

/// Most letters of a name, or of an error about JSON, which may quote any text of it.
const QUOTED: usize = 200;

/// Text of a file as an error quotes it: of a long one, the begin and the end. It makes no line of its own; who prints the error
/// takes care of other control characters.
pub fn quoted(text: &str) -> String {
    cut(text, QUOTED).replace('\n', "\\n")
}

/// Of more than `most` letters, the begin and the end are kept.
fn cut(text: &str, most: usize) -> String {
    let letters = text.chars().count();
    if letters <= most {
        return text.to_string();
    }
    let (front, back) = (most - most / 3, most / 3);
    let begin = text.chars().take(front);
    let end = text.chars().skip(letters - back);
    begin.chain(std::iter::once('…')).chain(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_within_letters() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("éäöüéäöüéäöü", 6), "éäöü…öü");
        assert_eq!(quoted("a\\b\nc"), r"a\b\nc");
        assert_eq!(quoted(&"x".repeat(1 << 20)).chars().count(), QUOTED + 1);
    }
}
