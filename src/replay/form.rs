//! The form of text: how long lines are, and what need not be read line by line.
//!
//! Owns what differs between a terminal and other outputs. What is piped does not change unless it is asked for.

use std::io::IsTerminal;

use crate::terminal::fit::stdout_columns;

/// Names of the options, for a message.
pub const NAMES: &str = ", --width, --wide, --fold, --no-fold, --snapshots, --no-snapshots, --summary and --no-summary";

/// Events that are summarised unasked: they are read before the first line appears.
const SUMMARISED: u64 = 200_000;

/// Options of the form.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Form {
    /// Lines of at most N columns, with what matters first (text); the default on a terminal, with the columns that it has
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(40..), conflicts_with = "wide", help_heading = "Output")]
    width: Option<u16>,
    /// Whole lines (text); the default unless the output is a terminal
    #[arg(long, help_heading = "Output")]
    wide: bool,
    /// Print the first of a run of alike events, and count the others (text); the default on a terminal, except with -x
    #[arg(long, overrides_with = "no_fold", help_heading = "Output")]
    fold: bool,
    /// Print every event (text); the default unless the output is a terminal
    #[arg(long, overrides_with = "fold", help_heading = "Output")]
    no_fold: bool,
    /// Print all processes that ran when the recording began (text); the default unless the output is a terminal
    #[arg(long, overrides_with = "no_snapshots", help_heading = "Output")]
    snapshots: bool,
    /// Of these processes, print those to which an event refers (text); the default on a terminal
    #[arg(long, overrides_with = "snapshots", help_heading = "Output")]
    no_snapshots: bool,
    /// Begin with the sentences of vmtrace summary (text); the default on a terminal, for captures of at most 200,000 events
    #[arg(long, overrides_with = "no_summary", help_heading = "Output")]
    summary: bool,
    /// Begin without these sentences (text); the default unless the output is a terminal
    #[arg(long, overrides_with = "summary", help_heading = "Output")]
    no_summary: bool,
    /// Print text without a pager; on a terminal it goes through $PAGER, or less
    #[arg(long, help_heading = "Output")]
    pub no_pager: bool,
}

impl Form {
    /// Columns of a line; lines are whole where there is no limit.
    pub fn columns(&self) -> Option<usize> {
        match (self.wide, self.width) {
            (true, _) => None,
            (false, Some(width)) => Some(width.into()),
            (false, None) => stdout_columns(),
        }
    }

    /// Whether runs of alike events are folded.
    pub fn folds(&self) -> bool {
        self.fold || (!self.no_fold && std::io::stdout().is_terminal())
    }

    /// Whether all snapshots are shown.
    pub fn shows_snapshots(&self) -> bool {
        self.snapshots || (!self.no_snapshots && !std::io::stdout().is_terminal())
    }

    /// Whether a capture of `rows` events begins with the sentences of its summary.
    pub fn summarises(&self, rows: u64) -> bool {
        self.summary || (!self.no_summary && rows <= SUMMARISED && std::io::stdout().is_terminal())
    }

    /// Whether any option is given.
    pub fn is_given(&self) -> bool {
        let any =
            [self.wide, self.fold, self.no_fold, self.snapshots, self.no_snapshots, self.summary, self.no_summary];
        any.contains(&true) || self.width.is_some()
    }
}
