//! Loops: many calls of one kind, paced, counted, on one or more threads.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;

use super::progress::{Progress, Track};
use super::report::{Entry, Report, Tally};
use super::stop::{self, OnTerm};
use super::sys::cpu_ns;

/// How many calls of what size.
#[derive(Clone, Debug, Args)]
pub struct Plan {
    /// Bytes per call
    #[arg(long, default_value_t = 64, global = true)]
    pub size: usize,
    /// Local segments that the bytes are split into
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024), global = true)]
    pub segments: u16,
    /// Remote segments that the bytes are split into (readv, writev)
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024), global = true)]
    pub remote_segments: u16,
    /// Threads that call; the counts are per thread
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024), global = true)]
    pub threads: u16,
    /// Calls per second and thread, what is due within a millisecond at once; 0 for full speed
    #[arg(long, default_value_t = 0, global = true)]
    pub rate: u32,
    /// Calls per thread; 0 for no limit (SIGTERM ends them)
    #[arg(long, default_value_t = 1, global = true)]
    pub count: u64,
    /// Seconds after which to stop
    #[arg(long, global = true)]
    pub duration: Option<f64>,
    /// Calls per thread to report in full
    #[arg(long, default_value_t = 0, global = true)]
    pub log: u64,
    /// Print a line when ready and when done, and wait each time for a line on standard input
    #[arg(long, global = true)]
    pub wait: bool,
    /// Payloads that do not compress
    #[arg(long, global = true)]
    pub noise: bool,
    /// Keep in FILE how many calls each thread has finished, and had when (see layout.rs)
    #[arg(long, value_name = "FILE", global = true)]
    pub progress: Option<PathBuf>,
}

impl Plan {
    /// Indices of the threads.
    pub fn workers(&self) -> std::ops::Range<u64> {
        0..u64::from(self.threads)
    }
}

/// One kind of call, made again and again by one thread.
pub trait Transfer: Send {
    /// The event a recorder sees.
    fn event(&self) -> &'static str;
    /// Called once, on the thread that makes the calls.
    fn begin(&mut self) -> Result<Vec<Entry>> {
        Ok(Vec::new())
    }
    /// Makes ready for call number `seq`.
    fn prepare(&mut self, seq: u64) -> Result<()>;
    /// The call itself; returns what the kernel returned.
    fn call(&mut self) -> i64;
    /// Bytes that a call which returned `ret` moved.
    fn moved(&self, ret: i64) -> u64 {
        u64::try_from(ret).unwrap_or(0)
    }
    /// What a recorder should have seen of the call just made, after checking what it did.
    fn describe(&mut self, seq: u64, ret: i64) -> Result<Entry>;
    /// Cleans up behind a call which returned `ret`.
    fn settle(&mut self, ret: i64) -> Result<()> {
        let _ = ret;
        Ok(())
    }
    /// Called once at the end, on the same thread.
    fn end(&mut self) -> Result<Vec<Entry>> {
        Ok(Vec::new())
    }
}

/// Runs each transfer on a thread of its own, the first on this one, and reports.
pub fn run<T: Transfer>(plan: &Plan, mut transfers: Vec<T>, report: &mut Report) -> Result<()> {
    report.fact("pattern", super::buffer::PATTERN);
    let progress = plan.progress.as_deref().map(|path| Progress::create(path, plan.threads.into())).transpose()?;
    let ready = Barrier::new(transfers.len());
    let work = |worker, transfer: &mut T| {
        ready.wait();
        repeat(plan, worker, transfer, progress.as_ref().map(|p| p.thread(worker as usize)))
    };
    let work = &work;
    let (told, begin, results) = std::thread::scope(|scope| {
        let mut all = transfers.iter_mut().zip(plan.workers());
        let first = all.next();
        let others: Vec<_> = all.map(|(t, worker)| scope.spawn(move || work(worker, t))).collect();
        let told = wait_for_start(plan).and_then(|()| OnTerm::new());
        let begin = (Instant::now(), cpu_ns());
        let mut results: Vec<_> = first.map(|(t, worker)| work(worker, t)).into_iter().collect();
        results.extend(others.into_iter().map(|o| o.join().expect("a worker panicked")));
        (told, begin, results)
    });
    drop(told?);
    report.fact("elapsed_ns", u64::try_from(begin.0.elapsed().as_nanos())?);
    report.fact("cpu_ns", cpu_ns() - begin.1);
    report.fact("stopped", stop::requested());
    wait_for_end(plan)?;
    let mut threads = Vec::new();
    for (transfer, result) in transfers.iter().zip(results) {
        let done = result?;
        threads.push(done.tally.calls);
        done.before.into_iter().for_each(|e| report.call(e));
        report.calls(transfer.event(), done.tally, done.log);
        done.after.into_iter().for_each(|e| report.call(e));
    }
    report.fact("calls_by_thread", threads);
    Ok(())
}

/// With `--wait`: says that it is ready, and waits until it is told to start.
pub fn wait_for_start(plan: &Plan) -> Result<()> {
    if plan.wait { handshake("ready") } else { Ok(()) }
}

/// With `--wait`: says that all calls are made, and lives on, as its peers do, until it is told to end.
pub fn wait_for_end(plan: &Plan) -> Result<()> {
    if plan.wait { handshake("done") } else { Ok(()) }
}

fn handshake(word: &str) -> Result<()> {
    println!("{}", serde_json::json!({ word: true, "pid": std::process::id() }));
    std::io::stdout().flush()?;
    std::io::stdin().lock().read_line(&mut String::new()).context("no line on standard input")?;
    Ok(())
}

#[derive(Default)]
struct Done {
    tally: Tally,
    before: Vec<Entry>,
    log: Vec<Entry>,
    after: Vec<Entry>,
}

fn repeat(plan: &Plan, worker: u64, transfer: &mut impl Transfer, mut track: Option<Track>) -> Result<Done> {
    let mut done = Done { before: transfer.begin()?, ..Done::default() };
    let begin = Instant::now();
    let until = plan.duration.map(|s| begin + Duration::from_secs_f64(s));
    let mut n = 0;
    while (plan.count == 0 || n < plan.count) && until.is_none_or(|t| Instant::now() < t) {
        pace(plan.rate, begin, n);
        if stop::requested() {
            break;
        }
        let seq = worker << 48 | n;
        transfer.prepare(seq)?;
        let ret = transfer.call();
        if let Some(track) = &mut track {
            track.tell(n + 1);
        }
        done.tally.add(ret, transfer.moved(ret));
        if n < plan.log {
            done.log.push(transfer.describe(seq, ret)?);
        }
        transfer.settle(ret)?;
        n += 1;
    }
    done.after = transfer.end()?;
    Ok(done)
}

/// Shortest sleep: calls that fall due meanwhile follow each other at once. A sleep per call would limit the rate.
const BURST: Duration = Duration::from_millis(1);
/// Longest sleep, so that SIGTERM is noticed.
const NAP: Duration = Duration::from_millis(20);

/// Sleeps until call `n` is due, or calls shall end.
fn pace(rate: u32, begin: Instant, n: u64) {
    if rate == 0 {
        return;
    }
    let due = begin + Duration::from_secs_f64(n as f64 / f64::from(rate));
    while !stop::requested() {
        let wait = due.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            return;
        }
        std::thread::sleep(wait.clamp(BURST, NAP));
    }
}
