//! `vmtrace query`: SQL over captures, without privileges, on any machine. Built with feature `query`.
//!
//! Data flows one way: files → checked captures → table `events` → views → engine → output. The engine is Apache
//! DataFusion. Nothing here knows how a capture is recorded or replayed; what a capture may look like is decided in
//! `schema`, and captured text passes `terminal::escape` on its way to a screen.

mod allowed;
mod cell;
#[cfg_attr(not(feature = "ballista"), path = "no_cluster.rs")]
pub(crate) mod cluster;
mod depth;
mod engine;
mod error;
mod events;
mod explain;
mod files;
mod flows;
mod format;
mod functions;
mod headers;
mod mistakes;
mod named;
mod nearest;
mod open;
mod output;
mod prompt;
mod reader;
#[cfg_attr(not(feature = "remote"), path = "no_remote.rs")]
mod remote;
mod resources;
mod run;
mod session;
mod signals;
mod spill;
mod stopping;
mod tables;
mod views;

use std::ffi::OsString;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use self::cluster::Cluster;
use self::engine::{Engine, Limits};
use self::format::Format;
use self::nearest::{BEGINNINGS, nearest, suggestion};
use self::output::Form;
use self::session::Session;
use crate::archive;
use crate::sandbox::{Needs, Sandbox};
use crate::schema::limits::{AllowLarge, MAX_SQL};
use crate::terminal::status;

/// Options of `vmtrace query`.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "vmtrace query [OPTIONS] FILE... [SQL]",
    after_help = "Tables: events transfers processes edges pipes losses manifest ledger (docs/query.md). \
Without SQL, statements are read from stdin; on a terminal, at a prompt. Exit status: 0 there were rows, 1 there \
were none, 2 an error."
)]
pub struct Args {
    /// Captures, directories, patterns or URLs, followed by the SQL
    #[arg(value_name = "FILE", required_unless_present_any = ["list", "show", "print_duckdb_views"])]
    words: Vec<OsString>,
    /// Run the analysis of that name
    #[arg(long, value_name = "NAME")]
    named: Option<String>,
    /// List the analyses
    #[arg(long, exclusive = true)]
    list: bool,
    /// Print the SQL of an analysis
    #[arg(long, value_name = "NAME", exclusive = true)]
    show: Option<String>,
    /// Show how the query ran and what it did not read
    #[arg(long)]
    explain: bool,
    /// Print the views and functions as DuckDB SQL; without FILE, for captures that are named in DuckDB
    #[arg(long, conflicts_with_all = ["named", "explain"])]
    print_duckdb_views: bool,
    /// Output format [default: csv, jsonl, parquet or arrow where OUT ends so, else table]
    #[arg(short = 'T', long, value_enum, help_heading = "Output")]
    format: Option<Format>,
    /// Lines of at most N columns; 0: whole lines (table) [default: what the terminal has; whole elsewhere]
    #[arg(long, value_name = "N", value_parser = output::parse_width, help_heading = "Output")]
    width: Option<usize>,
    /// Show N rows and count the others; 0: all (table, line) [default: 40 on a terminal; all elsewhere]
    #[arg(long, value_name = "N", help_heading = "Output")]
    rows: Option<usize>,
    /// Write to OUT, which must not exist, instead of stdout
    #[arg(short = 'o', long, value_name = "OUT", help_heading = "Output")]
    output: Option<PathBuf>,
    /// Replace OUT if it exists
    #[arg(long, requires = "output", help_heading = "Output")]
    force: bool,
    /// Memory for sorting, grouping and joining; what needs more goes to disk [default: half of this machine's]
    #[arg(long, value_name = "SIZE", value_parser = resources::parse_size, help_heading = "Engine")]
    memory_limit: Option<usize>,
    /// Read every row, whatever the statistics in the file say: those of a forged capture can hide rows
    #[arg(long, help_heading = "Engine")]
    no_pruning: bool,
    /// Let SQL read other files, too: CREATE EXTERNAL TABLE of regular files, which are not checked as captures are
    #[arg(long, help_heading = "Engine")]
    allow_files: bool,
    /// Run the query on the cluster with the scheduler at URL, df://HOST:PORT (docs/query.md)
    #[arg(long, value_name = "URL", conflicts_with_all = ["memory_limit", "allow_files"], help_heading = "Engine")]
    ballista: Option<String>,
    #[command(flatten)]
    large: AllowLarge,
    #[command(flatten)]
    sandbox: Sandbox,
}

