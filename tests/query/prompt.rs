//! The prompt, on a terminal that script(1) makes.

use std::io::{Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::root;

/// What a line editor sends when it has taken the terminal: only then does it listen.
const LISTENS: &str = "\x1b[?2004h";

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

    fn line(&mut self, text: &str) {
        let prompts = self.text.matches(LISTENS).count();
        let mut stdin = self.child.stdin.as_ref().unwrap();
        stdin.write_all(format!("{text}\r").as_bytes()).unwrap();
        if text != ".quit" {
            self.wait(LISTENS, prompts + 1);
        }
    }
}

#[test]
fn statements_are_typed_one_after_another() {
    let home = tempfile::tempdir().unwrap();
    let vmtrace = env!("CARGO_BIN_EXE_vmtrace");
    let mut script = Command::new("script");
    script.args(["-qec", &format!("{vmtrace} query samples/mpi-pair"), "/dev/null"]).current_dir(root());
    script.env("XDG_STATE_HOME", home.path()).env("TERM", "xterm").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = script.spawn().unwrap();
    let out = child.stdout.take().unwrap();
    let mut terminal = Terminal { child, out, text: String::new() };
    terminal.wait(LISTENS, 1);
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
