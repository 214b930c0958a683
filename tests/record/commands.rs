//! Commands that run when a file is finished, or when the trigger has made one; and that they harm nothing.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::captures;
use super::harness::{Recording, finish, rows, vmtrace, work};
use super::live::{Live, Waiting, is_running, send};

/// Waits until a command has written a line.
fn line_in(path: &Path) -> String {
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if let Some((line, _)) = text.split_once('\n') {
            return line.to_string();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// `record --on-file COMMAND -- work`, in a directory that COMMAND finds in OUT.
fn with_a_command(command: &str, mut recorder: Command) -> (TempDir, PathBuf, Command) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("capture.parquet");
    recorder.env("OUT", dir.path()).current_dir(dir.path());
    recorder.args(["record", "--on-file", command, "-o", "capture.parquet", "--"]).args(work("readv --count 10"));
    recorder.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    (dir, path, recorder)
}

fn record(command: &str, recorder: Command) -> Recording {
    let (dir, path, mut recorder) = with_a_command(command, recorder);
    let recording = finish(dir, path, recorder.output().expect("vmtrace starts"));
    recording.succeeded();
    recording
}

fn left_in(recording: &Recording, name: &str) -> String {
    let path = recording.path.with_file_name(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}: {e}\n{}", recording.stderr))
}

const LOOK: &str = r#"cat /proc/self/status >"$OUT/status"; ls -l /proc/self/fd >"$OUT/descriptors"
    printf %s "$FILE" >"$OUT/file"; test -z "$NOTIFY_SOCKET" && test -s "$FILE""#;

#[test]
#[ignore = "needs root and BPF"]
fn a_command_has_nothing_that_makes_the_recorder_powerful() {
    // A descriptor that the recorder has got from whoever started it.
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"exec "$@" 9>left-open"#, "sh", env!("CARGO_BIN_EXE_vmtrace")]);
    shell.env("NOTIFY_SOCKET", "/no/such/socket");
    let recording = record(LOOK, shell);
    assert!(!recording.stderr.contains("--on-file"), "{}", recording.stderr);
    let status = left_in(&recording, "status");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {name}: {status}")).trim().to_string()
    };
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "SigIgn", "SigBlk"] {
        assert_eq!(field(set).trim_start_matches('0'), "", "{set}");
    }
    assert_eq!(field("NoNewPrivs"), "1");
    let descriptors = left_in(&recording, "descriptors");
    let found: Vec<&str> = descriptors.lines().filter_map(|line| line.split_once(" -> ").map(|(_, to)| to)).collect();
    // stdin, ls's own stdout, what is read for messages, and the directory that ls reads.
    assert_eq!((found.len(), found[0]), (4, "/dev/null"), "{descriptors}");
    assert!(found[1].ends_with("/descriptors") && found[2].starts_with("pipe:"), "{descriptors}");
    let file = PathBuf::from(left_in(&recording, "file"));
    assert!(file.is_absolute() && file.ends_with("capture.parquet"), "{}", file.display());
}

#[test]
#[ignore = "needs root and BPF"]
fn under_sudo_it_is_the_user_who_called_it() {
    let mut recorder = vmtrace();
    recorder.env("SUDO_UID", "65534").env("SUDO_GID", "65534");
    // In a place that is open to everyone.
    let place = tempfile::tempdir().expect("temporary directory");
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o777)).expect("chmod");
    let seen = place.path().join("seen");
    let path = place.path().join("capture.parquet");
    let command = format!("echo $(id -u) $(id -G) $(head -c 4 \"$FILE\") >{}", seen.display());
    recorder.args(["record", "--on-file", &command, "-o"]).arg(&path).arg("--").args(work("readv --count 10"));
    let output = recorder.stdin(Stdio::null()).output().expect("vmtrace starts");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(line_in(&seen), "65534 65534 PAR1", "it can read the capture: {output:?}");
    let owner = path.metadata().expect("capture");
    assert_eq!((owner.uid(), owner.gid(), owner.mode() & 0o777), (65_534, 65_534, 0o600));
}

