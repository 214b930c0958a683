//! The prompt: statements typed one after another, with history and completion.

mod commands;
mod input;
mod words;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{Config, Editor};

use self::input::{Input, Piece};
use self::words::{KEYWORDS, Words};
use super::session::Session;
use super::{functions, named};
use crate::sandbox::descriptors;
use crate::terminal::status;

/// What asks for a statement, and what asks for the rest of one.
const PROMPTS: [&str; 2] = ["vmtrace> ", "    ...> "];

/// Reads and runs statements until the end of input.
///
/// # Errors
/// When the terminal cannot be used.
pub(super) fn run(session: &mut Session) -> Result<u8> {
    // A statement of several lines is one entry.
    let config = Config::builder().auto_add_history(false).build();
    let mut editor: Editor<Words, DefaultHistory> = Editor::with_config(config).context("cannot use the terminal")?;
    editor.set_helper(Some(Words(words(session))));
    let history = history_file();
    if let Some(path) = &history {
        // There is no history the first time.
        let _ = editor.load_history(path);
    }
    println!("vmtrace query: .help for help");
    let mut input = Input::default();
    loop {
        let [new, more] = PROMPTS;
        match editor.readline(if input.is_open() { more } else { new }) {
            Ok(text) => {
                if answer(session, &mut editor, input.take(&text)) {
                    break;
                }
            }
            // What was typed can be had again.
            Err(ReadlineError::Interrupted) => remember(&mut editor, &input.cancel()),
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

/// Carries out what is whole; returns whether the prompt is to be left.
fn answer(session: &mut Session, editor: &mut Editor<Words, DefaultHistory>, pieces: Vec<Piece>) -> bool {
    for piece in pieces {
        session.engine.forget_interrupt();
        let done = match piece {
            Piece::Leave => return true,
            Piece::Command(line) => {
                remember(editor, &line);
                commands::run(session, &line)
            }
            Piece::Statements(text) => {
                remember(editor, &text);
                session.script(&text).map(drop)
            }
        };
        if let Err(error) = done {
            descriptors::report(&error);
        }
    }
    false
}

fn remember(editor: &mut Editor<Words, DefaultHistory>, text: &str) {
    // History is a convenience.
    let _ = editor.add_history_entry(text.trim());
}

/// Everything that can be completed: keywords, functions, commands, analyses, tables and their columns.
fn words(session: &Session) -> Vec<String> {
    let mut words: Vec<String> = KEYWORDS.iter().map(ToString::to_string).collect();
    words.extend(functions::HELP.iter().filter_map(|(call, _)| call.split('(').next()).map(ToString::to_string));
    words.extend(commands::names().chain(named::names()).map(ToString::to_string));
    for table in session.engine.tables() {
        let frame = session.engine.runtime.block_on(session.engine.context.table(table.as_str()));
        words.extend(frame.iter().flat_map(|frame| frame.schema().fields().iter().map(|f| f.name().clone())));
        words.push(table);
    }
    words.sort();
    words.dedup();
    words
}

/// Where history is kept, as the XDG base directory specification says; its directory is made.
pub(super) fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let directory = state.or_else(home)?.join("vmtrace");
    std::fs::create_dir_all(&directory).ok()?;
    Some(directory.join("query_history"))
}
