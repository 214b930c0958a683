//! A terminal of tmux, whose screen is read.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// A server of tmux with one terminal, which is ended with this value.
pub struct Screen {
    socket: tempfile::TempDir,
}

/// How long a screen is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

impl Screen {
    /// Runs a command of a shell on a terminal of so many columns, and waits until it has ended.
    pub fn of(columns: u16, command: &str) -> Self {
        let screen = Screen { socket: tempfile::tempdir().unwrap() };
        let columns = columns.to_string();
        // The screen stays until it has been read: `cat` waits for what never comes.
        let command = format!("{command}; tmux wait-for -S ended; cat");
        let new = ["-f", "/dev/null", "new-session", "-d", "-x", &columns, "-y", "200", &command];
        let started = screen.tmux(&new);
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        assert!(screen.tmux(&["wait-for", "ended"]).status.success());
        screen
    }

    /// An interactive shell on a terminal of that size.
    pub fn shell(columns: u16, lines: u16) -> Self {
        let screen = Screen { socket: tempfile::tempdir().unwrap() };
        let [columns, lines] = [columns, lines].map(|size| size.to_string());
        let new = ["-f", "/dev/null", "new-session", "-d", "-x", &columns, "-y", &lines, "PS1='ready> ' ENV= sh -i"];
        let started = screen.tmux(&new);
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        screen.until("the prompt", |lines| lines.iter().any(|line| line.starts_with("ready>")));
        screen
    }

    /// Types text as it is.
    pub fn types(&self, text: &str) {
        // A semicolon at the end would end the command of tmux.
        let text = text.strip_suffix(';').map_or_else(|| text.to_string(), |rest| format!("{rest}\\;"));
        assert!(self.tmux(&["send-keys", "-l", &text]).status.success());
    }

    /// Presses a key that has a name.
    pub fn press(&self, key: &str) {
        assert!(self.tmux(&["send-keys", key]).status.success());
    }

    /// Waits until the screen is as `is` says, which is called `what`.
    pub fn until(&self, what: &str, is: impl Fn(&[String]) -> bool) -> Vec<String> {
        let start = Instant::now();
        loop {
            let lines = self.lines();
            if is(&lines) {
                return lines;
            }
            assert!(start.elapsed() < PATIENCE, "{what} never came: {lines:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn tmux(&self, args: &[&str]) -> Output {
        let socket = self.socket.path().join("socket");
        let mut tmux = Command::new("timeout");
        tmux.args(["120", "tmux", "-S"]).arg(&socket).args(args);
        tmux.env("SHELL", "/bin/sh").env("TZ", "UTC-1").env_remove("TMUX").env_remove("NO_COLOR");
        tmux.env("LC_ALL", "C.UTF-8").output().expect("tmux (scripts/install-deps test)")
    }

    /// The lines on it.
    pub fn lines(&self) -> Vec<String> {
        let shown = self.tmux(&["capture-pane", "-p"]);
        let text = String::from_utf8(shown.stdout).unwrap();
        text.trim_end().lines().map(str::to_string).collect()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}