#[test]
#[ignore = "needs root and BPF"]
fn every_file_has_its_command_and_those_of_the_trigger_another() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let [files, triggers] = ["files", "triggers"].map(|name| dir.path().join(name));
    let note = |to: &Path| format!("echo \"$FILE\" >>{}", to.display());
    let work = |words: &str| work(words).join(" ");
    let script = format!("{}; {}; sleep 1.5", work("readv --count 100"), work("edge eperm"));
    let options = ["--flight-recorder", "10s", "--trigger", "errno = EPERM and event = process_vm_readv"];
    let [on_file, on_trigger] = [note(&files), note(&triggers)];
    let options = [&options[..], &["--on-file", &on_file, "--on-trigger", &on_trigger]].concat();
    let live = Live::start_as(vmtrace(), dir, &options, &["sh", "-c", &script]);
    let recording = live.end();
    assert_eq!(recording.status.code(), Some(0), "{}", recording.stderr);
    let all = captures::finished(recording.path.parent().expect("directory"));
    let names = |path: &Path| -> BTreeSet<PathBuf> {
        std::fs::read_to_string(path).expect("a list").lines().map(PathBuf::from).collect()
    };
    assert_eq!(names(&files), all.iter().cloned().collect());
    assert_eq!(names(&triggers), BTreeSet::from([all[0].clone()]));
    let said = format!("vmtrace: {}: the trigger has fired, and what was kept is in this file\n", all[0].display());
    assert!(recording.stderr.contains(&said), "{}", recording.stderr);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_command_that_hangs_ends_with_a_signal_and_harms_nothing() {
    let (dir, path, mut recorder) = with_a_command("echo $$ >\"$OUT/pid\"; exec sleep 1000", vmtrace());
    let recorder = recorder.spawn().expect("vmtrace starts");
    let pid: u32 = line_in(&dir.path().join("pid")).parse().expect("a pid");
    assert!(is_running(pid) && path.exists(), "the file is there before");
    send(recorder.id(), libc::SIGTERM);
    let recording = finish(dir, path, recorder.wait_with_output().expect("vmtrace ends"));
    recording.succeeded();
    assert!(!is_running(pid), "it lives on");
    let said = "--on-file: the command for capture.parquet failed: it was ended with the recording\n";
    let file = recording.path.display().to_string();
    assert!(recording.stderr.replace(&file, "capture.parquet").contains(said), "{}", recording.stderr);
    let count = "vmtrace: 1 command was run for files: 1 failed, 0 more were not run\n";
    assert!(recording.stderr.contains(count), "{}", recording.stderr);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_command_that_floods_or_fails_is_told_of_in_one_line() {
    for (command, said) in [
        ("yes", "it printed more than 1024 KiB, and was ended"),
        ("echo no such luck >&2; exit 3", "exit status 3: no such luck"),
    ] {
        let recording = record(command, vmtrace());
        let of_command =
            recording.stderr.lines().filter(|line| line.starts_with("vmtrace: --on-file: the command for "));
        let lines: Vec<&str> = of_command.collect();
        assert_eq!(lines.len(), 1, "{}", recording.stderr);
        assert!(lines[0].ends_with(&format!(" failed: {said}")), "{}", recording.stderr);
        assert!(!recording.stdout.contains("y\ny\n"), "its output is nobody's");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn commands_are_not_recorded_as_if_they_were_selected() {
    let mut waiting = Waiting::start("readv --count 10 --log 1");
    let dir = tempfile::tempdir().expect("temporary directory");
    let done = dir.path().join("done");
    let command = format!("{} >{}", work("readv --count 50").join(" "), done.display());
    let live = Live::start_as(vmtrace(), dir, &["-p", &waiting.pid(), "--on-file", &command], &[] as &[&str]);
    waiting.work();
    live.signal(libc::SIGUSR2);
    assert!(line_in(&done).contains("process_vm_readv"), "it has made its calls, while the recording goes on");
    let pid = waiting.pid();
    waiting.leave();
    let recording = live.end();
    assert_eq!(recording.status.code(), Some(0), "{}", recording.stderr);
    let all = captures::finished(recording.path.parent().expect("directory"));
    assert_eq!(all.len(), 2, "{all:?}");
    let calls = all.iter().flat_map(|path| rows(path)).filter(|row| row["event"] == "process_vm_readv");
    let callers: Vec<String> = calls.map(|row| row["pid"].to_string()).collect();
    assert!(callers.len() >= 10 && callers.iter().all(|caller| *caller == pid), "{callers:?}");
}

/// Files that were finished before are whole: what runs for them is let, as after any recording.
#[test]
#[ignore = "needs root and BPF"]
fn a_last_file_that_fails_ends_no_command_of_another() {
    let subject = Waiting::start("readv --count 1 --log 1");
    let dir = tempfile::tempdir().expect("temporary directory");
    let at = dir.path().to_path_buf();
    let [key, begun, done] = ["key", "begun", "done"].map(|name| at.join(name));
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    assert!(made.expect("ssh-keygen starts").success());
    let command = format!("echo \"$FILE\" >{}; sleep 1; echo done >{}", begun.display(), done.display());
    let key = key.to_str().expect("UTF-8 path");
    let options = ["-p", &subject.pid(), "-G", "3600", "--sign-key", key, "--on-file", &command];
    let live = Live::start_as(vmtrace(), dir, &options, &[] as &[&str]);
    live.signal(libc::SIGUSR2);
    let first = line_in(&begun);
    std::fs::write(at.join("capture-0002.parquet.sig"), "of another").expect("write");
    live.signal(libc::SIGINT);
    let recording = live.end();
    let said = &recording.stderr;
    assert_eq!(recording.status.code(), Some(2), "{said}");
    assert!(
        first.ends_with("capture-0001.parquet") && said.contains("capture-0002.parquet is not signed"),
        "{first}: {said}"
    );
    assert!(done.exists() && !said.contains("with the recording"), "{said}");
}

#[test]
fn a_command_for_triggers_needs_one() {
    let output = vmtrace().args(["record", "--on-trigger", "true", "-a"]).output().expect("vmtrace starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), stderr.contains("--trigger <EXPR>")), (Some(2), true), "{stderr}");
}
