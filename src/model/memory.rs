//! What is known of a process's memory at an instant, from the bytes that crossed its border.
//!
//! A read by another process shows what was there: `seen`. A write shows what came there: `written`. Both ends of a call are
//! memory of a process, and each end says something. Nothing else is known: what the process does with its own memory is not
//! recorded, so every byte is as old as the event that shows it. A write of which the bytes were not captured makes them
//! unknown; nothing is guessed.
//!
//! Owns what follows from one event after another. `effects` owns what one event says, `image` how a later one replaces an
//! earlier one, `lives` which process had a pid.

mod effects;
mod history;
mod image;
mod lives;
mod origin;
mod search;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

pub use self::effects::is_verified;
pub use self::history::{Entry, History, Touch};
pub use self::image::{Claim, Doubt, Way};
pub use self::lives::{LIFE_COLUMNS, Life, Lives};
pub use self::origin::{Order, Origin};
pub use self::search::{Hit, Search};

use self::effects::{Effect, Effects};
use self::image::Image;
use super::process::Identity;
use super::select::View;
use crate::schema::vocabulary::Abi;
use crate::schema::{Event, EventKind};

/// The columns from which memory is rebuilt.
pub const COLUMNS: &[&str] = &[
    "seq",
    "ts_ns",
    "mono_ns",
    "dur_ns",
    "event",
    "abi",
    "pid",
    "tid",
    "comm",
    "start_ns",
    "target_pid",
    "target_comm",
    "target_start_ns",
    "direction",
    "errno",
    "bytes",
    "local_iov",
    "remote_iov",
    "iov_verdict",
    "toctou",
    "ptrace_request",
    "data",
    "advice",
    "payload",
    "payload_status",
    "payload_side",
    "payload_at",
    "lost_event",
    "host",
];

/// Threads whose last return is remembered.
const THREADS: usize = 65_536;
/// Bytes kept of a thread name: the kernel's have at most 15.
const NAME: usize = 64;

/// More is known than is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// Why older bytes can be stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blind {
    /// Events were lost.
    Lost,
    /// A call wrote to ranges that are not known.
    Elsewhere,
    /// A file of the recording is missing.
    Missing,
}

/// The memory of one process, as far as it is known at an instant.
#[derive(Clone, Debug)]
pub struct Memory {
    process: Identity,
    until_ns: i64,
    span: Range<u64>,
    image: Image,
    /// When the memory began to be this one.
    since_ns: i64,
    /// When each thread last returned.
    threads: HashMap<i32, i64>,
    blind: Option<(i64, Blind)>,
    history: Option<History>,
    search: Option<Search>,
    /// How many events had ranges that are the kernel's own, and how many others.
    events: [u64; 2],
    /// The name that came last, which most events have again.
    name: Option<Arc<str>>,
}

impl Memory {
    /// The memory of `process` at `until_ns`, of addresses in `span` alone.
    pub fn new(process: Identity, until_ns: i64, span: Range<u64>) -> Self {
        Memory {
            process,
            until_ns,
            span,
            image: Image::default(),
            since_ns: i64::MIN,
            threads: HashMap::new(),
            blind: None,
            history: None,
            search: None,
            events: [0; 2],
            name: None,
        }
    }

    /// Keeps every event that touches the span from now on.
    #[must_use]
    pub fn with_history(self) -> Self {
        Memory { history: Some(History::default()), ..self }
    }

    /// Looks for `pattern`, at least one byte, in what is known and in all that comes to be known.
    #[must_use]
    pub fn with_search(self, pattern: &[u8]) -> Self {
        let mut search = Search::new(pattern);
        search.look_at_all(&self.image, &self.span);
        Memory { search: Some(search), ..self }
    }

    /// The memory of a child that was created at the instant of this one: it begins as a copy.
    #[must_use]
    pub fn forked(self, child: Identity, until_ns: i64) -> Self {
        Memory { process: child, since_ns: self.until_ns, until_ns, ..self }
    }

    /// Whose memory it is.
    pub fn process(&self) -> Identity {
        self.process
    }

