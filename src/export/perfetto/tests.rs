use std::collections::HashMap;

use super::proto::TrackDescriptor;
use super::*;
use crate::schema::types::{Iovec, Iovecs};

/// The packets of a trace.
fn packets(mut bytes: &[u8]) -> Vec<TracePacket> {
    let mut packets = Vec::new();
    while let Some((0x0a, rest)) = bytes.split_first() {
        bytes = rest;
        packets.push(TracePacket::decode_length_delimited(&mut bytes).unwrap());
    }
    assert!(bytes.is_empty());
    packets
}

fn exported(events: &[Event<'_>]) -> Vec<TracePacket> {
    let mut exporter = Perfetto::new(Vec::new());
    events.iter().for_each(|event| exporter.event(event).unwrap());
    exporter.end().unwrap();
    packets(&exporter.out)
}

fn tracks(packets: &[TracePacket]) -> HashMap<u64, TrackDescriptor> {
    packets
        .iter()
        .filter_map(|packet| packet.track_descriptor.clone())
        .map(|track| (track.uuid.unwrap(), track))
        .collect()
}

const RANGE: &[Iovec] = &[Iovec { base: 0x1000, len: 64 }; 9];

fn read() -> Event<'static> {
    Event {
        event: "process_vm_readv",
        seq: 4,
        mono_ns: 5_000_000,
        dur_ns: Some(2_000),
        pid: 7,
        tid: 8,
        comm: "reader",
        start_ns: 10_000_000,
        target_pid: Some(42),
        target_comm: Some("target"),
        target_start_ns: Some(20_000_000),
        direction: Some("in"),
        ret: Some(64),
        bytes: Some(64),
        remote_iov: Some(Iovecs::Pairs(RANGE)),
        ..Event::default()
    }
}

/// Instants, kinds, tracks and arrows of the events.
fn shape(packets: &[TracePacket]) -> Vec<(u64, i32, String, usize, usize)> {
    let tracks = tracks(packets);
    let of = |track: &TrackDescriptor| match (&track.process, &track.thread, &track.name) {
        (Some(process), ..) => format!("process {}", process.pid.unwrap()),
        (_, Some(thread), _) => format!("thread {}", thread.tid.unwrap()),
        (.., name) => name.clone().unwrap(),
    };
    let events = packets.iter().filter_map(|packet| Some((packet.timestamp?, packet.track_event.as_ref()?)));
    let shape = |(at, event): (u64, &TrackEvent)| {
        let track = of(tracks.get(&event.track_uuid.unwrap()).unwrap());
        (at, event.r#type.unwrap(), track, event.flow_ids.len(), event.terminating_flow_ids.len())
    };
    events.map(shape).collect()
}

#[test]
fn a_read_is_a_slice_with_an_arrow_from_its_target() {
    let begin = Kind::SliceBegin as i32;
    let (end, instant, counter) = (Kind::SliceEnd as i32, Kind::Instant as i32, Kind::Counter as i32);
    let shape = |event| shape(&exported(&[event]));
    let found = shape(read());
    let wanted = [
        (4_998_000, instant, "process 42".to_string(), 1, 0),
        (4_998_000, begin, "thread 8".to_string(), 0, 1),
        (5_000_000, end, "thread 8".to_string(), 0, 0),
    ];
    assert_eq!(found.get(..3), Some(wanted.as_slice()));
    assert!(found.iter().skip(3).all(|(_, kind, ..)| *kind == counter) && found.len() == 7, "{found:?}");
    let written = shape(Event { event: "process_vm_writev", direction: Some("out"), dur_ns: None, ..read() });
    let wanted =
        [(5_000_000, instant, "thread 8".to_string(), 1, 0), (5_000_000, instant, "process 42".to_string(), 0, 1)];
    assert_eq!(written.get(..2), Some(wanted.as_slice()));
    let failed = shape(Event { errno: Some("EPERM"), bytes: Some(0), ..read() });
    assert_eq!(failed.iter().map(|(.., flows, ends)| flows + ends).sum::<usize>(), 0);
}

#[test]
fn bytes_through_a_pipe_go_by_its_track() {
    let tee = Event {
        event: "tee",
        direction: None,
        dur_ns: None,
        fd_in_kind: Some("pipe"),
        pipe_in: Some(771),
        fd_out_kind: Some("pipe"),
        pipe_out: Some(772),
        ..read()
    };
    let found: Vec<String> = shape(&exported(&[tee])).into_iter().map(|(_, _, track, ..)| track).collect();
    assert_eq!(found, ["pipe:[771]", "thread 8", "pipe:[772]"]);
}

#[test]
fn texts_stand_in_a_trace_once() {
    let packets = exported(&[read(), Event { seq: 5, mono_ns: 6_000_000, ..read() }]);
    let texts: Vec<String> = packets
        .iter()
        .filter_map(|packet| packet.interned_data.as_ref())
        .flat_map(|data| {
            [
                &data.event_names,
                &data.event_categories,
                &data.debug_annotation_names,
                &data.debug_annotation_string_values,
            ]
        })
        .flatten()
        .filter_map(|text| text.name.clone())
        .collect();
    let mut once = texts.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), texts.len(), "{texts:?}");
    assert!(
        ["process_vm_readv", "vm", "remote_ranges", "target[42]"].iter().all(|text| once.iter().any(|one| one == text)),
        "{texts:?}"
    );
}

/// Numbers of a forged file.
#[test]
fn any_number_is_taken() {
    for event in [
        Event { mono_ns: i64::MIN, dur_ns: Some(i64::MAX), ..read() },
        Event { mono_ns: i64::MAX, dur_ns: Some(i64::MIN), bytes: Some(i64::MAX), seq: u64::MAX, ..read() },
        Event { pid: -1, tid: i32::MIN, start_ns: i64::MIN, target_pid: Some(-1), riovcnt: Some(u64::MAX), ..read() },
        Event { event: "of_later", direction: Some("sideways"), ..read() },
        Event { event: "", ..read() },
    ] {
        assert!(!exported(&[event, read()]).is_empty());
    }
}
