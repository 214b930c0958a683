//! Limits of resources: too low ones are named before COMMAND starts, and memory that runs out later is no silent end.

use std::process::{Command, Output, Stdio};

use vmtrace::terminal::status;

use super::harness::{program, rows, vmtrace, workload};
use super::live::{Live, send};

/// `vmtrace WORDS...` in an empty directory, in a shell that has set `limits`; what it printed, and which files are left.
fn limited(limits: &str, words: &[&str]) -> (Output, usize) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("{limits} && exec \"$@\"")).arg("sh").arg(env!("CARGO_BIN_EXE_vmtrace")).args(words);
    let output = shell.current_dir(dir.path()).stdin(Stdio::null()).output().expect("sh starts");
    (output, std::fs::read_dir(dir.path()).expect("directory").count())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
#[ignore = "needs root and BPF"]
fn limits_that_are_too_low_are_named_and_command_is_not_started() {
    for (limit, remedy) in [
        ("ulimit -n 24", ""),
        ("ulimit -v 350000", ", or choose a smaller --buffer-size"),
        ("ulimit -d 100000", ", or choose a smaller --memory-limit"),
        ("ulimit -s 512", ""),
        // In blocks of 512 bytes.
        ("ulimit -f 100", ""),
    ] {
        let (output, files) = limited(limit, &["record", "-o", "c.parquet", "--", "touch", "started"]);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(status::RECORDER_FAILED.into()), "{limit}: {said}");
        let (option, allowed) = limit.rsplit_once(' ').expect("a number");
        let allowed = if option.ends_with('f') { "50" } else { allowed };
        assert!(said.contains(&format!("{option} allows {allowed}: raise it{remedy}")), "{limit}: {said}");
        assert_eq!((said.lines().count(), files), (1, 0), "{limit}: {said}");
        let (output, _) = limited(limit, &["check"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(status::ERROR.into()), "{limit}: {text}");
        assert!(text.contains(option), "{limit}: {text}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn soft_limits_are_raised_for_the_recorder_and_not_for_command() {
    let soft = "ulimit -S -n 24 && ulimit -S -v 350000 && ulimit -S -s 600";
    let script = "ulimit -S -n; ulimit -S -v; ulimit -S -s";
    let (output, _) = limited(soft, &["record", "-o", "c.parquet", "--", "sh", "-c", script]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "24\n350000\n600\n");
}

/// What a recording is said to take where it has `low` limits.
fn asked_for(low: &str, options: &[&str]) -> String {
    let text = said(&limited(low, &[options, &["true"]].concat()).0);
    let asked = text.split("a recording takes ").nth(1).and_then(|rest| rest.split(' ').next());
    asked.unwrap_or_else(|| panic!("{low}: nothing is asked for: {text}")).to_string()
}

#[test]
#[ignore = "needs root and BPF"]
fn as_many_descriptors_as_are_asked_for_suffice() {
    let options = ["record", "-o", "c.parquet", "--"];
    let limit = format!("ulimit -n {}", asked_for("ulimit -n 24", &options));
    let (output, _) = limited(&limit, &[&options[..], &["true"]].concat());
    assert!(output.status.success(), "{limit}: {}", said(&output));
}

/// With rows at the limit of `--memory-limit`.
#[test]
#[ignore = "needs root and BPF"]
fn as_much_memory_as_is_asked_for_suffices() {
    let options = ["record", "-o", "c.parquet", "--buffer-size", "8M", "--memory-limit", "8M", "-s", "65536", "--"];
    let workload = workload();
    let work = [workload.as_str(), "readv", "--size", "65536", "--count", "800", "--rate", "2000", "--noise"];
    for (option, low) in [("ulimit -v", "ulimit -v 300000"), ("ulimit -d", "ulimit -d 30000")] {
        let limit = format!("{option} {}", asked_for(low, &options));
        let (output, _) = limited(&limit, &[&options[..], &work].concat());
        assert!(output.status.success(), "{limit}: {}", said(&output));
    }
}

/// Memory runs out while COMMAND runs: the status says that vmtrace failed, and what was recorded is there.
#[test]
#[ignore = "needs root and BPF"]
fn a_recorder_without_memory_fails_aloud() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let go = dir.path().join("go");
    let script = format!(
        "{0} readv --count 10 >/dev/null; echo $$; while [ ! -e {1} ]; do sleep 0.01; done; \
         exec {0} readv --size 65536 --count 0 --rate 1000 --noise",
        workload(),
        go.display()
    );
    let mut live = Live::start(&["-s", "65536"], &["sh", "-c", &script]);
    let command: u32 = live.line().parse().expect("pid of COMMAND");
    let status = std::fs::read_to_string(format!("/proc/{}/status", live.pid())).expect("status");
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.trim().strip_suffix(" kB")?.parse().ok());
    let size: u64 = size.expect("VmSize");
    let limit = format!("--as={}", size << 10);
    let limited = Command::new(program("prlimit")).args(["--pid", &live.pid().to_string(), &limit]).status();
    assert!(limited.expect("prlimit starts").success());
    std::fs::write(&go, "").expect("go");
    let recording = live.end();
    send(command, libc::SIGKILL);
    assert_eq!(recording.status.code(), Some(status::RECORDER_FAILED.into()), "{}", recording.stderr);
    assert!(recording.stderr.contains("the recorder aborted"), "{}", recording.stderr);
    let partial = format!("{}.partial", recording.path.display());
    let recovered = dir.path().join("recovered.parquet");
    let output = vmtrace().args(["recover", &partial, "-o"]).arg(&recovered).output().expect("recover starts");
    assert!([Some(0), Some(3)].contains(&output.status.code()), "{}", said(&output));
    let read = rows(&recovered).iter().filter(|row| row["event"] == "process_vm_readv").count();
    assert!(read >= 10, "{read} of what was recorded before");
}
