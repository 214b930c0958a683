//! Reads the files of a recording into the memory of a process.

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Context, Result, bail, ensure};

use crate::model::memory::{self, Life, Lives, Memory};
use crate::model::origin;
use crate::model::process::Processes;
use crate::model::time::{self, When};
use crate::schema::limits::Limits;
use crate::schema::manifest::{Clocks, LedgerRow, Manifest};
use crate::schema::reader::{Capture, Scan};
use crate::schema::{Event, EventBatch};
use crate::terminal::escape::Safe;

/// Processes that are followed back, from child to parent.
const GENERATIONS: usize = 32;
/// Hosts that are named.
const NAMED: usize = 16;

/// The files of one recording, in its order.
#[derive(Debug)]
pub struct Recording {
    files: Vec<PathBuf>,
    /// By file: when it began, if one before it is missing.
    missing: Vec<Option<i64>>,
    limits: Limits,
    /// Clocks when it began.
    pub start: Clocks,
    /// From the first to the last instant on CLOCK_MONOTONIC.
    pub span: (i64, i64),
    /// Events that were lost and that no row reports, that may have been such an event, or that a slice leaves out.
    pub unplaced: u64,
    /// The host whose events are looked at; in captures of one host none.
    pub host: Option<String>,
    /// The hosts that the manifest names, whether its ledgers count events of them or not.
    hosts: Vec<String>,
    /// Whether nothing more is to be read.
    stop: Arc<AtomicBool>,
}

/// A file and what is needed of it to put it in order.
struct File {
    path: PathBuf,
    capture_id: String,
    /// Its number, and when it began.
    segment: Option<(u64, i64)>,
    start: Clocks,
    span: (i64, i64),
    unplaced: u64,
    /// The hosts that its manifest names.
    hosts: Vec<String>,
}

impl File {
    fn open(path: &Path, limits: Limits) -> Result<Self> {
        let capture = Capture::open_within(path, limits)?;
        let manifest = capture.manifest();
        ensure!(
            !origin::without_addresses(&manifest.derived_from),
            "{}: redaction took all addresses away (level metadata), and without them there is no memory to rebuild: ask for a \
             capture of the level share, which keeps distances between addresses",
            path.display()
        );
        let (first, last) = capture.mono_span().unwrap_or((manifest.start.monotonic_ns, manifest.start.monotonic_ns));
        Ok(File {
            path: path.to_path_buf(),
            capture_id: manifest.capture_id.clone(),
            segment: manifest.segment.as_ref().map(|segment| (segment.index, segment.begin.monotonic_ns)),
            start: manifest.start,
            span: (first.min(manifest.start.monotonic_ns), last.max(manifest.end.monotonic_ns)),
            unplaced: unplaced(manifest),
            hosts: manifest.hosts.iter().map(|part| part.host.clone()).collect(),
        })
    }
}

/// Events that are missing where no row says when.
fn unplaced(manifest: &Manifest) -> u64 {
    let total = LedgerRow::total(&manifest.ledger);
    let missing = [total.lost_undecodable, total.lost_write_error, total.unknown, total.left_out];
    missing.into_iter().fold(0, u64::saturating_add)
}

/// What a scan brings.
pub enum Part<'a, 'b> {
    /// A file of the recording is missing here.
    Missing(i64),
    /// An event.
    Event(&'a Event<'b>),
}

/// The memory of a process, and what else is known of it.
pub struct Found {
    /// The process.
    pub life: Life,
    /// How many processes had that pid.
    pub lives: usize,
    /// Its name, as captured.
    pub name: Option<String>,
    /// The instant.
    pub at_ns: i64,
    /// Its memory then.
    pub memory: Memory,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Question {
    /// The process.
    pub pid: i32,
    /// When; at its end, or that of the recording, if it is not given.
    pub at_ns: Option<i64>,
    /// Addresses.
    pub span: Range<u64>,
    /// What of it.
    pub what: What,
}

/// What is wanted of a memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// What is known at the instant.
    State,
    /// Every event until then.
    History,
    /// Every place at which these bytes stood until then.
    Search(Vec<u8>),
}

