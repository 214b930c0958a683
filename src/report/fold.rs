//! Events too many for a page, folded: one row stands for all alike events within a time.
//!
//! Owns what is alike, and how long that time is: it is doubled until there are few enough rows, so one reading is enough
//! and memory is bounded. What still is too much is counted, never forgotten.

use std::collections::HashMap;

use anyhow::Result;

use super::columns::{Described, Kind};
use super::data::{Rows, Writer};
use super::pack::Full;
use crate::model::reading;
use crate::schema::columns::{ColumnSpec, column_spec};
use crate::schema::reader::{Capture, Scan};
use crate::schema::{Cell, Event};

/// Columns in which alike events do not differ.
const ALIKE: &[&str] = &[
    "event",
    "abi",
    "pid",
    "uid",
    "comm",
    "exe",
    "process_key",
    "container",
    "target_pid",
    "target_comm",
    "target_exe",
    "target_uid",
    "target_key",
    "target_container",
    "direction",
    "errno",
    "iov_verdict",
    "toctou",
    "lost_event",
    "lost_cause",
    "host",
];
/// What is read beside them.
const COUNTED: &[&str] = &["seq", "ts_ns", "mono_ns", "bytes", "lost_count"];
/// Texts that are distinguished, and characters that are kept of each.
const TEXTS: usize = 65_536;
const TEXT: usize = 256;
/// Rows at most, however much room there is: more than a chart can show.
const ROWS: usize = 200_000;
/// Bytes that a row takes in the page at first guess.
const ROW: u64 = 24;
/// A time that holds all events.
const ALWAYS: u32 = 63;

/// What folded rows are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Folded {
    /// Events that the rows stand for.
    pub events: u64,
    /// Alike events so near to each other are one row, ns.
    pub within_ns: u64,
    /// Events that are in no row.
    pub left_out: u64,
}

/// Reads the events of a capture into as many rows as fit into `room` bytes of the page.
///
/// # Errors
/// When the capture cannot be read.
pub(super) fn fold(capture: &Capture, room: u64) -> Result<(Rows, Folded)> {
    let most = usize::try_from(room / ROW).unwrap_or(ROWS).clamp(1, ROWS);
    let mut folder = Folder::new(capture.manifest().start.monotonic_ns, most);
    let columns = ALIKE.iter().chain(COUNTED).copied().collect();
    reading::each(capture, &Scan { columns, ..Scan::default() }, |batch| {
        batch.each(|event| folder.note(event));
        Ok(())
    })?;
    loop {
        match folder.rows(room) {
            Ok(rows) => return Ok((rows, folder.folded())),
            Err(error) if error.is::<Full>() && !folder.groups.is_empty() => folder.halve(),
            Err(error) => return Err(error),
        }
    }
}

/// What alike events have in common: values, or places of texts, one a column; and the time.
type Key = (i64, [i64; ALIKE.len()]);

/// Alike events.
#[derive(Clone, Copy, Debug)]
struct Group {
    seq: u64,
    ts_ns: i64,
    mono_ns: i64,
    until_ns: i64,
    events: u64,
    transfers: u64,
    bytes: u64,
    lost: u64,
}

impl Group {
    fn merge(&mut self, other: &Group) {
        if other.seq < self.seq {
            (self.seq, self.ts_ns) = (other.seq, other.ts_ns);
        }
        self.mono_ns = self.mono_ns.min(other.mono_ns);
        self.until_ns = self.until_ns.max(other.until_ns);
        self.events = self.events.saturating_add(other.events);
        self.transfers = self.transfers.saturating_add(other.transfers);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.lost = self.lost.saturating_add(other.lost);
    }
}

#[derive(Debug)]
struct Folder {
    alike: Vec<&'static ColumnSpec>,
    start: i64,
    most: usize,
    /// The time is two to the power of this, in ns.
    shift: u32,
    groups: HashMap<Key, Group>,
    texts: Texts,
    left_out: u64,
}

impl Folder {
    fn new(start: i64, most: usize) -> Self {
        let alike = ALIKE.iter().filter_map(|name| column_spec(name)).collect();
        Folder { alike, start, most, shift: 0, groups: HashMap::new(), texts: Texts::default(), left_out: 0 }
    }

