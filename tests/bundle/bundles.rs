//! What is in a bundle, for vmtrace and for others; and what is refused.

use std::process::Command;

use vmtrace::schema::reader::Capture;

use super::archive::{entries, files, unzip};
use super::made::{self, Place};

fn sample(name: &str) -> String {
    made::root().join(format!("samples/{name}/{name}.parquet")).to_str().unwrap().to_string()
}

/// Bundles of every sample.
#[test]
fn others_open_every_part_of_it() {
    let place = Place::new();
    for sample in made::samples() {
        place.ok(&["bundle", sample.to_str().unwrap(), "-o", "b.zip", "--key", "key", "--force"]);
        let all = entries(&place.path("b.zip"));
        let names: Vec<&str> = all.iter().map(|entry| entry.name.as_str()).collect();
        let wanted = ["README.txt", "report.html", "summary.txt", "info.json", "capture.parquet", "SHA256SUMS"];
        assert_eq!(names, wanted, "{}", sample.display());
        for entry in &all {
            assert_eq!(entry.stored, entry.name.ends_with(".parquet"), "{}", entry.name);
            // No user, and one time: 1980-01-01 as a time in the extra field, which is all that is in it.
            assert_eq!((entry.time.as_str(), &entry.extra[..4]), ("1980-1-1-0-0-0", "5554"), "{}", entry.name);
            assert_eq!(entry.extra.len(), 2 * (4 + 5), "{}", entry.extra);
        }
        let directory = place.path("unzipped");
        unzip(&place.path("b.zip"), &directory);
        let sums = Command::new("sha256sum").args(["--strict", "-c", "SHA256SUMS"]).current_dir(&directory).output();
        let sums = sums.unwrap();
        assert!(sums.status.success(), "{}", String::from_utf8_lossy(&sums.stdout));
        assert_eq!(String::from_utf8(sums.stdout).unwrap().lines().count(), 5);
        let [original, redacted] =
            [&sample, &directory.join("capture.parquet")].map(|path| Capture::open(path).unwrap());
        assert_eq!(original.rows(), redacted.rows());
        let by_itself = place.redact(&sample, "redacted.parquet", &["--force"]);
        let digest = |capture: &Capture| capture.manifest().derived_from[0].redaction.clone();
        assert_eq!(digest(&Capture::open(&by_itself).unwrap()), digest(&redacted), "as redact makes it");
        std::fs::remove_dir_all(directory).unwrap();
    }
}

#[test]
fn what_stands_beside_a_capture_is_what_commands_print_of_it() {
    let place = Place::new();
    place.ok(&["bundle", &sample("mem-editor"), "-o", "b.zip"]);
    unzip(&place.path("b.zip"), place.dir.path());
    let read = |name: &str| std::fs::read_to_string(place.path(name)).unwrap();
    assert_eq!(read("summary.txt"), place.ok(&["summary", "capture.parquet"]));
    let info: serde_json::Value = serde_json::from_str(&read("info.json")).unwrap();
    let printed: serde_json::Value =
        serde_json::from_str(&place.ok(&["info", "-T", "json", "capture.parquet"])).unwrap();
    assert_eq!(info, serde_json::Value::Array(vec![printed]));
    place.ok(&["report", "capture.parquet", "-o", "again.html"]);
    assert_eq!(read("report.html"), read("again.html"));
    let readme = read("README.txt");
    let root = Capture::open(&place.path("capture.parquet")).unwrap().root().unwrap().to_string();
    let version = env!("CARGO_PKG_VERSION");
    for wanted in [
        "unzip BUNDLE.zip",
        "vmtrace replay BUNDLE.zip",
        "pandas",
        "duckdb",
        "Redacted at the level share",
        &root,
        version,
    ] {
        assert!(readme.contains(wanted), "{wanted}: {readme}");
    }
    let title = "What was left out to keep this archive small";
    assert!(readme.split_once(title).unwrap().1.contains("\nNothing.\n"), "{readme}");
    assert!(readme.chars().all(|c| c == '\n' || !c.is_control()), "{readme:?}");
}