    /// Events up to `mono_ns` are missing.
    pub fn miss(&mut self, mono_ns: i64) {
        self.blind_until(mono_ns, Blind::Missing);
    }

    /// Takes in an event. They come in the order of the capture.
    ///
    /// # Errors
    /// When more is known than is kept.
    pub fn note(&mut self, event: &Event<'_>) -> Result<(), TooLarge> {
        if event.event == EventKind::Lost.name() {
            self.note_loss(event);
            return Ok(());
        }
        let is_caller = Identity::caller(event).matches(self.process);
        let is_target = Identity::target(event).is_some_and(|target| target.matches(self.process));
        if is_caller && event.event == EventKind::ProcessExec.name() && event.mono_ns <= self.until_ns {
            self.image.clear();
            self.since_ns = event.mono_ns;
            self.blind = None;
            self.events = [0; 2];
            if let Some(history) = &mut self.history {
                history.exec(event.seq, event.mono_ns);
            }
            if let Some(search) = &mut self.search {
                search.clear(event.mono_ns);
            }
        }
        let sides = [(is_target, View::Target), (is_caller, View::Caller)];
        let effects = sides.into_iter().filter(|(is, _)| *is).map(|(_, side)| effects::of(event, side));
        let effects = effects.fold(Effects::default(), |mut all, side| {
            all.list.extend(side.list);
            Effects { elsewhere: all.elsewhere || side.elsewhere, ..all }
        });
        if effects != Effects::default() {
            self.take(event, effects);
        }
        self.returned(event);
        if self.image.is_too_large() { Err(TooLarge) } else { Ok(()) }
    }

    fn take(&mut self, event: &Event<'_>, mut effects: Effects<'_>) {
        let begin_ns = event.dur_ns.map(|dur| event.mono_ns.saturating_sub(dur.max(0)));
        let is_pending = event.mono_ns > self.until_ns;
        if is_pending && begin_ns.is_none_or(|begin| begin > self.until_ns) {
            return;
        }
        if effects.elsewhere {
            self.blind_until(if is_pending { i64::MAX } else { event.mono_ns }, Blind::Elsewhere);
        }
        for effect in &mut effects.list {
            effect.clip(&self.span);
        }
        effects.list.retain(|effect| !effect.range.is_empty());
        // What a call begins before an exec, it may do to the memory before or after it.
        let is_uncertain = is_pending || begin_ns.is_some_and(|begin| begin < self.since_ns);
        if is_uncertain {
            effects.list.retain(|effect| effect.way == Way::Written);
            effects.list.iter_mut().for_each(|effect| effect.bytes = None);
        }
        if effects.list.is_empty() {
            return;
        }
        // A call reads before it writes.
        effects.list.sort_by_key(|effect| effect.way == Way::Written);
        let origin = Arc::new(self.origin(event, begin_ns));
        let [verified, unverified] = &mut self.events;
        *(if origin.verified { verified } else { unverified }) += 1;
        for way in [Way::Seen, Way::Written] {
            let some: Vec<&Effect<'_>> = effects.list.iter().filter(|effect| effect.way == way).collect();
            self.apply(&some, way, &origin, is_pending);
        }
    }

