//! From whose memories recorded calls took bytes: only what is put into these can go on.

use ahash::HashSet;

use crate::schema::events::Group;
use crate::schema::vocabulary::Direction;
use crate::schema::{Event, EventKind};

/// Processes that are remembered. When there are more, any may be one.
const LIMIT: usize = 65_536;

/// The processes, by pid.
#[derive(Debug, Default)]
pub(in crate::model::flow) struct Givers {
    pids: HashSet<i32>,
    /// The last one that was noted.
    last: Option<i32>,
}

impl Givers {
    /// Notes an event, which is of `kind`.
    pub fn note(&mut self, event: &Event<'_>, kind: EventKind) {
        let Some(pid) = giver(event, kind).filter(|pid| self.last != Some(*pid)) else { return };
        self.last = Some(pid);
        if self.pids.len() <= LIMIT {
            self.pids.insert(pid);
        }
    }

    /// Whether bytes may have been taken from the memory of a process.
    pub fn has(&self, pid: i32) -> bool {
        self.pids.len() > LIMIT || self.pids.contains(&pid)
    }
}

/// From whose memory an event took bytes.
fn giver(event: &Event<'_>, kind: EventKind) -> Option<i32> {
    let is_out = event.direction.map(Direction::parse)? == Ok(Direction::Out);
    event.bytes.filter(|bytes| *bytes > 0)?;
    let group = kind.spec().group;
    match kind {
        EventKind::PipeWrite | EventKind::Vmsplice => is_out.then_some(event.pid),
        _ if group != Group::Vm && group != Group::Mem && kind != EventKind::UffdCopy => None,
        _ if is_out => Some(event.pid),
        _ => event.target_pid,
    }
}
