//! Programs that are recorded here, with names, words and bytes that no rule knows: nothing of them is in what is made of the
//! captures.

use std::path::{Path, PathBuf};
use std::process::Command;

use vmtrace::schema::reader::Capture;

use super::leaks;
use super::made::Place;

/// Shell commands, in a directory with a file of text and a program that dumps memory. `$W` is the workload.
const PROGRAMS: [&str; 20] = [
    // Debuggers, tracers, dumpers.
    "gdb -nx -q -batch -ex starti -ex 'x/4s $rsp' -ex 'info registers' --args cat zq-opensesame.txt",
    "strace -f -o zq-trace.log ls -l zq-opensesame.txt",
    "strace -o /dev/null cat zq-opensesame.txt zq-missing.txt || true",
    "python3 zq-dumper.py $$",
    "python3 -c 'f = open(\"/proc/self/mem\", \"r+b\", 0); f.seek(id(f)); f.write(f.read(0) or b\"\"); f.seek(id(f)); f.read(64)'",
    "setpriv --reuid 54321 --clear-groups python3 zq-dumper.py $$ || true",
    // Pipes, files, sockets.
    "cat zq-opensesame.txt | tr a-z A-Z | sort | head -n 3 > zq-sorted.txt",
    "pv -q zq-opensesame.txt | cat > zq-viewed.txt",
    "python3 -c 'import os; os.sendfile(os.open(\"zq-sent.txt\", 65), os.open(\"zq-opensesame.txt\", 0), 0, 4000)'",
    "python3 -c 'import os; r, w = os.pipe(); os.splice(os.open(\"zq-opensesame.txt\", 0), w, 4000); os.read(r, 4000)'",
    "fio --name=zq-job --filename=zq-fio.dat --size=64k --ioengine=splice --rw=read --output=zq-fio.log",
    "tar czf zq-archive.tar.gz zq-opensesame.txt && tar tzvf zq-archive.tar.gz",
    "stress-ng --vm-splice 1 --vm-splice-ops 20 -q",
    "stress-ng --vm-rw 1 --vm-rw-ops 5 --vm-rw-bytes 64k -q",
    // Every kind of transfer, and what fails.
    "$W --count 3 sweep readv writev vmsplice 'vmsplice --out' splice sendfile ptrace 'ptrace --op poke' mem open",
    "$W edge ptrace-requests",
    "$W edge pidfd-getfd",
    "$W edge eperm",
    "$W edge mem-open-errors",
    "$W edge sockets-inet; $W edge sockets-unix",
];

const DUMPER: &str = r#"
import re, sys
with open(f"/proc/{sys.argv[1]}/maps") as maps:
    heap = next(line for line in maps if "[heap]" in line)
start, end = (int(part, 16) for part in re.match(r"(\w+)-(\w+)", heap).groups())
with open(f"/proc/{sys.argv[1]}/mem", "rb", 0) as memory:
    for address in range(start, min(end, start + 65536), 4096):
        memory.seek(address)
        memory.read(4096)
"#;

/// The workload generator, which Cargo puts beside the tests.
fn workload() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_vmtrace")).with_file_name("examples").join("workload");
    assert!(path.exists(), "{} is missing: run `cargo build --example workload`", path.display());
    path
}

#[test]
#[ignore = "needs root and BPF"]
fn nothing_of_recorded_programs_is_in_what_is_made_of_their_captures() {
    let place = Place::new();
    let text: String = (0..200).map(|n| format!("zq-{n}: the hoard is below flagstone {}\n", n * 7919)).collect();
    std::fs::write(place.path("zq-opensesame.txt"), text).unwrap();
    std::fs::write(place.path("zq-dumper.py"), DUMPER).unwrap();
    let (mut looked_for, mut rows) = (0, 0);
    for (number, program) in PROGRAMS.iter().enumerate() {
        let capture = place.path(&format!("{number}.parquet"));
        let mut recorder = Command::new(env!("CARGO_BIN_EXE_vmtrace"));
        recorder.args(["record", "-q", "-s", "4096", "-o"]).arg(&capture).args(["--", "sh", "-c", program]);
        // What Cargo gives to tests stands in each manifest: the commit, and digests. Programs have it in their memory then.
        for name in ["VMTRACE_GIT", "VMTRACE_WIRE_DIGEST", "VMTRACE_BPF_DIGEST"] {
            recorder.env_remove(name);
        }
        let recorded = recorder.env("W", workload()).current_dir(&place.dir).output().unwrap();
        assert!(recorded.status.success(), "{program}: {}", String::from_utf8_lossy(&recorded.stderr));
        rows += Capture::open(&capture).unwrap().rows();
        looked_for += leaks::check(&place, &capture);
        std::fs::remove_file(&capture).unwrap();
    }
    assert!(rows > 2_000 && looked_for > 10_000, "only {looked_for} values of {rows} rows were looked for");
}
