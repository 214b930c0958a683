//! What happened of each event: how often, with which errors, how many bytes, how long it took.

use std::sync::Arc;

use super::row::{Latency, Sums};
use super::texts::{Texts, Words};
use crate::schema::Event;
use crate::schema::events::{EventSpec, event_by_name};

/// Events that are distinguished: those of this version always, of later ones up to so many. The rest is counted in one.
const LIMIT: usize = 256;
/// Bytes of the longest name of an event that is distinguished.
const NAME: usize = 256;

/// The rows of one event.
#[derive(Clone, Debug)]
pub struct OfEvent {
    /// Its name; `None` for all events together that are not distinguished.
    pub event: Option<Arc<str>>,
    /// Its entry in the table of events, if this version knows it.
    pub spec: Option<&'static EventSpec>,
    /// Rows.
    pub calls: u64,
    /// Errors, and how often each came.
    pub errors: Words,
    /// Sum of the column `bytes`.
    pub bytes: u64,
    /// How long they took.
    pub latency: Latency,
}

/// All events.
#[derive(Debug, Default)]
pub(super) struct Calls {
    all: Vec<OfEvent>,
    /// Where the event of the row before is.
    last: usize,
}

impl Calls {
    /// Counts rows; returns the place of their event.
    pub fn note(&mut self, event: &Event<'_>, sums: &Sums, texts: &mut Texts) -> usize {
        let at = self.place(event.event);
        self.last = at;
        if let Some(of) = self.all.get_mut(at) {
            of.calls += sums.rows;
            of.bytes = of.bytes.saturating_add(sums.bytes);
            if let Some(errno) = event.errno {
                of.errors.note(errno, sums.rows, texts);
            }
            of.latency.add(sums.latency);
        }
        at
    }

    pub fn get(&self, at: usize) -> Option<&OfEvent> {
        self.all.get(at)
    }

    pub fn iter(&self) -> impl Iterator<Item = &OfEvent> {
        self.all.iter()
    }

    fn place(&mut self, event: &str) -> usize {
        let is = |of: &OfEvent| of.event.as_deref() == Some(event);
        if self.all.get(self.last).is_some_and(is) {
            return self.last;
        }
        if let Some(at) = self.all.iter().position(is) {
            return at;
        }
        let spec = event_by_name(event);
        let has_room = self.all.len() < LIMIT && event.len() <= NAME;
        let name = (spec.is_some() || has_room).then(|| Arc::from(event));
        if name.is_none()
            && let Some(at) = self.all.iter().position(|of| of.event.is_none())
        {
            return at;
        }
        self.all.push(OfEvent {
            spec,
            event: name,
            calls: 0,
            errors: Words::default(),
            bytes: 0,
            latency: Latency::default(),
        });
        self.all.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_counted() {
        let (mut calls, mut texts) = (Calls::default(), Texts::default());
        let read = Event { event: "pread", bytes: Some(8), dur_ns: Some(10), ..Event::default() };
        let failed = Event { errno: Some("EIO"), bytes: Some(0), dur_ns: None, ..read };
        let tee = Event { event: "tee", bytes: Some(-1), dur_ns: Some(-5), ..read };
        let slow = Event { dur_ns: Some(30), ..read };
        let places: Vec<usize> =
            [read, failed, tee, slow].iter().map(|e| calls.note(e, &Sums::of(e), &mut texts)).collect();
        assert_eq!(places, [0, 0, 1, 0]);
        let pread = calls.get(0).unwrap();
        assert_eq!((pread.calls, pread.bytes, pread.errors.total()), (3, 16, 1));
        assert_eq!((pread.latency.calls, pread.latency.mean_ns(), pread.latency.max_ns), (2, Some(20), 30));
        assert_eq!(pread.spec.unwrap().name, "pread");
        let tee = calls.get(1).unwrap();
        assert_eq!((tee.bytes, tee.latency.total_ns, Latency::default().mean_ns()), (0, 0, None));
    }

    fn note(calls: &mut Calls, name: &str, texts: &mut Texts) -> usize {
        let event = Event { event: name, ..Event::default() };
        calls.note(&event, &Sums::of(&event), texts)
    }

    #[test]
    fn events_beyond_the_limit_are_counted_in_one() {
        let (mut calls, mut texts) = (Calls::default(), Texts::default());
        let names: Vec<String> = (0..LIMIT + 5).map(|number| format!("of_later_{number}")).collect();
        for name in &names {
            for _ in 0..2 {
                note(&mut calls, name, &mut texts);
            }
        }
        assert_eq!(calls.iter().count(), LIMIT + 1);
        assert_eq!(calls.iter().map(|of| of.calls).sum::<u64>(), 2 * names.len() as u64);
        assert_eq!(calls.get(LIMIT).map(|of| (of.event.is_none(), of.calls)), Some((true, 10)));
        let fork = note(&mut calls, "process_fork", &mut texts);
        assert_eq!(calls.get(fork).unwrap().spec.unwrap().name, "process_fork", "an event of this version is one");
        let long = "x".repeat(NAME + 1);
        assert_eq!(note(&mut calls, &long, &mut texts), LIMIT);
    }
}
