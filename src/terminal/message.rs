//! Messages on stderr. All of them are written here.

use std::io::{self, Write};

use super::escape::{SafeLine, Said};

/// Writes an error to stderr. It may quote a capture.
pub fn report(error: &anyhow::Error) {
    say(&format!("{error:#}"));
}

/// Writes a message to stderr, made safe for a terminal.
pub fn say(text: &str) {
    // stderr may be closed: eprintln! would panic, and COMMAND's status would be lost.
    let _ = writeln!(io::stderr(), "{}", Said(text));
}

/// Writes a message on one line of stderr, whatever stands in it: names of files, or what a stranger's journal holds.
pub fn say_line(line: std::fmt::Arguments<'_>) {
    say(&SafeLine(&line.to_string()).to_string());
}

/// Whether whoever reads our output has gone.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    io.into_iter().any(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_closed_pipe_is_known_wherever_it_stands_among_the_causes() {
        let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_broken_pipe(&closed().into()));
        assert!(is_broken_pipe(&Err::<(), _>(closed()).context("cannot write").unwrap_err()));
        assert!(!is_broken_pipe(&io::Error::from(io::ErrorKind::NotFound).into()));
        assert!(!is_broken_pipe(&anyhow::anyhow!("broken pipe")));
    }
}
