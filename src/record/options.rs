//! Options of `vmtrace record`: as typed ([`Args`]) and as checked ([`Options`]).

mod args;
mod ready;
mod units;
mod watch;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use self::args::DEFAULT_SNAPLEN;
pub use self::args::{Args, Payload, Printed};
pub use self::ready::Ready;
pub use self::watch::Watch;
use super::commands::{Asked, User};
use super::names::Names;
use super::wire::VMT_SNAPLEN_MAX;
use crate::record::encode::flight_recorder::Limit;
use crate::record::identity::cgroupfs::Chosen;
use crate::record::identity::proc::Snapshot;
use crate::record::output::disk_policy::OnFull;
use crate::schema::events::EventSet;
use crate::schema::expr::Expr;
use crate::schema::manifest::Filters;
use crate::schema::sign::Key;

/// Maximum number of uids that one recording selects (bpf/common.bpf.h, MAX_UIDS).
const MAX_UIDS: usize = 16;

/// When a file ends and the next begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// At this number of bytes.
    pub size: Option<u64>,
    /// Every so many seconds of the wall clock.
    pub seconds: Option<u64>,
    /// Files kept.
    pub files: Option<u32>,
}

impl Rotation {
    /// Whether there can be more than one file.
    pub fn is_on(&self) -> bool {
        *self != Rotation::default()
    }
}

/// Checked options.
#[derive(Debug)]
pub struct Options {
    /// File to write.
    pub output: PathBuf,
    /// No file is written: what is recorded is only printed.
    pub only_prints: bool,
    /// Selected processes.
    pub pids: Vec<i32>,
    /// Those that they have started before, too.
    pub tree: bool,
    /// Names that select processes.
    pub comms: Names,
    /// Processes of which only those are recorded who reach into them.
    pub target_pids: Vec<i32>,
    /// Names that select such.
    pub target_comms: Names,
    /// Every process.
    pub all: bool,
    /// Selected events.
    pub events: EventSet,
    /// Payload bytes per event, 0 for none.
    pub snaplen: u32,
    /// Children are recorded too.
    pub follow: bool,
    /// The mappings that calls reach are looked up.
    pub regions: bool,
    /// Caller uids, any if empty.
    pub uids: Vec<u32>,
    /// Cgroup of callers.
    pub cgroup: Option<Chosen>,
    /// Number of events after which recording stops.
    pub count: Option<u64>,
    /// Time after which recording stops.
    pub duration: Option<Duration>,
    /// Bytes of all rings.
    pub buffer_size: u64,
    /// When a file ends.
    pub rotation: Rotation,
    /// Bytes of all files.
    pub max_size: Option<u64>,
    /// What the flight recorder keeps.
    pub flight_recorder: Option<Limit>,
    /// When it writes them.
    pub trigger: Option<Expr>,
    /// What is run for files.
    pub commands: Asked,
    /// When the disk is full.
    pub on_full: OnFull,
    /// Loss is a failure, also with COMMAND.
    pub fail_on_loss: bool,
    /// INT and QUIT are left to COMMAND.
    pub ignore_interrupts: bool,
    /// Signs every file.
    pub key: Option<Key>,
    /// Maximum time until an event is in the journal.
    pub window: Duration,
    /// Bytes of rows that are not yet encoded.
    pub memory_limit: usize,
    /// Comment in the capture.
    pub comment: Option<String>,
    /// Test the hooks at the start.
    pub self_test: bool,
    /// Replace the output.
    pub force: bool,
    /// How rows are printed while they are recorded.
    pub printed: Option<Printed>,
    /// Written to when the recording has begun.
    pub ready: Option<Ready>,
    /// Only errors.
    pub quiet: bool,
    /// Hooks and gaps.
    pub verbose: bool,
    /// Program and arguments, empty without one.
    pub command: Vec<OsString>,
}

