//! The name that is nearest to one that does not exist.

/// Words with which a statement begins.
pub const BEGINNINGS: [&str; 10] =
    ["SELECT", "WITH", "EXPLAIN", "DESCRIBE", "SHOW", "VALUES", "CREATE", "DROP", "SET", "RESET"];

/// From it on a name is like another: 1 is equal.
const LIKE: f64 = 0.8;

/// The nearest of `names` to `word`, whatever the case, if one is near.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = word.to_lowercase();
    let alike = names.into_iter().map(|name| (strsim::jaro_winkler(&wanted, &name.to_lowercase()), name));
    let near = alike.filter(|(likeness, _)| *likeness >= LIKE);
    // Of names that are equally near the first in the alphabet, so that the answer is the same each time.
    near.min_by(|(a, x), (b, y)| b.total_cmp(a).then_with(|| x.cmp(y))).map(|(_, name)| name)
}

/// `: did you mean NAME?`, or nothing.
pub fn suggestion<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, names).map_or_else(String::new, |name| format!(": did you mean {name}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_suggested() {
        let names = ["SELECT", "EXPLAIN", "edges", "events"];
        assert_eq!(nearest("selct", names), Some("SELECT"));
        assert_eq!(nearest("event", names), Some("events"));
        assert_eq!(nearest("transfers", names), None);
        assert_eq!(suggestion("EDGE", names), ": did you mean edges?");
        assert_eq!(suggestion("", names), "");
    }
}
