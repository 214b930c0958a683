//! Completion at the prompt, from a list of words.

use rustyline::completion::{Completer, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

/// What statements are made of.
pub const KEYWORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "ORDER BY",
    "LIMIT",
    "HAVING",
    "JOIN",
    "ON",
    "WITH",
    "DISTINCT",
    "COUNT",
    "SUM",
    "MIN",
    "MAX",
    "AVG",
    "BETWEEN",
    "LIKE",
    "IS NULL",
    "IS NOT NULL",
    "AND",
    "OR",
    "NOT",
    "UNION ALL",
    "DESCRIBE",
    "EXPLAIN",
    "OVER",
    "PARTITION BY",
    "INTERVAL",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "UNNEST",
];

/// Completes from a list of words.
pub struct Words(pub Vec<String>);

impl Helper for Words {}
impl Highlighter for Words {}
impl Validator for Words {}
impl Hinter for Words {
    type Hint = String;
}

impl Completer for Words {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _context: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = line.get(..at).unwrap_or(line);
        let start = before.rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')).map_or(0, |i| i + 1);
        let typed = before.get(start..).unwrap_or_default().to_lowercase();
        let fits = |word: &&String| !typed.is_empty() && word.to_lowercase().starts_with(&typed);
        let pair = |word: &String| Pair { display: word.clone(), replacement: word.clone() };
        Ok((start, self.0.iter().filter(fits).map(pair).collect()))
    }
}

#[cfg(test)]
mod tests {
    use rustyline::history::DefaultHistory;

    use super::*;

    #[test]
    fn words_are_completed_whatever_their_case() {
        let words = Words(vec!["SELECT".into(), "process_key".into(), "processes".into(), ".tables".into()]);
        let history = DefaultHistory::new();
        let complete = |line: &str| {
            let (start, pairs) = words.complete(line, line.len(), &Context::new(&history)).unwrap();
            (start, pairs.into_iter().map(|pair| pair.replacement).collect::<Vec<_>>())
        };
        assert_eq!(complete("sel"), (0, vec!["SELECT".to_string()]));
        assert_eq!(complete("SELECT Proc"), (7, vec!["process_key".to_string(), "processes".to_string()]));
        assert_eq!(complete(".t"), (0, vec![".tables".to_string()]));
        assert_eq!(complete("SELECT "), (7, vec![]));
    }
}
