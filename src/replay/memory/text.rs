//! The text of `vmtrace memory`: hexdumps with the event that shows each run of bytes, and the history of a range.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::ops::Range;

use super::diff::{Change, Differences};
use super::recording::{Found, Recording};
use super::words::{self, Byte};
use crate::count::{self, Count, grouped};
use crate::model::memory::{Blind, Claim, Doubt, Entry, Touch, Way};
use crate::model::time;
use crate::replay::describe::Named;
use crate::replay::summary::layout;
use crate::terminal::fit;

/// Bytes of text that are written at a time.
const PART: usize = 1 << 16;
/// Bytes of a range that is shown whole in a list.
const SMALL: u64 = 256;
/// Runs that are listed of a range that is not.
const RUNS: usize = 4;
/// Columns of a value where lines have no end.
const WIDE: usize = 256;
/// Fewest columns of a value that stands behind its event.
const NARROW: usize = 8;
/// Blanks before one that stands below it.
const INDENT: usize = 11;
/// Columns from which an event of a history is named in full.
const ROOMY: usize = 120;

/// How text is to look.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Columns of a line; lines are whole where there is no limit.
    pub columns: Option<usize>,
    /// Ranges that are listed.
    pub top: usize,
}

/// Writes what was found.
pub struct Text<'a> {
    /// Where from.
    recording: &'a Recording,
    /// What.
    found: &'a Found,
    /// How.
    look: Look,
    /// The text that has not been written yet.
    out: String,
    /// Where it goes.
    sink: Box<dyn Write + 'a>,
    written: io::Result<()>,
}

impl<'a> Text<'a> {
    /// A text of what was found.
    pub fn new(recording: &'a Recording, found: &'a Found, look: Look) -> Self {
        Text::to(Box::new(io::stdout()), recording, found, look)
    }

