//! Nothing of an original is in a bundle, but what its rule keeps: not in the capture, not in what stands beside it, and not in
//! the names and numbers of the archive.

use std::io::Read;
use std::path::Path;

use base64::Engine;
use vmtrace::schema::reader::Capture;

use super::archive::{entries, files, unzip};
use super::made::{self, Place};
use super::originals::{Originals, WINDOW, holds, leaks, strings, text_leaks, with_all_kinds};

/// What the file and its directory are called.
const DIRECTORY: &str = "acme-incident-4711";
const FILE: &str = "josephines-wallet";

/// The streams of a page, unpacked.
fn streams(page: &str) -> Vec<Vec<u8>> {
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    for element in page.split("<script type=\"application/octet-stream\" data-stream=\"").skip(1) {
        let (name, rest) = element.split_once('"').unwrap();
        let (_, rest) = rest.split_once('>').unwrap();
        let (text, _) = rest.split_once('<').unwrap();
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
        match all.last_mut().filter(|(of, _)| of == name) {
            Some((_, whole)) => whole.extend(bytes),
            None => all.push((name.to_string(), bytes)),
        }
    }
    let unpack = |bytes: &[u8]| {
        let mut out = Vec::new();
        flate2::read::GzDecoder::new(bytes).read_to_end(&mut out).unwrap();
        out
    };
    all.iter().map(|(_, bytes)| unpack(bytes)).collect()
}

/// The texts in a stream of JSON, each on a line; other streams as they are. Keys are words of vmtrace.
fn values(stream: Vec<u8>) -> Vec<u8> {
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(&stream) else { return stream };
    let mut lines = String::new();
    strings(&json, &mut |text| lines.extend([text, "\n"]));
    lines.into_bytes()
}

/// What is looked at of a file that stands beside the captures: its bytes, and what is packed in it.
fn parts(name: &str, bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = vec![bytes.to_vec()];
    if name.ends_with(".html") {
        let streams = streams(std::str::from_utf8(bytes).unwrap());
        assert!(streams.len() >= 2, "{name}");
        parts.extend(streams.into_iter().map(values));
    }
    parts
}

/// The same of a bundle of no event: words of vmtrace itself.
fn of_every_bundle(place: &Place) -> Vec<Vec<u8>> {
    let path = place.path("empty.parquet");
    let argv = ["vmtrace", "record", "redact", "share", "metadata"].map(str::to_string).into();
    let manifest = vmtrace::schema::Manifest { argv, ..Default::default() };
    made::write(&path, &manifest, |builder| builder.push(&vmtrace::schema::Event::default()));
    place.ok(&["bundle", "empty.parquet", "-o", "empty.zip", "--key", "key", "--force"]);
    files(&place.path("empty.zip")).iter().flat_map(|(name, bytes)| parts(name, bytes)).collect()
}

/// What of `originals` stands in files beside the captures.
fn beside(path: &Path, originals: &Originals, every: &[Vec<u8>]) -> Vec<String> {
    let is_rare = |needle: &[u8]| !every.iter().any(|bytes| holds(bytes, needle));
    let mut found = Vec::new();
    for (name, bytes) in files(path).into_iter().filter(|(name, _)| !name.ends_with(".parquet")) {
        if name.ends_with(".json") {
            let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            strings(&json, &mut |text| {
                found.extend(text_leaks(text, originals).map(|what| format!("{name}: {what}")));
            });
        }
        for part in parts(&name, &bytes) {
            let mut needles: Vec<Vec<u8>> = originals.texts.iter().map(|text| text.clone().into_bytes()).collect();
            let addresses = originals.addresses.iter().filter(|address| **address >= 1 << 32);
            needles
                .extend(addresses.flat_map(|address| [address.to_le_bytes().to_vec(), format!("{address:x}").into()]));
            let leaked = needles.into_iter().filter(|needle| holds(&part, needle) && is_rare(needle));
            found.extend(leaked.map(|needle| format!("{name}: {}", String::from_utf8_lossy(&needle))));
            let windows = part.windows(WINDOW).map(|window| <[u8; WINDOW]>::try_from(window).unwrap());
            let leaked = windows.filter(|window| originals.windows.contains(window)).find(|window| is_rare(window));
            found.extend(leaked.map(|window| format!("{name}: bytes of a payload: {window:?}")));
        }
    }
    found
}

