//! Recorders that are killed, at any moment: what was in the journal comes back, once, and nothing else does.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use nix::unistd::setsid;

use super::captures::{self, Numbers, spans};
use super::dice::Dice;
use super::harness::{Recording, vmtrace, work};
use super::live::{Live, Subject, Waiting, is_running, send};
use super::progress::{Progress, monotonic_ns};

/// What may be missing: the default of `--journal-window`, and what a busy machine takes to wake a thread.
const WINDOW_NS: u64 = 100_000_000;
const SLACK_NS: u64 = 150_000_000;
/// The same where other tests run at the same time: a disk that is busy holds the journal up (docs/LIMITS.md).
const BUSY_SLACK_NS: u64 = 800_000_000;

/// With VMTRACE_TEST_KILLS, which is for a machine of its own, the strict one.
fn slack_ns() -> u64 {
    if std::env::var_os("VMTRACE_TEST_KILLS").is_some() { SLACK_NS } else { BUSY_SLACK_NS }
}

/// Rounds of an ordinary run; `VMTRACE_TEST_KILLS` asks for more.
const ROUNDS: u64 = 6;

/// When and how the recorder is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Blow {
    /// While it records.
    Recording,
    /// With its whole process group, COMMAND included.
    Group,
    /// Some ms after it was asked to end.
    Finishing(u64),
    /// Some ms after it was asked to begin a new file.
    Rotating(u64),
}

/// What is recorded, how, and how that ends.
#[derive(Debug)]
struct Scene {
    /// The workload's kind, and the event it makes.
    kind: (&'static str, &'static str),
    threads: u64,
    rate: u64,
    /// Bytes of a payload; long ones are noise, and fill row groups and files.
    size: u64,
    /// By -p rather than as COMMAND.
    attached: bool,
    options: &'static [&'static str],
    /// ms from the first call on.
    after: u64,
    blow: Blow,
}

/// A few hundred events of one thread.
const SMALL: Scene = Scene {
    kind: KINDS[0],
    threads: 1,
    rate: 1000,
    size: 64,
    attached: false,
    options: &[],
    after: 500,
    blow: Blow::Recording,
};

const KINDS: [(&str, &str); 5] = [
    ("readv", "process_vm_readv"),
    ("writev --segments 3", "process_vm_writev"),
    ("vmsplice", "vmsplice"),
    ("ptrace --op poke", "ptrace"),
    ("mem --with pwritev", "pwritev"),
];
const OPTIONS: [&[&str]; 5] = [
    &[],
    &["--memory-limit", "4M"],
    &["-C", "500K", "--memory-limit", "4M"],
    &["-G", "1"],
    &["-C", "1M", "--buffer-size", "4M", "--memory-limit", "4M"],
];

impl Scene {
    fn new(dice: &mut Dice) -> Self {
        let blow = match dice.within(0..4) {
            0 => Blow::Recording,
            1 => Blow::Group,
            2 => Blow::Finishing(dice.within(0..250)),
            _ => Blow::Rotating(dice.within(0..60)),
        };
        Scene {
            kind: dice.pick(&KINDS),
            threads: dice.within(1..4),
            rate: dice.pick(&[2, 300, 2000, 4000]),
            size: dice.pick(&[64, 1500]),
            attached: blow != Blow::Group && dice.within(0..2) == 1,
            options: dice.pick(&OPTIONS),
            after: dice.within(0..1500),
            blow,
        }
    }

    fn words(&self, progress: &Path) -> String {
        let (kind, threads, rate, size) = (self.kind.0, self.threads, self.rate, self.size);
        let noise = if size > 64 { "--noise" } else { "" };
        let progress = progress.display();
        format!(
            "{kind} --count 0 --duration 120 --threads {threads} --rate {rate} --size {size} {noise} --progress {progress}"
        )
    }
}

/// A killed recorder and what is known of its workload.
pub struct Scar {
    /// What the recorder said, and its directory.
    recording: Recording,
    progress: Progress,
    /// Calls that finished by then (CLOCK_MONOTONIC) must have been kept.
    kept_ns: u64,
}

impl Scar {
    /// Where everything is that is left.
    pub fn dir(&self) -> &Path {
        self.recording.path.parent().expect("directory")
    }

