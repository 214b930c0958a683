//! `vmtrace query` as a user meets it: the program is run on samples/, on captures made with the project's own writer, and
//! on files that are none. What the answers are is compared with DuckDB by check.py.

mod answers;
mod bounds;
// Those of replay, whose tests use more of them.
#[allow(dead_code)]
#[path = "../replay/captures.rs"]
mod captures;
mod damage;
mod docs;
mod ends;
mod errors;
mod fed;
mod flows;
mod headers;
// Those of replay, likewise.
#[allow(dead_code)]
#[path = "../replay/forged.rs"]
mod forged;
mod hostile;
mod hosts;
mod limits;
mod losses;
mod names;
mod output;
mod prompt;
// That of replay.
#[path = "../replay/screen.rs"]
mod screen;
mod secrets;
mod strangers;
mod tallies;
mod terminal;
mod transfers;
mod windows;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{SigHandler, Signal};
use vmtrace::schema::Event;

/// What one run of the program gave.
struct Ran {
    status: i32,
    out: String,
    err: String,
}

/// Runs `vmtrace query` with `args`, its output to a pipe.
fn query(args: &[&str]) -> Ran {
    ran(&command(args).output().unwrap())
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmtrace"));
    command.arg("query").args(args).current_dir(root()).env("TZ", "UTC-1").env("TERM", "xterm").stdin(Stdio::null());
    // Tests that run in the background have INT and QUIT ignored, and so would what they start.
    let not_ignored = || {
        for signal in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP, Signal::SIGTERM] {
            // SAFETY: no handler of ours is put in the place of another.
            unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) }?;
        }
        Ok(())
    };
    // SAFETY: signal(2) may be called between fork and exec.
    unsafe { command.pre_exec(not_ignored) };
    command
}

fn ran(output: &Output) -> Ran {
    Ran {
        status: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout.clone()).unwrap(),
        err: String::from_utf8(output.stderr.clone()).unwrap(),
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The captures in samples/.
fn samples() -> Vec<PathBuf> {
    let folders = root().join("samples").read_dir().unwrap().map(|entry| entry.unwrap().path());
    let files = folders.filter(|folder| folder.is_dir()).flat_map(|folder| folder.read_dir().unwrap());
    files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "parquet")).collect()
}

/// Where captures are left for check.py.
fn kept(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("query");
    std::fs::create_dir_all(&dir).unwrap();
    dir.join(name)
}

/// Rows of a query as JSON.
fn rows(args: &[&str]) -> Vec<serde_json::Value> {
    let ran = query(&[args, &["-T", "jsonl"]].concat());
    assert_eq!(ran.err, "", "{args:?}");
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// `count` reads of 64 bytes, in row groups of `group` rows, 1 µs apart, by two processes in turns.
fn many(count: usize, group: usize) -> Vec<Vec<Event<'static>>> {
    let events: Vec<_> = (0..count)
        .map(|n| Event { cpu: (n % 2) as u32, pid: 4211 + (n / group) as i32, ..captures::readv(n as i64) })
        .collect();
    events.chunks(group).map(<[_]>::to_vec).collect()
}

/// Waits until a process has had the processors for half a second from now on: then it is in the midst of its query.
fn wait_for_work(pid: u32) {
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        // utime and stime, in hundredths of a second.
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let (begin, until) = (ticks(), std::time::Instant::now() + std::time::Duration::from_secs(120));
    while ticks() < begin + 50 {
        assert!(std::time::Instant::now() < until, "{pid} does nothing");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