    fn apply(&mut self, effects: &[&Effect<'_>], way: Way, origin: &Arc<Origin>, is_pending: bool) {
        let (first, last) = (effects.iter().map(|e| e.range.start).min(), effects.iter().map(|e| e.range.end).max());
        let (Some(first), Some(last)) = (first, last) else { return };
        let is_noted = self.history.is_some() && !is_pending;
        let before = is_noted.then(|| History::begin(&self.image, first..last));
        for effect in effects {
            // A read of which nothing was captured changes nothing.
            if effect.bytes.is_some() || way == Way::Written {
                self.image.put(effect.range.clone(), effect.bytes, way, origin);
                match self.search.as_mut().filter(|_| !is_pending) {
                    Some(search) if effect.bytes.is_some() => {
                        search.look(&self.image, effect.range.clone(), origin.mono_ns);
                    }
                    Some(search) => search.overwritten(effect.range.clone(), origin.mono_ns),
                    None => {}
                }
            }
        }
        if let (Some(before), Some(history)) = (before, &mut self.history) {
            history.end(&self.image, before, way, origin);
        }
    }

    fn origin(&mut self, event: &Event<'_>, begin_ns: Option<i64>) -> Origin {
        let is_async = event.abi.is_some_and(|abi| Abi::IoUring.is(abi));
        let not_before_ns = self.threads.get(&event.tid).copied().filter(|_| !is_async);
        Origin {
            seq: event.seq,
            event: EventKind::of_name(event.event).map_or("", EventKind::name),
            pid: event.pid,
            comm: self.name(event.comm),
            target_pid: event.target_pid,
            target_comm: event.target_comm.map(|name| self.name(name)),
            mono_ns: event.mono_ns,
            ts_ns: event.ts_ns,
            begin_ns,
            not_before_ns,
            verified: is_verified(event),
        }
    }

    fn name(&mut self, name: &str) -> Arc<str> {
        let end = (0..=name.len().min(NAME)).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
        let name = name.get(..end).unwrap_or_default();
        match &self.name {
            Some(known) if known.as_ref() == name => Arc::clone(known),
            Some(_) | None => {
                let new: Arc<str> = name.into();
                self.name = Some(Arc::clone(&new));
                new
            }
        }
    }

    /// Remembers when a thread was last seen to return: what it does next begins after that.
    fn returned(&mut self, event: &Event<'_>) {
        if event.abi.is_some_and(|abi| Abi::IoUring.is(abi)) {
            return;
        }
        if self.threads.len() >= THREADS {
            self.threads.clear();
        }
        let last = self.threads.entry(event.tid).or_insert(event.mono_ns);
        *last = event.mono_ns.max(*last);
    }

    fn note_loss(&mut self, event: &Event<'_>) {
        let since = event.mono_ns.saturating_sub(event.dur_ns.unwrap_or(0).max(0));
        let matters = event.lost_event.and_then(EventKind::of_name).is_none_or(effects::matters);
        if since <= self.until_ns && matters {
            self.blind_until(event.mono_ns, Blind::Lost);
        }
    }

    fn blind_until(&mut self, mono_ns: i64, why: Blind) {
        if self.blind.is_none_or(|(known, _)| known < mono_ns) {
            self.blind = Some((mono_ns, why));
        }
    }

    /// What is said of `range`, in the order of addresses.
    pub fn claims(&self, range: Range<u64>) -> impl Iterator<Item = Claim<'_>> {
        self.image.claims(range)
    }

    /// The bytes of `range`, `None` where one is not known.
    pub fn read(&self, range: Range<u64>) -> Vec<Option<u8>> {
        self.image.read(range)
    }

    /// Whether a write that the capture does not show, or does not show where, can have changed what an event shows.
    pub fn is_stale(&self, origin: &Origin) -> bool {
        self.blind.is_some_and(|(until, _)| origin.earliest_ns() < until)
    }

    /// Until when a write can have been missed, and why.
    pub fn blind(&self) -> Option<(i64, Blind)> {
        self.blind
    }

    /// When its program began, or its process, where that was seen.
    pub fn since_ns(&self) -> Option<i64> {
        (self.since_ns != i64::MIN).then_some(self.since_ns)
    }

    /// Of how many events the ranges are the kernel's own, and of how many others they are not verified.
    pub fn events(&self) -> [u64; 2] {
        self.events
    }

    /// Where and when the bytes stood that are looked for.
    pub fn search(&self) -> Option<&Search> {
        self.search.as_ref()
    }

    /// Every event that touched the span.
    pub fn history(&self) -> Option<&History> {
        self.history.as_ref()
    }
}

impl Effect<'_> {
    /// Leaves of it what is in `span`.
    fn clip(&mut self, span: &Range<u64>) {
        let range = self.range.start.max(span.start)..self.range.end.min(span.end);
        let from = range.start.saturating_sub(self.range.start) as usize;
        let len = range.end.saturating_sub(range.start) as usize;
        self.bytes = self.bytes.and_then(|bytes| bytes.get(from..from.checked_add(len)?));
        self.range = range;
    }
}
