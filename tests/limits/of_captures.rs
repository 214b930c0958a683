//! Limits of captures and of what belongs to them.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use arrow_array::builder::FixedSizeBinaryBuilder;
use arrow_array::{ArrayRef, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use vmtrace::schema::limits::{
    Limits, MAX_FIXED, MAX_FOOTER, MAX_HOSTS, MAX_JSON, MAX_JSON_VALUES, MAX_RANGES, MAX_ROW_GROUP_ROWS, MAX_SIGNATURE,
};

use super::Room;
use super::captures::{self, Made, make, readv};
use super::footers::{with_content, with_manifest, with_rows};
use super::forged::{many_values, ranges, with_pages};

/// A capture of one row in `room`.
fn one_row(room: &Room) -> std::path::PathBuf {
    let path = room.path("t.parquet");
    captures::write(&path, &captures::manifest(), &[&[readv(1)]]);
    path
}

#[test]
fn a_footer_is_as_large_as_it_may_be() {
    let room = Room::new();
    // Nothing but holes: at the limit it is read, and is no footer then.
    let of = |length: u64| {
        let file = std::fs::File::create(room.path("t.parquet")).unwrap();
        file.set_len(4 + length + 8).unwrap();
        file.write_all_at(b"PAR1", 0).unwrap();
        let tail = [&(length as u32).to_le_bytes()[..], b"PAR1"].concat();
        file.write_all_at(&tail, 4 + length).unwrap();
    };
    of(MAX_FOOTER);
    room.refuses(
        &["info", "t.parquet"],
        "the Parquet footer is damaged: Parquet error: Required field version is missing",
    );
    of(MAX_FOOTER + 1);
    room.refuses(&["info", "t.parquet"], "the Parquet footer is damaged: its length is 268435457");
}

#[test]
fn values_of_fixed_length_are_short() {
    let room = Room::new();
    let path = one_row(&room);
    let capture = vmtrace::schema::reader::Capture::open(&path).unwrap();
    let manifest = capture.manifest_json().to_string();
    for (length, fits) in [(MAX_FIXED, true), (MAX_FIXED + 1, false)] {
        let mut values = FixedSizeBinaryBuilder::new(length);
        values.append_value(vec![7; length as usize]).unwrap();
        let column: ArrayRef = Arc::new(values.finish());
        let rows = RecordBatch::try_from_iter([("later", column)]).unwrap();
        let pairs = vec![
            KeyValue::new("vmtrace.schema_version".into(), "1".to_string()),
            KeyValue::new("vmtrace.manifest".into(), manifest.clone()),
        ];
        let properties = WriterProperties::builder().set_key_value_metadata(Some(pairs)).build();
        let file = std::fs::File::create(room.path("later.parquet")).unwrap();
        let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties)).unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
        match fits {
            true => room.accepts(&["info", "later.parquet"]),
            false => room.refuses(&["info", "later.parquet"], "column later has values of 65 bytes: not a capture"),
        }
    }
}

#[test]
fn a_row_group_has_so_many_rows() {
    let room = Room::new();
    let path = one_row(&room);
    with_rows(&path, MAX_ROW_GROUP_ROWS);
    room.accepts(&["info", "t.parquet"]);
    with_rows(&path, MAX_ROW_GROUP_ROWS + 1);
    room.refuses(&["info", "t.parquet"], "claims 16777217 rows");
}

#[test]
fn a_row_group_has_so_many_bytes() {
    let room = Room::new();
    let path = one_row(&room);
    let row_group = Limits::default().row_group();
    with_content(&path, row_group as i64);
    room.accepts(&["info", "t.parquet"]);
    with_content(&path, row_group as i64 + 1);
    room.refuses(&["info", "t.parquet"], "a content of 1073741825 bytes, where at most 1073741824 are accepted");
    room.accepts(&["info", "t.parquet", "--allow-large", "86M"]);
}

/// A capture of one row, whose lists of ranges are that long.
fn of_ranges(many: u64) -> Made {
    let made = make(&[readv(1)]);
    let leaves = ["local_iov.list.item.base", "local_iov.list.item.len"].map(|leaf| (leaf, ranges(many, 1)));
    with_pages(&made.path, leaves.into());
    made
}

#[test]
fn a_row_has_so_many_ranges() {
    let room = Room::new();
    room.accepts(&["replay", of_ranges(MAX_RANGES).path()]);
    let said = "claims 1025 values in 1 rows of at most 1024 each";
    room.refuses(&["replay", of_ranges(MAX_RANGES + 1).path()], said);
}