    fn note(&mut self, event: &Event<'_>) {
        let mut values = [NULL; ALIKE.len()];
        for ((value, spec), column) in values.iter_mut().zip(&self.alike).zip(0..) {
            *value = match (spec.cell)(event) {
                Cell::Text(text) => self.texts.place(text, column),
                Cell::Int(number) => number,
                Cell::Uint(number) => number as i64,
                Cell::Bool(truth) => truth.into(),
                _ => NULL,
            };
        }
        let between = event.spec().is_some_and(|spec| spec.is_between_files());
        let moved = crate::model::transfer::Transfer::bytes_of(event, between);
        let group = Group {
            seq: event.seq,
            ts_ns: event.ts_ns,
            mono_ns: event.mono_ns,
            until_ns: event.mono_ns,
            events: 1,
            transfers: moved.is_some().into(),
            bytes: event.bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
            lost: event.lost_count.unwrap_or(0),
        };
        let key = (self.time(event.mono_ns), values);
        if let Some(known) = self.groups.get_mut(&key) {
            return known.merge(&group);
        }
        if self.groups.len() >= self.most && self.shift >= ALWAYS {
            self.left_out += 1;
            return;
        }
        self.groups.insert(key, group);
        if self.groups.len() > self.most {
            self.coarsen();
        }
    }

    fn time(&self, mono_ns: i64) -> i64 {
        mono_ns.saturating_sub(self.start) >> self.shift
    }

    /// Doubles the time until there are few enough groups.
    fn coarsen(&mut self) {
        while self.groups.len() > self.most && self.shift < ALWAYS {
            self.shift += 1;
            let mut fewer: HashMap<Key, Group> = HashMap::with_capacity(self.groups.len());
            for ((time, values), group) in self.groups.drain() {
                fewer.entry((time >> 1, values)).and_modify(|known| known.merge(&group)).or_insert(group);
            }
            self.groups = fewer;
        }
        if self.groups.len() > self.most {
            self.drop_smallest();
        }
    }

    /// Nothing is left that could be merged: the groups of the fewest events go.
    fn drop_smallest(&mut self) {
        let mut all: Vec<(Key, Group)> = self.groups.drain().collect();
        all.sort_by_key(|(_, group)| (std::cmp::Reverse(group.events), group.seq));
        self.left_out += all.iter().skip(self.most).fold(0u64, |sum, (_, group)| sum.saturating_add(group.events));
        all.truncate(self.most);
        self.groups = all.into_iter().collect();
    }

    fn folded(&self) -> Folded {
        let events = self.groups.values().fold(0u64, |sum, group| sum.saturating_add(group.events));
        Folded { events, within_ns: 1 << self.shift, left_out: self.left_out }
    }

    fn halve(&mut self) {
        self.most = self.groups.len() / 2;
        self.coarsen();
    }

    fn rows(&self, room: u64) -> Result<Rows> {
        let mut all: Vec<(&Key, &Group)> = self.groups.iter().collect();
        all.sort_unstable_by_key(|(_, group)| group.seq);
        let alike: Vec<Described> = self.alike.iter().map(|spec| Described::of(spec)).collect();
        let counted = COUNTED.iter().filter_map(|name| column_spec(name)).map(Described::of);
        let own = [
            Described::new("until_ns", Kind::Signed, "The last of the events that this row stands for (mono_ns)."),
            Described::new("events", Kind::Unsigned, "How many events this row stands for."),
            Described::new("transfers", Kind::Unsigned, "How many of these moved bytes."),
        ];
        let columns = alike.iter().copied().chain(counted).chain(own).collect();
        let mut writer = Writer::new(columns, false, room);
        for ((_, values), group) in all {
            let is_lost = group.lost > 0;
            let alike = values.iter().zip(&alike).map(|(value, column)| self.cell(*value, column.kind));
            let counted = [
                Cell::Uint(group.seq),
                Cell::Int(group.ts_ns),
                Cell::Int(group.mono_ns),
                Cell::Int(i64::try_from(group.bytes).unwrap_or(i64::MAX)),
                if is_lost { Cell::Uint(group.lost) } else { Cell::Null },
                Cell::Int(group.until_ns),
                Cell::Uint(group.events),
                Cell::Uint(group.transfers),
            ];
            writer.push(alike.chain(counted))?;
        }
        writer.finish()
    }

    fn cell(&self, value: i64, kind: Kind) -> Cell<'_> {
        match kind {
            _ if value == NULL => Cell::Null,
            Kind::Text => self.texts.get(value).map_or(Cell::Null, Cell::Text),
            Kind::Bool => Cell::Bool(value != 0),
            Kind::Unsigned => Cell::Uint(value as u64),
            _ => Cell::Int(value),
        }
    }
}