impl Options {
    /// Checks what was typed.
    ///
    /// # Errors
    /// One sentence naming the option and the remedy.
    pub fn check(args: &Args) -> Result<Self> {
        ensure!(
            args.all || !args.command.is_empty() || !args.pid.is_empty() || selects_others(args),
            "nothing to record: name a COMMAND after --, a process with -p PID or --comm NAME, or every process with -a"
        );
        ensure!(
            !args.all || !(args.tree || selects_others(args)),
            "-a records every process, and those that are named with them: leave out -a to record only these"
        );
        ensure!(
            args.snaplen <= VMT_SNAPLEN_MAX,
            "--snaplen {}: at most {VMT_SNAPLEN_MAX} bytes are kept per event",
            args.snaplen
        );
        ensure!(args.uid.len() <= MAX_UIDS, "-u: at most {MAX_UIDS} uids can be selected, not {}", args.uid.len());
        ensure!(
            (MIN_BUFFER..=MAX_BUFFER).contains(&args.buffer_size),
            "--buffer-size {}: choose between 256K and 16G",
            args.buffer_size
        );
        ensure!(args.count != Some(0), "--count 0: nothing would be recorded");
        ensure!(
            !args.ignore_interrupts || !args.command.is_empty(),
            "--ignore-interrupts leaves ^C to COMMAND: without one, ^C is how a recording ends"
        );
        check_files(args)?;
        Ok(Options {
            output: args.output.clone().unwrap_or_else(default_output),
            only_prints: false,
            pids: processes("-p", &args.pid)?,
            tree: args.tree,
            comms: Names::parse(&args.comm).map_err(|wrong| anyhow!("--comm {wrong}"))?,
            target_pids: processes("--target-pid", &args.target_pid)?,
            target_comms: Names::parse(&args.target_comm).map_err(|wrong| anyhow!("--target-comm {wrong}"))?,
            all: args.all,
            events: events(&args.events)?,
            snaplen: snaplen(args),
            follow: !args.no_follow,
            regions: !args.no_regions,
            uids: args.uid.clone(),
            cgroup: args.cgroup.as_deref().map(Chosen::find).transpose()?,
            count: args.count,
            duration: args.duration,
            buffer_size: args.buffer_size,
            rotation: Rotation { size: args.file_size, seconds: args.file_seconds, files: args.files },
            max_size: args.max_size,
            flight_recorder: args.flight_recorder,
            trigger: args.trigger.clone(),
            commands: commands(args),
            on_full: args.on_full,
            fail_on_loss: args.fail_on_loss,
            ignore_interrupts: args.ignore_interrupts,
            key: args.sign_key.as_deref().map(Key::load).transpose()?,
            window: args.journal_window,
            memory_limit: usize::try_from(args.memory_limit).unwrap_or(usize::MAX),
            comment: args.comment.clone(),
            self_test: !args.no_self_test,
            force: args.force,
            printed: args.print.then_some(args.format),
            ready: args.ready_fd.map(Ready::at).transpose()?,
            quiet: args.quiet,
            verbose: args.verbose,
            command: args.command.clone(),
        })
    }

    /// Checks what was typed for `vmtrace watch`.
    ///
    /// # Errors
    /// As [`Options::check`].
    pub fn check_watch(Watch(args): &Watch) -> Result<Self> {
        Ok(Options { only_prints: true, printed: Some(args.format), ..Options::check(args)? })
    }

    /// The options of `vmtrace check`: the defaults of `record`, with nothing selected.
    pub fn for_check() -> Self {
        Options {
            output: PathBuf::new(),
            only_prints: false,
            pids: Vec::new(),
            tree: false,
            comms: Names::default(),
            target_pids: Vec::new(),
            target_comms: Names::default(),
            all: false,
            events: EventSet::all(),
            snaplen: DEFAULT_SNAPLEN,
            follow: true,
            regions: true,
            uids: Vec::new(),
            cgroup: None,
            count: None,
            duration: None,
            buffer_size: DEFAULT_BUFFER,
            rotation: Rotation::default(),
            max_size: None,
            flight_recorder: None,
            trigger: None,
            commands: Asked::default(),
            on_full: OnFull::Stop,
            fail_on_loss: false,
            ignore_interrupts: false,
            key: None,
            window: Duration::from_millis(100),
            memory_limit: 64 << 20,
            comment: None,
            self_test: true,
            force: false,
            printed: None,
            ready: None,
            quiet: false,
            verbose: false,
            command: Vec::new(),
        }
    }

    /// Whether -u and --cgroup admit a living process, so that with -a it is selected itself, and gets a row at the start.
    pub fn admits(&self, living: &Snapshot) -> bool {
        let cgroup = living.cgroup.as_deref();
        (self.uids.is_empty() || self.uids.contains(&living.uid))
            && self.cgroup.as_ref().is_none_or(|chosen| cgroup.is_some_and(|path| chosen.holds(path)))
    }

    /// Whether processes are selected by their names: others can come at any time.
    pub fn selects_by_name(&self) -> bool {
        !self.comms.is_empty() || !self.target_comms.is_empty()
    }

    /// The processes that were named by their numbers.
    pub fn named_pids(&self) -> Vec<i32> {
        self.pids.iter().chain(&self.target_pids).copied().collect()
    }

    /// As the manifest records them.
    pub fn filters(&self) -> Filters {
        Filters {
            all: self.all,
            pids: self.pids.clone(),
            tree: self.tree,
            comms: self.comms.patterns().to_vec(),
            target_pids: self.target_pids.clone(),
            target_comms: self.target_comms.patterns().to_vec(),
            command: self.command.iter().map(|w| w.to_string_lossy().into_owned()).collect(),
            follow: self.follow,
            regions: self.regions,
            events: self.events.names().iter().map(|n| n.to_string()).collect(),
            uids: self.uids.clone(),
            cgroup: self.cgroup.as_ref().map(|cgroup| cgroup.given.to_string_lossy().into_owned()),
            snaplen: self.snaplen,
            count: self.count,
            duration_s: self.duration.map(|d| d.as_secs_f64()),
            buffer_size: self.buffer_size,
        }
    }
}

