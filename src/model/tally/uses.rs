//! What the calls of a pair did, by event and way of the bytes.

use std::sync::Arc;

use super::row::{Counted, Span, Who};
use super::texts::{Texts, Words};
use crate::schema::Event;
use crate::schema::events::{EventSpec, Group};
use crate::schema::vocabulary::Direction;

/// Errors of calls that were refused.
const DENIED: [&str; 2] = ["EPERM", "EACCES"];

/// Whether calls that return this error were refused.
pub fn is_denial(errno: &str) -> bool {
    DENIED.contains(&errno)
}

/// Who was denied: what the process was at its first denied call. It may have become another since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Thread name, as captured.
    pub comm: Option<Arc<str>>,
    /// Its command line then.
    pub command: Option<Arc<str>>,
    /// Effective user id.
    pub uid: u32,
    /// Whether it was denied under other user ids too.
    pub has_more_uids: bool,
}

impl Denied {
    fn note(denied: &mut Option<Denied>, event: &Event<'_>, caller: &Who) {
        let denied = denied.get_or_insert_with(|| Denied {
            comm: caller.comm.clone(),
            command: caller.command.clone(),
            uid: event.uid,
            has_more_uids: false,
        });
        denied.has_more_uids |= denied.uid != event.uid;
    }
}

/// The calls of one kind, with bytes that go one way.
#[derive(Clone, Debug)]
pub struct Use {
    /// The event; `None` for those that are not distinguished.
    pub event: Option<Arc<str>>,
    /// Its entry in the table of events, if this version knows it.
    pub spec: Option<&'static EventSpec>,
    /// Way of the bytes, seen from the caller; `None` if none move, or not to or from its memory.
    pub direction: Option<Direction>,
    /// Calls.
    pub calls: u64,
    /// Calls that moved bytes.
    pub transfers: u64,
    /// Sum of the column `bytes`.
    pub bytes: u64,
    /// Errors, and how often each came.
    pub errors: Words,
    /// Who was denied first, if anybody was.
    pub denied: Option<Denied>,
    /// From the first to the last call that moved bytes.
    pub moved: Option<Span>,
    /// The path through which the target was reached (/proc/PID/mem), as captured: the first of them.
    pub path: Option<Arc<str>>,
    /// Whether there were other paths.
    pub has_more_paths: bool,
    /// Names of the mappings that were reached, where these are known: a few of them, as they came first.
    pub regions: Vec<Arc<str>>,
    /// Whether there were other ones.
    pub has_more_regions: bool,
    /// Place of its event.
    pub(super) place: usize,
}

/// Names of mappings that are distinguished.
const REGIONS: usize = 4;

impl Use {
    pub(super) fn new(counted: Counted<'_>, direction: Option<Direction>) -> Self {
        Use {
            event: counted.event.cloned(),
            spec: counted.spec,
            direction,
            calls: 0,
            transfers: 0,
            bytes: 0,
            errors: Words::default(),
            denied: None,
            moved: None,
            path: None,
            has_more_paths: false,
            regions: Vec::new(),
            has_more_regions: false,
            place: counted.place,
        }
    }

    /// Counts rows of `caller`.
    pub(super) fn note(&mut self, event: &Event<'_>, caller: &Who, counted: Counted<'_>, texts: &mut Texts) {
        let sums = &counted.sums;
        self.calls += sums.rows;
        self.bytes = self.bytes.saturating_add(sums.bytes);
        if let Some(errno) = event.errno {
            self.errors.note(errno, sums.rows, texts);
            if is_denial(errno) {
                Denied::note(&mut self.denied, event, caller);
            }
        }
        if counted.moved {
            self.transfers += sums.rows;
            Span::extend(&mut self.moved, sums.span);
            self.note_regions(event, texts);
        }
        if self.spec.is_some_and(|spec| spec.group == Group::Mem) && !self.has_more_paths {
            let path = event.fd_in_path.or(event.fd_out_path);
            match (&self.path, path) {
                (Some(known), Some(path)) => self.has_more_paths = known.as_ref() != path,
                (None, Some(path)) => self.path = texts.front(path),
                (_, None) => {}
            }
        }
    }

    fn note_regions(&mut self, event: &Event<'_>, texts: &mut Texts) {
        let Some(regions) = event.remote_regions.filter(|_| !self.has_more_regions) else { return };
        for name in regions.iter().filter_map(|region| region.name()) {
            if self.regions.iter().any(|known| **known == *name) {
                continue;
            }
            match texts.front(name).filter(|_| self.regions.len() < REGIONS) {
                Some(name) => self.regions.push(name),
                None => self.has_more_regions = true,
            }
        }
    }
}
