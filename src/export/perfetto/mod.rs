//! A trace of Perfetto (ui.perfetto.dev): a track for each process, thread and pipe, a slice for each call, or an instant where it
//! is not known when the call began, arrows along the bytes, and counters of bytes a second.
//!
//! Owns what becomes of an event. `proto` has the messages, `tracks` and `intern` what a trace describes once, `rates` the
//! counters, `annotate` the arguments of calls. Everything is written at once but the counters, a window later: Perfetto sorts.

mod annotate;
mod intern;
mod proto;
mod rates;
mod tracks;

use std::io::Write;

use anyhow::{Result, bail};
use prost::Message;
use prost::encoding::{WireType, encode_key};

use self::annotate::Annotations;
use self::intern::{Names, Use};
use self::proto::{
    BOOTTIME, CLEARED, Clock, ClockSnapshot, Kind, MONOTONIC, NEEDS_STATE, REALTIME, TracePacket, TracePacketDefaults,
    TrackEvent,
};
use self::rates::{Rates, Value};
use self::tracks::{Of, Tracks};
use super::left_out::is_io_uring;
use super::{Export, Origin};
use crate::model::origin;
use crate::model::process::{HostId, Identity, Processes};
use crate::model::transfer::{End, Transfer};
use crate::schema::manifest::Clocks;
use crate::schema::{Event, EventKind};

/// The packets are those of one writer.
const SEQUENCE: u32 = 1;
/// `Trace.packet`.
const PACKET: u32 = 1;

/// Writes a trace to `out`.
#[derive(Debug)]
pub struct Perfetto<W> {
    out: W,
    buffer: Vec<u8>,
    /// Of the captures before.
    boot_id: Option<String>,
    tracks: Tracks,
    names: Names,
    rates: Rates,
    values: Vec<Value>,
    processes: Processes,
    without_addresses: bool,
}

impl<W: Write> Perfetto<W> {
    /// An exporter that writes to `out`.
    pub fn new(out: W) -> Self {
        Perfetto {
            out,
            buffer: Vec::new(),
            boot_id: None,
            tracks: Tracks::default(),
            names: Names::default(),
            rates: Rates::new(None),
            values: Vec::new(),
            processes: Processes::default(),
            without_addresses: false,
        }
    }

    /// Writes a packet, and before it whatever it refers to.
    fn packet(&mut self, packet: TracePacket) -> Result<()> {
        for track in self.tracks.take_fresh() {
            self.write(TracePacket { track_descriptor: Some(track), ..TracePacket::default() })?;
        }
        let interned_data = self.names.take_fresh();
        self.write(TracePacket { interned_data, sequence_flags: Some(NEEDS_STATE), ..packet })
    }

    fn write(&mut self, packet: TracePacket) -> Result<()> {
        let packet = TracePacket { trusted_packet_sequence_id: Some(SEQUENCE), ..packet };
        self.buffer.clear();
        encode_key(PACKET, WireType::LengthDelimited, &mut self.buffer);
        packet.encode_length_delimited(&mut self.buffer)?;
        Ok(self.out.write_all(&self.buffer)?)
    }