    /// Copies all that is left, and what was made of it, to where it stays; says where.
    fn evidence(&self, captures: &[PathBuf]) -> String {
        let dir = tempfile::tempdir().expect("temporary directory").keep();
        std::fs::write(dir.join("said"), &self.recording.stderr).expect("evidence");
        let left = [captures::partial(self.dir()), captures::journal(self.dir()), captures.to_vec()].concat();
        for path in left {
            std::fs::copy(&path, dir.join(path.file_name().expect("name"))).expect("evidence");
        }
        format!("what was left is in {}", dir.display())
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_killed_recorder_loses_no_more_than_its_window() {
    let rounds = std::env::var("VMTRACE_TEST_KILLS").map_or(ROUNDS, |n| n.parse().expect("VMTRACE_TEST_KILLS"));
    let mut dice = Dice::new();
    for round in 0..rounds {
        let scene = Scene::new(&mut dice);
        eprintln!("round {round}: {scene:?}");
        let scar = strike(&scene);
        check(&scene, &scar, &format!("kill{round:03}"));
    }
}

/// What is left of a killed recorder that had recorded little.
pub fn small_scar() -> Scar {
    strike(&SMALL)
}

/// Records, and kills the recorder. The workload is ended afterwards.
fn strike(scene: &Scene) -> Scar {
    let dir = tempfile::tempdir().expect("temporary directory");
    let progress = dir.path().join("progress");
    let words = scene.words(&progress);
    let mut recorder = vmtrace();
    if scene.blow == Blow::Group {
        let lead_a_group = || match setsid() {
            Ok(_) => Ok(()),
            Err(errno) => Err(errno.into()),
        };
        // SAFETY: setsid is async-signal-safe.
        unsafe { recorder.pre_exec(lead_a_group) };
    }
    let (live, subject): (Live, Option<Subject>) = if scene.attached {
        let waiting = Waiting::start(&words);
        let pid = waiting.pid();
        let options = [scene.options, &["-s", "0", "-p", &pid]].concat();
        let live = Live::start_as::<&str>(recorder, dir, &options, &[]);
        (live, Some(waiting.begin()))
    } else {
        (Live::start_as(recorder, dir, &[scene.options, &["-s", "0"]].concat(), &work(&words)), None)
    };
    wait_for("calls", || Progress::try_read(&progress).is_some_and(|p| p.done(0) > 0));
    std::thread::sleep(Duration::from_millis(scene.after));
    let asked = match scene.blow {
        Blow::Finishing(ms) => Some((libc::SIGINT, ms)),
        Blow::Rotating(ms) => Some((libc::SIGUSR2, ms)),
        Blow::Recording | Blow::Group => None,
    };
    let told_ns = monotonic_ns();
    if let Some((signal, ms)) = asked {
        live.signal(signal);
        std::thread::sleep(Duration::from_millis(ms));
    }
    let struck_ns = monotonic_ns();
    match scene.blow {
        // SAFETY: plain numbers; the group is that of the recorder, which is ours.
        Blow::Group => assert_eq!(unsafe { libc::kill(-(live.pid() as i32), libc::SIGKILL) }, 0),
        _ => live.signal(libc::SIGKILL),
    }
    let pid = Progress::read(&progress).pid();
    if is_running(pid) {
        send(pid, libc::SIGTERM);
    }
    wait_for("the workload's end", || !is_running(pid));
    drop(subject);
    let recording = live.end();
    let killed = recording.status.signal() == Some(libc::SIGKILL);
    let finishing = matches!(scene.blow, Blow::Finishing(_));
    assert!(killed || finishing, "the recorder ended by itself: {}\n{}", recording.status, recording.stderr);
    let before_blow = if killed { struck_ns - WINDOW_NS - slack_ns() } else { u64::MAX };
    let kept_ns = before_blow.min(if finishing { told_ns } else { u64::MAX });
    Scar { recording, progress: Progress::read(&progress), kept_ns }
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let begin = monotonic_ns();
    while !done() {
        assert!(monotonic_ns() - begin < 60_000_000_000, "waited a minute for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn check(scene: &Scene, scar: &Scar, label: &str) {
    let finished = captures::finished(scar.dir());
    let out = tempfile::tempdir().expect("temporary directory");
    let (partial, journal) = (captures::partial(scar.dir()), captures::journal(scar.dir()));
    let recovered = match (partial.is_empty(), journal.is_empty(), scene.blow) {
        (false, ..) => recover_twice(&partial, scar.dir(), out.path()),
        // Finished before the blow: the journal's files are the last to go.
        (true, _, Blow::Finishing(_)) => Vec::new(),
        (true, false, _) => recover_twice(&journal, scar.dir(), out.path()),
        (true, true, _) => panic!("nothing is left in {}", scar.dir().display()),
    };
    let all = [finished.clone(), recovered].concat();
    for path in &all {
        captures::intact(std::slice::from_ref(path));
    }
    // As files of one recording, too.
    captures::intact(&all);
    numbers_are_complete(scene, scar, &all);
    captures::keep(&all, label);
}

/// Recovers twice, and checks that this is repeatable and harmless. Returns what came of it.
fn recover_twice(inputs: &[PathBuf], dir: &Path, out: &Path) -> Vec<PathBuf> {
    let before = captures::digests(dir);
    let (first, second) = (out.join("first"), out.join("second"));
    let captures = [&first, &second].map(|dir| {
        std::fs::create_dir(dir).expect("directory");
        let output = recover(inputs, &dir.join("r.parquet"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(matches!(output.status.code(), Some(0 | 3)), "recover {inputs:?}: {}\n{said}", output.status);
        eprint!("{said}");
        let captures = captures::finished(dir);
        assert!(!captures.is_empty(), "recover {inputs:?} wrote nothing\n{said}");
        captures
    });
    assert!(captures::digests(dir) == before, "recover changed its input");
    let [told, again] = captures.each_ref().map(|paths| replay(paths));
    assert!(told == again, "recovering a second time gives other rows");
    let [captures, _] = captures;
    for path in &captures {
        let reason = captures::open(path).manifest().end_reason.clone();
        // A file that was complete and only lacked its name stays as it was.
        assert!(["recovered", "rotated", "signal"].contains(&reason.as_str()), "{reason}");
    }
    captures
}

fn recover(inputs: &[PathBuf], output: &Path) -> Output {
    vmtrace().arg("recover").args(inputs).arg("-o").arg(output).output().expect("vmtrace starts")
}

/// All rows of captures, as text.
fn replay(captures: &[PathBuf]) -> Vec<u8> {
    let told = |path: &PathBuf| {
        let output = vmtrace().args(["replay", "-T", "jsonl"]).arg(path).output().expect("vmtrace starts");
        assert!(matches!(output.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    captures.iter().flat_map(told).collect()
}

/// What was kept is there, once; what is there was made.
fn numbers_are_complete(scene: &Scene, scar: &Scar, captures: &[PathBuf]) {
    let numbers = Numbers::of(captures, scene.kind.1);
    // One call more may have been made than its thread could report.
    let made: Vec<u64> = (0..scene.threads).map(|thread| scar.progress.done(thread) + 1).collect();
    numbers.all_made(&made);
    let lost = captures::lost(captures, scene.kind.1);
    let mut missing = 0;
    for thread in 0..scene.threads {
        let kept = scar.progress.done_by(thread, scar.kept_ns);
        let gone = numbers.missing(thread, kept);
        eprintln!(
            "thread {thread}: {} rows, {kept} kept for certain, missing: {}",
            numbers.of_thread(thread).len(),
            spans(&gone)
        );
        missing += gone.len() as u64;
    }
    assert!(missing <= lost, "{missing} calls are missing, {lost} were counted as lost; {}", scar.evidence(captures));
}

/// A recorder finds what a killed one has left: it leaves that alone, and says what to do.
#[test]
#[ignore = "needs root and BPF"]
fn what_a_killed_recorder_left_is_not_overwritten() {
    let scar = small_scar();
    let before = captures::digests(scar.dir());
    let output = vmtrace().args(["record", "-o"]).arg(&scar.recording.path).args(["--", "true"]).output();
    let output = output.expect("vmtrace starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{said}");
    assert!(said.contains("vmtrace recover ") && said.contains(".partial"), "{said}");
    assert!(captures::digests(scar.dir()) == before);
    check(&SMALL, &scar, "left");
}
