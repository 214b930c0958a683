//! The prompt, on a terminal that script(1) makes.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use super::root;

/// What a line editor sends when it has taken the terminal: only then does it listen.
const LISTENS: &str = "\x1b[?2004h";

/// What it sends when it has given the terminal back: from then on ^C is a signal.
const LEAVES: &str = "\x1b[?2004l";

struct Terminal {
    child: Child,
    out: ChildStdout,
    text: String,
}

impl Terminal {
    /// Reads until `part` has come `count` times.
    fn wait(&mut self, part: &str, count: usize) {
        let mut buffer = [0; 4096];
        while self.text.matches(part).count() < count {
            let read = self.out.read(&mut buffer).unwrap();
            assert!(read > 0, "{part:?} did not come: {}", self.text);
            self.text += &String::from_utf8_lossy(&buffer[..read]);
        }
    }

    fn send(&mut self, keys: &str) {
        self.child.stdin.as_ref().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// The process at the end of the line of those that make the terminal.
    fn vmtrace(&self) -> u32 {
        let child = |pid: u32| {
            let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
            list.split_whitespace().next().map(|pid| pid.parse().unwrap())
        };
        std::iter::successors(Some(self.child.id()), |pid| child(*pid)).last().unwrap()
    }

    fn line(&mut self, text: &str) {
        let prompts = self.text.matches(LISTENS).count();
        self.send(&format!("{text}\r"));
        if text != ".quit" {
            self.wait(LISTENS, prompts + 1);
        }
    }
}

/// A prompt over a sample. Who waits for it longer than two minutes sees it end.
fn terminal(home: &Path) -> Terminal {
    let vmtrace = env!("CARGO_BIN_EXE_vmtrace");
    let mut script = Command::new("timeout");
    // Without exec a shell may stay before it, get ^C as well and end of it in its turn (dash does, bash does not).
    script.args(["120", "script", "-qec", &format!("exec {vmtrace} query samples/mpi-pair"), "/dev/null"]);
    script.current_dir(root()).env("XDG_STATE_HOME", home).env("TERM", "xterm").env("SHELL", "/bin/sh");
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let out = child.stdout.take().unwrap();
    let mut terminal = Terminal { child, out, text: String::new() };
    terminal.wait(LISTENS, 1);
    terminal
}

#[test]
fn what_was_cancelled_leaves_the_threads_to_what_comes_next() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = terminal(home.path());
    // 400,000,000,000 pairs of which none fits, and as many that fit: nobody waits for them.
    for (condition, cancelled) in [("WHERE a.value + b.value + c.value < 0", 1), ("", 2)] {
        let left = terminal.text.matches(LEAVES).count();
        terminal.send(&format!("SELECT count(*) FROM range(2000) a, range(2000) b, range(100000) c {condition};\r"));
        terminal.wait(LEAVES, left + 1);
        // A query that has hardly begun would be no test.
        super::wait_for_work(terminal.vmtrace());
        let prompts = terminal.text.matches(LISTENS).count();
        terminal.send("\x03");
        terminal.wait("vmtrace: cancelled", cancelled);
        terminal.wait(LISTENS, prompts + 1);
        terminal.line("SELECT 'answer' || count(DISTINCT pid) AS n FROM events;");
        let answers = terminal.text.split("answer").filter(|rest| rest.starts_with(char::is_numeric)).count();
        assert_eq!(answers, cancelled, "{}", terminal.text);
    }
    terminal.line(".quit");
    assert_eq!(terminal.child.wait().unwrap().code(), Some(0), "{}", terminal.text);
}

#[test]
fn statements_are_typed_one_after_another() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = terminal(home.path());
    for line in
        [".help", ".tables", "SELECT count(*) AS n, 'x' || 'y' AS xy FROM transfers;", "SELECT nope FROM events;"]
    {
        terminal.line(line);
    }
    terminal.line(".quit");
    let status = terminal.child.wait().unwrap();
    let text = terminal.text;
    assert_eq!(status.code(), Some(0), "{text}");
    for part in [".schema [TABLE]", "\r\ntransfers\r\n", "10  xy", "No field named nope", "hexdump(bytes)"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let history = std::fs::read_to_string(home.path().join("vmtrace/query_history")).unwrap();
    assert!(history.contains(".tables"), "{history}");
}

#[test]
fn a_command_is_one_within_an_unfinished_statement() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = terminal(home.path());
    terminal.line("SELECT 'un' || 'finished'");
    terminal.line(".tables");
    assert!(terminal.text.contains("\r\ntransfers\r\n"), "{}", terminal.text);
    assert!(!terminal.text.contains("unfinished"), "{}", terminal.text);
    terminal.line("|| ' before';");
    assert!(terminal.text.contains("\r\nunfinished before"), "{}", terminal.text);
    terminal.line("SELECT 1");
    terminal.line(".quit");
    assert_eq!(terminal.child.wait().unwrap().code(), Some(0), "{}", terminal.text);
}
