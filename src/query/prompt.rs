//! The prompt: statements typed one after another, with history and completion.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Config, Context, Editor, Helper};

use super::{Session, functions, named};
use crate::terminal::escape::Safe;
use crate::terminal::{self, status};

const HELP: &str = "\
.tables            tables and views
.schema [TABLE]    columns of one, or of all
.named [NAME]      list the analyses, or run one
.help              this
.quit              leave; so does ^D
Anything else is SQL, up to a semicolon. ^C cancels what is typed, or what is running. A command on a line of its own
is carried out within a statement, too, which goes on after it.";

/// The commands.
const COMMANDS: [&str; 6] = [".tables", ".schema", ".named", ".help", ".quit", ".exit"];

const KEYWORDS: &[&str] = &[
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

/// Reads and runs statements until the end of input.
///
/// # Errors
/// When the terminal cannot be used.
pub(super) fn run(session: &mut Session<'_>) -> Result<u8> {
    let words = words(session);
    let config = Config::builder().auto_add_history(true).build();
    let mut editor: Editor<Words, DefaultHistory> = Editor::with_config(config).context("cannot use the terminal")?;
    editor.set_helper(Some(Words(words)));
    let history = history_file();
    if let Some(path) = &history {
        // There is no history the first time.
        let _ = editor.load_history(path);
    }
    println!("vmtrace query: .help for help");
    let mut unfinished = String::new();
    loop {
        match editor.readline_with_initial("vmtrace> ", (&unfinished, "")) {
            Ok(text) => {
                let (statement, line) = command_within(&text).unwrap_or(("", text.trim()));
                unfinished = statement.to_string();
                if matches!(line, ".quit" | ".exit") {
                    break;
                }
                session.engine.forget_interrupt();
                if let Err(error) = line_read(session, line) {
                    terminal::report(&error);
                }
            }
            Err(ReadlineError::Interrupted) => unfinished.clear(),
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error).context("cannot read from the terminal"),
        }
    }
    if let Some(path) = &history {
        // History is a convenience: failing to write it is not an error.
        let _ = editor.save_history(path);
    }
    Ok(status::OK)
}

/// The unfinished statement, and the command on the line after it.
fn command_within(text: &str) -> Option<(&str, &str)> {
    let end = text.trim_end().rfind('\n')?.saturating_add(1);
    let (statement, line) = (text.get(..end)?, text.get(end..)?.trim());
    let command = line.split_whitespace().next().unwrap_or_default().trim_end_matches(';');
    COMMANDS.contains(&command).then_some((statement, line.trim_end_matches(';')))
}

fn line_read(session: &mut Session<'_>, line: &str) -> Result<()> {
    let (command, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let argument = argument.trim().trim_end_matches(';');
    match command {
        "" => {}
        ".help" => {
            println!("{HELP}\n\nFunctions:");
            functions::HELP.iter().for_each(|(call, what)| println!("  {call:36}{what}"));
        }
        ".tables" => tables(session).iter().for_each(|name| println!("{}", Safe(name))),
        ".schema" => {
            let tables = if argument.is_empty() { tables(session) } else { vec![argument.to_string()] };
            for table in tables {
                println!("{}", Safe(&table));
                session.script(&format!("DESCRIBE \"{}\"", table.replace('"', "\"\"")))?;
            }
        }
        ".named" if argument.is_empty() => print!("{}", named::list()),
        ".named" => {
            session.script(named::sql(argument)?)?;
        }
        command if command.starts_with('.') => println!("{HELP}"),
        _ => {
            session.script(line)?;
        }
    }
    Ok(())
}

fn tables(session: &Session<'_>) -> Vec<String> {
    let schema = session.engine.context.catalog("datafusion").and_then(|catalog| catalog.schema("public"));
    let mut names = schema.map(|schema| schema.table_names()).unwrap_or_default();
    names.sort();
    names
}

/// Everything that can be completed: keywords, functions, tables and their columns.
fn words(session: &Session<'_>) -> Vec<String> {
    let mut words: Vec<String> = KEYWORDS.iter().map(ToString::to_string).collect();
    words.extend(functions::HELP.iter().filter_map(|(call, _)| call.split('(').next()).map(ToString::to_string));
    words.extend(COMMANDS.map(ToString::to_string));
    for table in tables(session) {
        let frame = session.engine.runtime.block_on(session.engine.context.table(table.as_str()));
        words.extend(frame.iter().flat_map(|frame| frame.schema().fields().iter().map(|f| f.name().clone())));
        words.push(table);
    }
    words.sort();
    words.dedup();
    words
}

/// Where history is kept, as the XDG base directory specification says; its directory is made.
fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let directory = state.or_else(home)?.join("vmtrace");
    std::fs::create_dir_all(&directory).ok()?;
    Some(directory.join("query_history"))
}

/// Completes from a list of words.
struct Words(Vec<String>);

impl Helper for Words {}
impl Highlighter for Words {}
impl Hinter for Words {
    type Hint = String;
}

impl Validator for Words {
    /// A statement goes on until its semicolon; a command is one line, also where a statement is not finished.
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input().trim();
        let command = text.starts_with('.') || command_within(text).is_some();
        let whole = text.is_empty() || command || text.ends_with(';');
        Ok(if whole { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
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
    use super::*;

    #[test]
    fn a_command_is_known_within_a_statement() {
        assert_eq!(command_within("SELECT 1\n.quit"), Some(("SELECT 1\n", ".quit")));
        assert_eq!(
            command_within("SELECT 1\nFROM events\n .schema edges; "),
            Some(("SELECT 1\nFROM events\n", ".schema edges"))
        );
        for text in ["SELECT 1\n.5", "SELECT 1\n.quitter", "SELECT\n'.quit'", ".quit", "SELECT 1;"] {
            assert_eq!(command_within(text), None, "{text}");
        }
    }

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