/// Runs `vmtrace query`; returns the exit status.
///
/// # Errors
/// Options that are wrong, captures that cannot be read, SQL that is wrong, or an output that cannot be written.
pub fn run(args: &Args) -> Result<u8> {
    if args.list {
        return print(&named::list());
    }
    if let Some(name) = &args.show {
        return print(named::sql(name)?);
    }
    if args.print_duckdb_views && args.words.is_empty() {
        return print(&views::duckdb(&[])?);
    }
    let (words, sql) = split(&args.words)?;
    ensure!(sql.is_none() || args.named.is_none(), "--named and SQL exclude each other: give one of them");
    let found = files::find(words)?;
    if let Some(output) = &args.output {
        archive::check_apart(&found, output)?;
    }
    // Captures elsewhere, and a cluster, need the network.
    if args.ballista.is_none() && !found.iter().any(|path| files::is_url(path)) {
        args.sandbox.enter(&needs(args, &found));
    }
    let paths = archive::files(&found)?;
    if args.print_duckdb_views || args.ballista.is_some() {
        let packed = paths.iter().find(|path| archive::is_in_archive(path));
        let packed = packed.map(|path| path.display().to_string());
        ensure!(packed.is_none(), "{}: others cannot read it in the archive: unzip that", packed.unwrap_or_default());
    }
    if args.print_duckdb_views {
        ensure!(sql.is_none(), "--print-duckdb-views takes captures alone: leave the SQL out");
        return print(&views::duckdb(&paths)?);
    }
    let limits = Limits {
        memory: args.memory_limit,
        pruning: !args.no_pruning,
        large: args.large.limits(),
        files: args.allow_files,
    };
    let cluster = args.ballista.as_deref().map(Cluster::new).transpose()?;
    let format = args.format.or_else(|| Format::of_ending(args.output.as_deref()?)).unwrap_or_default();
    let form = Form { format, width: args.width, rows: args.rows, at_prompt: false };
    let engine = Engine::new(&paths, limits, cluster)?;
    let mut session = Session { engine, output: args.output.clone(), force: args.force, explain: args.explain, form };
    if let Some(name) = &args.named {
        return session.script(named::sql(name)?);
    }
    match sql {
        Some(sql) => session.script(sql),
        None if std::io::stdin().is_terminal() => {
            ensure!(args.output.is_none(), "-o needs SQL: give it behind the captures");
            session.form.at_prompt = true;
            prompt::run(&mut session)
        }
        None => {
            let text = from_stdin()?;
            let line = text.trim_start().lines().next().unwrap_or_default();
            ensure!(
                !line.starts_with('.'),
                "{line}: commands are for the prompt, on a terminal: give SQL, and options"
            );
            session.script(&text)
        }
    }
}

/// What the engine reads of the process and of its limits: signals that are ignored, memory, processors.
const OF_THE_PROCESS: [&str; 5] =
    ["/proc/self/status", "/proc/meminfo", "/proc/self/cgroup", "/proc/self/mountinfo", "/sys/fs/cgroup"];

/// The files of a query: also those to which it spills, and what was typed at the prompt before.
fn needs(args: &Args, found: &[PathBuf]) -> Needs {
    let at_prompt = args.named.is_none() && std::io::stdin().is_terminal();
    let history = at_prompt.then(prompt::history_file).flatten();
    let needs = Needs::reading(found)
        .and_reading(OF_THE_PROCESS)
        .and_reading(&history)
        .and_writing(args.output.iter().chain(&history))
        .and_temporary_files();
    if args.allow_files { needs.and_reading_anything() } else { needs }
}