impl Recording {
    /// Opens the footers of its files.
    ///
    /// # Errors
    /// When a file cannot be read, or is of another recording.
    pub fn open(paths: &[PathBuf], limits: Limits) -> Result<Self> {
        let mut files = paths.iter().map(|path| File::open(path, limits)).collect::<Result<Vec<_>>>()?;
        files.sort_by_key(|file| file.segment);
        let first = files.first().context("no file was given")?;
        let start = first.start;
        let pairs = || files.iter().zip(files.iter().skip(1));
        for (a, b) in pairs() {
            let (a_name, b_name) = (a.path.display(), b.path.display());
            let is_one = a.capture_id == b.capture_id && a.segment.is_some() && b.segment.is_some();
            ensure!(is_one, "{a_name} and {b_name} are of different recordings: name the files of one");
            ensure!(
                a.segment != b.segment,
                "{a_name} and {b_name} are the same part of the recording: name one of them"
            );
        }
        let follows = |a: &File, b: &File| match (a.segment, b.segment) {
            (Some((a, _)), Some((b, _))) => a.checked_add(1) == Some(b),
            (None, _) | (_, None) => true,
        };
        let gaps = pairs().map(|(a, b)| if follows(a, b) { None } else { b.segment.map(|(_, begin)| begin) });
        let missing = std::iter::once(None).chain(gaps).collect();
        let span = files.iter().fold((i64::MAX, i64::MIN), |(a, b), file| (a.min(file.span.0), b.max(file.span.1)));
        let unplaced = files.iter().fold(0u64, |sum, file| sum.saturating_add(file.unplaced));
        let hosts: Vec<String> = files.iter().flat_map(|file| file.hosts.clone()).collect();
        let host = if let [only] = hosts.as_slice() { Some(only.clone()) } else { None };
        let files = files.into_iter().map(|file| file.path).collect();
        Ok(Recording { files, missing, limits, start, span, unplaced, host, hosts, stop: Arc::default() })
    }

    /// The same, in which only events of one host are looked at: that which is given, or the one that has the process.
    ///
    /// # Errors
    /// When no event is of that host, or the process is on several.
    pub fn on(mut self, host: Option<&str>, pid: i32) -> Result<Self> {
        if let Some(host) = host {
            let is_known = self.hosts.iter().any(|known| known == host);
            ensure!(is_known, "--host: no event is of the host {}: {}", Safe(host), self.named_hosts(&self.hosts));
            return Ok(Recording { host: Some(host.to_string()), ..self });
        }
        if self.hosts.len() < 2 {
            return Ok(self);
        }
        let known: HashSet<&str> = self.hosts.iter().map(String::as_str).collect();
        let mut found: Vec<String> = Vec::new();
        let mut is_elsewhere = false;
        let scan = Scan { columns: vec!["pid", "target_pid", "host"], pids: vec![pid], ..Scan::default() };
        self.each(&scan, |part| {
            let Part::Event(event) = part else { return Ok(()) };
            if event.pid != pid && event.target_pid != Some(pid) {
                return Ok(());
            }
            match event.host.filter(|host| known.contains(host)) {
                Some(host) if found.iter().any(|known| known == host) => {}
                Some(host) => found.push(host.to_string()),
                None => is_elsewhere = true,
            }
            Ok(())
        })?;
        ensure!(
            found.len() < 2,
            "-p: there is a process {pid} on several hosts: say on which with --host; {}",
            self.named_hosts(&found)
        );
        ensure!(
            !is_elsewhere || !found.is_empty(),
            "-p: the process {pid} is on no host that the manifest names: `vmtrace verify` says more; {}",
            self.named_hosts(&self.hosts)
        );
        self.host = found.pop();
        Ok(self)
    }

    /// Hosts in a sentence.
    fn named_hosts(&self, hosts: &[String]) -> String {
        match hosts.split_first() {
            None => "the capture is of one host, which rows do not name".into(),
            Some(_) => {
                let named: Vec<String> = hosts.iter().take(NAMED).map(|host| Safe(host).to_string()).collect();
                format!("they are {}{}", named.join(", "), if hosts.len() > NAMED { ", ..." } else { "" })
            }
        }
    }

