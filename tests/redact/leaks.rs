//! No original value stands in a redacted capture, unless its rule keeps it: not in a column, not in the manifest, and not in
//! the bytes of the file. Whoever looks for leaks must find one: each rule is switched off once, by putting its column back.

use std::path::Path;

use vmtrace::schema::reader::{Capture, Scan};
use vmtrace::schema::types::{Iovec, Iovecs};
use vmtrace::schema::{Event, EventBatch, Manifest};

use super::made::{self, Place};
use super::originals::{Originals, WINDOW, bytes_of, holds, leaks, of_every_capture, raw_leaks, with_all_kinds};

/// Looks for everything of a capture in what is made of it at each level. Returns how many values it looked for.
pub fn check(place: &Place, capture: &Path) -> usize {
    let originals = Originals::of(capture);
    let looked_for = originals.texts.len() + originals.addresses.len() + originals.windows.len();
    for level in ["share", "metadata"] {
        let out = place.redact(capture, "out.parquet", &["--level", level, "--force"]);
        let leaked = leaks(&out, &originals);
        assert!(leaked.is_empty(), "{} at the level {level}: {leaked:#?}", capture.display());
        assert!(bytes_of(&out).len() > 3, "a capture has packed parts");
    }
    // At the level payload only captured bytes are looked for, but for those that other columns have, too: addresses.
    let kept = place.path("kept.parquet");
    made::write(&kept, Capture::open(capture).unwrap().manifest(), |builder| {
        made::each(capture, |event| builder.push(&Event { payload: None, ..*event }));
    });
    let mut bytes = Originals { windows: originals.windows, ..Originals::default() };
    for elsewhere in bytes_of(&kept) {
        elsewhere.windows(WINDOW).for_each(|window| {
            bytes.windows.remove(window);
        });
    }
    let out = place.redact(capture, "out.parquet", &["--level", "payload", "--force"]);
    let leaked = leaks(&out, &bytes);
    assert!(leaked.is_empty(), "{} at the level payload: {leaked:#?}", capture.display());
    looked_for
}

#[test]
fn nothing_of_a_sample_is_in_what_is_made_of_it() {
    let place = Place::new();
    let samples = made::samples().into_iter().chain([with_all_kinds(&place)]);
    let looked_for: usize = samples.map(|sample| check(&place, &sample)).sum();
    assert!(looked_for > 1_000, "only {looked_for} values were looked for");
}

/// The events of two captures with the same rows.
fn pairs(one: &Path, other: &Path, mut take: impl for<'a> FnMut(&Event<'a>, &Event<'a>)) {
    let batches = |path: &Path| -> Vec<EventBatch> {
        Capture::open(path).unwrap().scan(&Scan::default()).unwrap().map(Result::unwrap).collect()
    };
    let (one, other) = (batches(one), batches(other));
    let rows = |batches: &[EventBatch]| batches.iter().map(EventBatch::len).sum::<usize>();
    assert_eq!(rows(&one), rows(&other));
    let (one, other) = (one.iter().flat_map(EventBatch::iter), other.iter().flat_map(EventBatch::iter));
    one.zip(other).for_each(|(one, other)| take(&one, &other));
}

/// What happens where a rule is switched off: the column of the original, put into the redacted capture.
macro_rules! put_back {
    ($($column:ident in $sample:literal;)+) => {
        &[$((stringify!($column), $sample, |original, redacted, take| {
            take(&Event { $column: original.$column, ..*redacted });
            original.$column != redacted.$column
        })),+]
    };
}

/// Whether the two differ there.
type PutBack = for<'a> fn(&Event<'a>, &Event<'a>, &mut dyn FnMut(&Event<'_>)) -> bool;