/// Stands for null: no column that is compared has this number.
const NULL: i64 = i64::MIN;

/// Texts of a column that are looked for first.
const SLOTS: usize = 16;

/// The texts of all columns.
#[derive(Debug)]
struct Texts {
    places: HashMap<Box<str>, i64>,
    all: Vec<Box<str>>,
    /// For each column and some texts, where they probably are.
    slots: Vec<i64>,
}

impl Default for Texts {
    fn default() -> Self {
        Texts { places: HashMap::new(), all: Vec::new(), slots: vec![NULL; SLOTS * ALIKE.len()] }
    }
}

impl Texts {
    fn place(&mut self, text: &str, column: usize) -> i64 {
        let slot = column * SLOTS + (text.len() + usize::from(text.as_bytes().last().copied().unwrap_or(0))) % SLOTS;
        let probably = self.slots.get(slot).copied().unwrap_or(NULL);
        if self.get(probably) == Some(text) {
            return probably;
        }
        let short = shortened(text);
        let place = match self.places.get(short.as_ref()) {
            Some(place) => *place,
            None if self.all.len() >= TEXTS => self.add("…"),
            None => self.add(&short),
        };
        if let Some(slot) = self.slots.get_mut(slot) {
            *slot = place;
        }
        place
    }

    fn add(&mut self, text: &str) -> i64 {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        let place = self.all.len() as i64;
        self.all.push(text.into());
        self.places.insert(text.into(), place);
        place
    }

    fn get(&self, place: i64) -> Option<&str> {
        self.all.get(usize::try_from(place).ok()?).map(AsRef::as_ref)
    }
}

/// A text as it is kept.
fn shortened(text: &str) -> std::borrow::Cow<'_, str> {
    match text.char_indices().nth(TEXT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()).into(),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64, pid: i32, bytes: i64) -> Event<'static> {
        let at = seq as i64 * 1_000;
        Event {
            seq,
            mono_ns: at,
            ts_ns: at,
            pid,
            comm: "a",
            event: "process_vm_readv",
            direction: Some("in"),
            bytes: Some(bytes),
            ..Event::default()
        }
    }

    fn sums(folder: &Folder) -> (u64, u64, u64) {
        let groups = || folder.groups.values();
        (groups().map(|g| g.events).sum(), groups().map(|g| g.bytes).sum(), groups().map(|g| g.transfers).sum())
    }

    #[test]
    fn nothing_is_lost_while_the_time_grows() {
        for most in [1, 2, 7, 100] {
            let mut folder = Folder::new(0, most);
            (0..1_000).for_each(|seq| folder.note(&event(seq, 1, (seq % 3) as i64)));
            assert!(folder.groups.len() <= most, "{most}");
            assert_eq!(sums(&folder), (1_000, 999, 666), "{most}");
            assert_eq!(folder.left_out, 0, "{most}");
            folder.halve();
            assert_eq!(sums(&folder).0 + folder.left_out, 1_000, "{most}");
        }
    }

    #[test]
    fn what_cannot_be_merged_is_counted() {
        let mut folder = Folder::new(0, 10);
        (0..100).for_each(|seq| folder.note(&event(seq, seq as i32, 5)));
        assert_eq!((folder.groups.len(), folder.left_out), (10, 90));
        assert_eq!(sums(&folder), (10, 50, 10));
    }

    #[test]
    fn failures_and_others_are_not_alike() {
        let mut folder = Folder::new(0, 2);
        (0..10).for_each(|seq| folder.note(&event(seq, 1, 5)));
        folder.note(&Event { errno: Some("EPERM"), ..event(10, 1, 0) });
        assert_eq!(folder.groups.len(), 2);
        assert_eq!(sums(&folder).0, 11);
    }

    #[test]
    fn texts_are_bounded() {
        let mut texts = Texts::default();
        let long = "é".repeat(TEXT + 1);
        let place = texts.place(&long, 0);
        assert_eq!(texts.get(place).map(|text| text.chars().count()), Some(TEXT + 1));
        for number in 0..TEXTS + 10 {
            texts.place(&number.to_string(), 1);
        }
        assert!(texts.all.len() <= TEXTS + 1 && texts.get(i64::MAX).is_none());
    }
}
