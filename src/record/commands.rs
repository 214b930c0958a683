//! Commands that are run when a file is finished, or when the trigger has made one: `--on-file`, `--on-trigger`.
//!
//! Owns how many run, how many wait, and for how long. The recording waits for none of them, but for a while at its end. What
//! a command may do is `lowered`'s.

mod lowered;
mod supervise;

use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::eventfd::{EfdFlags, EventFd};

use self::lowered::Lowered;
pub use self::lowered::User;
use crate::count::Count;
use crate::record::encode::news::NewFile;
use crate::record::privileges;
use crate::record::session::inherited::Inherited;
use crate::terminal::say_line;

/// Commands that run at a time.
const AT_A_TIME: usize = 2;
/// Commands that wait.
const WAITING: usize = 64;
/// How long a command may run; and how long those that are left may take when the recording has ended.
const LIMIT: Duration = Duration::from_secs(60);
/// How long it may take until what was killed has ended.
const GRACE: Duration = Duration::from_secs(1);

/// When a command is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    File,
    Trigger,
}

impl Display for On {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            On::File => "--on-file",
            On::Trigger => "--on-trigger",
        })
    }
}

/// A command for a file.
#[derive(Debug)]
struct Job {
    on: On,
    command: OsString,
    file: PathBuf,
}

/// What is run.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// `--on-file`.
    pub on_file: Option<OsString>,
    /// `--on-trigger`.
    pub on_trigger: Option<OsString>,
    /// Who runs it; the recorder's user if there is none.
    pub user: Option<User>,
}

impl Asked {
    /// Whether anything is ever run.
    pub fn is_any(&self) -> bool {
        self.on_file.is_some() || self.on_trigger.is_some()
    }
}

/// What the threads that run commands share.
#[derive(Debug)]
struct Shared {
    jobs: Mutex<Receiver<Job>>,
    lowered: Lowered,
    /// Readable from when on nothing runs any more.
    end: EventFd,
    has_ended: AtomicBool,
    run: AtomicU64,
    failed: AtomicU64,
    not_run: AtomicU64,
}

/// Runs commands.
#[derive(Debug)]
pub struct Commands {
    asked: Asked,
    send: Option<SyncSender<Job>>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Commands {
    /// Starts the threads that run them. `inherited` is what vmtrace was started with.
    ///
    /// # Errors
    /// When there is no thread, or no descriptor.
    pub fn start(asked: Asked, inherited: Inherited) -> Result<Self> {
        let (send, jobs) = sync_channel(WAITING);
        let [run, failed, not_run] = std::array::from_fn(|_| AtomicU64::new(0));
        let shared = Arc::new(Shared {
            jobs: Mutex::new(jobs),
            lowered: Lowered::new(inherited, asked.user.clone()),
            end: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).context("no eventfd")?,
            has_ended: AtomicBool::new(false),
            run,
            failed,
            not_run,
        });
        let thread = || {
            let shared = shared.clone();
            std::thread::Builder::new().name("vmtrace-run".into()).spawn(move || {
                privileges::keep_only(privileges::RUN);
                shared.work();
            })
        };
        let threads = (0..AT_A_TIME).map(|_| thread()).collect::<Result<_, _>>();
        let threads = threads.context("a thread cannot be started: see ulimit -u")?;
        Ok(Commands { asked, send: Some(send), shared, threads })
    }

    /// Runs what is to be run for a file, when there is room.
    pub fn offer(&self, new: &NewFile) {
        let on_trigger = self.asked.on_trigger.as_ref().filter(|_| new.triggered);
        let commands = [(On::File, self.asked.on_file.as_ref()), (On::Trigger, on_trigger)];
        for (on, command) in commands {
            let (Some(command), Some(send)) = (command, &self.send) else { continue };
            let file = std::path::absolute(&new.path).unwrap_or_else(|_| new.path.clone());
            if send.try_send(Job { on, command: command.clone(), file }).is_err() {
                self.shared.leave(on, &new.path, &format!("{WAITING} commands wait already"));
            }
        }
    }

    /// Waits for what is left, for a while, or until nobody wants to wait any more; then ends it. Returns a sentence about
    /// what was not run or has failed.
    pub fn close(mut self, is_enough: impl Fn() -> bool) -> Option<String> {
        self.send = None;
        self.wait(LIMIT, is_enough);
        self.end();
        let [run, failed, not_run] =
            [&self.shared.run, &self.shared.failed, &self.shared.not_run].map(|number| number.load(Ordering::Acquire));
        let commands = Count(run, "command was run", "commands were run");
        (failed + not_run > 0).then(|| format!("{commands} for files: {failed} failed, {not_run} more were not run"))
    }

    fn is_done(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    fn wait(&self, time: Duration, is_enough: impl Fn() -> bool) {
        let begin = Instant::now();
        while !self.is_done() && !is_enough() && begin.elapsed() < time {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ends what runs, and runs nothing more.
    fn end(&mut self) {
        self.send = None;
        self.shared.has_ended.store(true, Ordering::Release);
        let _ = self.shared.end.write(1);
        self.wait(GRACE, || false);
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    /// Runs commands until no more can come.
    fn work(&self) {
        loop {
            let next = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = next else { return };
            if self.has_ended.load(Ordering::Acquire) {
                self.leave(job.on, &job.file, "the recording has ended");
                continue;
            }
            self.run.fetch_add(1, Ordering::AcqRel);
            if let Err(error) = self.run(&job) {
                self.failed.fetch_add(1, Ordering::AcqRel);
                say_line(format_args!("{}: the command for {} failed: {error:#}", job.on, job.file.display()));
            }
        }
    }

    fn run(&self, job: &Job) -> Result<()> {
        let (child, output) = self.lowered.start(&job.command, &job.file)?;
        supervise::until_it_ends(child, output, &self.end, LIMIT)
    }

    /// A command is not run.
    fn leave(&self, on: On, file: &Path, cause: &str) {
        self.not_run.fetch_add(1, Ordering::AcqRel);
        say_line(format_args!("{on}: no command is run for {}: {cause}", file.display()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_no_room_for_is_not_run_and_counted() {
        let asked = Asked { on_file: Some("sleep 1000".into()), ..Asked::default() };
        let commands = Commands::start(asked, Inherited::at_start()).unwrap();
        let given = 2 * (AT_A_TIME + WAITING) as u64;
        let file = NewFile { path: "x".into(), triggered: true };
        (0..given).for_each(|_| commands.offer(&file));
        let shared = commands.shared.clone();
        assert!(shared.not_run.load(Ordering::Acquire) >= given / 2);
        let said = commands.close(|| true).unwrap();
        assert!(said.ends_with(" more were not run"), "{said}");
        let counts = || [&shared.run, &shared.failed, &shared.not_run].map(|number| number.load(Ordering::Acquire));
        // On a busy machine what was killed may take longer to end than anybody waits for it.
        while !matches!(counts(), [run, failed, not_run] if run + not_run == given && failed == run) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
