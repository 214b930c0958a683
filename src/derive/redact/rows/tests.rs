use std::collections::HashMap;
use std::sync::Arc;

use super::*;
use crate::derive::redact::clocks::Shift;
use crate::derive::redact::names::Names;
use crate::derive::redact::options::Keep;
use crate::derive::redact::redactor::Payloads;
use crate::derive::redact::secret::Secret;
use crate::schema::columns;
use crate::schema::regions::{Mapping, Regions};
use crate::schema::types::{Iovec, Iovecs};
use crate::schema::vocabulary::RedactionLevel as Level;

fn redactor(level: Level) -> Redactor {
    let secret = Secret::of(b"k");
    Redactor {
        shift: Shift::of(&secret),
        names: Names::new(secret, level, Keep::default(), false),
        masked: false,
        dropped: Vec::new(),
        payloads: Payloads::default(),
        hosts: HashMap::new(),
    }
}

const RANGES: &[Iovec] = &[Iovec { base: 0x7f12_3456_7008, len: 64 }, Iovec { base: 0x7f12_3456_7048, len: 8 }];

fn event() -> Event<'static> {
    Event {
        seq: 7,
        ts: 1_795_532_986_799_823,
        ts_ns: 1_795_532_986_799_823_365,
        mono_ns: 19_132_019_081_778,
        start_ns: 12_345_678_901,
        event: "process_vm_readv",
        pid: 4211,
        tid: 4212,
        uid: 1000,
        comm: "victim",
        exe: Some("/home/joe/victim"),
        process_key: Some("0123456789abcdef"),
        target_pid: Some(4212),
        ret: Some(72),
        bytes: Some(72),
        remote_iov: Some(Iovecs::Pairs(RANGES)),
        pipe_in: Some(406_602),
        payload: Some(b"password=hunter2"),
        payload_len: 16,
        payload_total: 72,
        payload_status: Some("truncated"),
        payload_side: Some("caller"),
        argv: Some("victim /home/joe/x"),
        ..Event::default()
    }
}

#[test]
fn every_column_has_a_rule_and_every_rule_a_column() {
    let ruled: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
    let all: Vec<&str> = columns::COLUMNS.iter().map(|column| column.name).collect();
    assert_eq!(ruled, all, "a new column needs a rule in columns!, else it is left out");
}

#[test]
fn the_level_payload_removes_bytes_and_nothing_else() {
    let mut redactor = redactor(Level::Payload);
    redactor.row(&event(), |row| {
        let digest = row.payload_digest.unwrap();
        assert_eq!(digest.len(), 32);
        let wanted = Event {
            payload: None,
            payload_len: 0,
            payload_status: Some("redacted"),
            payload_entropy: Some("text"),
            payload_digest: Some(digest),
            ..event()
        };
        assert_eq!(*row, wanted);
    });
    assert_eq!(redactor.payloads, Payloads { removed: 1, bytes: 16, secrets: 0 });
    let poke = Event { ptrace_request: Some("PTRACE_POKEDATA"), data: 0x1234_5678, ..Event::default() };
    redactor.row(&poke, |row| assert_eq!(row.data, 0, "a word that was written is payload"));
    let peek = Event { ptrace_request: Some("PTRACE_PEEKDATA"), data: 0x1234_5678, ..Event::default() };
    redactor.row(&peek, |row| assert_eq!(row.data, 0x1234_5678));
}

#[test]
fn the_level_share_keeps_how_things_are_connected() {
    let mut redactor = redactor(Level::Share);
    let before = event();
    redactor.row(&before, |row| {
        assert_eq!(Some(row.tid), row.target_pid, "one number, one pseudonym");
        assert!(row.pid != before.pid && row.uid != before.uid && row.pipe_in != before.pipe_in);
        assert!(row.comm.starts_with("comm-") && row.exe.unwrap().starts_with("/home/user-"));
        assert_eq!(row.process_key.unwrap().len(), 16);
        let ranges: Vec<_> = row.remote_iov.unwrap().iter().collect();
        assert_eq!((ranges[0].len, ranges[0].base + 64), (64, ranges[1].base), "they still touch");
        assert_ne!(ranges[0].base, RANGES[0].base);
        assert_eq!(row.ts, row.ts_ns / 1_000);
        assert!(row.ts_ns < before.ts_ns && row.mono_ns > before.mono_ns);
        assert_eq!((row.seq, row.ret, row.bytes, row.event), (7, Some(72), Some(72), before.event));
        assert!(row.argv.unwrap().starts_with("comm-"));
    });
    let got = Event { event: "pidfd_getfd", ret: Some(9), fd_out: Some(9), ..Event::default() };
    redactor.row(&got, |row| assert!(row.ret != Some(9) && row.ret == row.fd_out.map(i64::from)));
    let opened = Event { event: "mem_open", ..got };
    redactor.row(&opened, |row| assert!(row.ret != Some(9) && row.ret == row.fd_out.map(i64::from)));
    let failed = Event { event: "pidfd_getfd", ret: Some(-9), ..Event::default() };
    redactor.row(&failed, |row| assert_eq!(row.ret, Some(-9)));
    for (request, data, kept) in [
        ("PTRACE_CONT", 9, true),
        ("PTRACE_CONT", u64::MAX, false),
        ("PTRACE_PEEKDATA", 0x7f12_3456_7008, false),
        ("9999", 5, false),
    ] {
        let call = Event { ptrace_request: Some(request), data, ..Event::default() };
        redactor.row(&call, |row| assert_eq!(row.data == data, kept, "{request}"));
    }
    let memory = Event { off_in: Some(0x7f12_3456_7008), fd_in_kind: Some("proc_mem"), ..Event::default() };
    redactor.row(&memory, |row| assert_ne!(row.off_in, memory.off_in));
    redactor.row(&Event { fd_in_kind: Some("file"), ..memory }, |row| assert_eq!(row.off_in, memory.off_in));
}