    /// The same, which goes elsewhere.
    pub fn to(sink: Box<dyn Write + 'a>, recording: &'a Recording, found: &'a Found, look: Look) -> Self {
        Text { recording, found, look, out: String::new(), sink, written: Ok(()) }
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// When something could not be written.
    pub fn end(mut self) -> io::Result<()> {
        self.spill();
        self.written
    }

    /// A dump may be long: the text is written in parts.
    fn spill(&mut self) {
        if self.written.is_ok() {
            self.written = self.sink.write_all(self.out.as_bytes());
        }
        self.out.clear();
    }

    fn line(&mut self, line: &str) {
        let cut = self.look.columns.map(|columns| fit::cut(line, columns));
        self.out.push_str(cut.unwrap_or(line));
        self.out.push('\n');
        if self.out.len() >= PART {
            self.spill();
        }
    }

    fn sentence(&mut self, sentence: &str) {
        match self.look.columns {
            Some(columns) => layout::wrap(&mut self.out, sentence, columns),
            None => {
                self.out.push_str(sentence);
                self.out.push('\n');
            }
        }
    }

    /// The process.
    fn who(&self) -> String {
        let process = Named {
            host: self.recording.host.as_deref(),
            name: self.found.name.as_deref(),
            pid: self.found.life.process.pid,
        };
        process.to_string()
    }

    /// All that is known, as a list of ranges.
    pub fn list(&mut self, ranges: &[Range<u64>]) {
        let bytes: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        let (at, ranges_in_words) = (self.recording.seconds(self.found.at_ns), count_ranges(ranges.len()));
        self.sentence(&format!("{} at {at}: {} known in {ranges_in_words}", self.who(), count::bytes(bytes)));
        for range in ranges.iter().take(self.look.top) {
            let length = range.end - range.start;
            self.out.push('\n');
            if length <= SMALL {
                self.dump(range.clone());
                self.runs(range.clone(), usize::MAX);
            } else {
                self.runs(range.clone(), RUNS);
            }
        }
        if let Some(more @ 1..) = ranges.len().checked_sub(self.look.top) {
            self.sentence(&format!("… and {more} more of {ranges_in_words}: --top lists more."));
        }
        self.caveats();
    }

    /// One range, whatever is known of it.
    pub fn range(&mut self, range: Range<u64>, known: u64) {
        let at = self.recording.seconds(self.found.at_ns);
        let (all, length) = (grouped(range.end - range.start), range.end - range.start);
        let bytes = if length == 1 { "byte" } else { "bytes" };
        self.sentence(&format!("{} at {at}: {} of {all} {bytes} known", self.who(), grouped(known)));
        self.dump(range.clone());
        self.runs(range, usize::MAX);
        self.caveats();
    }

    /// The bytes of a range in rows. Rows of which nothing is known are counted.
    fn dump(&mut self, range: Range<u64>) {
        let per_row = words::per_row(self.look.columns);
        let mut unknown = 0u64;
        let mut at = range.start;
        while at < range.end {
            let end = range.end.min(at.saturating_add(per_row as u64));
            let known = self.found.memory.claims(at..range.end).find(|claim| claim.bytes.is_some());
            // A stretch without any byte is passed over at once.
            let next = known.map_or(range.end, |claim| claim.range.start);
            if next >= end {
                let rows = (next - at) / per_row as u64;
                let skipped = if next == range.end { next - at } else { rows * per_row as u64 };
                unknown += skipped;
                at += skipped;
                continue;
            }
            self.unknown(&mut unknown, at);
            let mut bytes = vec![Byte::Unknown; (end - at) as usize];
            for claim in self.found.memory.claims(at..end) {
                let from = (claim.range.start - at) as usize;
                let slots = bytes.get_mut(from..).unwrap_or_default();
                let is_conflict = matches!(claim.doubt, Doubt::Conflict(_));
                for (slot, byte) in slots.iter_mut().zip(claim.bytes.unwrap_or_default()) {
                    *slot = if is_conflict { Byte::Conflict } else { Byte::Is(*byte) };
                }
            }
            let row = words::row(at, &bytes, per_row);
            self.line(&row);
            at = end;
        }
        self.unknown(&mut unknown, range.end);
    }

    fn unknown(&mut self, bytes: &mut u64, end: u64) {
        let count = std::mem::take(bytes);
        if count > 0 {
            self.line(&format!("  {:#14x}  ·· {}", end - count, count::bytes(count)));
        }
    }

    /// The runs of a range: bytes that one event shows.
    fn runs(&mut self, range: Range<u64>, most: usize) {
        let Found { memory, at_ns, life, .. } = self.found;
        let runs: Vec<[String; 4]> = joined(memory.claims(range.clone()))
            .map(|claim| {
                let length = claim.range.end - claim.range.start;
                let age = time::span(at_ns.saturating_sub(claim.origin.mono_ns));
                let age = if claim.origin.mono_ns > *at_ns { "at this time".to_string() } else { format!("{age} ago") };
                let event = words::event(claim.origin, life.process.pid);
                let event = event + &words::remarks(&claim, memory);
                [format!("{:#x}+{length}", claim.range.start), words::state(&claim, *at_ns).to_string(), age, event]
            })
            .collect();
        let shown = runs.iter().take(most);
        let width =
            |column: usize| shown.clone().filter_map(|run| run.get(column)).map(|cell| cell.chars().count()).max();
        let [range_width, state_width, age_width] = [0, 1, 2].map(|column| width(column).unwrap_or(0));
        for [range, state, age, event] in shown {
            self.line(&format!("{range:range_width$}  {state:state_width$}  {age:>age_width$}  {event}"));
        }
        if let Some(more @ 1..) = runs.len().checked_sub(most) {
            let length = count::bytes(range.end - range.start);
            self.line(&format!(
                "… and {} of the {length} at {:#x}",
                Count(more as u64, "more run", "more runs"),
                range.start
            ));
        }
    }

    /// What bounds the certainty of all that is shown.
    pub fn caveats(&mut self) {
        for caveat in caveats(self.recording, self.found) {
            self.sentence(&caveat);
        }
    }

    /// Every event that touched the range.
    pub fn history(&mut self, range: Range<u64>) {
        let Some(history) = self.found.memory.history() else { return };
        let touches = history.iter().filter(|entry| matches!(entry, Entry::Touch(_))).count();
        let unverified = match self.found.memory.events() {
            [_, 0] => "",
            [0, _] => ", addresses unverified",
            [_, _] => ", some addresses unverified",
        };
        let (who, at) = (self.who(), self.recording.seconds(self.found.at_ns));
        let length = range.end - range.start;
        let events = count::events(touches as u64);
        self.sentence(&format!("{who} {:#x}+{length} until {at}: {events}{unverified}", range.start));
        for entry in history.iter() {
            match entry {
                Entry::Touch(touch) => self.touch(touch, &range),
                Entry::Exec { seq, mono_ns } => {
                    let at = self.recording.seconds(*mono_ns);
                    self.line(&format!("{at:>13}  {seq} process_exec: another program, nothing is known any more"));
                }
            }
        }
        if history.beyond() > 0 {
            self.sentence(&format!(
                "… and {} more: name a smaller range, or with --at an earlier time.",
                count::events(history.beyond())
            ));
        }
        for caveat in caveats(self.recording, self.found).iter().filter(|caveat| !caveat.starts_with("Addresses")) {
            self.sentence(caveat);
        }
    }

    fn touch(&mut self, touch: &Touch, whole: &Range<u64>) {
        let Touch { origin, way, range, before, after } = touch;
        let at = self.recording.seconds(origin.mono_ns);
        let event = words::event(origin, self.found.life.process.pid);
        let (way_word, length) = (words::way_word(*way), range.end - range.start);
        let line = match self.look.columns {
            Some(columns) if columns < ROOMY => {
                // Microseconds, and where it is in the range, if it is not all of it.
                let at = at.get(..at.len().saturating_sub(3)).unwrap_or_default();
                let place = format!("+{:#x}+{length} ", range.start - whole.start);
                let place = if range == whole { String::new() } else { place };
                format!("{at:>10} {way_word:7} {place}{event}: ")
            }
            Some(_) | None => format!("{at:>13}  {way_word:7}  {:#x}+{length}  {event}: ", range.start),
        };
        let is_news = before.iter().any(Option::is_some) && before != after;
        let before = (*way == Way::Written || is_news).then_some(before.as_slice());
        self.values(line, before, after);
    }

    /// Writes a line, with values behind it, or below it where they do not fit.
    fn values(&mut self, mut line: String, before: Option<&[Option<u8>]>, after: &[Option<u8>]) {
        let values = 1 + usize::from(before.is_some());
        // Quotes, an arrow, and the sign that it goes on.
        let room = |columns: usize| (columns.saturating_sub(3) / values).saturating_sub(3);
        let mut width = self.look.columns.map_or(WIDE, |columns| room(columns.saturating_sub(fit::columns(&line))));
        if width < NARROW {
            self.line(line.trim_end());
            line = " ".repeat(INDENT);
            width = room(self.look.columns.unwrap_or(WIDE).saturating_sub(INDENT));
        }
        if let Some(before) = before {
            // Writing to a String cannot fail.
            let _ = write!(line, "{} → ", words::quoted(before, width));
        }
        let is_lost = before.is_some() && after.iter().all(Option::is_none);
        line.push_str(&if is_lost { "not kept".to_string() } else { words::quoted(after, width) });
        self.line(&line);
    }

    /// What differs since an earlier instant.
    pub fn differences(&mut self, before: &Found, differences: &Differences<'_>) {
        let (from, to) = (self.recording.seconds(before.at_ns), self.recording.seconds(self.found.at_ns));
        let [changed, new, unknown] = differences.bytes.map(grouped);
        let bytes = format!("bytes changed {changed}, new {new}, unknown again {unknown}");
        self.sentence(&format!("{} from {from} to {to}: {bytes}", self.who()));
        for difference in differences.iter().take(self.look.top) {
            let range = &difference.range;
            let by = difference.by.map(|by| words::event(by, self.found.life.process.pid));
            let by = by.unwrap_or_else(|| "another program".to_string());
            let line =
                format!("{:#x}+{}  {:7}  {by}: ", range.start, range.end - range.start, difference.change.word());
            let front = range.start..range.end.min(range.start.saturating_add(SMALL));
            let [old, new] = [before, self.found].map(|found| found.memory.read(front.clone()));
            match difference.change {
                Change::Changed | Change::Unknown => self.values(line, Some(&old), &new),
                Change::New => self.values(line, None, &new),
            }
        }
        let all = (differences.iter().count() as u64).saturating_add(differences.beyond);
        if let Some(more @ 1..) = all.checked_sub(self.look.top as u64) {
            self.sentence(&format!("… and {}: --top lists more.", Count(more, "more range", "more ranges")));
        }
        self.caveats();
    }

    /// Where and when bytes stood.
    pub fn search(&mut self) {
        let Some(search) = self.found.memory.search() else { return };
        let hits = search.iter().count() as u64;
        let times = Count(hits.saturating_add(search.beyond()), "time", "times");
        self.sentence(&format!("{} until {}: found {times}", self.who(), self.recording.seconds(self.found.at_ns)));
        for hit in search.iter().take(self.look.top) {
            let event = words::event(&hit.origin, self.found.life.process.pid);
            let (at, address) = (self.recording.seconds(hit.origin.mono_ns), hit.address);
            let until = hit.until_ns.map_or_else(|| "the end".to_string(), |until| self.recording.seconds(until));
            self.line(&format!("{at:>13} to {until:>13}  {address:#x}  {event}"));
        }
        if let Some(more @ 1..) = hits.saturating_add(search.beyond()).checked_sub(self.look.top as u64) {
            self.sentence(&format!("… and {}: --top lists more.", Count(more, "more time", "more times")));
        }
        self.caveats();
    }
}

/// Sentences about what bounds the certainty of all that is shown.
pub fn caveats(recording: &Recording, found: &Found) -> Vec<String> {
    let mut caveats = Vec::new();
    if let Some((until, why)) = found.memory.blind() {
        let until = until.min(found.at_ns);
        let why = match why {
            Blind::Lost => "Events were lost",
            Blind::Elsewhere => "A call wrote to addresses that are not known",
            Blind::Missing => "A file of the recording is missing",
        };
        caveats.push(format!("{why} until {}: bytes that are older can be stale.", recording.seconds(until)));
    }
    if recording.unplaced > 0 {
        let events = Count(recording.unplaced, "event is", "events are");
        caveats.push(format!("{events} missing, and when they happened is not known: all bytes can be stale."));
    }
    match found.memory.events() {
        [_, 0] => {}
        [0, _] => {
            caveats.push("Addresses are unverified: they, and the bytes, were read when the call returned.".to_string())
        }
        [verified, unverified] => {
            let (some, all) = (grouped(unverified), count::events(verified.saturating_add(unverified)));
            caveats.push(format!("Addresses of {some} of {all} are unverified: -T json says of which."));
        }
    }
    if found.lives > 1 {
        let (pid, since) = (found.life.process.pid, recording.seconds(found.life.first_ns));
        let processes = count::grouped(found.lives as u64);
        caveats.push(format!("{processes} processes had pid {pid}; this one is seen from {since}: --at chooses."));
    }
    caveats
}

/// Claims, with those joined that follow one another and say the same.
pub fn joined<'a>(claims: impl Iterator<Item = Claim<'a>>) -> impl Iterator<Item = Claim<'a>> {
    let mut claims = claims.peekable();
    std::iter::from_fn(move || {
        let mut claim = claims.next()?;
        while let Some(next) = claims.next_if(|next| continues(&claim, next)) {
            claim.range.end = next.range.end;
        }
        Some(claim)
    })
}

fn continues(claim: &Claim<'_>, next: &Claim<'_>) -> bool {
    let doubts = match (claim.doubt, next.doubt) {
        (Doubt::None, Doubt::None) | (Doubt::Unordered, Doubt::Unordered) => true,
        (Doubt::Conflict(a), Doubt::Conflict(b)) => a.seq == b.seq,
        (Doubt::None | Doubt::Unordered | Doubt::Conflict(_), _) => false,
    };
    let same = claim.origin.seq == next.origin.seq && claim.way == next.way;
    claim.range.end == next.range.start && same && doubts && claim.bytes.is_some() == next.bytes.is_some()
}

fn count_ranges(ranges: usize) -> Count<'static> {
    Count(ranges as u64, "range", "ranges")
}
