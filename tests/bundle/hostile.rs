//! Archives of strangers: one sentence and status 2, in little memory, and nothing is written.

use std::os::unix::process::CommandExt;
use std::process::Command;

use super::archive::{Forged, forge};
use super::made::{self, Place};

/// Memory that a reader may have for an archive, which is far less than the archives claim.
const MEMORY: u64 = 300 << 20;

fn capture() -> Vec<u8> {
    std::fs::read(made::root().join("samples/mpi-pair/mpi-pair.parquet")).unwrap()
}

fn good() -> Forged {
    Forged::stored("capture.parquet", &capture())
}

/// Commands that read one.
const COMMANDS: &[&[&str]] = &[
    &["replay", "x.zip"],
    &["info", "x.zip"],
    &["report", "x.zip", "-o", "out"],
    &["slice", "x.zip", "-o", "out", "--since", "0"],
    &["bundle", "x.zip", "-o", "out"],
    // It prints what it finds of what is not a capture.
    &["verify", "x.zip"],
];

/// What every reader says of an archive: one sentence, and no word of its own output.
fn refused(place: &Place, bytes: &[u8]) -> String {
    refused_by(place, bytes, COMMANDS)
}

fn refused_by(place: &Place, bytes: &[u8], commands: &[&[&str]]) -> String {
    std::fs::write(place.path("x.zip"), bytes).unwrap();
    let temporary = place.path("tmp");
    let _ = std::fs::create_dir(&temporary);
    let before = place.names();
    let said = commands.iter().map(|words| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vmtrace"));
        command.args(*words).current_dir(&place.dir).env("TMPDIR", &temporary);
        let limit = libc::rlimit { rlim_cur: MEMORY, rlim_max: MEMORY };
        // SAFETY: setrlimit(2) is safe between fork and exec, and `limit` lives in the closure.
        unsafe {
            command.pre_exec(move || match libc::setrlimit(libc::RLIMIT_AS, &raw const limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert_eq!((output.stdout.as_slice(), said.lines().count()), (&b""[..], 1), "{words:?}: {said}");
        let said = said.trim_start_matches("vmtrace: ").to_string();
        assert!(said.starts_with("x.zip"), "{said}");
        assert!(said.trim_end_matches('\n').chars().all(|c| !c.is_control()), "{said:?}");
        assert_eq!(place.names(), before, "{words:?}");
        assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
        said
    });
    let said: Vec<String> = said.collect();
    assert!(said.iter().all(|one| *one == said[0]), "{said:?}");
    said[0].clone()
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let place = Place::new();
    for name in [
        "../evil.parquet",
        "/tmp/evil.parquet",
        "a/../../evil.parquet",
        "a\\evil.parquet",
        "evil\u{1b}[2J.parquet",
        "",
        "./x",
    ] {
        let said = refused(&place, &forge(&[good(), Forged::stored(name, &capture())]));
        assert!(said.contains("is no name of a file in it"), "{name:?}: {said}");
    }
    let said = refused(&place, &forge(&[Forged { name: vec![0xff], local: vec![0xff], ..good() }]));
    assert!(said.contains("is no name of a file in it"), "{said}");
    let said = refused(&place, &forge(&[Forged::stored(&"x".repeat(300), &capture())]));
    assert!(said.contains("more than 255 bytes") && said.len() < 600, "{said}");
    assert!(!place.dir.path().parent().unwrap().join("evil.parquet").exists());
}

#[test]
fn entries_that_no_bundle_has_are_refused() {
    let place = Place::new();
    let said = refused(&place, &forge(&[good(), good()]));
    assert!(said.contains("two entries of the zip archive are called capture.parquet"), "{said}");
    let said =
        refused(&place, &forge(&[Forged { mode: 0o120_777, ..Forged::stored("capture.parquet", b"/etc/passwd") }]));
    assert!(said.contains("is a link"), "{said}");
    let said = refused(&place, &forge(&[Forged { mode: 0o010_644, ..good() }]));
    assert!(said.contains("is a link, and no file"), "{said}");
    let said = refused(&place, &forge(&[Forged { flags: 1, ..good() }]));
    assert!(said.contains("is encrypted"), "{said}");
    let said = refused(&place, &forge(&[Forged { method: 12, ..good() }]));
    assert!(said.contains("does not know"), "{said}");
    // What others unpack would be something else.
    let said = refused(&place, &forge(&[Forged { local: b"another.parquet".into(), ..good() }]));
    assert!(said.contains("another entry in its own place"), "{said}");
    let said = refused(&place, &forge(&[good(), Forged { at: Some(0), ..good() }, Forged::stored("x", b"")]));
    assert!(said.contains("two entries"), "{said}");
}

#[test]
fn what_is_no_capture_is_named() {
    let place = Place::new();
    let said = refused(&place, &forge(&[]));
    assert!(said.contains("holds no capture"), "{said}");
    let said = refused(&place, &forge(&[Forged::stored("inner.zip", &forge(&[good()]))]));
    assert!(said.contains("unzip it first, since inner.zip is in it"), "{said}");
    let (_, readers) = COMMANDS.split_last().unwrap();
    for (bytes, wanted) in
        [(&b"PAR1 and nothing else"[..], "has no Parquet footer"), (b"", "is empty"), (b"text", "not a Parquet")]
    {
        let archive = forge(&[Forged::stored("a.parquet", bytes)]);
        let said = refused_by(&place, &archive, readers);
        assert!(said.starts_with("x.zip:a.parquet") && said.contains(wanted), "{said}");
        let verify = place.run(&["verify", "x.zip"]);
        assert_eq!(verify.status.code(), Some(2));
        assert!(verify.stdout.starts_with(b"x.zip:a.parquet: CANNOT BE VERIFIED"));
    }
}

#[test]
fn bombs_do_not_go_off() {
    let place = Place::new();
    let zeros = vec![0; 32 << 20];
    let bomb = Forged::deflated("capture.parquet", &zeros);
    let said = refused(&place, &forge(std::slice::from_ref(&bomb)));
    assert!(said.contains("more than 100 times as much"), "{said}");
    // One that does not say how large it is.
    let said = refused(&place, &forge(&[Forged { size: 1_000, ..bomb.clone() }]));
    assert!(said.contains("cannot be unpacked"), "{said}");
    let said = refused(&place, &forge(&[Forged { size: 0, ..bomb.clone() }]));
    assert!(said.contains("cannot be unpacked"), "{said}");
    // And one that says that it is larger than it is.
    let said = refused(&place, &forge(&[Forged { size: 1 << 20, ..Forged::deflated("a.parquet", &zeros[..1 << 19]) }]));
    assert!(said.contains("cannot be unpacked"), "{said}");
    let said = refused(&place, &forge(&[Forged { size: 3 << 30, packed: 3 << 30, ..good() }]));
    assert!(said.contains("damaged") || said.contains("unpacked"), "{said}");
    // Many names for the same bytes.
    let many: Vec<Forged> = (0..900)
        .map(|n| Forged {
            name: format!("{n:03}.parquet").into(),
            local: b"000.parquet".into(),
            at: Some(0),
            ..bomb.clone()
        })
        .map(|entry| Forged { bytes: if entry.name == b"000.parquet" { entry.bytes } else { Vec::new() }, ..entry })
        .collect();
    let said = refused(&place, &forge(&many));
    assert!(said.contains("in its own place"), "{said}");
}

#[test]
fn thousands_of_entries_are_refused() {
    let place = Place::new();
    let many: Vec<Forged> = (0..5_000).map(|n| Forged::stored(&format!("{n}.parquet"), b"")).collect();
    let said = refused(&place, &forge(&many));
    assert!(said.contains("5000 entries, where at most 1000 are accepted"), "{said}");
    let several: Vec<&[&str]> = COMMANDS.iter().copied().filter(|words| words[0] != "report").collect();
    let said = refused_by(&place, &forge(&many[..251]), &several);
    assert!(said.contains("holds 251 captures, and at most 250 are read"), "{said}");
    // More than it says.
    let mut bytes = forge(&many[..900]);
    let end = bytes.len() - 22;
    bytes[end + 8..end + 12].copy_from_slice(&[1, 0, 1, 0]);
    assert!(refused(&place, &bytes).contains("damaged"));
    bytes[end + 8..end + 12].copy_from_slice(&[0xe7, 3, 0xe7, 3]);
    assert!(refused(&place, &bytes).contains("damaged"));
}

#[test]
fn every_cut_of_an_archive_is_refused() {
    let place = Place::new();
    let whole = forge(&[Forged::stored("a.txt", b"abc"), Forged::deflated("capture.parquet", &[7; 500])]);
    for length in (4..whole.len()).step_by(9).chain([whole.len() - 1, whole.len() - 21]) {
        std::fs::write(place.path("x.zip"), &whole[..length]).unwrap();
        let said = place.refused(&["info", "x.zip"]);
        assert!(
            said.starts_with("vmtrace: x.zip: the zip archive is damaged") && said.lines().count() == 1,
            "{length}: {said}"
        );
    }
}

/// Numbers in the directory and in its end, each with values that a reader could go wrong with.
#[test]
fn no_number_of_an_archive_is_trusted() {
    let place = Place::new();
    let whole = forge(&[Forged::stored("a.txt", b"abc"), Forged::deflated("capture.parquet", &[7; 500])]);
    let directory = memchr::memmem::find(&whole, b"PK\x01\x02").unwrap();
    for at in directory..whole.len() {
        for value in [0, 0xff] {
            let mut bytes = whole.clone();
            if bytes[at] == value {
                continue;
            }
            bytes[at] = value;
            std::fs::write(place.path("x.zip"), &bytes).unwrap();
            // The capture in it is none, so that every way ends with an error.
            let output = place.run(&["info", "x.zip"]);
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "byte {at} is {value}: {said}");
            assert!(said.starts_with("vmtrace: x.zip") && said.lines().count() == 1, "byte {at} is {value}: {said}");
        }
    }
}

#[test]
fn numbers_of_64_bits_are_not_trusted_either() {
    let place = Place::new();
    // The sizes stand in the extra field: 2^63 and as much as there is.
    let extra = |numbers: &[u64]| {
        let mut extra = vec![1, 0, (numbers.len() * 8) as u8, 0];
        numbers.iter().for_each(|number| extra.extend(number.to_le_bytes()));
        extra
    };
    let of = |extra: Vec<u8>| Forged { size: u32::MAX, packed: u32::MAX, extra, ..good() };
    for numbers in [
        &[1 << 63, 1 << 63][..],
        &[u64::MAX, u64::MAX],
        &[capture().len() as u64, u64::MAX],
        &[1 << 40, 100],
        &[5],
        &[],
    ] {
        let said = refused(&place, &forge(&[of(extra(numbers))]));
        assert!(
            ["damaged", "unpacked", "times as much"].iter().any(|words| said.contains(words)),
            "{numbers:?}: {said}"
        );
    }
    // Right ones are read.
    let length = capture().len() as u64;
    std::fs::write(place.path("y.zip"), forge(&[of(extra(&[length, length]))])).unwrap();
    place.ok(&["info", "y.zip"]);
    // A directory of 2^60 entries.
    let whole = forge(&[good()]);
    let (rest, end) = whole.split_at(whole.len() - 22);
    let mut bytes = rest.to_vec();
    let at = bytes.len() as u64;
    bytes.extend(b"PK\x06\x06");
    bytes.extend(44u64.to_le_bytes());
    bytes.extend([45, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for number in [1 << 60, 1 << 60, 1 << 40, u64::from(u32::from_le_bytes(end[16..20].try_into().unwrap()))] {
        bytes.extend(u64::to_le_bytes(number));
    }
    bytes.extend(b"PK\x06\x07\0\0\0\0");
    bytes.extend(at.to_le_bytes());
    bytes.extend([1, 0, 0, 0]);
    bytes.extend(b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0");
    let said = refused(&place, &bytes);
    assert!(said.contains("1152921504606846976 entries"), "{said}");
}

#[test]
fn a_capture_that_is_not_what_its_digest_says_is_not_read() {
    let place = Place::new();
    let sums = |sum: &str, name: &str| Forged::stored("SHA256SUMS", format!("{sum}  {name}\n").as_bytes());
    let zeros = "0".repeat(64);
    for entries in [[good(), sums(&zeros, "capture.parquet")], [good(), sums(&zeros, "another.parquet")]] {
        let said = refused(&place, &forge(&entries));
        assert!(said.contains("capture.parquet is not what its SHA256SUMS says"), "{said}");
    }
    let said = refused(&place, &forge(&[good(), sums("abc", "capture.parquet")]));
    assert!(said.contains("SHA256SUMS: line 1 is not a digest and a name"), "{said}");
    // A byte of it is changed: the archive's own checksum says so first.
    let mut bytes = forge(&[good()]);
    bytes[5_000] ^= 1;
    assert!(refused(&place, &bytes).contains("cannot be unpacked"));
}
