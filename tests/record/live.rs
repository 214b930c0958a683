//! Recorders and workloads that run side by side with the test.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::harness::{Recording, finish, vmtrace, workload};

/// A recorder under way.
pub struct Live {
    dir: TempDir,
    path: PathBuf,
    recorder: Child,
    said: String,
}

impl Live {
    /// Starts `vmtrace record -v` and waits until its hooks are in place, as it says then.
    pub fn start<S: AsRef<OsStr>>(options: &[&str], command: &[S]) -> Self {
        Self::start_as(vmtrace(), tempfile::tempdir().expect("temporary directory"), options, command)
    }

    /// The same by another command line for `vmtrace`, with the capture in `dir`.
    pub fn start_as<S: AsRef<OsStr>>(mut recorder: Command, dir: TempDir, options: &[&str], command: &[S]) -> Self {
        let path = dir.path().join("capture.parquet");
        recorder.arg("record").arg("-v").arg("-o").arg(&path).args(options);
        if !command.is_empty() {
            recorder.arg("--").args(command);
        }
        recorder.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut live = Live { dir, path, recorder: recorder.spawn().expect("vmtrace starts"), said: String::new() };
        live.wait_for_hooks();
        live
    }

    fn wait_for_hooks(&mut self) {
        self.wait_until_it_says("vmtrace: hook ");
    }

    /// Whether a family is served by that tier, as the recorder says at the start.
    pub fn serves(&mut self, family: &str, tier: &str) -> bool {
        let of_line = |line: &str| {
            let (families, hooked) = line.strip_prefix("vmtrace: ")?.split_once(", self-test ")?.0.rsplit_once(": ")?;
            let is_named = families.starts_with("All ") || families.split(", ").any(|name| name == family);
            is_named.then(|| hooked == format!("{tier} tier"))
        };
        let serves = |said: &str| said.lines().find_map(of_line);
        self.wait_until(|said| serves(said).is_some());
        serves(&self.said).unwrap_or(false)
    }

    /// Waits until the recorder has said this.
    pub fn wait_until_it_says(&mut self, text: &str) {
        self.wait_until(|said| said.contains(text));
    }

    fn wait_until(&mut self, done: impl Fn(&str) -> bool) {
        let stderr = self.recorder.stderr.as_mut().expect("piped");
        let mut byte = [0];
        while !done(&self.said) {
            // Byte by byte, so that nothing is taken from what comes later.
            if stderr.read(&mut byte).expect("stderr") == 0 {
                panic!("vmtrace ended early: {}", self.said);
            }
            self.said.push(char::from(byte[0]));
        }
    }

    /// The next line that COMMAND prints.
    pub fn line(&mut self) -> String {
        let stdout = self.recorder.stdout.as_mut().expect("piped");
        let mut line = Vec::new();
        let mut byte = [0];
        while stdout.read(&mut byte).expect("stdout") == 1 && byte != *b"\n" {
            line.push(byte[0]);
        }
        String::from_utf8_lossy(&line).into_owned()
    }

    /// The recorder's process id.
    pub fn pid(&self) -> u32 {
        self.recorder.id()
    }

    /// The capture's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sends the recorder a signal.
    pub fn signal(&self, signal: i32) {
        send(self.recorder.id(), signal);
    }

    /// Asks the recorder for its statistics: the events that it counts.
    pub fn events(&mut self) -> u64 {
        self.signal(libc::SIGUSR1);
        let mut line = String::new();
        while !line.contains(" in the journal, ") {
            line = self.said_next();
        }
        let said = line.strip_prefix("vmtrace: ").and_then(|said| said.split(' ').next()).map(|n| n.replace(',', ""));
        said.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no number: {line:?}"))
    }