/// Whether processes are selected by name, or as targets.
fn selects_others(args: &Args) -> bool {
    !(args.comm.is_empty() && args.target_pid.is_empty() && args.target_comm.is_empty())
}

/// Checks the options about files, and their combinations.
fn check_files(args: &Args) -> Result<()> {
    let rotates = args.file_size.is_some() || args.file_seconds.is_some();
    for (option, size) in [("-C", args.file_size), ("--max-size", args.max_size)] {
        ensure!(size.is_none_or(|size| size >= MIN_FILE), "{option}: at least 128K, since a file has a fixed part");
    }
    ensure!(args.memory_limit >= MIN_MEMORY, "--memory-limit {}: at least 4M", args.memory_limit);
    ensure!(
        (Duration::from_millis(10)..=Duration::from_secs(60)).contains(&args.journal_window),
        "--journal-window: choose between 10ms and 60s"
    );
    ensure!(
        !(rotates && args.flight_recorder.is_some()),
        "--flight-recorder writes a file on a signal or a trigger: it cannot be combined with -C and -G"
    );
    ensure!(
        args.files.is_none() || rotates || args.flight_recorder.is_some(),
        "-W {}: sets how many files are kept: start new ones with -C or -G",
        args.files.unwrap_or_default()
    );
    ensure!(
        args.on_full != OnFull::RotateOut || rotates,
        "--on-full rotate-out removes finished files: start new ones with -C or -G"
    );
    ensure!(
        !args.fail_on_loss || !args.command.is_empty(),
        "--fail-on-loss is for COMMAND: without COMMAND, loss is status 3"
    );
    Ok(())
}

fn commands(args: &Args) -> Asked {
    let asked = Asked { on_file: args.on_file.clone(), on_trigger: args.on_trigger.clone(), user: None };
    Asked { user: User::of_sudo().filter(|_| asked.is_any()), ..asked }
}

/// Bytes of a file: it has a fixed part.
pub const MIN_FILE: u64 = 128 << 10;
const MIN_MEMORY: u64 = 4 << 20;

/// The default of `--buffer-size` as a number.
const DEFAULT_BUFFER: u64 = 64 << 20;
const MIN_BUFFER: u64 = 256 << 10;
const MAX_BUFFER: u64 = 16 << 30;

fn default_output() -> PathBuf {
    format!("vmtrace-{}.parquet", chrono::Utc::now().format("%Y%m%dT%H%M%SZ")).into()
}

/// The processes that an option names.
fn processes(option: &str, pids: &[i32]) -> Result<Vec<i32>> {
    pids.iter().map(|pid| process_of(option, *pid)).collect()
}

/// The process that `pid` names: itself, or the process of that thread.
fn process_of(option: &str, pid: i32) -> Result<i32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let tgid = status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok());
    tgid.filter(|_| pid > 0).with_context(|| format!("{option} {pid}: there is no such process"))
}

fn events(lists: &[String]) -> Result<EventSet> {
    let mut set: Option<EventSet> = None;
    for list in lists {
        let more = EventSet::parse(list).map_err(|e| anyhow::anyhow!("-e {list}: {e}"))?;
        set = Some(match set {
            Some(set) => set.merge(more),
            None => more,
        });
    }
    Ok(set.unwrap_or_else(EventSet::all))
}

fn snaplen(args: &Args) -> u32 {
    match (args.payload, args.snaplen) {
        (Payload::None, _) => 0,
        (Payload::Head, 0) => VMT_SNAPLEN_MAX,
        (Payload::Head, n) => n,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::identity::proc::Process;

    #[test]
    fn of_those_who_live_only_the_selected_are_introduced() {
        let living = |pid: i32, uid: u32, cgroup: Option<&str>| Snapshot {
            process: Process { pid, ..Process::default() },
            comm: "x".into(),
            uid,
            parent: 1,
            argv: "x".into(),
            cgroup: cgroup.map(str::to_string),
        };
        let init = living(1, 0, Some("/init.scope"));
        let kernel = living(2, 0, Some("/"));
        let inside = living(3, 0, Some("/chosen/below"));
        let other = living(4, 1000, Some("/chosen"));
        let unknown = living(5, 1000, None);
        let everyone = [init, kernel, inside, other, unknown];
        let selected = |options: &Options| -> Vec<i32> {
            everyone.iter().filter(|s| options.admits(s)).map(|s| s.process.pid).collect()
        };
        let chosen = Some(Chosen { given: PathBuf::new(), id: 7, level: 1, path: "/chosen".into() });
        let options = || Options { all: true, ..Options::for_check() };
        assert_eq!(selected(&options()), [1, 2, 3, 4, 5]);
        assert_eq!(selected(&Options { cgroup: chosen.clone(), ..options() }), [3, 4]);
        assert_eq!(selected(&Options { uids: vec![1000], ..options() }), [4, 5]);
        assert_eq!(selected(&Options { uids: vec![1000], cgroup: chosen, ..options() }), [4]);
    }
}