    fn event_at(&mut self, at: i64, kind: Kind, track: u64, event: TrackEvent) -> Result<()> {
        let event = TrackEvent { r#type: Some(kind as i32), track_uuid: Some(track), ..event };
        self.packet(TracePacket { timestamp: Some(instant(at)), track_event: Some(event), ..TracePacket::default() })
    }

    /// An event of that name.
    fn named(&mut self, name: &str) -> TrackEvent {
        match self.names.number(Use::Name, name) {
            Some(number) => TrackEvent { name_iid: Some(number), ..TrackEvent::default() },
            None => TrackEvent { name: Some(intern::limited(name).to_string()), ..TrackEvent::default() },
        }
    }

    /// The track of an end of a transfer that is not the caller's own memory.
    fn anchor(&mut self, end: &End<'_>, event: &Event<'_>) -> Option<u64> {
        match end {
            End::Memory { process, .. } | End::Register { process, .. } => {
                let target = Identity::target(event).filter(|target| process.pid == Some(target.pid))?;
                let target = self.processes.resolve(target);
                let is_caller = target.matches(Identity::caller(event));
                (!is_caller).then(|| self.tracks.process(target, process.comm.unwrap_or_default()))
            }
            End::Pipe { inode: Some(inode), path, .. } => {
                let host = event.host.map(|host| format!("{host}:")).unwrap_or_default();
                let name = || match path {
                    None => format!("{host}pipe:[{inode}]"),
                    Some(path) => format!("{host}{path} pipe:[{inode}]"),
                };
                Some(self.tracks.global(Of::Pipe(HostId::of(event.host), *inode), name))
            }
            End::Pipe { inode: None, .. } | End::Socket { .. } | End::File { .. } => None,
        }
    }

    /// A call: its slice, and the arrow along its bytes.
    fn call(&mut self, event: &Event<'_>) -> Result<()> {
        let caller = self.processes.resolve(Identity::caller(event));
        let track = self.tracks.thread(caller, event.tid, event.comm);
        let transfer = Transfer::of(event);
        let from = transfer.and_then(|transfer| self.anchor(&transfer.from, event));
        let to = transfer.and_then(|transfer| self.anchor(&transfer.to, event));
        // Requests of io_uring may overlap, which slices of a track must not.
        let span = event.dur_ns.filter(|ns| *ns >= 0 && !is_io_uring(event));
        let began = event.mono_ns.saturating_sub(span.unwrap_or(0));
        // From 1.
        let flow = event.seq.wrapping_add(1);
        if let Some(track) = from {
            let taken = TrackEvent { flow_ids: vec![flow], ..self.named("taken") };
            self.event_at(began, Kind::Instant, track, taken)?;
        }
        let name = event.ptrace_request.or(event.advice).map(|request| format!("{} {request}", event.event));
        let named = self.named(name.as_deref().unwrap_or(event.event));
        let category = event.spec().and_then(|spec| self.names.number(Use::Category, spec.group.name()));
        let slice = TrackEvent {
            category_iids: category.into_iter().collect(),
            debug_annotations: Annotations::new(&mut self.names, self.without_addresses).of_call(event),
            flow_ids: if to.is_some() { vec![flow] } else { Vec::new() },
            terminating_flow_ids: if from.is_some() && to.is_none() { vec![flow] } else { Vec::new() },
            ..named
        };
        self.event_at(began, if span.is_some() { Kind::SliceBegin } else { Kind::Instant }, track, slice)?;
        if span.is_some() {
            self.event_at(event.mono_ns, Kind::SliceEnd, track, TrackEvent::default())?;
        }
        if let Some(track) = to {
            let put = TrackEvent { terminating_flow_ids: vec![flow], ..self.named("put") };
            self.event_at(event.mono_ns, Kind::Instant, track, put)?;
        }
        transfer.map_or(Ok(()), |transfer| self.count(event, &transfer))
    }

    /// Adds a transfer to the counters of the processes whose memory it reached.
    fn count(&mut self, event: &Event<'_>, transfer: &Transfer<'_>) -> Result<()> {
        for (end, is_source) in [(&transfer.from, true), (&transfer.to, false)] {
            let End::Memory { process, .. } = end else { continue };
            let known =
                if process.pid == Some(event.pid) { Some(Identity::caller(event)) } else { Identity::target(event) };
            let Some(known) = known.map(|known| self.processes.resolve(known)) else { continue };
            let (of, name) = if is_source {
                (Of::Sent(known), "bytes/s out of memory")
            } else {
                (Of::Received(known), "bytes/s into memory")
            };
            let track = self.tracks.counter(known, of, name);
            let values = &mut self.values;
            self.rates.note(event.mono_ns, track, transfer.bytes, &mut |value| values.push(value));
        }
        self.write_values()
    }

    fn write_values(&mut self) -> Result<()> {
        for Value { track, at, rate } in std::mem::take(&mut self.values) {
            let value = TrackEvent { counter_value: Some(rate), ..TrackEvent::default() };
            self.event_at(at, Kind::Counter, track, value)?;
        }
        Ok(())
    }

    /// The counters of the capture before end.
    fn end_rates(&mut self) -> Result<()> {
        let values = &mut self.values;
        self.rates.finish(&mut |value| values.push(value));
        self.write_values()
    }

    /// An event in the life of a process, as an instant.
    fn life(&mut self, event: &Event<'_>, has_program: bool) -> Result<()> {
        let of = self.processes.resolve(Identity::caller(event));
        if has_program {
            self.tracks.renamed(of, event.comm, event.argv);
        }
        let track = self.tracks.thread(of, event.tid, event.comm);
        let instant = TrackEvent {
            debug_annotations: Annotations::new(&mut self.names, self.without_addresses).of_life(event),
            ..self.named(event.event)
        };
        self.event_at(event.mono_ns, Kind::Instant, track, instant)
    }

    fn gap(&mut self, event: &Event<'_>) -> Result<()> {
        let track = self.tracks.global(Of::Losses, || "lost events".to_string());
        let instant = TrackEvent {
            debug_annotations: Annotations::new(&mut self.names, self.without_addresses).of_gap(event),
            ..self.named(event.event)
        };
        self.event_at(event.mono_ns, Kind::Instant, track, instant)
    }
}

impl<W: Write> Export for Perfetto<W> {
    fn capture(&mut self, origin: &Origin<'_>) -> Result<()> {
        self.without_addresses = origin::without_addresses(&origin.manifest.derived_from);
        // The time line of several hosts is that of no other capture.
        let boot_id = match origin.manifest.hosts.len() {
            0 | 1 => &origin.manifest.host.boot_id,
            _ => &origin.manifest.capture_id,
        };
        if self.boot_id.as_ref().is_some_and(|other| other != boot_id) {
            let name = &origin.name;
            bail!("{name} was recorded on another machine or after another boot: its clock is another; export it alone")
        }
        let is_first = self.boot_id.is_none();
        self.boot_id = Some(boot_id.clone());
        self.end_rates()?;
        self.rates = Rates::new(origin.mono_span);
        self.processes = Processes::default();
        if !is_first {
            return Ok(());
        }
        self.write(TracePacket {
            clock_snapshot: Some(clocks(&origin.manifest.start)),
            trace_packet_defaults: Some(TracePacketDefaults { timestamp_clock_id: Some(MONOTONIC) }),
            sequence_flags: Some(CLEARED | NEEDS_STATE),
            ..TracePacket::default()
        })
    }