    /// The next line that the recorder says.
    fn said_next(&mut self) -> String {
        let stderr = self.recorder.stderr.as_mut().expect("piped");
        let (mut line, mut byte) = (Vec::new(), [0]);
        while !line.ends_with(b"\n") {
            assert_eq!(stderr.read(&mut byte).expect("stderr"), 1, "vmtrace ended early: {}", self.said);
            line.push(byte[0]);
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        self.said.push_str(&line);
        line
    }

    /// Waits for this long, or until the recorder has ended. Whether it has.
    pub fn has_ended_within(&mut self, time: std::time::Duration) -> bool {
        std::thread::sleep(time);
        self.recorder.try_wait().expect("recorder").is_some()
    }

    /// Presses ^C again and again.
    pub fn interrupt_until_it_ends(&mut self) {
        while self.recorder.try_wait().expect("recorder").is_none() {
            self.signal(libc::SIGINT);
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// Waits for the recorder to end, and not for a COMMAND that lives on.
    pub fn end(mut self) -> Recording {
        let status = self.recorder.wait().expect("vmtrace ends");
        let stdout = rest(self.recorder.stdout.take().expect("piped"));
        let stderr = rest(self.recorder.stderr.take().expect("piped"));
        let mut recording = finish(self.dir, self.path, Output { status, stdout, stderr });
        recording.stderr.insert_str(0, &self.said);
        recording
    }
}

/// What is left in a pipe, whose other end COMMAND may still hold.
fn rest(mut pipe: impl Read + AsRawFd) -> Vec<u8> {
    // SAFETY: plain numbers; the descriptor is the pipe's.
    assert_eq!(unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) }, 0);
    let mut bytes = Vec::new();
    match pipe.read_to_end(&mut bytes) {
        Err(error) if error.kind() != ErrorKind::WouldBlock => panic!("{error}"),
        _ => bytes,
    }
}

/// Sends a signal to a process that this test started.
pub fn send(pid: u32, signal: i32) {
    let pid = i32::try_from(pid).expect("pid");
    // SAFETY: plain numbers.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "kill {pid}");
}

/// Whether a process lives. One that has ended and that nobody has waited for does not.
pub fn is_running(pid: u32) -> bool {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let behind_name = stat.iter().rposition(|b| *b == b')');
    behind_name.and_then(|at| stat.get(at + 2)).is_some_and(|state| !b"ZX".contains(state))
}

/// A process that ends with the test. Until then somebody could read what it prints.
pub struct Subject(Child, #[allow(dead_code)] Option<BufReader<ChildStdout>>);

impl Subject {
    /// Starts it.
    pub fn start(command: &mut Command) -> Self {
        Subject(command.stdin(Stdio::null()).spawn().expect("subject starts"), None)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A workload that is ready and waits to be told to start.
pub struct Waiting {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Waiting {
    /// Starts `workload --wait WORDS...`.
    pub fn start(words: &str) -> Self {
        let mut command = Command::new(workload());
        command.arg("--wait").args(words.split_whitespace());
        Waiting::start_as(command)
    }

    /// Starts such a command, or one that has started it and waits for its end.
    pub fn start_as(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("workload starts");
        let stdin = child.stdin.take().expect("piped");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("ready line");
        assert!(line.contains("\"ready\":true"), "{line:?}");
        Waiting { child, stdin, stdout }
    }

    /// Its process id.
    pub fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// Its children, by the kernel's own list.
    pub fn children(&self) -> Vec<String> {
        let path = format!("/proc/{0}/task/{0}/children", self.child.id());
        let list = std::fs::read_to_string(Path::new(&path)).expect("children");
        list.split_whitespace().map(str::to_string).collect()
    }

    /// Its threads.
    pub fn threads(&self) -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("threads");
        tasks.map(|task| task.expect("entry").file_name().to_string_lossy().into_owned()).collect()
    }

    /// Lets it work, waits for its end, and returns its report.
    pub fn go(mut self) -> Value {
        self.work();
        self.leave()
    }

    /// Lets it begin, and returns the running process; ends it when dropped.
    pub fn begin(mut self) -> Subject {
        self.stdin.write_all(b"\n").expect("start");
        Subject(self.child, Some(self.stdout))
    }

    /// Lets it make its calls. It and its peers live on.
    pub fn work(&mut self) {
        self.stdin.write_all(b"\n").expect("start");
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("done line");
        assert!(line.contains("\"done\":true"), "{line:?}");
    }

    /// Lets it end; returns its report.
    pub fn leave(mut self) -> Value {
        self.stdin.write_all(b"\n").expect("end");
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("report");
        assert!(self.child.wait().expect("workload ends").success());
        serde_json::from_str(&line).expect("report is JSON")
    }
}
