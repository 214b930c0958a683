//! Text for a table that has to fit a terminal: begin and end stay, `…` stands in the middle.

use arrow::array::ArrayRef;
use serde_json::Value;

use crate::query::cell;
use crate::terminal::escape::Safe;
use crate::terminal::fit;

/// What stands for what is left out.
pub const GAP: &str = "…";

/// A value, escaped, as far as it can be shown.
#[derive(Debug)]
pub enum Cell {
    /// Text on one line.
    Text(String),
    /// Text of several lines, which was made here.
    Lines(Vec<String>),
    /// The items of a list.
    List(Vec<String>),
}

impl Cell {
    /// The value at `row`. No line that is made of it has more than `most` columns.
    pub fn new(array: &ArrayRef, row: usize, lines: bool, most: usize) -> Self {
        let shown = |value: Value| match value {
            Value::Null => String::new(),
            Value::String(text) => excerpt(&text, most),
            other => excerpt(&other.to_string(), most),
        };
        match cell::json(array, row) {
            Value::Array(items) => {
                // In a list, text stands in quotes and null as such.
                let shown = |item: &Value| excerpt(&item.to_string(), most);
                let begin = items.iter().take(most).map(shown);
                let rest = items.len().saturating_sub(most).min(most);
                let end = items.iter().skip(items.len().saturating_sub(rest)).map(shown);
                Cell::List(begin.chain(end).collect())
            }
            Value::String(text) if lines && is_harmless(&text) => Cell::Lines(text.lines().map(Into::into).collect()),
            other => Cell::Text(shown(other)),
        }
    }

    /// Columns that it takes as it is.
    pub fn columns(&self) -> usize {
        match self {
            Cell::Text(text) => fit::columns(text),
            Cell::Lines(lines) => lines.iter().map(|line| fit::columns(line)).max().unwrap_or(0),
            Cell::List(items) => fit::columns(&whole(items)),
        }
    }

    /// Its lines, of at most `most` columns each.
    pub fn lines(&self, most: usize) -> Vec<String> {
        match self {
            Cell::Text(text) => vec![middle(text, most)],
            Cell::Lines(lines) => lines.iter().map(|line| middle(line, most)).collect(),
            Cell::List(items) => vec![list(items, most)],
        }
    }
}

/// Whether text that was made here may break lines.
pub fn is_harmless(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n'))
}

/// The text escaped; of a long one begin and end, which are more than `most` columns together.
fn excerpt(text: &str, most: usize) -> String {
    let end_of_begin = text.char_indices().nth(most).map(|(at, _)| at);
    let begin_of_end = text.char_indices().rev().nth(most).map(|(at, _)| at);
    match (end_of_begin, begin_of_end) {
        (Some(begin), Some(end)) if begin < end => {
            let [begin, end] = [text.get(..begin), text.get(end..)].map(Option::unwrap_or_default);
            format!("{}{GAP}{}", Safe(begin), Safe(end))
        }
        _ => Safe(text).to_string(),
    }
}

fn whole(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}

/// Begin and end of `text` in at most `most` columns. Escapes and wide characters stay whole.
pub fn middle(text: &str, most: usize) -> String {
    if fit::fits(text, most) {
        return text.to_string();
    }
    let Some(room) = most.checked_sub(1) else { return String::new() };
    let begin = fit::cut(text, room.div_ceil(2));
    format!("{begin}{GAP}{}", end(text, room / 2))
}

/// The longest end of `text` that takes at most `most` columns.
fn end(text: &str, most: usize) -> &str {
    let all = fit::columns(text);
    let ends = (all.saturating_sub(most)..=all).filter_map(|before| text.get(fit::cut(text, before).len()..));
    ends.into_iter().find(|end| fit::columns(end) <= most).unwrap_or_default()
}