#[test]
fn nothing_of_a_sample_is_in_its_bundle() {
    let place = Place::new();
    let every = of_every_bundle(&place);
    std::fs::create_dir(place.path(DIRECTORY)).unwrap();
    let original = place.path(DIRECTORY).join(format!("{FILE}.parquet"));
    let mut looked_for = 0;
    for sample in made::samples().into_iter().chain([with_all_kinds(&place)]) {
        std::fs::copy(&sample, &original).unwrap();
        let originals = Originals::of(&sample);
        looked_for += originals.texts.len() + originals.addresses.len() + originals.windows.len();
        for level in ["share", "metadata"] {
            let words =
                ["bundle", original.to_str().unwrap(), "-o", "b.zip", "--key", "key", "--level", level, "--force"];
            place.ok(&words);
            let found = beside(&place.path("b.zip"), &originals, &every);
            assert!(found.is_empty(), "{} at the level {level}: {found:#?}", sample.display());
            check_names(&place);
            // What redaction leaves at each level is tested with `redact`.
            if level != "share" {
                continue;
            }
            unzip(&place.path("b.zip"), &place.path("unzipped"));
            let found = leaks(&place.path("unzipped/capture.parquet"), &originals);
            assert!(found.is_empty(), "{} at the level {level}: {found:#?}", sample.display());
        }
    }
    assert!(looked_for > 1_000, "only {looked_for} values were looked for");
}

/// What the original was called, where it was, and where the bundle was made.
fn check_names(place: &Place) {
    let own = place.dir.path().to_str().unwrap();
    let size = place.path(DIRECTORY).join(format!("{FILE}.parquet")).metadata().unwrap().len();
    let raw = std::fs::read(place.path("b.zip")).unwrap();
    let all: Vec<Vec<u8>> = entries(&place.path("b.zip")).iter().flat_map(|of| parts(&of.name, &of.bytes)).collect();
    for needle in [DIRECTORY, FILE, own, &format!("{size} B"), "wallet"] {
        let is_there = all.iter().chain([&raw]).any(|bytes| holds(bytes, needle.as_bytes()));
        assert!(!is_there, "{needle} is in the bundle");
    }
}

/// At every level, names and places of files stay out, and so does how much was captured where bytes are removed.
#[test]
fn names_of_files_stay_out_at_every_level() {
    let place = Place::new();
    std::fs::create_dir(place.path(DIRECTORY)).unwrap();
    let sample = made::root().join("samples/pipe-relay/pipe-relay.parquet");
    let original = place.path(DIRECTORY).join(format!("{FILE}.parquet"));
    std::fs::copy(&sample, &original).unwrap();
    let of = original.to_str().unwrap();
    for level in ["payload", "share", "metadata"] {
        place.ok(&["bundle", of, "-o", "b.zip", "--level", level, "--force"]);
        check_names(&place);
    }
    place.ok(&["bundle", of, "-o", "b.zip", "--as-is", "--yes", "--force"]);
    check_names(&place);
    // A slice, whose command line has been the user's in the manifest, is redacted as well.
    place.ok(&["slice", of, "--where", "seq > 3", "-o", &format!("{DIRECTORY}/cut.parquet")]);
    place.ok(&["bundle", &format!("{DIRECTORY}/cut.parquet"), "-o", "b.zip", "--force"]);
    check_names(&place);
}

/// The search finds what is there: in the summary, in JSON, and in what a page packs.
#[test]
fn a_leak_is_found_wherever_it_is() {
    let place = Place::new();
    let sample = made::root().join("samples/runner-secrets/runner-secrets.parquet");
    let every = of_every_bundle(&place);
    let originals = Originals::of(&sample);
    place.ok(&["bundle", sample.to_str().unwrap(), "-o", "b.zip", "--as-is", "--yes"]);
    let found = beside(&place.path("b.zip"), &originals, &every);
    for file in ["summary.txt: ", "info.json: ", "report.html: ", "report.html: bytes of a payload"] {
        assert!(found.iter().any(|what| what.starts_with(file)), "{file}: {found:#?}");
    }
    assert!(Capture::open(&sample).unwrap().rows() > 0);
}
