//! Where a recording goes: what is refused, who else writes there, and file systems that lack RENAME_NOREPLACE.

use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use vmtrace::terminal::status;

use super::captures;
use super::harness::{program, vmtrace, work};
use super::live::{Live, Subject};

const NO_COMMAND: &[&str] = &[];

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().expect("vmtrace starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn entries(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).expect("directory").map(|entry| entry.expect("entry").file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(60), "waited a minute for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Words of a message that name a file in `dir`; each must be there.
pub fn names_files_that_are_there(message: &str, dir: &Path) {
    let prefix = format!("{}/", dir.display());
    for word in message.split_whitespace().map(|word| word.trim_matches(|c: char| ":;,`()".contains(c))) {
        assert!(!word.starts_with(&prefix) || Path::new(word).exists(), "{word} is not there: {message}");
    }
}

#[test]
fn what_is_no_regular_file_is_refused_by_what_it_is() {
    let dir = tempfile::tempdir().expect("temporary directory");
    mkfifo(&dir.path().join("fifo"), Mode::S_IRWXU).expect("mkfifo");
    symlink("/proc/self/fd/1", dir.path().join("stdout")).expect("symlink");
    let own = std::process::id().to_string();
    let before = entries(dir.path());
    for (path, what) in [
        ("stdout", "stdout is a symbolic link to /proc/self/fd/1"),
        ("/proc/self/fd/1", "/proc/self/fd/1 is a symbolic link"),
        ("fifo", "fifo is a FIFO"),
        ("/dev/null", "/dev/null is a device"),
        (".", ". is a directory"),
        ("-", "-o -: "),
    ] {
        for more in [&[][..], &["--force"], &["-G", "1"], &["-G", "1", "--force"]] {
            let output = run(vmtrace().current_dir(dir.path()).args(["record", "-p", &own, "-o", path]).args(more));
            let said = said(&output);
            assert_eq!(output.status.code(), Some(status::ERROR.into()), "{path} {more:?}: {said}");
            assert!(said.contains(what) && !said.contains("--force") && said.lines().count() == 1, "{said}");
        }
        assert_eq!(entries(dir.path()), before, "{path}");
    }
}

/// What `recover` writes is created in the same way.
#[test]
fn recover_refuses_it_likewise() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let bytes = std::fs::read("samples/mpi-pair/mpi-pair.parquet").expect("sample");
    std::fs::write(dir.path().join("cut.parquet.partial"), &bytes[..bytes.len() - 8]).expect("write");
    symlink("/proc/self/fd/1", dir.path().join("stdout")).expect("symlink");
    let before = entries(dir.path());
    for (path, what) in [("stdout", "a symbolic link"), ("/dev/null", "a device"), ("-", "-o -: ")] {
        for more in [&[][..], &["--force"]] {
            let mut command = vmtrace();
            command.current_dir(dir.path()).args(["recover", "cut.parquet.partial", "-o", path]).args(more);
            let output = run(&mut command);
            assert_eq!(output.status.code(), Some(status::ERROR.into()), "{}", said(&output));
            assert!(said(&output).contains(what) && !said(&output).contains("--force"), "{}", said(&output));
            assert!(output.stdout.is_empty());
        }
        assert_eq!(entries(dir.path()), before, "{path}");
    }
}

