//! Limits of zip archives.

use vmtrace::schema::limits::{
    MAX_CAPTURES, MAX_ENTRIES, MAX_ENTRY_NAME, MAX_RATIO, MAX_SUMS, MAX_UNPACKED, SMALL_ENTRY,
};

use super::Room;
use super::archive::{Forged, forge};
use super::captures::{make, readv};

fn capture() -> Vec<u8> {
    std::fs::read(make(&[readv(1)]).path).unwrap()
}

/// An entry of `size` bytes, as it says, that are packed in `packed`, and cannot be unpacked.
fn claiming(name: &str, size: u64, packed: u64) -> Forged {
    // A block that is not packed, and whose length contradicts itself.
    Forged { method: 8, size: u32::try_from(size).unwrap(), ..Forged::stored(name, &vec![0; packed as usize]) }
}

/// Room with `x.zip` of these entries.
fn put(room: &Room, entries: &[Forged]) {
    std::fs::write(room.path("x.zip"), forge(entries)).unwrap();
}

#[test]
fn an_archive_has_so_many_entries() {
    let room = Room::new();
    let of = |many: u64| {
        let others = (1..many).map(|n| Forged::stored(&format!("{n}.txt"), b""));
        put(&room, &std::iter::once(Forged::stored("c.parquet", &capture())).chain(others).collect::<Vec<_>>());
    };
    of(MAX_ENTRIES);
    room.accepts(&["info", "x.zip"]);
    of(MAX_ENTRIES + 1);
    room.refuses(&["info", "x.zip"], "the zip archive has 1001 entries, where at most 1000 are accepted");
}

#[test]
fn so_many_captures_are_read_of_an_archive() {
    let room = Room::new();
    let capture = capture();
    let of = |many: usize| {
        put(&room, &(0..many).map(|n| Forged::stored(&format!("{n}.parquet"), &capture)).collect::<Vec<_>>());
    };
    of(MAX_CAPTURES);
    room.accepts(&["info", "x.zip"]);
    room.passes(&["bundle", "--check", "x.zip"], "captures, and at most");
    of(MAX_CAPTURES + 1);
    room.refuses(&["info", "x.zip"], "holds 251 captures, and at most 250 are read of one");
    room.refuses(&["bundle", "--check", "x.zip"], "holds 251 captures, and at most 250 are read of one");
}

#[test]
fn names_of_entries_are_short() {
    let room = Room::new();
    let of = |length: usize| format!("{}.parquet", "x".repeat(length - ".parquet".len()));
    put(&room, &[Forged::stored(&of(MAX_ENTRY_NAME), &capture())]);
    room.accepts(&["info", "x.zip"]);
    put(&room, &[Forged::stored(&of(MAX_ENTRY_NAME + 1), &capture())]);
    room.refuses(&["info", "x.zip"], "has a name of more than 255 bytes");
}

#[test]
fn so_much_is_unpacked() {
    let room = Room::new();
    let packed = MAX_UNPACKED / MAX_RATIO + 1;
    put(&room, &[claiming("c.parquet", MAX_UNPACKED, packed)]);
    room.refuses(&["info", "x.zip"], "c.parquet cannot be unpacked");
    put(&room, &[claiming("c.parquet", MAX_UNPACKED + 1, packed)]);
    room.refuses(&["info", "x.zip"], "and at most 2.0 GiB are unpacked: unzip it if it is trusted");
}

#[test]
fn an_entry_is_so_many_times_what_it_is_packed() {
    let room = Room::new();
    put(&room, &[claiming("c.parquet", 20_000 * MAX_RATIO, 20_000)]);
    room.refuses(&["info", "x.zip"], "c.parquet cannot be unpacked");
    put(&room, &[claiming("c.parquet", 20_000 * MAX_RATIO + 1, 20_000)]);
    room.refuses(&["info", "x.zip"], "more than 100 times as much: that is no capture");
}

#[test]
fn a_small_entry_may_be_packed_as_it_likes() {
    let room = Room::new();
    put(&room, &[claiming("c.parquet", SMALL_ENTRY, 10)]);
    room.refuses(&["info", "x.zip"], "c.parquet cannot be unpacked");
    put(&room, &[claiming("c.parquet", SMALL_ENTRY + 1, 10)]);
    room.refuses(&["info", "x.zip"], "more than 100 times as much: that is no capture");
}

#[test]
fn digests_of_an_archive_are_short() {
    let room = Room::new();
    let capture = capture();
    let digest = {
        use sha2::Digest;
        sha2::Sha256::digest(&capture).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let sums = |length: u64| {
        let mut text = format!("{digest}  c.parquet\n");
        let line = |name: &str| format!("{digest}  {name}\n");
        let least = line("n000000").len();
        let mut number = 0;
        while (text.len() + 2 * least) as u64 <= length {
            number += 1;
            text += &line(&format!("n{number:06}"));
        }
        let name = length as usize - text.len() - line("").len();
        text += &line(&"z".repeat(name));
        assert_eq!(text.len() as u64, length);
        text
    };
    for (length, fits) in [(MAX_SUMS, true), (MAX_SUMS + 1, false)] {
        put(&room, &[Forged::stored("c.parquet", &capture), Forged::stored("SHA256SUMS", sums(length).as_bytes())]);
        match fits {
            true => room.accepts(&["info", "x.zip"]),
            false => room.refuses(&["info", "x.zip"], "SHA256SUMS is larger than any of a bundle"),
        }
    }
}
