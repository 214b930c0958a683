//! What went through each pipe: who put bytes in, who took them out.
//!
//! The same as the view `pipes` of `vmtrace query`: only what vmsplice, splice, tee, sendfile, pipe_read
//! and pipe_write moved is known.

use std::collections::HashMap;
use std::sync::Arc;

use super::row::{Span, Sums};
use super::texts::Texts;
use crate::model::process::HostId;
use crate::schema::{Event, EventKind};

/// Pipes that are distinguished. What is beyond is counted together.
const LIMIT: usize = 4_096;
/// Processes that are distinguished at one pipe: they are searched one by one.
const AT_A_PIPE: usize = 256;
/// Processes that are distinguished at all pipes.
const ENDS: usize = 65_536;

/// What calls did with a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Bytes were put in.
    In,
    /// Bytes were taken out.
    Out,
    /// Bytes were duplicated into another pipe, and stay (tee).
    Duplicated,
}

/// A process at a pipe, by the name that it had then.
#[derive(Clone, Debug)]
pub struct AtPipe {
    /// What it did.
    pub way: Way,
    /// Process id.
    pub pid: i32,
    /// `process_key`.
    pub key: Option<Arc<str>>,
    /// Thread name, as captured.
    pub comm: Option<Arc<str>>,
    /// Calls.
    pub calls: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Calls and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Calls.
    pub calls: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A pipe or FIFO.
#[derive(Clone, Debug)]
pub struct Pipe {
    /// Its host, where the capture is of several; as captured.
    pub host: Option<Arc<str>>,
    /// Its inode.
    pub inode: u64,
    /// Its path, if it is a FIFO.
    pub path: Option<Arc<str>>,
    /// What was put in; no calls where nobody was seen who did that.
    pub put: Sum,
    /// What was taken out.
    pub taken: Sum,
    /// What was duplicated.
    pub duplicated: Sum,
    /// Who did it, in the order in which they came first.
    pub processes: Vec<AtPipe>,
    /// Calls of processes that are not among these, since there were too many.
    pub calls_of_others: u64,
    /// From the first to the last call.
    pub span: Option<Span>,
}

impl Pipe {
    /// Calls at either end: a call that moves bytes from one pipe to another is one of each.
    pub fn calls(&self) -> u64 {
        self.put.calls + self.taken.calls + self.duplicated.calls
    }
}

/// All pipes.
#[derive(Debug, Default)]
pub(super) struct Pipes {
    all: Vec<Pipe>,
    places: HashMap<(HostId, u64), usize>,
    ends: usize,
    beyond: u64,
}

impl Pipes {
    /// Counts rows.
    pub fn note(&mut self, event: &Event<'_>, sums: &Sums, texts: &mut Texts) {
        if sums.bytes == 0 {
            return;
        }
        if let Some(inode) = event.pipe_out {
            self.end(inode, Way::In, event.fd_out_path, event, sums, texts);
        }
        if let Some(inode) = event.pipe_in {
            let way = if event.event == EventKind::Tee.name() { Way::Duplicated } else { Way::Out };
            self.end(inode, way, event.fd_in_path, event, sums, texts);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Pipe> {
        self.all.iter()
    }

    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    fn end(&mut self, inode: u64, way: Way, path: Option<&str>, event: &Event<'_>, sums: &Sums, texts: &mut Texts) {
        let of = (HostId::of(event.host), inode);
        let place = match self.places.get(&of) {
            Some(place) => *place,
            None if self.all.len() >= LIMIT => {
                self.beyond += sums.rows;
                return;
            }
            None => {
                self.places.insert(of, self.all.len());
                self.all.push(Pipe::new(event.host.and_then(|host| texts.front(host)), inode));
                self.all.len() - 1
            }
        };
        let Some(pipe) = self.all.get_mut(place) else { return };
        if pipe.path.is_none() {
            pipe.path = path.and_then(|path| texts.front(path));
        }
        let sum = match way {
            Way::In => &mut pipe.put,
            Way::Out => &mut pipe.taken,
            Way::Duplicated => &mut pipe.duplicated,
        };
        sum.calls += sums.rows;
        sum.bytes = sum.bytes.saturating_add(sums.bytes);
        Span::extend(&mut pipe.span, sums.span);
        let is = |at: &AtPipe| {
            (at.way, at.pid, at.key.as_deref(), at.comm.as_deref())
                == (way, event.pid, event.process_key, Some(event.comm))
        };
        let at = match pipe.processes.iter().position(is) {
            Some(at) => at,
            None => {
                if self.ends >= ENDS || pipe.processes.len() >= AT_A_PIPE {
                    pipe.calls_of_others += sums.rows;
                    return;
                }
                let key = event.process_key.map(|key| texts.key(key));
                let (Some(comm), None | Some(Some(_))) = (texts.name(event.comm), &key) else {
                    pipe.calls_of_others += sums.rows;
                    return;
                };
                self.ends += 1;
                pipe.processes.push(AtPipe {
                    way,
                    pid: event.pid,
                    key: key.flatten(),
                    comm: Some(comm),
                    calls: 0,
                    bytes: 0,
                });
                pipe.processes.len() - 1
            }
        };
        if let Some(at) = pipe.processes.get_mut(at) {
            at.calls += sums.rows;
            at.bytes = at.bytes.saturating_add(sums.bytes);
        }
    }
}

impl Pipe {
    fn new(host: Option<Arc<str>>, inode: u64) -> Self {
        Pipe {
            host,
            inode,
            path: None,
            put: Sum::default(),
            taken: Sum::default(),
            duplicated: Sum::default(),
            processes: Vec::new(),
            calls_of_others: 0,
            span: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(event: &'static str, comm: &'static str, bytes: i64) -> Event<'static> {
        Event { event, pid: 7, comm, bytes: Some(bytes), ..Event::default() }
    }

    fn note(pipes: &mut Pipes, event: &Event<'_>, texts: &mut Texts) {
        pipes.note(event, &Sums::of(event), texts);
    }

    #[test]
    fn each_end_of_a_call_is_counted_at_its_pipe() {
        let (mut pipes, mut texts) = (Pipes::default(), Texts::default());
        let put = Event { pipe_out: Some(1), ..call("vmsplice", "writer", 31) };
        let tee = Event { pipe_in: Some(1), pipe_out: Some(2), ..call("tee", "relay", 60) };
        let taken = Event { pipe_in: Some(1), fd_in_path: Some("/run/fifo"), ..call("splice", "relay", 62) };
        let nothing = Event { bytes: Some(0), ..tee };
        for event in [put, put, tee, taken, nothing, Event { bytes: None, ..tee }, call("pread", "writer", 9)] {
            note(&mut pipes, &event, &mut texts);
        }
        let [first, second] = pipes.iter().collect::<Vec<_>>()[..] else { panic!("two pipes") };
        assert_eq!((first.put.bytes, first.taken.bytes, first.duplicated.bytes, first.calls()), (62, 62, 60, 4));
        assert_eq!((first.path.as_deref(), first.inode, second.inode), (Some("/run/fifo"), 1, 2));
        assert_eq!((second.put, second.taken), (Sum { calls: 1, bytes: 60 }, Sum::default()));
        let at: Vec<_> = first.processes.iter().map(|at| (at.way, at.comm.as_deref().unwrap(), at.calls)).collect();
        assert_eq!(at, [(Way::In, "writer", 2), (Way::Duplicated, "relay", 1), (Way::Out, "relay", 1)]);
    }

    #[test]
    fn memory_is_bounded_and_what_is_beyond_is_counted() {
        let (mut pipes, mut texts) = (Pipes::default(), Texts::default());
        for inode in 0..LIMIT as u64 + 3 {
            note(&mut pipes, &Event { pipe_out: Some(inode), ..call("vmsplice", "writer", 1) }, &mut texts);
        }
        assert_eq!((pipes.iter().count(), pipes.beyond()), (LIMIT, 3));
        for pid in 0..AT_A_PIPE as i32 + 5 {
            note(&mut pipes, &Event { pid: 100 + pid, pipe_in: Some(1), ..call("splice", "reader", 1) }, &mut texts);
        }
        let pipe = pipes.iter().find(|pipe| pipe.inode == 1).unwrap();
        assert_eq!((pipe.processes.len(), pipe.calls_of_others), (AT_A_PIPE, 6), "the writer is one of them");
        assert_eq!(pipe.taken.bytes, AT_A_PIPE as u64 + 5);
    }
}
