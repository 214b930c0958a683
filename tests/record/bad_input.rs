//! Bad input: one sentence with the remedy, a documented status, nothing written, nothing overwritten.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use vmtrace::schema::reader::Capture;
use vmtrace::terminal::status;

use super::harness::{program, record, rows, vmtrace, work};

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().expect("vmtrace starts")
}

/// Asserts that the output is one sentence of vmtrace's that speaks of `about`, with `status`.
fn one_sentence(output: &Output, wanted: u8, about: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(wanted.into()), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("vmtrace: ") && stderr.contains(about), "no {about:?} in {stderr}");
    for noise in ["panicked", "backtrace", "Os {", "Error("] {
        assert!(!stderr.contains(noise), "{noise} in {stderr}");
    }
}

/// Runs `vmtrace record ARGS...` in an empty directory, which must stay empty.
fn refused(args: &[&str], wanted: u8, about: &str) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let output = run(vmtrace().current_dir(dir.path()).arg("record").args(args));
    one_sentence(&output, wanted, about);
    assert_eq!(std::fs::read_dir(dir.path()).expect("directory").count(), 0, "a file was left");
}

#[test]
fn nothing_to_record_explains_itself() {
    refused(&[], status::ERROR, "nothing to record");
    refused(&["-o", "x.parquet", "-e", "@vm"], status::ERROR, "-p PID");
}

#[test]
fn interrupts_are_left_to_a_command_alone() {
    refused(&["-I", "-p", "1"], status::ERROR, "--ignore-interrupts leaves ^C to COMMAND");
}

#[test]
fn unknown_events_are_named() {
    refused(&["-e", "vmslice", "-p", "1"], status::ERROR, "unknown event \"vmslice\"");
    refused(&["-e", "@pipes", "--", "true"], status::RECORDER_FAILED, "unknown event \"@pipes\"");
}

#[test]
fn unknown_processes_are_named() {
    // Larger than the kernel's largest pid (4,194,304).
    refused(&["-p", "4194305"], status::ERROR, "4194305");
    refused(&["-p", "0"], status::ERROR, "-p 0");
}

#[test]
fn too_large_a_snap_length_is_refused() {
    refused(&["-s", "65537", "-p", "1"], status::ERROR, "65536");
    refused(&["--snaplen", "4294967295", "--", "true"], status::RECORDER_FAILED, "65536");
}

#[test]
fn an_unknown_cgroup_is_named() {
    refused(&["--cgroup", "/no/such/cgroup", "-p", "1"], status::ERROR, "/no/such/cgroup");
}

#[test]
fn an_existing_file_is_kept() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("kept.parquet");
    std::fs::write(&path, "precious").expect("write");
    let own = std::process::id().to_string();
    let output = run(vmtrace().args(["record", "-p", &own, "-o"]).arg(&path));
    one_sentence(&output, status::ERROR, "exists");
    assert_eq!(std::fs::read_to_string(&path).expect("read"), "precious");
    let output = run(vmtrace().args(["record", "-o"]).arg(&path).args(["--", "true"]));
    one_sentence(&output, status::RECORDER_FAILED, "--force");
    assert_eq!(std::fs::read_to_string(&path).expect("read"), "precious");
}

#[test]
fn a_symbolic_link_is_not_followed() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let own = std::process::id().to_string();
    for target in ["precious", "missing"] {
        let (file, link) = (dir.path().join(target), dir.path().join(format!("{target}.parquet")));
        symlink(&file, &link).expect("symlink");
        if target == "precious" {
            std::fs::write(&file, "precious").expect("write");
        }
        let output = run(vmtrace().args(["record", "-p", &own, "-o"]).arg(&link));
        one_sentence(&output, status::ERROR, "is a symbolic link");
        assert_eq!(std::fs::read(&file).ok().as_deref(), (target == "precious").then_some(&b"precious"[..]));
    }
}

#[test]
fn the_output_directory_must_exist() {
    let own = std::process::id().to_string();
    refused(&["-p", &own, "-o", "no/such/directory/x.parquet"], status::ERROR, "does not exist");
    refused(&["-p", &own, "-o", "/dev/null"], status::ERROR, "/dev/null");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_command_that_cannot_run_has_the_statuses_of_a_shell() {
    refused(&["--", "no-such-program-anywhere"], status::NOT_FOUND, "no-such-program-anywhere");
    refused(&["--", "/etc/passwd"], status::NOT_EXECUTABLE, "/etc/passwd");
    refused(&["--", "/"], status::NOT_EXECUTABLE, "/");
}

/// A directory that everyone may enter, with a copy of vmtrace in it: the build directory may be root's alone.
pub fn public_copy() -> (TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let copy = dir.path().join("vmtrace");
    std::fs::copy(env!("CARGO_BIN_EXE_vmtrace"), &copy).expect("copy");
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).expect("chmod");
    (dir, copy)
}

#[test]
#[ignore = "needs root and BPF"]
fn without_privileges_it_says_so() {
    let (dir, copy) = public_copy();
    let unprivileged = |args: &[&str]| {
        let mut command = Command::new(program("setpriv"));
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&copy).arg("record");
        run(command.args(args).current_dir(dir.path()))
    };
    one_sentence(&unprivileged(&["-o", "x.parquet", "--", "true"]), status::RECORDER_FAILED, "root");
    let own = std::process::id().to_string();
    one_sentence(&unprivileged(&["-o", "x.parquet", "-p", &own]), status::ERROR, "root");
    assert_eq!(std::fs::read_dir(dir.path()).expect("directory").count(), 1, "a file was left");
}