/// A list in at most `most` columns: as many of its first and last items as there is room for.
fn list(items: &[String], most: usize) -> String {
    let all = whole(items);
    if fit::fits(&all, most) {
        return all;
    }
    let parts = |first: usize, last: usize| {
        let end = items.len().saturating_sub(last);
        let [begin, end] = [items.get(..first), items.get(end..)].map(Option::unwrap_or_default);
        format!("[{},{GAP},{}]", begin.join(","), end.join(","))
    };
    let fits = |first: usize, last: usize| first + last < items.len() && fit::fits(&parts(first, last), most);
    let (mut first, mut last) = (1, 1);
    if !fits(first, last) {
        return middle(&all, most);
    }
    loop {
        if first <= last && fits(first + 1, last) {
            first += 1;
        } else if fits(first, last + 1) {
            last += 1;
        } else if fits(first + 1, last) {
            first += 1;
        } else {
            return parts(first, last);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, ListArray, StringArray};
    use arrow::datatypes::Int32Type;

    use super::*;

    fn strings(texts: &[&str]) -> ArrayRef {
        Arc::new(StringArray::from(texts.to_vec()))
    }

    #[test]
    fn begin_and_end_stay() {
        assert_eq!(middle("samples/mpi-pair.parquet", 12), "sample…rquet");
        assert_eq!(middle("abc", 3), "abc");
        assert_eq!(middle("abcd", 3), "a…d");
        assert_eq!(middle("abcd", 1), "…");
        assert_eq!(middle("abcd", 0), "");
        assert_eq!(middle("日本語日本語", 7), "日…語", "wide characters are not cut");
    }

    #[test]
    fn no_escape_is_cut_and_no_line_is_too_long() {
        let text = Safe("a\u{1b}\u{202e}b\n\u{202e}\u{1b}c").to_string();
        for most in 0..=fit::columns(&text) {
            let short = middle(&text, most);
            assert!(fit::columns(&short) <= most, "{short}");
            for part in short.split('…') {
                let rest = part.replace("\\x1b", "").replace("\\u{202e}", "").replace("\\n", "");
                assert!(rest.chars().all(|c| c.is_ascii_alphabetic()), "{short}");
            }
        }
    }

    #[test]
    fn of_a_list_the_first_and_last_items_stay() {
        let items: Vec<String> = (100..120).map(|n| n.to_string()).collect();
        assert_eq!(list(&items, 20), "[100,101,…,118,119]");
        assert_eq!(list(&items, 16), "[100,101,…,119]");
        assert_eq!(list(&items, 11), "[100,…,119]");
        assert_eq!(list(&items, 10), "[100,…119]", "not even one item of each end");
        assert_eq!(list(&items, 200), whole(&items));
        assert_eq!(list(&items[..1], 3), "[…]");
        assert_eq!(list(&[], 2), "[]");
    }

    #[test]
    fn values_are_bounded_and_harmless() {
        let long = format!("begin\u{1b}{}\u{1b}end", "x".repeat(1 << 20));
        let Cell::Text(text) = Cell::new(&strings(&[&long]), 0, false, 50) else { panic!() };
        assert!(text.len() < 300 && text.starts_with("begin\\x1b") && text.ends_with("\\x1bend"), "{text}");
        assert_eq!(Cell::Text(text).lines(13), ["begin…end"]);
        let numbers = ListArray::from_iter_primitive::<Int32Type, _, _>([Some((0..1_000_000).map(Some))]);
        let Cell::List(items) = Cell::new(&(Arc::new(numbers) as ArrayRef), 0, false, 30) else { panic!() };
        assert_eq!((items.len(), items[0].as_str(), items[59].as_str()), (60, "0", "999999"));
        let lines = Cell::new(&strings(&["00 a\n10 b"]), 0, true, 80);
        assert_eq!(lines.lines(80), ["00 a", "10 b"]);
        let lines = Cell::new(&strings(&["00 \u{1b}\n"]), 0, true, 80);
        assert_eq!(lines.lines(80), ["00 \\x1b\\n"]);
        let null: ArrayRef = Arc::new(Int32Array::from(vec![None]));
        assert_eq!(Cell::new(&null, 0, false, 80).lines(80), [""]);
    }
}
