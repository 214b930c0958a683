//! Decode functions of the family @process. All of them become rows, since identities depend on them; the sink decides
//! which ones are written.

use super::names::take_path;
use super::{Decoder, Sink, some};
use crate::record::text;
use crate::record::wire::*;
use crate::schema::Event;
use crate::schema::events::EventKind;

impl Decoder {
    /// process_exec: the executable changes, the process stays.
    pub(super) fn exec(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Option<()> {
        let (ev, mut tail) = take::<vmt_exec>(bytes)?;
        let process = &ev.hdr.self_;
        let mut exe = String::new();
        take_path(&mut exe, &ev.exe, &mut tail)?;
        let argv = take_bytes(&mut tail, ev.argv_len as usize)?;
        self.processes.insert(process.pid, process.start_boottime, some(&exe).map(str::to_string));
        let mut b = self.caller(&ev.hdr);
        b.argv = text::argv(argv, ev.argv_total > ev.argv_len);
        let event = Event { argv: some(&b.argv), ..self.base(&ev.hdr, EventKind::ProcessExec, &b) };
        sink.row(EventKind::ProcessExec, &event, ev.argv_len == 0 && ev.argv_total > 0);
        self.buffers = b;
        Some(())
    }

    /// process_fork: the child begins with its parent's executable.
    pub(super) fn fork(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Option<()> {
        let (ev, _) = take::<vmt_fork>(bytes)?;
        let (child, parent) = (&ev.hdr.self_, &ev.parent);
        let exe = self.processes.get(parent.pid, parent.start_boottime).and_then(|p| p.exe.clone());
        self.processes.insert(child.pid, child.start_boottime, exe);
        let parent_key = self.processes.key(parent.pid, parent.start_boottime);
        let b = self.caller(&ev.hdr);
        let event = Event {
            parent_pid: Some(parent.pid),
            parent_key: some(&parent_key),
            ..self.base(&ev.hdr, EventKind::ProcessFork, &b)
        };
        sink.row(EventKind::ProcessFork, &event, false);
        self.buffers = b;
        Some(())
    }

    /// process_exit: the process stays known for a while, for records that come late.
    pub(super) fn exit(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Option<()> {
        let (ev, _) = take::<vmt_exit>(bytes)?;
        let process = &ev.hdr.self_;
        let b = self.caller(&ev.hdr);
        let event = Event { exit_code: Some(ev.status), ..self.base(&ev.hdr, EventKind::ProcessExit, &b) };
        sink.row(EventKind::ProcessExit, &event, false);
        self.buffers = b;
        self.processes.end(process.pid, process.start_boottime);
        Some(())
    }
}