    /// The same, of which nothing more is read as soon as `stop` is true.
    #[cfg_attr(not(feature = "view"), allow(dead_code))]
    #[must_use]
    pub fn until(self, stop: Arc<AtomicBool>) -> Self {
        Recording { stop, ..self }
    }

    /// The instant that an option names.
    pub fn instant(&self, when: When) -> i64 {
        match when {
            When::Relative(ns) => self.start.monotonic_ns.saturating_add(ns),
            When::Absolute(ns) => self.start.monotonic_ns.saturating_add(ns.saturating_sub(self.start.realtime_ns)),
        }
    }

    /// An instant as it can be given back: since the start, and in UTC.
    pub fn shown(&self, mono_ns: i64) -> String {
        format!("{} ({})", self.seconds(mono_ns), time::utc(self.start.at(mono_ns).realtime_ns))
    }

    /// An instant in seconds since the start.
    pub fn seconds(&self, mono_ns: i64) -> String {
        time::seconds(mono_ns.into(), self.start.monotonic_ns.into())
    }

    /// Brings the events of `scan` to `take`.
    ///
    /// # Errors
    /// When a file cannot be read to its end, and those of `take`.
    pub fn each(&self, scan: &Scan, mut take: impl FnMut(Part<'_, '_>) -> Result<()>) -> Result<()> {
        for (path, missing) in self.files.iter().zip(&self.missing) {
            if let Some(begin) = missing {
                take(Part::Missing(*begin))?;
            }
            let capture = Capture::open_within(path, self.limits)?;
            let mut scan = scan.clone();
            // Of several hosts one is looked at, or none has what is asked for. Else rows of hosts are those of a stranger.
            let of_all = self.host.is_none() && self.hosts.len() > 1;
            if !of_all && !scan.columns.is_empty() {
                scan.columns.push("host");
            }
            batches(&capture, &scan, |batch| {
                ensure!(!self.stop.load(Relaxed), "cancelled");
                batch.try_each(|event| match of_all || event.host == self.host.as_deref() {
                    true => take(Part::Event(event)),
                    false => Ok(()),
                })
            })?;
        }
        Ok(())
    }

    fn lives(&self, pid: i32, until_ns: i64, mut names: Option<&mut Processes>) -> Result<Lives> {
        let mut lives = Lives::of(pid, until_ns);
        let scan = Scan { columns: memory::LIFE_COLUMNS.to_vec(), pids: vec![pid], ..Scan::default() };
        self.each(&scan, |part| {
            if let Part::Event(event) = part {
                lives.note(event);
                if let Some(names) = names.as_deref_mut().filter(|_| event.mono_ns <= until_ns) {
                    names.note(event);
                }
            }
            Ok(())
        })?;
        Ok(lives)
    }

    /// The memory that is asked for; a sentence about the option that names the instant where there is none.
    ///
    /// # Errors
    /// When a file cannot be read to its end, or more is known than can be kept.
    pub fn find(&self, option: &str, question: &Question) -> Result<Result<Found, String>> {
        let pid = question.pid;
        let mut names = Processes::default();
        let lives = self.lives(pid, question.at_ns.unwrap_or(i64::MAX), Some(&mut names))?;
        let Some(first) = lives.iter().next() else { return Ok(Err(self.nobody(pid)?)) };
        let Some(life) = lives.at(question.at_ns.unwrap_or(i64::MAX)).copied() else {
            return Ok(Err(format!("{option}: process {pid} is first seen at {}", self.shown(first.first_ns))));
        };
        let end = life.ended_ns.unwrap_or(self.span.1);
        let at_ns = question.at_ns.unwrap_or(end);
        if at_ns > end {
            return Ok(Err(format!("{option}: process {pid} had ended by then, at {}", self.shown(end))));
        }
        let memory = self.rebuild(question, &lives, at_ns)?;
        let name = names.get(life.process).map(|process| process.name.clone()).filter(|name| !name.is_empty());
        Ok(Ok(Found { life, lives: lives.iter().count(), name, at_ns, memory }))
    }

