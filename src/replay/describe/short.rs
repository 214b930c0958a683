//! One event in as many columns as there are: time, way, bytes, call, peer, what is odd, address, payload, and then whatever else
//! there is room for.
//!
//! Owns the order and what may be left out. The words are those of the whole form.

use super::{Line, Outcome, PREVIEW, Role, Way, life, marks, payload_marks, peer, ranges, thread};
use crate::count;
use crate::model::process::Processes;
use crate::model::select::View;
use crate::model::time;
use crate::schema::{Event, EventKind};
use crate::terminal::escape::{Preview, Safe};
use crate::terminal::{fit, signs};

/// Fewest columns into which a part is cut.
const LEAST: usize = 8;
/// Columns of the sign that something is missing.
const MORE: usize = 2;

/// Writes `event` as seen from the side of `view` into at most `columns` columns: everything after the time.
pub fn event(line: &mut Line, event: &Event<'_>, view: View, processes: &Processes, columns: usize) {
    let mut room = Room::of(columns);
    describe(&mut room, event, view, processes);
    if room.missing {
        room = Room::of(columns.saturating_sub(MORE));
        describe(&mut room, event, view, processes);
        if !room.line.text().ends_with(signs::MORE) {
            room.line.word(Role::Dim, format_args!("{}", signs::MORE));
        }
    }
    line.append(&room.line);
}

fn describe(room: &mut Room, event: &Event<'_>, view: View, processes: &Processes) {
    if event.event == EventKind::Lost.name() {
        room.add(|part| life::gap(part, event));
        return;
    }
    let way = Way::of(event, view);
    let (role, arrow) = way.arrow();
    room.add(|part| {
        part.add(role, format_args!("{arrow}"));
        outcome(part, event);
        part.word(Role::Plain, format_args!("{:<17}", Safe(event.event).to_string()));
    });
    let mut is_life = false;
    room.add(|part| is_life = life::describe(part, event, processes));
    if is_life {
        return;
    }
    if let Some(request) = event.ptrace_request.or(event.advice) {
        room.add(|part| part.word(Role::Plain, format_args!("{}", Safe(request))));
    }
    let mut has_peer = false;
    room.add(|part| has_peer = peer(part, event, view, way.how_in_short(event, view), processes));
    room.add(|part| {
        marks(part, event);
        payload_marks(part, event, false);
    });
    let said = event.bytes_requested.or(event.bytes).and_then(|bytes| u64::try_from(bytes).ok());
    // Behind the peer stands an address of the peer, and behind a word one of the process whose line it is.
    match view {
        View::Caller => room.add_uncut(|part| ranges::remote_in_short(part, event, said)),
        View::Target => {
            room.add_uncut(|part| ranges::after(part, way.own(), |part| ranges::remote_in_short(part, event, said)))
        }
    }
    if !has_peer {
        room.add(|part| ranges::descriptors(part, event, has_peer));
    }
    let data = |part: &mut Line| part.word(Role::Plain, format_args!("data {:#x}", event.data));
    // Where no bytes move, it is what the request asks for.
    if event.data != 0 && event.bytes.is_none() {
        room.add_uncut(data);
    }
    room.add_uncut(|part| ranges::flags(part, event));
    payload(room, event);
    // All of it is in the whole form: nothing says that it is missing.
    if has_peer {
        room.add_if_fits(|part| ranges::descriptors(part, event, has_peer));
    }
    if view == View::Caller {
        room.add_if_fits(|part| ranges::after(part, way.own(), |part| ranges::local_in_short(part, event, said)));
    }
    if event.data != 0 && event.bytes.is_some() {
        room.add_if_fits(data);
    }
    room.add_if_fits(|part| thread(part, event));
    if let Some(ns) = event.dur_ns {
        room.add_if_fits(|part| part.word(Role::Dim, format_args!("took {}", time::span(ns))));
    }
}

fn outcome(line: &mut Line, event: &Event<'_>) {
    let size = |bytes: i64| u64::try_from(bytes).map_or_else(|_| bytes.to_string(), count::short_size);
    let outcome = Outcome::of(event);
    let text = match outcome {
        Outcome::Failed(errno) => Safe(errno).to_string(),
        Outcome::Moved { bytes, asked: Some(asked) } => format!("{}/{}", size(bytes), size(asked)),
        Outcome::Moved { bytes, asked: None } => size(bytes),
        Outcome::Returned(0) => "ok".into(),
        Outcome::Returned(value) => format!("= {value}"),
        Outcome::None => String::new(),
    };
    line.word(outcome.role(), format_args!("{text:>9}"));
}

fn payload(room: &mut Room, event: &Event<'_>) {
    let Some(bytes) = event.payload.filter(|bytes| !bytes.is_empty()) else { return };
    // A space, quotes and the sign that it goes on.
    let most = room.left.saturating_sub(4);
    // At least one byte of it, as it may have to be written.
    if most < 4 {
        return room.miss();
    }
    let mark = match event.payload_by_ref {
        Some(true) => format!(" {}", signs::BY_REFERENCE),
        Some(false) | None => String::new(),
    };
    let beside_mark = most.saturating_sub(mark.len());
    let fits = beside_mark >= LEAST || mark.is_empty();
    // The bytes come before what is to be known of them.
    let width = if fits { beside_mark } else { most };
    let preview = Preview { bytes, width: width.min(PREVIEW) }.to_string();
    let goes_on = i64::from(event.payload_len) < event.payload_total && !preview.ends_with(signs::MORE);
    room.add(|part| {
        part.word(Role::Payload, format_args!("{preview}{}", if goes_on { signs::MORE } else { "" }));
        if fits {
            part.add(Role::Dim, format_args!("{mark}"));
        }
    });
    if !fits {
        room.miss();
    }
}

/// A line with a limited width.
struct Room {
    line: Line,
    part: Line,
    /// Columns that are left.
    left: usize,
    /// Whether something that matters is not there.
    missing: bool,
}

impl Room {
    fn of(columns: usize) -> Self {
        Room { line: Line::default(), part: Line::default(), left: columns, missing: false }
    }

    /// Adds what `write` writes, cut if there is no room for all of it.
    fn add(&mut self, write: impl FnOnce(&mut Line)) {
        if !self.fits(write) {
            if self.left >= LEAST {
                self.part.fit(self.left);
                self.line.append(&self.part);
            }
            self.miss();
        }
    }

    /// Adds what `write` writes, of which a part would be something else: an address, a number.
    fn add_uncut(&mut self, write: impl FnOnce(&mut Line)) {
        if !self.fits(write) {
            self.miss();
        }
    }

    /// Adds what `write` writes if there is room for it.
    fn add_if_fits(&mut self, write: impl FnOnce(&mut Line)) {
        self.fits(write);
    }

    /// Adds what `write` writes if there is room for it; returns whether there is. It is the part then.
    fn fits(&mut self, write: impl FnOnce(&mut Line)) -> bool {
        self.part.clear();
        write(&mut self.part);
        let columns = fit::columns(self.part.text());
        let fits = columns <= self.left;
        if fits {
            self.line.append(&self.part);
            self.left -= columns;
        }
        fits
    }

    /// Something is missing: nothing that matters less comes in its place.
    fn miss(&mut self) {
        self.missing = true;
        self.left = 0;
    }
}