    fn event(&mut self, event: &Event<'_>) -> Result<()> {
        self.processes.note(event);
        self.tracks.note_host(event.host);
        match event.spec().map(|spec| spec.kind) {
            Some(EventKind::Lost) => self.gap(event),
            Some(EventKind::ProcessExec | EventKind::ProcessSnapshot) => self.life(event, true),
            Some(EventKind::ProcessFork | EventKind::ProcessExit) => self.life(event, false),
            Some(_) | None => self.call(event),
        }
    }

    fn flush(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }

    fn end(&mut self) -> Result<()> {
        self.end_rates()?;
        self.flush()
    }
}

/// The clocks at the start, by which Perfetto converts from one to another.
fn clocks(start: &Clocks) -> ClockSnapshot {
    let clock = |id, ns| Clock { clock_id: Some(id), timestamp: Some(instant(ns)) };
    let all = [(MONOTONIC, start.monotonic_ns), (BOOTTIME, start.boottime_ns), (REALTIME, start.realtime_ns)];
    ClockSnapshot { clocks: all.map(|(id, ns)| clock(id, ns)).into() }
}

/// An instant, which is not negative but in a forged file.
fn instant(ns: i64) -> u64 {
    u64::try_from(ns).unwrap_or(0)
}

#[cfg(test)]
mod tests;
