use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::*;

fn entries(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn create(path: &Path, force: bool) -> Result<(Output, File)> {
    Output::create(path, PARTIAL, force)
}

fn refused<T>(result: Result<T>) -> String {
    format!("{:#}", result.err().expect("an error"))
}

#[test]
fn a_capture_appears_whole_and_private() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let (output, mut file) = create(&path, false).unwrap();
    file.write_all(b"x").unwrap();
    assert!(!path.exists());
    assert_eq!(output.present(), Some(output.partial()));
    output.publish().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"x");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(entries(dir.path()), ["t.parquet"]);
    assert_eq!(output.present(), Some(&*path));
}

#[test]
fn nothing_is_overwritten_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    std::fs::write(&path, "old").unwrap();
    assert!(refused(create(&path, false)).contains("exists: choose another -o"));
    assert!(refused(Whole::create(&path, false, 0o600)).contains("exists: choose another -o"));
    let (output, file) = create(&path, true).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"old", "until the new one is whole");
    output.publish().unwrap();
    drop(file);
    assert_eq!(std::fs::read(&path).unwrap(), b"");
    let whole = Whole::create(&path, true, 0o600).unwrap();
    whole.file().write_all(b"new").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"");
    whole.publish().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    assert_eq!(entries(dir.path()), ["t.parquet"]);
}

#[test]
fn a_file_that_appears_meanwhile_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let (output, _file) = create(&path, false).unwrap();
    let whole = Whole::create(&path, false, 0o600).unwrap();
    std::fs::write(&path, "other").unwrap();
    let error = refused(output.publish());
    assert!(error.contains(&format!("stays at {}", output.partial().display())), "{error}");
    assert!(output.partial().exists());
    assert!(whole.publish().is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"other");
    assert_eq!(entries(dir.path()), ["t.parquet", "t.parquet.partial"]);
}

/// Of an unfinished file that was taken away, nothing is said to stay; and another that has its name is let be.
#[test]
fn what_is_not_there_is_not_said_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let (output, _file) = create(&path, false).unwrap();
    std::fs::remove_file(output.partial()).unwrap();
    let error = refused(output.publish());
    assert!(error.contains("was removed or replaced") && !error.contains("stays"), "{error}");
    assert_eq!(output.present(), None);
    std::fs::write(output.partial(), "of another").unwrap();
    assert!(refused(output.publish()).contains("was removed or replaced"));
    output.discard();
    assert_eq!(std::fs::read(output.partial()).unwrap(), b"of another");
    assert!(!path.exists());
}

#[test]
fn a_file_that_is_written_is_not_taken_away_by_force() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let (first, file) = create(&path, true).unwrap();
    let own = format!("{} is being written by process {}", first.partial().display(), std::process::id());
    for force in [false, true] {
        let error = refused(create(&path, force));
        assert!(error.contains(&own) && !error.contains("--force"), "{error}");
    }
    let reader = File::open(first.partial()).unwrap();
    assert_eq!(share(&reader).unwrap_err().pid, Some(std::process::id()));
    first.publish().unwrap();
    // Closing a duplicate descriptor, as threads have, does not release the lock.
    let (second, second_file) = create(&path, true).unwrap();
    drop(second_file.try_clone().unwrap());
    assert!(refused(create(&path, true)).contains("is being written by"));
    drop((file, second_file));
    assert!(refused(create(&path, false)).contains("replace it with --force"), "t.parquet exists");
    std::fs::remove_file(&path).unwrap();
    assert!(refused(create(&path, false)).contains("vmtrace recover"));
    // A file that a reader has locked stays, too.
    assert!(share(&File::open(second.partial()).unwrap()).is_ok());
    let reader = File::open(second.partial()).unwrap();
    share(&reader).unwrap();
    assert!(refused(create(&path, true)).contains("is being read by process"));
    drop(reader);
    create(&path, true).unwrap();
}

/// Many come at the same time: one at a time has the name, and what it wrote is what gets it.
#[test]
fn of_many_at_once_nobody_loses_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let one = |number: u64| {
        let Ok((output, mut file)) = create(&path, true) else { return false };
        file.write_all(&number.to_ne_bytes()).unwrap();
        let own = std::fs::read(output.partial()).unwrap();
        assert_eq!(own, number.to_ne_bytes(), "another's file under our temporary name");
        output.publish().unwrap();
        true
    };
    let all = |thread: u64| (0..50).filter(|n| one(thread << 32 | n)).count();
    let done: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|thread| scope.spawn(move || all(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(done > 0);
    assert_eq!(entries(dir.path()), ["t.parquet"]);
}

#[test]
fn what_is_no_regular_file_is_refused_by_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("target"), "kept").unwrap();
    symlink(at("target"), at("link")).unwrap();
    mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    let link = format!("a symbolic link to {}", at("target").display());
    let paths = [
        (at("link"), link.as_str()),
        (at("fifo"), "a FIFO"),
        (at("socket"), "a socket"),
        (dir.path().to_path_buf(), "a directory"),
        (PathBuf::from("/dev/null"), "a device"),
        (PathBuf::from("-"), "-o -"),
    ];
    let before = entries(dir.path());
    for (path, what) in &paths {
        for error in [
            refused(create(path, false)),
            refused(create(path, true)),
            refused(Whole::create(path, false, 0o600)),
            refused(Whole::create(path, true, 0o600)),
        ] {
            assert!(error.contains(what) && !error.contains("--force"), "{error}");
        }
    }
    // Nor under a temporary name, nor if another file has appeared meanwhile.
    let path = at("t.parquet");
    mkfifo(&at("t.parquet.partial"), Mode::S_IRWXU).unwrap();
    assert!(refused(create(&path, true)).contains("a FIFO"));
    std::fs::remove_file(at("t.parquet.partial")).unwrap();
    let (output, _file) = create(&path, true).unwrap();
    let whole = Whole::create(&path, true, 0o600).unwrap();
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    assert!(refused(output.publish()).contains("a FIFO"));
    assert!(refused(whole.publish()).contains("a FIFO"));
    output.discard();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(entries(dir.path()), before);
    assert_eq!(std::fs::read(at("target")).unwrap(), b"kept");
}

#[test]
fn missing_directories_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("no/t.parquet");
    assert!(refused(create(&missing, false)).contains("does not exist"));
    assert!(refused(Whole::create(&missing, false, 0o600)).contains("does not exist"));
}

/// Where a file must have a name while it is written, it goes with its writer, too.
#[test]
fn what_is_not_whole_does_not_stay() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.csv");
    for force in [false, true] {
        for create in [Whole::create, Whole::create_named] {
            let whole = create(&path, force, 0o600).unwrap();
            whole.file().write_all(b"whole").unwrap();
            assert!(!path.exists());
            whole.publish().unwrap();
            assert_eq!(
                (entries(dir.path()), std::fs::read(&path).unwrap()),
                (vec!["out.csv".to_string()], b"whole".to_vec())
            );
            std::fs::remove_file(&path).unwrap();
            drop(create(&path, force, 0o600).unwrap());
            assert_eq!(entries(dir.path()), [""; 0]);
        }
    }
    let left = Whole::create_named(&path, false, 0o600).unwrap();
    assert_eq!(entries(dir.path()), ["out.csv.writing"]);
    abandon();
    assert_eq!(entries(dir.path()), [""; 0]);
    assert!(left.publish().is_err());
    assert_eq!(entries(dir.path()), [""; 0]);
}