#[test]
fn the_level_metadata_has_no_address_no_digest_and_no_command_line() {
    redactor(Level::Metadata).row(&event(), |row| {
        assert_eq!((row.argv, row.payload, row.payload_digest, row.payload_entropy), (Some(""), None, None, None));
        let ranges: Vec<_> = row.remote_iov.unwrap().iter().map(|range| (range.base, range.len)).collect();
        assert_eq!(ranges, [(0, 64), (0, 8)]);
        assert!(!row.exe.unwrap().contains("home"));
    });
}

#[test]
fn bytes_that_stay_are_masked_and_columns_can_be_left_out() {
    let mut redactor = Redactor { masked: true, dropped: vec!["comm", "exe"], ..redactor(Level::Share) };
    redactor.row(&event(), |row| {
        assert_eq!(row.payload, Some(b"passwo**********".as_slice()));
        assert_eq!((row.payload_len, row.payload_status, row.payload_digest), (16, Some("truncated"), None));
        assert_eq!((row.comm, row.exe), ("", None));
    });
    assert_eq!(redactor.payloads, Payloads { removed: 0, bytes: 0, secrets: 1 });
    for request in ["PTRACE_POKETEXT", "PTRACE_POKEDATA", "PTRACE_POKEUSER"] {
        let poke = Event { ptrace_request: Some(request), data: 0x7265_746e_7568, ..Event::default() };
        redactor.row(&poke, |row| assert_eq!(row.data, 0, "{request}: a word cannot be masked"));
    }
}

#[test]
fn what_an_earlier_redaction_left_stays_until_a_stricter_one() {
    fn left<'a>() -> Event<'a> {
        Event {
            payload_digest: Some("d"),
            payload_entropy: Some("high"),
            payload_status: Some("redacted"),
            uid: u32::MAX,
            ..Event::default()
        }
    }
    redactor(Level::Share).row(&left(), |row| assert_eq!(*row, left()));
    redactor(Level::Metadata).row(&left(), |row| {
        assert_eq!(*row, Event { payload_digest: None, payload_entropy: None, ..left() });
    });
}

#[test]
fn mappings_keep_what_names_nobody() {
    let mapping = |path: &str, perms: &str| {
        Some(Arc::new(Mapping {
            start: 0x7f12_3456_7000,
            end: 0x7f12_3456_9000,
            perms: perms.into(),
            path: path.into(),
            file_offset: 4096,
            device: "fd:01".into(),
            inode: 4_711_815,
            build_id: "deadbeef".into(),
        }))
    };
    let paths = ["[heap]", "[anon:secret]", "[secret]", "/home/joe/secret (deleted)", "/usr/lib/libc.so.6", ""];
    let mappings: Vec<_> = paths.iter().map(|path| mapping(path, "r-xp")).chain([None]).collect();
    let event = Event { region_source: Some("maps"), remote_regions: Some(Regions::Known(&mappings)), ..event() };
    redactor(Level::Payload).row(&event, |row| assert_eq!(row.remote_regions, event.remote_regions));
    for level in [Level::Share, Level::Metadata] {
        redactor(level).row(&event, |row| {
            let (regions, range) = (row.remote_regions.unwrap(), row.remote_iov.unwrap().get(0).unwrap());
            assert_eq!((row.region_source, regions.len()), (Some("maps"), mappings.len()));
            for (region, path) in regions.iter().zip(paths) {
                assert_eq!((region.perms, region.file_offset), ("r-xp", 4096));
                assert_eq!((region.device, region.build_id), ("", ""));
                assert!(region.inode != 4_711_815 && !region.path.contains("secret"), "{region:?}");
                assert_eq!(region.end - region.start, 0x2000);
                let within = if level == Level::Share { 8 } else { 0 };
                assert_eq!(range.base - region.start, within, "it lies where it lay in its mapping");
                assert_eq!(path.ends_with(" (deleted)"), region.path.ends_with(" (deleted)"));
            }
            let shown: Vec<&str> = regions.iter().take(3).map(|region| region.path).collect();
            assert_eq!(shown, ["[heap]", "[anon]", "[...]"]);
            assert!(regions.get(5).unwrap().path.is_empty() && !regions.get(6).unwrap().is_mapped());
        });
    }
}
