//! Options of `vmtrace record`, as typed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use super::units::{parse_duration, parse_flight_limit, parse_size};
use crate::record::encode::flight_recorder::Limit;
use crate::record::output::disk_policy::OnFull;
use crate::schema::events::{Group, sets};
use crate::schema::expr::Expr;

pub(super) const DEFAULT_SNAPLEN: u32 = 256;

/// What is recorded of the bytes that move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Payload {
    /// No bytes
    None,
    /// The first bytes, up to the snap length
    Head,
}

/// How rows are printed while they are recorded: formats of `replay` and `export`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Printed {
    /// The lines of replay
    #[default]
    Text,
    /// One JSON object per event
    Jsonl,
    /// JSON lines with the fields of the Elastic Common Schema
    Ecs,
    /// JSON lines with the classes of the Open Cybersecurity Schema Framework
    Ocsf,
}

/// Options of `vmtrace record`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Recording ends when COMMAND ends, when the last process has ended that was selected by number (without --comm and
--target-comm), when a limit is reached, or with ^C.
Exit status: that of COMMAND (128+N after signal N); without COMMAND 0, or 3 if events were lost; 2 on wrong usage.
With COMMAND, 125 if vmtrace itself failed, 126 if COMMAND cannot be executed, 127 if it was not found.")]
pub struct Args {
    /// File to write [default: vmtrace-DATE.parquet]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Record this process, its threads, the children that it starts from now on, and every process that accesses its
    /// memory (repeatable, or several separated by commas)
    #[arg(short, long, value_name = "PID", value_delimiter = ',')]
    pub pid: Vec<i32>,
    /// With -p: also the children that it has already, and theirs
    #[arg(long, requires = "pid")]
    pub tree: bool,
    /// As -p, for every process with such a name, now or later: * stands for any characters, ? for one byte, [a-z] for one of
    /// these (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub comm: Vec<String>,
    /// Record every access to this process's memory, and not what it does itself (repeatable, or several separated by commas)
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pub target_pid: Vec<i32>,
    /// As --target-pid, for every process with such a name, now or later (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub target_comm: Vec<String>,
    /// Record every process
    #[arg(short, long)]
    pub all: bool,
    /// Names or sets of events, separated by commas.
    #[arg(short, long, value_name = "SET", help = help_of_events())]
    pub events: Vec<String>,
    /// Record at most N payload bytes per event; 0 for the maximum (65536)
    #[arg(short, long, value_name = "N", default_value_t = DEFAULT_SNAPLEN)]
    pub snaplen: u32,
    /// What to record of the bytes that move
    #[arg(long, value_enum, default_value_t = Payload::Head)]
    pub payload: Payload,
    /// Do not look up the mappings that calls reach in other processes
    #[arg(long)]
    pub no_regions: bool,
    /// Do not record children of the selected processes
    #[arg(long)]
    pub no_follow: bool,
    /// Record only callers with this effective uid (repeatable)
    #[arg(short, long, value_name = "UID")]
    pub uid: Vec<u32>,
    /// Record only callers in this cgroup (v2) or below it
    #[arg(long, value_name = "PATH")]
    pub cgroup: Option<PathBuf>,
    /// Events after which recording stops.
    #[arg(short, long, value_name = "N", help = help_of_count())]
    pub count: Option<u64>,
    /// Stop after this time: seconds, or with ms, s, m, h
    #[arg(long, value_name = "T", value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// Size of the kernel buffers of all CPUs together: bytes, or with K, M, G
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "64M")]
    pub buffer_size: u64,
    /// Start a new file when the present one has this size; files are numbered: trace-0001.parquet
    #[arg(short = 'C', long, value_name = "SIZE", value_parser = parse_size)]
    pub file_size: Option<u64>,
    /// Start a new file every N seconds, aligned to the wall clock; files are numbered
    #[arg(short = 'G', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub file_seconds: Option<u64>,
    /// Keep the latest N files and remove older ones
    #[arg(short = 'W', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub files: Option<u32>,
    /// Stop when all files together reach this size
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_size: Option<u64>,
    /// Keep the latest events in memory, by size or by time, and write them on SIGUSR2, when --trigger matches, and at
    /// the end
    #[arg(long, value_name = "SIZE|TIME", value_parser = parse_flight_limit)]
    pub flight_recorder: Option<Limit>,
    /// With --flight-recorder: write the kept events when an event matches this, such as 'errno = EPERM'
    #[arg(long, value_name = "EXPR", value_parser = Expr::parse, requires = "flight_recorder")]
    pub trigger: Option<Expr>,
    /// Run this with `sh -c` for each file that the trigger has made, with its name in FILE, without privileges
    #[arg(long, value_name = "CMD", requires = "trigger")]
    pub on_trigger: Option<OsString>,
    /// Run this with `sh -c` for each finished file, with its name in FILE, without privileges
    #[arg(long, value_name = "CMD")]
    pub on_file: Option<OsString>,
    /// What to do when the disk is full
    #[arg(long, value_enum, value_name = "POLICY", default_value_t = OnFull::Stop)]
    pub on_full: OnFull,
    /// With COMMAND: exit with status 125 if events were lost
    #[arg(long)]
    pub fail_on_loss: bool,
    /// With COMMAND: ignore ^C and ^\, which COMMAND gets; the recording ends when COMMAND does
    #[arg(short = 'I', long)]
    pub ignore_interrupts: bool,
    /// Sign each file with this OpenSSH private key: FILE.sig
    #[arg(long, value_name = "KEY")]
    pub sign_key: Option<PathBuf>,
    /// Maximum time until an event is in the journal, where it survives a killed recorder
    #[arg(long, value_name = "T", value_parser = parse_duration, default_value = "100ms")]
    pub journal_window: Duration,
    /// Memory for rows that are not yet encoded: bytes, or with K, M, G
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "64M")]
    pub memory_limit: u64,
    /// A comment to store in the capture
    #[arg(long, value_name = "TEXT")]
    pub comment: Option<String>,
    /// Do not test the hooks at the start with known transfers
    #[arg(long)]
    pub no_self_test: bool,
    /// Replace an existing output file
    #[arg(long)]
    pub force: bool,
    /// Print each event to stdout when it is recorded; where a reader is too slow, the number of events that are not printed
    #[arg(long)]
    pub print: bool,
    /// Format of --print
    #[arg(short = 'T', long, value_enum, default_value_t, requires = "print")]
    pub format: Printed,
    /// Write a line break to file descriptor N, and close it, when the recording has begun, before COMMAND is started
    #[arg(long, value_name = "N")]
    pub ready_fd: Option<i32>,
    /// Print only errors
    #[arg(short, long)]
    pub quiet: bool,
    /// Print which hooks are attached and what they cannot see
    #[arg(short, long)]
    pub verbose: bool,
    /// Program to run and record, and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

fn help_of_events() -> String {
    format!("Record only these events: names or sets ({}), separated by commas (repeatable)", sets().join(" "))
}

fn help_of_count() -> String {
    format!("Stop after N events; those of {} do not count", Group::Process.set())
}