#[test]
fn a_value_has_so_many_bytes() {
    let room = Room::new();
    let value = Limits::default().value() as u32;
    let of = |length| {
        let made = make(&[readv(1)]);
        with_pages(&made.path, vec![("payload", many_values(1, length))]);
        made
    };
    room.accepts(&["replay", "-T", "jsonl", of(value).path()]);
    room.refuses(
        &["replay", "-T", "jsonl", of(value + 1).path()],
        "column payload: a value of 1310721 bytes, where at most 1310720",
    );
}

/// The manifest, with something more in it.
fn and(manifest: &str, more: &str) -> String {
    format!("{},{more}}}", manifest.trim_end().strip_suffix('}').unwrap())
}

#[test]
fn a_manifest_has_so_many_bytes() {
    let room = Room::new();
    for (most, fits) in [(MAX_JSON, true), (MAX_JSON + 1, false)] {
        let path = one_row(&room);
        with_manifest(&path, |manifest| {
            let comment = and(&manifest, "\"later\":\"\"");
            let room = most - comment.len();
            and(&manifest, &format!("\"later\":\"{}\"", "x".repeat(room)))
        });
        match fits {
            true => room.accepts(&["info", "t.parquet"]),
            false => room.refuses(&["info", "t.parquet"], "has a vmtrace.manifest larger than any capture's"),
        }
    }
}

#[test]
fn a_manifest_has_so_many_values() {
    let room = Room::new();
    let signs = |json: &str| {
        let mut text = false;
        let mut outside = json.bytes().filter(|byte| {
            text ^= *byte == b'"';
            !text
        });
        outside.by_ref().filter(|byte| b"{[,".contains(byte)).count()
    };
    for (most, fits) in [(MAX_JSON_VALUES, true), (MAX_JSON_VALUES + 1, false)] {
        let path = one_row(&room);
        with_manifest(&path, |manifest| {
            assert!(!manifest.contains('\\'), "no quote is escaped");
            let few = signs(&and(&manifest, "\"later\":[0]"));
            and(&manifest, &format!("\"later\":[0{}]", ",0".repeat(most - few)))
        });
        match fits {
            true => room.accepts(&["info", "t.parquet"]),
            false => room.refuses(&["info", "t.parquet"], "has a vmtrace.manifest larger than any capture's"),
        }
    }
}

#[test]
fn a_manifest_has_so_many_hosts() {
    let room = Room::new();
    for (most, fits) in [(MAX_HOSTS, true), (MAX_HOSTS + 1, false)] {
        let path = one_row(&room);
        with_manifest(&path, |manifest| {
            let mut json: serde_json::Value = serde_json::from_str(&manifest).unwrap();
            json["hosts"] = (0..most).map(|n| serde_json::json!({ "host": format!("h{n}") })).collect();
            json.to_string()
        });
        match fits {
            true => room.accepts(&["info", "t.parquet"]),
            false => {
                room.refuses(&["info", "t.parquet"], "a vmtrace.manifest that cannot be read: more than 1024 hosts")
            }
        }
    }
}

#[test]
fn signatures_and_signers_are_small() {
    let room = Room::new();
    one_row(&room);
    let write = |name: &str, length: u64| std::fs::write(room.path(name), vec![b'#'; length as usize]).unwrap();
    let verify = ["verify", "t.parquet", "--allowed-signers", "signers"];
    let said = "is larger than 65536 bytes";
    write("t.parquet.sig", 10);
    write("signers", MAX_SIGNATURE);
    room.passes(&verify, said);
    write("signers", MAX_SIGNATURE + 1);
    room.refuses(&verify, said);
    write("signers", 10);
    write("t.parquet.sig", MAX_SIGNATURE);
    room.passes(&verify, said);
    write("t.parquet.sig", MAX_SIGNATURE + 1);
    let ran = room.run(&verify);
    // What verify finds stands in its output.
    assert!(matches!(ran.status, Some(1 | 2)) && ran.out.contains(said), "{ran:?}");
}

#[cfg(feature = "record")]
#[test]
fn a_frame_of_a_journal_has_so_many_bytes() {
    use vmtrace::schema::limits::MAX_JOURNAL_FRAME;
    let room = Room::new();
    for (most, fits) in [(MAX_JOURNAL_FRAME, true), (MAX_JOURNAL_FRAME + 1, false)] {
        super::journals::left(room.0.path(), "t", &[(super::journals::COUNTERS, vec![b' '; most])]);
        let ran = room.run(&["recover", "t.partial", "-o", "out.parquet"]);
        let cut = ran.err.contains("has no complete frame after byte");
        assert_eq!(cut, !fits, "{ran:?}");
        let _ = std::fs::remove_file(room.path("out.parquet"));
    }
}