/// A recording, and all that others try while it lasts.
fn is_left_alone(options: &[&str], rotate: bool) {
    let subject = Subject::start(Command::new("sleep").arg("1000"));
    let live = Live::start(&[options, &["-p", &subject.pid().to_string()]].concat(), NO_COMMAND);
    let dir = live.path().parent().expect("directory").to_path_buf();
    let output = live.path().to_path_buf();
    if rotate {
        live.signal(libc::SIGUSR2);
        until("the first file", || dir.join("capture-0001.parquet").exists());
    }
    let recorder = format!("process {}", live.pid());
    let unfinished = captures::partial(&dir);
    let [partial] = unfinished.as_slice() else { panic!("one unfinished file: {unfinished:?}") };
    let second = |more: &[&str]| {
        let mut command = vmtrace();
        run(command.args(["record", "-o"]).arg(&output).args(more).args(["--", "true"]))
    };
    for more in [&[][..], &["--force"], &["-G", "3600"], &["-G", "3600", "--force"]] {
        let refused = second(more);
        let said = said(&refused);
        assert_eq!(refused.status.code(), Some(status::RECORDER_FAILED.into()), "{more:?}: {said}");
        assert!(said.contains(&partial.display().to_string()) && said.contains(&recorder), "{more:?}: {said}");
        assert!(!said.contains("--force"), "{said}");
    }
    let out = tempfile::tempdir().expect("temporary directory");
    let recovered = run(vmtrace().arg("recover").arg(partial).arg("-o").arg(out.path().join("r.parquet")));
    let told = said(&recovered);
    assert_eq!(recovered.status.code(), Some(status::ERROR.into()), "{told}");
    assert!(told.contains(&partial.display().to_string()) && told.contains(&recorder), "{told}");
    assert_eq!(entries(out.path()), [""; 0]);
    live.signal(libc::SIGINT);
    let recording = live.end();
    assert_eq!(recording.status.code(), Some(0), "{}", recording.stderr);
    let finished = captures::finished(&dir);
    assert_eq!(entries(&dir).len(), finished.len(), "{:?}", entries(&dir));
    captures::intact(&finished);
    for path in &finished {
        let root = captures::open(path).root().expect("root digest").to_string();
        let line = format!("{}: root digest {root}", path.display());
        assert!(recording.stderr.contains(&line), "no {line:?} in {}", recording.stderr);
    }
    names_files_that_are_there(&recording.stderr, &dir);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_recording_is_left_alone_while_it_lasts() {
    is_left_alone(&[], false);
    is_left_alone(&["--force"], false);
}

/// Also when its first file has long been finished.
#[test]
#[ignore = "needs root and BPF"]
fn so_is_one_of_several_files() {
    is_left_alone(&["-G", "3600", "--force"], true);
}

/// Several begin at the same time, over what a dead one has left: those that record write what they say they wrote.
#[test]
#[ignore = "needs root and BPF"]
fn of_several_that_begin_at_once_none_destroys_another() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("capture.parquet");
    std::fs::write(dir.path().join("capture.parquet.partial"), "left").expect("write");
    std::fs::write(dir.path().join("capture.parquet.journal-000001"), "left").expect("write");
    let start = |_| {
        let mut command = vmtrace();
        command.args(["record", "--force", "-o"]).arg(&path).args(["--", "true"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("vmtrace starts")
    };
    let recorders: Vec<Child> = (0..4).map(start).collect();
    let mut roots = Vec::new();
    for recorder in recorders {
        let output = recorder.wait_with_output().expect("vmtrace ends");
        let said = said(&output);
        match output.status.code() {
            Some(0) => roots.extend(said.lines().filter_map(|l| l.split("root digest ").nth(1)).map(str::to_string)),
            // Between a lock and the look at who holds it, the holder can end.
            Some(125) => assert!(["by process ", "by another process"].iter().any(|by| said.contains(by)), "{said}"),
            code => panic!("{code:?}: {said}"),
        }
    }
    assert_eq!(entries(dir.path()), ["capture.parquet"]);
    captures::intact(std::slice::from_ref(&path));
    let root = captures::open(&path).root().expect("root digest").to_string();
    assert!(roots.contains(&root), "{root} was not printed: {roots:?}");
}

/// The name is taken, or the unfinished file removed, while it is written: what is said of files is true.
#[test]
#[ignore = "needs root and BPF"]
fn what_is_said_of_files_at_the_end_is_true() {
    for taken in [true, false] {
        let subject = Subject::start(Command::new("sleep").arg("1000"));
        let live = Live::start(&["-p", &subject.pid().to_string()], NO_COMMAND);
        let path = live.path().to_path_buf();
        let dir = path.parent().expect("directory").to_path_buf();
        match taken {
            true => std::fs::write(&path, "of another").expect("write"),
            false => std::fs::remove_file(&captures::partial(&dir)[0]).expect("remove"),
        }
        live.signal(libc::SIGINT);
        let recording = live.end();
        assert_eq!(recording.status.code(), Some(status::ERROR.into()), "{}", recording.stderr);
        let message = recording.stderr.lines().last().expect("a message");
        if taken {
            names_files_that_are_there(message, &dir);
            assert_eq!(std::fs::read(&path).expect("file"), b"of another");
            let stays = dir.join("kept.parquet");
            std::fs::rename(&captures::partial(&dir)[0], &stays).expect("rename");
            assert!(message.contains("stays at"), "{message}");
            captures::intact(&[stays]);
        } else {
            assert!(message.contains("removed") && !message.contains("stays"), "{message}");
        }
    }
}

/// A directory seen through FUSE, which has no RENAME_NOREPLACE and no O_TMPFILE; unmounted when dropped.
struct Mount {
    daemon: Child,
    at: PathBuf,
    _below: tempfile::TempDir,
}

impl Mount {
    /// Mounts one over `at`. `None`, said loudly, where the system has no FUSE.
    fn over(at: &Path) -> Option<Self> {
        if !Path::new("/dev/fuse").exists() {
            eprintln!(
                "NOT RUN: this system has no /dev/fuse, so nothing is known of file systems without RENAME_NOREPLACE"
            );
            return None;
        }
        let below = tempfile::tempdir().expect("temporary directory");
        let device = at.metadata().expect("metadata").dev();
        let daemon =
            Command::new(program("bindfs")).arg("-f").arg(below.path()).arg(at).spawn().expect("bindfs starts");
        let mut mount = Mount { daemon, at: at.to_path_buf(), _below: below };
        until("the mount", || {
            assert!(mount.daemon.try_wait().expect("bindfs").is_none(), "bindfs has ended");
            at.metadata().expect("metadata").dev() != device
        });
        Some(mount)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new(program("umount")).arg("-l").arg(&self.at).status();
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_file_system_without_rename_noreplace_takes_captures() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let Some(_mount) = Mount::over(dir.path()) else { return };
    let path = dir.path().join("capture.parquet");
    let record =
        |more: &[&str]| run(vmtrace().args(["record", "-o"]).arg(&path).args(more).arg("--").args(work("readv")));
    let first = record(&[]);
    assert_eq!(first.status.code(), Some(0), "{}", said(&first));
    assert_eq!(entries(dir.path()), ["capture.parquet"]);
    captures::intact(std::slice::from_ref(&path));
    let digests = captures::digests(dir.path());
    let again = record(&[]);
    assert_eq!(again.status.code(), Some(status::RECORDER_FAILED.into()), "{}", said(&again));
    assert_eq!(captures::digests(dir.path()), digests);
    let forced = record(&["--force"]);
    assert_eq!(forced.status.code(), Some(0), "{}", said(&forced));
    assert_eq!(entries(dir.path()), ["capture.parquet"]);
    assert_ne!(captures::digests(dir.path()), digests);
    // What is left of a recording is made a capture there, too.
    let whole = std::fs::read(&path).expect("capture");
    std::fs::write(dir.path().join("cut.parquet.partial"), &whole[..whole.len() - 8]).expect("write");
    let recovered = dir.path().join("recovered.parquet");
    let output = run(vmtrace().arg("recover").arg(dir.path().join("cut.parquet.partial")).arg("-o").arg(&recovered));
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", said(&output));
    assert_eq!(entries(dir.path()), ["capture.parquet", "cut.parquet.partial", "recovered.parquet"]);
    captures::intact(&[recovered]);
}

/// Files follow each other there as anywhere, and are signed.
#[test]
#[ignore = "needs root and BPF"]
fn recordings_of_several_files_go_on_there() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let at = dir.path().to_path_buf();
    let keys = tempfile::tempdir().expect("temporary directory");
    let key = keys.path().join("key");
    let made = Command::new(program("ssh-keygen")).args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    assert!(made.expect("ssh-keygen starts").success());
    let Some(mount) = Mount::over(&at) else { return };
    let mut live = Live::start_as(
        vmtrace(),
        dir,
        &["-G", "3600", "--sign-key", key.to_str().expect("UTF-8 path")],
        &work("readv --rate 1000 --count 3000"),
    );
    for file in 1..=3 {
        assert!(!live.has_ended_within(Duration::ZERO), "the recording has ended early");
        live.signal(libc::SIGUSR2);
        until("the next file", || at.join(format!("capture-{file:04}.parquet")).exists());
    }
    let recording = live.end();
    assert_eq!(recording.status.code(), Some(0), "{}", recording.stderr);
    let files = captures::finished(&at);
    assert_eq!(files.len(), 4, "{:?}", entries(&at));
    assert_eq!(entries(&at).len(), 8, "nothing but captures and signatures: {:?}", entries(&at));
    captures::intact(&files);
    let numbers = captures::Numbers::of(&files, "process_vm_readv");
    assert_eq!(numbers.count() + captures::lost(&files, "process_vm_readv"), 3000);
    names_files_that_are_there(&recording.stderr, &at);
    drop(mount);
}