#[test]
fn the_same_captures_and_key_make_the_same_bytes() {
    let place = Place::new();
    let (pipe, debugger) = (sample("pipe-relay"), sample("debugger"));
    let bundle = |out: &str, key: &[&str]| {
        let words = [&["bundle", &pipe, &debugger, "-o", out], key].concat();
        place.ok(&words);
        std::fs::read(place.path(out)).unwrap()
    };
    let one = bundle("1.zip", &["--key", "key"]);
    std::fs::create_dir(place.path("elsewhere")).unwrap();
    let copy = place.path("elsewhere/of-another-name.parquet");
    std::fs::copy(&pipe, &copy).unwrap();
    place.ok(&["bundle", copy.to_str().unwrap(), &debugger, "-o", "2.zip", "--key", "key"]);
    assert!(one == std::fs::read(place.path("2.zip")).unwrap(), "names of files are not in it");
    assert!(one != bundle("3.zip", &[]), "another secret");
}

#[test]
fn captures_are_redacted_unless_it_is_asked_and_confirmed() {
    let place = Place::new();
    let of = sample("runner-secrets");
    let level = |out: &str| {
        unzip(&place.path(out), &place.path("unzipped"));
        let capture = Capture::open(&place.path("unzipped/capture.parquet")).unwrap();
        let steps = &capture.manifest().derived_from;
        (
            steps.first().and_then(|step| step.redaction.clone()).map(|redaction| redaction.level),
            capture.payload_bytes(),
        )
    };
    for wanted in ["payload", "share", "metadata"] {
        place.ok(&["bundle", &of, "-o", "b.zip", "--level", wanted, "--force"]);
        let (found, bytes) = level("b.zip");
        assert_eq!((found.as_deref(), bytes), (Some(wanted), None));
    }
    let said = place.refused(&["bundle", &of, "-o", "all.zip", "--as-is"]);
    assert!(said.contains("give --yes") && said.lines().count() == 1, "{said}");
    assert!(!place.path("all.zip").exists());
    place.ok(&["bundle", &of, "-o", "all.zip", "--as-is", "--yes"]);
    assert!(level("all.zip").1 > Some(0));
    let unzipped = std::fs::read(place.path("unzipped/capture.parquet")).unwrap();
    assert!(unzipped == std::fs::read(&of).unwrap(), "as it was");
    let readme = String::from_utf8(files(&place.path("all.zip"))["README.txt"].clone()).unwrap();
    assert!(readme.contains("capture.parquet: NOTHING."), "{readme}");
}

#[test]
fn what_cannot_be_bundled_is_refused_and_nothing_is_written() {
    let place = Place::new();
    std::fs::copy(sample("mpi-pair"), place.path("t.parquet")).unwrap();
    std::fs::write(place.path("exists.zip"), "mine").unwrap();
    place.ok(&["redact", "t.parquet", "-o", "least.parquet", "--level", "metadata"]);
    let before = place.names();
    let said = |words: &[&str]| {
        let said = place.refused(&[&["bundle"], words].concat());
        assert_eq!(place.names(), before, "{words:?}");
        assert_eq!(std::fs::read(place.path("exists.zip")).unwrap(), b"mine");
        said
    };
    let one_line = |said: String| {
        assert_eq!(said.lines().count(), 1, "{said}");
        said
    };
    assert!(one_line(said(&["none.parquet", "-o", "x.zip"])).contains("none.parquet"));
    assert!(one_line(said(&["t.parquet", "-o", "exists.zip"])).contains("exists"));
    assert!(one_line(said(&["t.parquet", "-o", "t.parquet", "--force"])).contains("files that are read"));
    assert!(one_line(said(&["exists.zip", "-o", "x.zip"])).contains("not a Parquet file"));
    assert!(one_line(said(&["least.parquet", "-o", "x.zip"])).contains("give --level metadata"));
    assert!(one_line(said(&["t.parquet", "-o", "x.zip", "--key", "none"])).contains("cannot open none"));
    assert!(one_line(said(&["t.parquet", "-o", "x.zip", "--max-size", "3G"])).contains("at most 2048M"));
    assert!(one_line(said(&["t.parquet", "-o", "x.zip", "--max-size", "1K"])).contains("give more"));
    assert!(one_line(said(&["t.parquet", "-o", "none/x.zip"])).contains("does not exist"));
    assert!(one_line(said(&["t.parquet", "-o", "x.zip", "--yes"])).contains("--as-is"));
    assert!(one_line(said(&["t.parquet", "-o", "x.zip", "--as-is", "--level", "share"])).contains("--level"));
    assert!(
        one_line(said(&["t.parquet", "-o", "x.zip", "--level", "all"]))
            .contains("give one of payload, share, metadata")
    );
    assert!(one_line(said(&["t.parquet", "-o", "x.zip", "--max-size", "much"])).contains("is not a size: write 512M"));
    assert!(one_line(said(&["t.parquet"])).contains("--output"));
    assert!(one_line(said(&["-o", "x.zip"])).contains("FILE"));
}