#[test]
fn each_rule_that_is_switched_off_is_found() {
    let columns: &[(&str, &str, PutBack)] = put_back! {
        pid in "mem-editor";
        tid in "mem-editor";
        comm in "mem-editor";
        target_pid in "mem-editor";
        target_comm in "mem-editor";
        process_key in "mem-editor";
        target_key in "mem-editor";
        parent_key in "mem-editor";
        parent_pid in "mem-editor";
        fd_in_path in "mem-editor";
        local_iov in "mem-editor";
        remote_iov in "mem-editor";
        payload in "mem-editor";
        argv in "mem-editor";
        exe in "caller32";
        fd_out_path in "pipe-relay";
        pipe_in in "pipe-relay";
        pipe_out in "pipe-relay";
        target_pid_arg in "failing-caller";
        data in "debugger";
        cgroup in "made";
        container in "made";
        target_exe in "made";
        target_cgroup in "made";
        target_container in "made";
        uid in "made";
        fd_in_local_addr in "made";
        fd_in_peer_addr in "made";
        fd_out_local_addr in "made";
        fd_out_peer_addr in "made";
    };
    let place = Place::new();
    let mut absent = Vec::new();
    for (column, sample, put_back) in columns {
        let sample = match *sample {
            "made" => with_all_kinds(&place),
            sample => made::root().join(format!("samples/{sample}/{sample}.parquet")),
        };
        let originals = Originals::of(&sample);
        let redacted = place.redact(&sample, "redacted.parquet", &["--force"]);
        let spoiled = place.path("spoiled.parquet");
        let manifest = Capture::open(&redacted).unwrap().manifest().clone();
        let mut differs = false;
        made::write(&spoiled, &manifest, |builder| {
            pairs(&sample, &redacted, |original, redacted| {
                differs |= put_back(original, redacted, &mut |event| builder.push(event));
            });
        });
        if !differs {
            absent.push(*column);
            continue;
        }
        let leaked = leaks(&spoiled, &originals);
        assert!(leaked.iter().any(|what| what.contains(column)), "{column}: {leaked:?}");
    }
    assert!(absent.is_empty(), "these samples have no such values: {absent:?}");
}

#[test]
fn a_leak_in_the_manifest_or_the_bytes_is_found() {
    let place = Place::new();
    let sample = made::root().join("samples/mem-editor/mem-editor.parquet");
    let mut originals = Originals::of(&sample);
    originals.texts.insert("h0st.example".into());
    let redacted = place.redact(&sample, "redacted.parquet", &[]);
    let mut manifest = Capture::open(&redacted).unwrap().manifest().clone();
    assert!(leaks(&redacted, &originals).is_empty());
    manifest.gaps.push("seen on h0st.example".into());
    manifest.filters.pids.push(16_547);
    let spoiled = place.path("spoiled.parquet");
    made::write(&spoiled, &manifest, |_| {});
    let leaked = leaks(&spoiled, &originals);
    assert!(leaked.iter().any(|what| what.starts_with("manifest")), "{leaked:?}");
    assert!(leaked.iter().any(|what| what == "bytes: h0st.example"), "{leaked:?}");
    assert!(leaked.iter().any(|what| what == "manifest: 16547"), "{leaked:?}");
    // Bytes that no reader looks at.
    let window = originals.windows.iter().find(|window| !of_every_capture().iter().any(|b| holds(b, *window))).unwrap();
    let mut bytes = std::fs::read(&redacted).unwrap();
    bytes.splice(4..4, window.iter().copied());
    let hidden = place.path("hidden.parquet");
    std::fs::write(&hidden, bytes).unwrap();
    assert_eq!(raw_leaks(&hidden, &originals), [format!("bytes of a payload: {window:?}")]);
    let range = Iovec { base: *originals.addresses.iter().find(|address| **address >= 1 << 32).unwrap(), len: 1 };
    let with_address = place.path("address.parquet");
    made::write(&with_address, &Manifest::default(), |builder| {
        builder.push(&Event { local_iov: Some(Iovecs::Pairs(&[range])), ..Event::default() });
    });
    assert!(raw_leaks(&with_address, &originals).iter().any(|what| what.starts_with("bytes: 0x")));
}
