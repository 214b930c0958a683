//! Words of a command line: conditions, selections, what redaction keeps, options of the recorder.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use clap::Parser;

use crate::commands::Command;
use crate::oracle::{Output, watched};
use crate::{bases, room};

/// A capture that the words select from.
fn capture() -> &'static PathBuf {
    static CAPTURE: OnceLock<PathBuf> = OnceLock::new();
    CAPTURE.get_or_init(|| room::put("words.parquet", bases::CAPTURES[2]))
}

/// Without the sandbox, which would be that of all inputs that follow.
fn run_words(words: &[&OsStr]) {
    let Some((name, rest)) = words.split_first() else { return };
    let words = [&[*name, OsStr::new("--no-sandbox")], rest].concat();
    let parsed = watched("the command line", Output::Text, || match Command::try_parse_from(words) {
        Ok(command) => Some(command),
        Err(_) => None,
    });
    if let Some(command) = parsed {
        watched("a command", Output::Text, || {
            if let Err(error) = command.run() {
                vmtrace::terminal::report(&error);
            }
        });
    }
}

/// `--where` and `--trigger`.
pub fn condition(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let parsed = watched("the expression", Output::Text, || vmtrace::schema::expr::Expr::parse(text));
    match parsed {
        Ok(_) => {
            let word = format!("--where={text}");
            let words = ["replay", "-T", "jsonl"].map(OsStr::new);
            run_words(&[&words[..], &[OsStr::new(&word), capture().as_os_str()]].concat());
        }
        Err(why) => {
            watched("the error", Output::Text, || vmtrace::terminal::say(&why));
        }
    }
}

/// Which rows are shown. The first byte says by which option.
pub fn select(input: &[u8]) {
    const OPTIONS: [&str; 12] = [
        "--since",
        "--until",
        "--address",
        "--pid",
        "--peer",
        "--comm",
        "--events",
        "--pipe",
        "--follow",
        "--time",
        "--allow-large",
        "--count",
    ];
    let Some((which, text)) = input.split_first() else { return };
    let mut word = OPTIONS[usize::from(*which) % OPTIONS.len()].as_bytes().to_vec();
    word.push(b'=');
    word.extend(text.iter().filter(|byte| **byte != 0));
    run_words(&[OsStr::new("replay"), OsStr::from_bytes(&word), capture().as_os_str()]);
}

/// What redaction keeps, drops, and how strict it is.
pub fn redaction(input: &[u8]) {
    const OPTIONS: [&str; 4] = ["--keep", "--drop", "--level", "--payload"];
    let mut words = vec![b"redact".to_vec(), b"--preview".to_vec()];
    for text in input.split(|byte| *byte == b'\n').take(4) {
        let Some((which, text)) = text.split_first() else { continue };
        let mut word = OPTIONS[usize::from(*which) % OPTIONS.len()].as_bytes().to_vec();
        word.push(b'=');
        word.extend(text.iter().filter(|byte| **byte != 0));
        words.push(word);
    }
    words.push(capture().as_os_str().as_bytes().to_vec());
    run_words(&words.iter().map(|word| OsStr::from_bytes(word)).collect::<Vec<_>>());
}

/// `vmtrace record`, whose words are parsed and nothing else.
#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct Record {
    #[command(flatten)]
    args: vmtrace::record::Args,
}

/// Options of `record`: words with a line break between them.
pub fn record(input: &[u8]) {
    let words = input.split(|byte| *byte == b'\n').take(40).map(OsStr::from_bytes);
    watched("the command line", Output::Text, || {
        drop(Record::try_parse_from(words).map(|record| format!("{:?}", record.args)));
    });
}