/// Runs `vmtrace bundle --as-is` on a terminal and answers its question. Returns the status, and what was on the screen.
fn answered(place: &Place, answer: &str) -> (Option<i32>, String) {
    use std::io::{Read, Write};
    use std::os::fd::{FromRawFd, OwnedFd};
    let (mut outer, mut inner) = (-1, -1);
    let none = std::ptr::null_mut();
    // SAFETY: both descriptors are written to locals; name, settings and size are left to the system.
    let status = unsafe { libc::openpty(&mut outer, &mut inner, none, none.cast(), none.cast()) };
    assert_eq!(status, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: openpty(3) made them, and nobody else owns them.
    let (outer, inner) = unsafe { (OwnedFd::from_raw_fd(outer), OwnedFd::from_raw_fd(inner)) };
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmtrace"));
    command.args(["bundle", &sample("mpi-pair"), "-o", "asked.zip", "--as-is"]).current_dir(&place.dir);
    command.stdin(inner.try_clone().unwrap()).stderr(inner);
    let mut child = command.spawn().unwrap();
    // It has the other end alone now.
    drop(command);
    let mut screen = std::fs::File::from(outer);
    screen.write_all(format!("{answer}\n").as_bytes()).unwrap();
    let mut text = Vec::new();
    let mut part = [0; 1024];
    // The terminal is gone when the child is: EIO.
    while let Ok(read @ 1..) = screen.read(&mut part) {
        text.extend(&part[..read]);
    }
    (child.wait().unwrap().code(), String::from_utf8(text).unwrap())
}

#[test]
fn on_a_terminal_it_asks_before_captures_go_in_as_they_are() {
    let place = Place::new();
    for answer in ["", "n", "no", "what?"] {
        let (status, screen) = answered(&place, answer);
        assert_eq!(status, Some(2), "{screen}");
        assert!(screen.contains("Go on? [y/N]") && screen.contains("nothing was written"), "{screen}");
        assert!(!place.path("asked.zip").exists());
    }
    let (status, screen) = answered(&place, "y");
    assert_eq!(status, Some(0), "{screen}");
    assert!(screen.contains("AS RECORDED"), "{screen}");
    assert!(place.path("asked.zip").exists());
}

/// However an input is named, no output takes its place: as itself, as standard input, as an archive with one capture named, as a key.
#[test]
fn no_output_takes_the_place_of_an_input() {
    let place = Place::new();
    let inputs = [&sample("mem-editor"), &sample("pipe-relay")];
    place.ok(&["bundle", inputs[0], inputs[1], "-o", "m.zip", "--as-is", "--yes"]);
    let read = |name: &str| std::fs::read(place.path(name)).unwrap();
    let (before, names) = (read("m.zip"), place.names());
    let one = "m.zip:capture-1.parquet";
    for words in [
        &["redact", one, "-o", "m.zip", "--force"][..],
        &["slice", one, "-o", "m.zip", "--force"],
        &["merge", one, "-o", "m.zip", "--force"],
        &["report", one, "-o", "m.zip", "--force"],
        &["report", "./m.zip", "-o", "m.zip", "--force"],
        &["export", "-T", "csv", one, "-o", "m.zip", "--force"],
        &["flows", "-T", "parquet", "m.zip", "-o", "m.zip", "--force"],
        &["bundle", one, "-o", "m.zip", "--force"],
        &["redact", inputs[0], "-o", "key", "--key", "key", "--force"],
        &["bundle", inputs[0], "-o", "key", "--key", "key", "--force"],
    ] {
        let said = place.refused(words);
        assert!(said.contains("choose another") && said.lines().count() == 1, "{words:?}: {said}");
        assert_eq!((&read("m.zip"), place.names()), (&before, names.clone()), "{words:?}");
    }
    assert!(read("key").starts_with(b"a key for tests"));
    let ran = Command::new(env!("CARGO_BIN_EXE_vmtrace"))
        .args(["bundle", "-", "-o", "m.zip", "--force"])
        .stdin(std::fs::File::open(place.path("m.zip")).unwrap())
        .current_dir(&place.dir)
        .output()
        .unwrap();
    assert_eq!(
        (ran.status.code(), read("m.zip") == before),
        (Some(2), true),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
}