/// Parts captures and SQL: the last word is SQL if it is no file, and has a blank in it or reads as a statement.
fn split(words: &[OsString]) -> Result<(&[OsString], Option<&str>)> {
    let Some((last, rest)) = words.split_last() else { return Ok((words, None)) };
    let Some(text) = last.to_str().filter(|_| !Path::new(last).exists()) else { return Ok((words, None)) };
    let is_blank = text.chars().all(|c| c == ';' || c.is_whitespace());
    let is_sql = is_blank || BEGINNINGS.iter().any(|word| word.eq_ignore_ascii_case(text)) || engine::is_sql(text);
    if rest.is_empty() {
        ensure!(!is_sql, "there is no capture to ask: name one before the SQL");
        return Ok((words, None));
    }
    if text.contains(char::is_whitespace) || is_sql {
        return Ok((rest, Some(text)));
    }
    // If this may be a file name, opening it reports that the file is missing.
    let is_name = text.contains(['/', '.', '*', '?', '[', ':']);
    ensure!(is_name, "{text} is neither a file that exists nor an SQL statement{}", meant(text));
    Ok((words, None))
}

/// What a word may be meant to be that is neither a file nor SQL.
fn meant(word: &str) -> String {
    let tables = || views::names();
    let near = nearest(word, BEGINNINGS.into_iter().chain(tables()).chain(named::names()));
    match near {
        Some(table) if tables().any(|known| known == table) => format!(": did you mean \"SELECT * FROM {table}\"?"),
        Some(name) if named::names().any(|known| known == name) => format!(": did you mean --named {name}?"),
        _ => suggestion(word, BEGINNINGS),
    }
}

/// SQL from stdin: no more of it is read than may be run.
fn from_stdin() -> Result<String> {
    let mut text = Vec::new();
    let limit = MAX_SQL as u64 + 1;
    std::io::stdin().lock().take(limit).read_to_end(&mut text).context("cannot read SQL from stdin")?;
    engine::check_length(text.len())?;
    String::from_utf8(text).context("cannot read SQL from stdin: it is not UTF-8")
}

fn print(text: &str) -> Result<u8> {
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(status::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_is_sql_if_it_reads_like_it() {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let both = words(&["a.parquet", "b.parquet", "SELECT 1"]);
        assert_eq!(split(&both).unwrap(), (&both[..2], Some("SELECT 1")));
        let files = words(&["a.parquet", "b.parquet"]);
        assert_eq!(split(&files).unwrap(), (&files[..], None));
        let alone = words(&["SELECT 1"]);
        assert!(split(&alone).unwrap_err().to_string().contains("name one before the SQL"));
        let there = words(&["a.parquet", "src/../Cargo.toml"]);
        assert_eq!(split(&there).unwrap().1, None);
        let dense = words(&["a.parquet", "SELECT(1)"]);
        assert_eq!(split(&dense).unwrap().1, Some("SELECT(1)"));
        let begun = words(&["a.parquet", "select"]);
        assert_eq!(split(&begun).unwrap().1, Some("select"), "the engine says what is missing");
    }

    #[test]
    fn what_is_neither_file_nor_sql_is_told_what_is_near() {
        let said = |word: &str| {
            let words = ["a.parquet", word].map(OsString::from);
            split(&words).unwrap_err().to_string()
        };
        assert_eq!(said("selct"), "selct is neither a file that exists nor an SQL statement: did you mean SELECT?");
        assert!(said("edge").ends_with(": did you mean \"SELECT * FROM edges\"?"));
        assert!(said("denid").ends_with(": did you mean --named denied?"));
        assert!(said("qqq").ends_with("nor an SQL statement"));
    }
}
