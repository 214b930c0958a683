//! `vmtrace bundle --check`: what a maintainer sees of a bundle.

use std::path::Path;

use super::archive::{Forged, files, forge};
use super::made::{self, Place};

fn bundle(place: &Place, name: &str) {
    let sample = made::root().join(format!("samples/{name}/{name}.parquet"));
    place.ok(&["bundle", sample.to_str().unwrap(), "-o", "b.zip", "--force"]);
}

/// Status and lines.
fn checked(place: &Place, file: &str) -> (i32, Vec<String>) {
    let output = place.run(&["bundle", "--check", file]);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), text.lines().map(str::to_string).collect())
}

/// The bundle again, with one of its files changed.
fn changed(place: &Place, change: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>) {
    let all = files(&place.path("b.zip"));
    let entries = all.into_iter().filter_map(|(name, bytes)| Some(Forged::stored(&name, &change(&name, bytes)?)));
    std::fs::write(place.path("c.zip"), forge(&entries.collect::<Vec<_>>())).unwrap();
}

#[test]
fn a_bundle_is_intact_and_says_what_it_is() {
    let place = Place::new();
    bundle(&place, "mem-editor");
    let (status, lines) = checked(&place, "b.zip");
    assert_eq!(status, 0, "{lines:?}");
    let [digests, capture] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(digests, "b.zip: 5 files with the right digests");
    let root = |path: &Path| vmtrace::schema::reader::Capture::open(path).unwrap().root().unwrap().to_string();
    super::archive::unzip(&place.path("b.zip"), place.dir.path());
    let root = root(&place.path("capture.parquet"));
    let begin = "b.zip:capture.parquet: intact · redacted at the level share · ";
    assert!(capture.starts_with(begin), "{capture}");
    for wanted in [&format!("root digest {root}"), "recorded by vmtrace 0.1.0", "made by vmtrace"] {
        assert!(capture.contains(wanted), "{wanted}: {capture}");
    }
}

#[test]
fn what_was_changed_is_named() {
    let place = Place::new();
    bundle(&place, "mpi-pair");
    changed(&place, |name, mut bytes| {
        if name == "report.html" {
            bytes.push(b' ');
        }
        Some(bytes)
    });
    let (status, lines) = checked(&place, "c.zip");
    assert_eq!((status, lines[0].as_str()), (1, "c.zip: ALTERED: report.html is not what SHA256SUMS says"));
    assert!(lines[1].contains(": intact · "), "{lines:?}");
    changed(&place, |name, bytes| (name != "summary.txt").then_some(bytes));
    let (status, lines) = checked(&place, "c.zip");
    assert_eq!((status, lines[0].as_str()), (1, "c.zip: ALTERED: summary.txt is missing"));
    // The capture: it is altered, and not what its digest says.
    changed(&place, |name, mut bytes| {
        if name == "capture.parquet" {
            bytes[200] ^= 1;
        }
        Some(bytes)
    });
    let (status, lines) = checked(&place, "c.zip");
    assert_eq!((status, lines[0].as_str()), (1, "c.zip: ALTERED: capture.parquet is not what SHA256SUMS says"));
    assert!(lines[1].starts_with("c.zip:capture.parquet: ALTERED"), "{lines:?}");
    // One that is not in the list.
    let mut all: Vec<Forged> = files(&place.path("b.zip")).iter().map(|(name, of)| Forged::stored(name, of)).collect();
    all.push(Forged::stored("more.txt", b"x"));
    std::fs::write(place.path("c.zip"), forge(&all)).unwrap();
    let (status, lines) = checked(&place, "c.zip");
    assert_eq!((status, lines[0].as_str()), (1, "c.zip: ALTERED: more.txt is not what SHA256SUMS says"));
}

#[test]
fn what_cannot_be_compared_is_no_success() {
    let place = Place::new();
    bundle(&place, "mpi-pair");
    changed(&place, |name, bytes| (name != "SHA256SUMS").then_some(bytes));
    let (status, lines) = checked(&place, "c.zip");
    assert_eq!((status, lines[0].as_str()), (2, "c.zip: CANNOT BE VERIFIED: it has no SHA256SUMS"));
    std::fs::write(place.path("c.zip"), forge(&[Forged::stored("SHA256SUMS", b"")])).unwrap();
    let (status, lines) = checked(&place, "c.zip");
    assert_eq!((status, lines[1].as_str()), (2, "c.zip: NO CAPTURE is in it"));
    let sample = made::root().join("samples/mpi-pair/mpi-pair.parquet");
    let said = place.refused(&["bundle", "--check", sample.to_str().unwrap()]);
    assert!(said.contains("is no zip archive") && said.lines().count() == 1, "{said}");
    assert!(place.refused(&["bundle", "--check", "none.zip"]).contains("no such file"));
    assert!(place.refused(&["bundle", "--check", "c.zip", "-o", "x"]).contains("cannot be used with"));
}

#[test]
fn captured_bytes_as_they_are_are_said() {
    let place = Place::new();
    let sample = made::root().join("samples/runner-secrets/runner-secrets.parquet");
    place.ok(&["bundle", sample.to_str().unwrap(), "-o", "b.zip", "--as-is", "--yes"]);
    let (status, lines) = checked(&place, "b.zip");
    assert_eq!(status, 0);
    assert!(lines[1].contains(": intact · NOT REDACTED · "), "{lines:?}");
}

/// Who unpacks a stream finds files that the directory does not list: between others, before the directory, behind the end.
#[test]
fn bytes_that_no_list_has_are_said() {
    let place = Place::new();
    bundle(&place, "mpi-pair");
    let hidden = Forged::stored("hidden.txt", b"x");
    let local = 30 + hidden.name.len() + hidden.bytes.len();
    let hidden = forge(&[hidden])[..local].to_vec();
    let all: Vec<Forged> = files(&place.path("b.zip")).iter().map(|(name, of)| Forged::stored(name, of)).collect();
    for behind in [0, all.len() - 1] {
        let mut forged = all.clone();
        forged[behind].bytes.extend(&hidden);
        std::fs::write(place.path("c.zip"), forge(&forged)).unwrap();
        let (status, lines) = checked(&place, "c.zip");
        let wanted = format!("c.zip: ALTERED: {local} bytes are in no file that it lists");
        assert_eq!((status, &lines[0]), (1, &wanted), "behind entry {behind}");
    }
    let mut bytes = forge(&all);
    std::fs::write(place.path("c.zip"), &bytes).unwrap();
    assert_eq!(checked(&place, "c.zip").0, 0);
    bytes.extend(&hidden);
    std::fs::write(place.path("c.zip"), &bytes).unwrap();
    assert_eq!(checked(&place, "c.zip").0, 1);
}
