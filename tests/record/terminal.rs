//! The recorder on a terminal: it draws its progress where it is in the foreground, and nothing stops it in the background.

use std::fs::File;
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::ptr;
use std::thread::JoinHandle;

/// What is in a line of progress, and in no other.
const PROGRESS: &str = "/s), ";

/// A session with a terminal of its own, where whoever writes from the background is stopped (`stty tostop`).
struct Session {
    shell: Child,
    shown: JoinHandle<Vec<u8>>,
}

impl Session {
    /// Runs a script in it, with the path of vmtrace and of a file as $1 and $2. As soon as progress is drawn, there is `$2.drawn`.
    fn start(script: &str, file: &std::path::Path) -> Self {
        let (master, slave) = terminal();
        let mut shell = Command::new("bash");
        shell.arg("-c").arg(script).arg("bash").arg(env!("CARGO_BIN_EXE_vmtrace")).arg(file).env("TERM", "xterm");
        let streams = [0, 1, 2].map(|_| slave.try_clone().expect("descriptor"));
        let [input, output, errors] = streams;
        shell.stdin(input).stdout(output).stderr(errors);
        // SAFETY: system calls alone. Descriptor 0 is the terminal then.
        unsafe {
            shell.pre_exec(|| match libc::setsid() >= 0 && libc::ioctl(0, libc::TIOCSCTTY, 0) == 0 {
                true => Ok(()),
                false => Err(std::io::Error::last_os_error()),
            });
        }
        let shell_child = shell.spawn().expect("bash starts");
        // Its copies of the terminal's end.
        drop(shell);
        drop(slave);
        let drawn = file.with_extension("parquet.drawn");
        let shown = std::thread::spawn(move || {
            let (mut master, mut shown, mut buffer) = (File::from(master), Vec::new(), [0; 4096]);
            // EIO when the last one has closed the other end.
            while let Ok(count @ 1..) = master.read(&mut buffer) {
                shown.extend_from_slice(&buffer[..count]);
                if shown.windows(PROGRESS.len()).any(|part| part == PROGRESS.as_bytes()) {
                    std::fs::write(&drawn, "").expect("file");
                }
            }
            shown
        });
        Session { shell: shell_child, shown }
    }

    /// What was on the screen, when all has ended.
    fn end(mut self) -> (Option<i32>, String) {
        let status = self.shell.wait().expect("bash ends");
        let shown = self.shown.join().expect("the screen");
        (status.code(), String::from_utf8_lossy(&shown).into_owned())
    }
}

fn terminal() -> (OwnedFd, OwnedFd) {
    let (mut master, mut slave) = (0, 0);
    // SAFETY: the descriptors are ours from here on, and nobody else's after exec; the settings outlive their calls.
    unsafe {
        assert_eq!(libc::openpty(&raw mut master, &raw mut slave, ptr::null_mut(), ptr::null(), ptr::null()), 0);
        for descriptor in [master, slave] {
            assert_eq!(libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC), 0);
        }
        let mut settings = std::mem::zeroed();
        assert_eq!(libc::tcgetattr(slave, &raw mut settings), 0);
        settings.c_lflag |= libc::TOSTOP;
        assert_eq!(libc::tcsetattr(slave, libc::TCSANOW, &raw const settings), 0);
        (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave))
    }
}

/// COMMAND runs until the line is there, and for a minute at most.
#[test]
#[ignore = "needs root and BPF"]
fn progress_is_drawn_in_the_foreground() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let command = r#"for _ in $(seq 6000); do [ ! -e "$0" ] || exit 0; sleep 0.01; done"#;
    let script = format!(r#""$1" record -o "$2" -- sh -c '{command}' "$2.drawn""#);
    let session = Session::start(&script, &dir.path().join("c.parquet"));
    let (status, shown) = session.end();
    assert_eq!(status, Some(0), "{shown}");
    let (progress, rest) = shown.split_once(PROGRESS).unwrap_or_else(|| panic!("no progress: {shown:?}"));
    assert!(progress.contains(" event"), "{shown:?}");
    assert!(rest.contains(" written"), "the summary: {shown:?}");
}

#[test]
#[ignore = "needs root and BPF"]
fn in_the_background_nothing_is_drawn_and_nothing_stops_the_recorder() {
    let dir = tempfile::tempdir().expect("temporary directory");
    // A job of its own; `wait` returns when it is stopped, too, and then gives the signal's status.
    let script =
        "set -m; \"$1\" record -o \"$2\" -- sleep 1 & wait $!; status=$?; kill -KILL %1 2>/dev/null; exit $status";
    let session = Session::start(script, &dir.path().join("c.parquet"));
    let (status, shown) = session.end();
    assert_eq!(status, Some(0), "{shown}");
    assert!(!shown.contains(PROGRESS), "progress in the background: {shown:?}");
    assert!(shown.contains(" written"), "the summary: {shown:?}");
}
