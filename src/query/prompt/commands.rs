//! The commands of the prompt: what each is called, takes and does.

use std::io::Write;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use clap::ValueEnum;

use super::super::format::Format;
use super::super::nearest::suggestion;
use super::super::output::parse_width;
use super::super::session::Session;
use super::super::{functions, named};
use super::input::LEAVING;
use crate::terminal::escape::Safe;

/// The commands, and what `.help` says of each. Those that leave are known to `input`.
const COMMANDS: [(&str, &str, &str); 8] = [
    (".tables", "", "tables and views"),
    (".schema", "[TABLE]", "columns of one, or of all"),
    (".named", "[NAME]", "list the analyses, or run one"),
    (".mode", "[MODE]", "form of results: table, line, csv or jsonl"),
    (".width", "[N]", "columns of a line; 0: whole lines; without N: what the terminal has"),
    (".rows", "[N]", "rows that are shown; 0: all; without N: 40"),
    (".help", "", "this"),
    (".quit", "", "leave, at any time; so do quit, exit, \\q, .exit and ^D"),
];

const SQL: &str = "\
Anything else is SQL, up to a semicolon. While a statement goes on, the prompt is `...>`. ^C cancels what is typed, or
what is running. A command on a line of its own is carried out within a statement, too, which goes on after it.";

/// The names of all commands.
pub fn names() -> impl Iterator<Item = &'static str> {
    let others = LEAVING.into_iter().filter(|name| name.starts_with('.') && *name != ".quit");
    COMMANDS.iter().map(|(name, ..)| *name).chain(others)
}

/// Carries out a command.
///
/// # Errors
/// When there is no such command, or it takes something else.
pub fn run(session: &mut Session, line: &str) -> Result<()> {
    let (command, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let argument = argument.trim();
    match command {
        ".help" => print(&help()),
        ".tables" => print(&lines(session.engine.tables().iter().map(|name| Safe(name).to_string()))),
        ".schema" => schema(session, argument),
        ".named" if argument.is_empty() => print(&named::list()),
        ".named" => session.script(named::sql(argument)?).map(drop),
        ".mode" => mode(session, argument),
        ".width" => {
            session.form.width = number(command, argument, parse_width)?;
            Ok(())
        }
        ".rows" => {
            let any = |text: &str| text.parse().map_err(|_| "give a number, 0 for all".to_string());
            session.form.rows = number(command, argument, any)?;
            Ok(())
        }
        _ => {
            let near = suggestion(command, names());
            if near.is_empty() {
                bail!("there is no command {command}: .help lists them")
            }
            bail!("there is no command {command}{near} .help lists all")
        }
    }
}

fn help() -> String {
    let commands = COMMANDS.iter().map(|(name, takes, what)| format!("{:18}{what}", format!("{name} {takes}")));
    let functions = functions::HELP.iter().map(|(call, what)| format!("  {call:36}{what}"));
    let parts = [SQL.to_string(), String::new(), "Functions:".to_string()];
    lines(commands.chain(parts).chain(functions))
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| line + "\n").collect()
}

/// The columns of a table, or of all.
fn schema(session: &mut Session, table: &str) -> Result<()> {
    let all = session.engine.tables();
    let tables = match table.trim_matches('"') {
        "" => all,
        table if all.iter().any(|known| known == table) => vec![table.to_string()],
        table => {
            let near = suggestion(table, all.iter().map(String::as_str));
            bail!("there is no table {table}{near}{}", if near.is_empty() { ": .tables lists them" } else { "" });
        }
    };
    // A table that is asked for is shown to its end.
    let form = session.form;
    session.form.rows = Some(0);
    let shown = tables.iter().try_for_each(|table| {
        print(&format!("{}\n", Safe(table)))?;
        session.script(&format!("DESCRIBE \"{}\"", table.replace('"', "\"\""))).map(drop)
    });
    session.form = form;
    shown
}

fn mode(session: &mut Session, mode: &str) -> Result<()> {
    let names = || Format::value_variants().iter().filter(|format| !format.is_binary());
    let name = |format: &Format| format.to_possible_value().map(|value| value.get_name().to_string());
    if mode.is_empty() {
        return print(&format!("{}\n", name(&session.form.format).unwrap_or_default()));
    }
    let format = Format::from_str(mode, true).map_err(|_| {
        let names: Vec<_> = names().filter_map(name).collect();
        let near = suggestion(mode, names.iter().map(String::as_str));
        let near = if near.is_empty() { format!(": take one of {}", names.join(", ")) } else { near };
        anyhow!("there is no mode {mode}{near}")
    })?;
    ensure!(!format.is_binary(), "that format is not for a terminal: leave, and give -T {mode} -o OUT");
    session.form.format = format;
    Ok(())
}

fn number(command: &str, text: &str, parse: impl Fn(&str) -> Result<usize, String>) -> Result<Option<usize>> {
    if text.is_empty() {
        return Ok(None);
    }
    parse(text).map(Some).map_err(|what| anyhow!("{command} {text}: {what}"))
}

fn print(text: &str) -> Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("cannot write to stdout")
}
