//! Where results go.

use std::collections::HashMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::mkfifo;

use super::{command, query, ran};

const SAMPLE: &str = "samples/mpi-pair/mpi-pair.parquet";
const SQL: &str = "SELECT seq, comm FROM events";

#[test]
fn a_file_is_private_and_never_written_over_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.csv");
    let out = path.to_str().unwrap();
    let first = query(&[SAMPLE, SQL, "-T", "csv", "-o", out]);
    assert_eq!((first.status, first.out.as_str(), first.err.as_str()), (0, "", ""));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let content = std::fs::read_to_string(&path).unwrap();
    assert!(content.starts_with("seq,comm\n"));
    let again = query(&[SAMPLE, "SELECT 1", "-T", "csv", "-o", out]);
    assert_eq!(again.status, 2);
    assert!(again.err.contains("exists: choose another -o"), "{}", again.err);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
    let forced = query(&[SAMPLE, "SELECT 1 AS a", "-T", "csv", "-o", out, "--force"]);
    assert_eq!(forced.status, 0);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a\n1\n");
}

#[test]
fn a_failed_query_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.csv");
    for sql in ["SELECT nothing FROM events", "SELECT 1 / (seq - seq) FROM events", "SELECT 1; SELECT 2"] {
        let ran = query(&[SAMPLE, sql, "-o", out.to_str().unwrap()]);
        assert_eq!(ran.status, 2, "{sql}");
        assert_eq!(dir.path().read_dir().unwrap().count(), 0, "{sql}");
    }
    let missing = query(&[SAMPLE, SQL, "-o", dir.path().join("no/out").to_str().unwrap()]);
    assert!(missing.status == 2 && missing.err.contains("does not exist"), "{}", missing.err);
}

/// Neither followed nor replaced, and refused by what it is: --force is for files.
#[test]
fn what_is_no_regular_file_stays() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    std::fs::write(at("victim"), "precious").unwrap();
    symlink(at("victim"), at("link")).unwrap();
    symlink("/proc/self/fd/1", at("stdout")).unwrap();
    mkfifo(at("fifo").as_str(), Mode::S_IRWXU).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    // A device of our own, where we may make one: the null device.
    let device = at("device");
    let made = mknod(device.as_str(), SFlag::S_IFCHR, Mode::S_IRWXU, makedev(1, 3)).is_ok();
    let kinds =
        || dir.path().read_dir().unwrap().map(|e| (e.as_ref().unwrap().file_name(), e.unwrap().file_type().unwrap()));
    let before: HashMap<_, _> = kinds().collect();
    let device = if made { device.as_str() } else { "/dev/null" };
    for (path, what) in [
        (at("link").as_str(), "a symbolic link"),
        (at("stdout").as_str(), "a symbolic link to /proc/self/fd/1"),
        (at("fifo").as_str(), "a FIFO"),
        (at("socket").as_str(), "a socket"),
        (device, "a device"),
        ("-", "-o -: "),
    ] {
        for more in [&[][..], &["--force"]] {
            let ran = query(&[&[SAMPLE, SQL, "-T", "csv", "-o", path], more].concat());
            assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{path} {more:?}: {}", ran.err);
            assert!(ran.err.contains(what) && !ran.err.contains("--force"), "{}", ran.err);
        }
        assert_eq!(kinds().collect::<HashMap<_, _>>(), before, "{path}");
    }
    assert!(!std::path::Path::new("-").exists());
    assert_eq!(std::fs::read_to_string(at("victim")).unwrap(), "precious");
}

#[test]
fn parquet_of_ours_can_be_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.parquet");
    let sql = "SELECT seq, comm, payload, local_iov FROM events WHERE payload IS NOT NULL";
    let ran = query(&[SAMPLE, sql, "-T", "parquet", "-o", path.to_str().unwrap()]);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    let file = std::fs::File::open(&path).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let rows: usize = reader.map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(rows, 10);
    let taken = vmtrace::schema::reader::Capture::open(&path).unwrap_err();
    let said = format!("{taken:#}");
    assert!(said.contains("is a table that `vmtrace query` wrote, not a capture"), "{said}");
    let piped = command(&[SAMPLE, sql, "-T", "parquet"]).output().unwrap();
    assert!(piped.stdout.starts_with(b"PAR1") && piped.stdout.ends_with(b"PAR1"));
}

#[test]
fn a_file_has_the_format_of_its_ending() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    for (name, begin) in
        [("t.parquet", &b"PAR1"[..]), ("t.arrow", b"ARROW1"), ("t.csv", b"seq,comm\n0,"), ("t.jsonl", b"{\"seq\":0,")]
    {
        let ran = query(&[SAMPLE, "SELECT seq, comm FROM events ORDER BY seq", "-o", &path(name)]);
        assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{name}");
        assert!(std::fs::read(path(name)).unwrap().starts_with(begin), "{name}");
    }
    for (name, more) in [("t.txt", &[][..]), ("u.csv", &["-T", "table"])] {
        assert_eq!(query(&[&[SAMPLE, "SELECT 1 AS one", "-o", &path(name)], more].concat()).status, 0);
        assert!(std::fs::read_to_string(path(name)).unwrap().starts_with("one\n---\n"), "{name}");
    }
    // Who replays a table is told that it is one.
    let replay = Command::new(env!("CARGO_BIN_EXE_vmtrace")).args(["replay", &path("t.parquet")]).output().unwrap();
    let said = String::from_utf8(replay.stderr).unwrap();
    assert_eq!((replay.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(
        said.contains("t.parquet: is a table that `vmtrace query` wrote, not a capture: name the capture"),
        "{said}"
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = command(&["samples", "SELECT a.seq FROM events a, events b", "-T", "csv"]);
    let mut child = child.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ran = ran(&child.wait_with_output().unwrap());
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
}
