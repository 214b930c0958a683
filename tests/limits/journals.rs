//! What a recorder that was killed leaves: an unfinished file, and a journal.

use std::path::Path;

use serde_json::json;
use vmtrace::schema::Manifest;
use vmtrace::schema::writer::CaptureFile;

/// Kinds of frames.
pub const BEGIN: u8 = 1;
pub const LIVING: u8 = 3;
pub const ANSWER: u8 = 4;
pub const CHECKPOINT: u8 = 5;
pub const COUNTERS: u8 = 6;
pub const FINISH: u8 = 8;

const ID: &str = "0123456789abcdef0123456789abcdef";

/// A frame of a journal, as src/record/journal/frame.rs describes it; `number` is its place among all.
fn frame(kind: u8, number: u64, payload: &[u8]) -> Vec<u8> {
    let tag = blake3::derive_key("vmtrace journal", ID.as_bytes());
    let stamp = 0u64.to_le_bytes();
    let head = [b"VMTJ", &[kind, 0, 0, 0][..], &tag[..8], &number.to_le_bytes(), &stamp].concat();
    let head = [head, (payload.len() as u32).to_le_bytes().to_vec()].concat();
    let mut crc = crc32fast::Hasher::new();
    crc.update(&head);
    crc.update(payload);
    [&head, &crc.finalize().to_le_bytes()[..], payload].concat()
}

/// The first frame of a journal, with something more in its manifest.
pub fn begin(more: &serde_json::Value) -> Vec<u8> {
    let wire = std::fs::read(super::root().join("bpf/wire.h")).unwrap();
    let mut manifest = serde_json::to_value(manifest()).unwrap();
    manifest["later"] = more.clone();
    json!({ "wire": blake3::hash(&wire).to_string(), "segment": 1, "manifest": manifest }).to_string().into_bytes()
}

fn manifest() -> Manifest {
    Manifest { capture_id: ID.into(), ..super::captures::manifest() }
}

/// Writes `NAME.partial` and its journal, which holds these frames behind the first.
pub fn left(dir: &Path, name: &str, frames: &[(u8, Vec<u8>)]) {
    left_after(dir, name, &begin(&json!(null)), frames);
}

/// The same with another first frame.
pub fn left_after(dir: &Path, name: &str, begin: &[u8], frames: &[(u8, Vec<u8>)]) {
    let partial = std::fs::File::create(dir.join(format!("{name}.partial"))).unwrap();
    CaptureFile::create(partial, &manifest()).unwrap();
    let mut journal = frame(BEGIN, 0, begin);
    for (number, (kind, payload)) in (0..).zip(frames) {
        journal.extend(frame(*kind, number, payload));
    }
    std::fs::write(dir.join(format!("{name}.journal-000001")), journal).unwrap();
}
