//! One event in as many columns as there are: time, way, bytes, call, peer, what is odd, address, payload, and then whatever else
//! there is room for.
//!
//! Owns the order and what may be left out. What contradicts the record is not: it has its columns before a name that the
//! traced program chose gets any. The other words are those of the whole form.

use super::{Line, Named, Outcome, PREVIEW, Role, Way, abi, doubts, life, payload_marks, peer, ranges, thread};
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
/// Most columns of a name: those of the longest that the kernel keeps, and a few for escapes.
const NAME: usize = 20;
/// Characters taken of a word that is escaped as a whole.
const WORD: usize = 64;

/// Writes `event` as seen from the side of `view` into at most `columns` columns: everything after the time.
pub fn event(line: &mut Line, event: &Event<'_>, view: View, processes: &Processes, columns: usize) {
    let mut room = Room::of(columns, line.without_addresses);
    describe(&mut room, event, view, processes);
    if room.missing {
        room = Room::of(columns.saturating_sub(MORE), line.without_addresses);
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
    let is_life = life::is_one(event);
    if !is_life {
        room.reserve(|part| {
            doubts(part, event, true);
            abi(part, event);
        });
    }
    let way = Way::of(event, view);
    let (role, arrow) = way.arrow();
    room.add(|part| {
        part.add(role, format_args!("{arrow}"));
        outcome(part, event);
        part.word(Role::Plain, format_args!("{:<17}", front(event.event)));
    });
    if is_life {
        room.add(|part| {
            life::describe(part, event, processes);
        });
        return;
    }
    if let Some(request) = event.ptrace_request.or(event.advice) {
        room.add(|part| part.word(Role::Plain, format_args!("{}", Safe(request))));
    }
    let mut has_peer = false;
    let how = way.how_in_short(event, view);
    let most = room.left.saturating_sub(" ".len() + how.len());
    room.add(|part| has_peer = peer(part, event, view, how, processes, &|named| name(named, most)));
    room.add_reserved();
    room.add(|part| payload_marks(part, event, false));
    room.add(|part| ranges::path(part, event));
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
        Outcome::Failed(errno) => front(errno),
        Outcome::Moved { bytes, asked: Some(asked) } => format!("{}/{}", size(bytes), size(asked)),
        Outcome::Moved { bytes, asked: None } => size(bytes),
        Outcome::Returned(0) => "ok".into(),
        Outcome::Returned(value) => format!("= {value}"),
        Outcome::None => String::new(),
    };
    line.word(outcome.role(), format_args!("{text:>9}"));
}

/// The beginning of a word, made safe: a file may claim one of any length.
fn front(word: &str) -> String {
    let front = word.char_indices().nth(WORD).map_or(word, |(end, _)| word.get(..end).unwrap_or_default());
    let more = if front.len() < word.len() { signs::MORE } else { "" };
    format!("{}{more}", Safe(front))
}

/// `name[pid]` in at most so many columns: the name is cut, and the number is not.
pub fn name(named: Named<'_>, most: usize) -> String {
    let Some(name) = named.name.filter(|name| !name.is_empty()) else { return named.to_string() };
    let pid = format!("[{}]", named.pid);
    let host = named.host.map(|host| format!("{}:", front(host))).unwrap_or_default();
    let most = most.saturating_sub(pid.len()).min(NAME + host.chars().count().min(NAME));
    let text = format!("{host}{}", front(name));
    if fit::fits(&text, most) {
        return text + &pid;
    }
    match fit::cut(&text, most.saturating_sub(1)) {
        "" => Named { name: None, ..named }.to_string(),
        kept => format!("{kept}{}{pid}", signs::MORE),
    }
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
    /// What has its columns already.
    reserved: Line,
    /// Columns that are left.
    left: usize,
    /// Whether something that matters is not there.
    missing: bool,
}

impl Room {
    fn of(columns: usize, without_addresses: bool) -> Self {
        let [line, part, reserved] = [(); 3].map(|()| Line::of(without_addresses));
        Room { line, part, reserved, left: columns, missing: false }
    }

    /// Keeps the columns of what `write` writes, until [`Room::add_reserved`].
    fn reserve(&mut self, write: impl FnOnce(&mut Line)) {
        // It matters more than what else would stand in so few columns.
        let most = if self.left < 2 * LEAST { self.left } else { self.left - LEAST };
        self.write(write);
        if most > 0 {
            self.part.fit(most);
            self.left -= fit::columns(self.part.text());
            self.reserved = std::mem::replace(&mut self.part, Line::of(self.line.without_addresses));
        }
    }

    /// Adds what has its columns already.
    fn add_reserved(&mut self) {
        self.line.append(&self.reserved);
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
        self.write(write);
        let fits = !self.part.is_full && fit::fits(self.part.text(), self.left);
        if fits {
            self.line.append(&self.part);
            self.left -= fit::columns(self.part.text());
        }
        fits
    }

    /// Makes a part of what `write` writes, or of the beginning of it that is sure to be enough.
    fn write(&mut self, write: impl FnOnce(&mut Line)) {
        // Signs of several characters take several bytes in one column.
        const BYTES: usize = 16;
        self.part.clear();
        self.part.most = Some((self.left + LEAST).saturating_mul(BYTES));
        write(&mut self.part);
    }

    /// Something is missing: nothing that matters less comes in its place.
    fn miss(&mut self) {
        self.missing = true;
        self.left = 0;
    }
}