    /// The sentence about a pid that no event has.
    fn nobody(&self, pid: i32) -> Result<String> {
        let mut near: Option<i32> = None;
        let scan = Scan { columns: vec!["pid", "target_pid"], ..Scan::default() };
        self.each(&scan, |part| {
            if let Part::Event(event) = part {
                let both = [Some(event.pid), event.target_pid].into_iter().flatten().filter(|pid| *pid > 0);
                near = near.into_iter().chain(both).min_by_key(|near| (near.abs_diff(pid), *near));
            }
            Ok(())
        })?;
        Ok(match near {
            Some(near) => format!("-p: no event has process {pid}; the nearest is {near}"),
            None => format!("-p: no event has process {pid}; there are no processes"),
        })
    }

    /// Follows the process back to where its memory began, and rebuilds it from there.
    fn rebuild(&self, question: &Question, lives: &Lives, at_ns: i64) -> Result<Memory> {
        let mut steps: Vec<(Life, i64)> = lives.at(at_ns).map(|life| (*life, at_ns)).into_iter().collect();
        while let Some((life, until)) = steps.last().copied() {
            let is_whole = life.exec_ns.is_some() && (steps.len() > 1 || question.what == What::State);
            let Some((forked, parent)) = life.forked.filter(|(at, _)| *at <= until && !is_whole) else { break };
            let of_parent = self.lives(parent, forked, None)?;
            let parent = of_parent.at(forked).filter(|life| life.ended_ns.is_none_or(|ended| ended >= forked));
            match parent {
                Some(parent) if steps.len() < GENERATIONS => steps.push((*parent, forked)),
                Some(_) | None => break,
            }
        }
        let mut memory: Option<Memory> = None;
        for (index, (life, until)) in steps.into_iter().enumerate().rev() {
            let (process, is_last) = (life.process, index == 0);
            let mut next = match memory {
                None => Memory::new(process, until, question.span.clone()),
                Some(parent) => parent.forked(process, until),
            };
            next = match &question.what {
                What::History if is_last => next.with_history(),
                What::Search(bytes) if is_last => next.with_search(bytes),
                What::State | What::History | What::Search(_) => next,
            };
            let exec = life.exec_ns.filter(|_| !is_last || question.what == What::State);
            self.run(&mut next, exec.or(life.forked.map(|(at, _)| at)))?;
            memory = Some(next);
        }
        memory.with_context(|| format!("process {} has no life at that time", question.pid))
    }

    /// Lets a memory take in the events of its process.
    fn run(&self, memory: &mut Memory, since_mono_ns: Option<i64>) -> Result<()> {
        let pid = memory.process().pid;
        // Those of losses have no process.
        let scan = Scan { columns: memory::COLUMNS.to_vec(), pids: vec![pid, 0], since_mono_ns, ..Scan::default() };
        self.each(&scan, |part| {
            match part {
                Part::Missing(begin) => memory.miss(begin),
                Part::Event(event) => {
                    if memory.note(event).is_err() {
                        bail!(
                            "what is known of the memory of process {pid} takes more than is kept: name a range \
                             (ADDRESS+LEN), or with --at an earlier time"
                        );
                    }
                }
            }
            Ok(())
        })
    }
}

/// Gives `take` one batch of events after another. One is decoded while one is looked at.
fn batches(capture: &Capture, scan: &Scan, mut take: impl FnMut(&EventBatch) -> Result<()>) -> Result<()> {
    let batches = capture.scan(scan)?;
    std::thread::scope(|scope| {
        // The thread ends with the receiver.
        let (send, taken) = std::sync::mpsc::sync_channel(0);
        let decode = move || batches.into_iter().map_while(|batch| send.send(batch).ok()).for_each(drop);
        std::thread::Builder::new().spawn_scoped(scope, decode).context("cannot start a thread to decode with")?;
        for batch in taken {
            take(&batch?)?;
        }
        Ok(())
    })
}
