//! How a recording ends: why, with which status, and what is waited for.

use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use crate::record::commands::Commands;
use crate::record::encode::news::News;
use crate::record::live::Tap;
use crate::record::options::Options;
use crate::record::report;
use crate::record::session::command::shell_status;
use crate::record::session::signals::Signals;
use crate::schema::vocabulary::EndReason;
use crate::terminal::{say_line, status};

/// How long a reader that does not read is waited for when a signal has ended the recording.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long COMMAND may take to end by itself after a signal that reached both of us.
const GRACE: Duration = Duration::from_millis(500);

/// Why a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// COMMAND ended so.
    Command(ExitStatus),
    /// This signal came.
    Signal(i32),
    /// `--duration` is over.
    Duration,
    /// `-c` is reached.
    Count,
    /// `--max-size` is reached.
    MaxSize,
    /// The last `-p` process is gone.
    ProcessesGone,
    /// The disk is full.
    Full,
    /// Nobody looks any more, and nothing is kept.
    Unread,
    /// The output failed, or a thread did.
    Failed,
}

impl End {
    /// As the capture has it.
    pub fn reason(self) -> EndReason {
        match self {
            End::Command(_) => EndReason::CommandExit,
            End::Signal(_) => EndReason::Signal,
            End::Duration => EndReason::Duration,
            End::Count => EndReason::Count,
            End::MaxSize => EndReason::MaxSize,
            End::ProcessesGone => EndReason::ProcessesGone,
            End::Full => EndReason::DiskFull,
            End::Unread | End::Failed => EndReason::WriteError,
        }
    }
}

/// Says which files were finished, and runs the commands for them. Of the last one the summary says so.
pub fn announce(news: &News, commands: Option<&Commands>, quiet: bool, last: bool) {
    for new in news.take() {
        if !quiet && (new.triggered || !last) {
            report::finished(&new);
        }
        commands.iter().for_each(|commands| commands.offer(&new));
    }
}

/// Waits until everything is printed. The capture is complete, whatever becomes of its reader: one that does not read is left
/// to itself with the next signal, and after a while if a signal has ended the recording.
pub fn end_print(tap: Tap, end: End, signals: &Signals, endings: usize) {
    let begin = Instant::now();
    let is_asked_to_end = matches!(end, End::Signal(_));
    let is_enough = || signals.endings() > endings || (is_asked_to_end && begin.elapsed() > PATIENCE);
    if !tap.close(is_enough) {
        say_line(format_args!("--print: the reader does not read: the last events were not printed"));
    }
}

/// COMMAND's status; without it, whether the recording went to its end and anything was lost.
pub fn exit_status(
    options: &Options,
    (end, full): (End, bool),
    child: Option<&mut Child>,
    signals: &Signals,
    lost: u64,
) -> u8 {
    let status = match (end, child) {
        (End::Command(ended), _) => shell_status(ended),
        (_, Some(child)) => await_command(end, child, signals),
        (End::Unread, None) => status::OK,
        (_, None) if full => status::ERROR,
        (_, None) if lost > 0 => status::LOSS,
        (_, None) => status::OK,
    };
    let failed = lost > 0 || full;
    if options.fail_on_loss && failed { status::RECORDER_FAILED } else { status }
}

/// The recording ended first. COMMAND is left alone, but a ^C has usually reached it too. When the disk is full, or nobody
/// reads what is printed, nobody has asked for an end: then its status is awaited.
fn await_command(end: End, child: &mut Child, signals: &Signals) -> u8 {
    let deadline = Instant::now() + GRACE;
    let is_awaited = matches!(end, End::Full | End::Unread);
    while Instant::now() < deadline || (is_awaited && signals.pending().is_none()) {
        if let Ok(Some(ended)) = child.try_wait() {
            return shell_status(ended);
        }
        std::thread::sleep(GRACE / 10);
    }
    say_line(format_args!("the recording has ended; COMMAND (pid {}) was left running", child.id()));
    match end {
        End::Signal(signal) => u8::try_from(128 + signal).unwrap_or(status::OK),
        _ => status::OK,
    }
}