/// The output fills up: COMMAND goes on unharmed, and the capture is whole up to there.
#[test]
#[ignore = "needs root and BPF"]
fn a_full_disk_ends_the_recording_and_not_command() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let report = dir.path().join("report");
    let small = dir.path().join("small");
    std::fs::create_dir(&small).expect("mkdir");
    // The mount is private to this shell's mount namespace and goes with it.
    let script = "mount -t tmpfs -o size=200k none \"$1\" && shift && out=$1 && shift && \"$@\" >\"$out\"; status=$?; ls \"$0\" >&2; exit $status";
    let mut command = Command::new(program("unshare"));
    command.args(["-m", "sh", "-c", script]).arg(&small).arg(&small).arg(&report);
    command.arg(env!("CARGO_BIN_EXE_vmtrace")).arg("record").arg("-o").arg(small.join("c.parquet"));
    command.arg("--").args(work("readv --count 300000"));
    let output = run(&mut command);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let (sentences, files): (Vec<_>, Vec<_>) = stderr.lines().partition(|l| l.starts_with("vmtrace: "));
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(sentences[0].contains("space") && sentences[0].contains("c.parquet"), "{stderr}");
    assert_eq!(files, ["c.parquet"], "{stderr}");
    let report = std::fs::read_to_string(&report).expect("COMMAND's report");
    assert!(report.contains("\"ok\":300000"), "COMMAND was harmed: {report}");
}

/// The limit that ulimit -f sets would kill a process that does not expect it.
#[test]
#[ignore = "needs root and BPF"]
fn a_file_size_limit_ends_the_recording_and_not_command() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("c.parquet");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 400 && exec \"$0\" record -o \"$@\""]).arg(env!("CARGO_BIN_EXE_vmtrace")).arg(&path);
    let output = run(command.arg("--").args(work("readv --count 300000")));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("too large") && stderr.contains("recording stopped"), "{stderr}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"ok\":300000"), "COMMAND was harmed");
    // What is claimed is there, and it is not all.
    let capture = Capture::open(&path).expect("a whole capture");
    assert!(capture.rows() < 300_000, "{} rows", capture.rows());
    let ledger = &capture.manifest().ledger;
    assert_eq!(ledger.iter().map(|row| row.written).sum::<u64>(), capture.rows());
    assert!(ledger.iter().all(|row| row.balances()), "{ledger:?}");
    assert_eq!(capture.manifest().end_reason, "disk_full");
}

#[test]
#[ignore = "needs root and BPF"]
fn force_replaces_a_file_with_a_whole_capture() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("old.parquet");
    std::fs::write(&path, "old").expect("write");
    let output = run(vmtrace().args(["record", "--force", "-o"]).arg(&path).args(["--", "true"]));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!rows(Path::new(&path)).is_empty());
}

/// Without a journal nobody knows what came behind the last whole row group: that is no clean recovery.
#[test]
#[ignore = "needs root and BPF"]
fn a_cut_capture_without_a_journal_is_recovered_with_a_warning() {
    let recording = record(&[], &work("readv --count 100"));
    let bytes = std::fs::read(&recording.path).expect("capture");
    let cut = recording.path.with_file_name("cut.parquet.partial");
    std::fs::write(&cut, &bytes[..bytes.len() - 8]).expect("write");
    let output = recording.path.with_file_name("recovered.parquet");
    let recovered = run(vmtrace().arg("recover").arg(&cut).arg("-o").arg(&output));
    let stderr = String::from_utf8_lossy(&recovered.stderr);
    assert_eq!(recovered.status.code(), Some(status::LOSS.into()), "{stderr}");
    assert!(stderr.contains("journal is missing") && stderr.contains("not known"), "{stderr}");
    assert_eq!(rows(&output).len(), recording.rows().len());
}

/// Neither the recorder nor what mends its captures asks that a name be text.
#[test]
#[ignore = "needs root and BPF"]
fn no_file_name_is_too_odd() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let odd = |name: &[u8]| dir.path().join(OsStr::from_bytes(name));
    let (path, cut, recovered) = (odd(b"odd\xff.parquet"), odd(b"cut\xfe.parquet.partial"), odd(b"\xfd.parquet"));
    let output = run(vmtrace().args(["record", "-o"]).arg(&path).args(["--", "true"]));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!rows(&path).is_empty());
    one_sentence(
        &run(vmtrace().args(["record", "-o"]).arg(&path).args(["--", "true"])),
        status::RECORDER_FAILED,
        "--force",
    );
    let bytes = std::fs::read(&path).expect("capture");
    std::fs::write(&cut, &bytes[..bytes.len() - 8]).expect("write");
    let output = run(vmtrace().arg("recover").arg(&cut).arg("-o").arg(&recovered));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status::LOSS.into()), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert_eq!(rows(&recovered).len(), rows(&path).len());
    let missing = run(vmtrace().arg("recover").arg(odd(b"\xfc")).arg("-o").arg(odd(b"\xfb.parquet")));
    one_sentence(&missing, status::ERROR, "there is no such file");
}
