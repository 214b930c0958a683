//! Decode functions of the family @process. All of them become rows, since identities depend on them; the sink decides
//! which ones are written.

use super::names::take_path;
use super::{Decoder, Sink, some};
use crate::record::text;
use crate::record::wire::*;
use crate::schema::Event;
use crate::schema::events::EventKind;

impl Decoder {
    /// Hands over a row about the process of a header: `columns` has what it says besides.
    fn life_row(&mut self, hdr: &vmt_hdr, kind: EventKind, columns: Event<'_>, faulted: bool, sink: &mut impl Sink) {
        let buffers = self.caller(hdr);
        let Event { argv, parent_pid, parent_key, exit_code, .. } = columns;
        let mut event = Event { argv, parent_pid, parent_key, exit_code, ..self.clock.of_caller(hdr, kind, &buffers) };
        sink.row(kind, &mut event, faulted);
        self.buffers = buffers;
    }

    /// process_exec: the executable changes, the process stays.
    pub(super) fn exec(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Option<()> {
        let (ev, mut tail) = take::<vmt_exec>(bytes)?;
        let process = &ev.hdr.self_;
        let mut exe = String::new();
        take_path(&mut exe, &ev.exe, &mut tail)?;
        let argv = take_bytes(&mut tail, ev.argv_len as usize)?;
        self.processes.insert(process.pid, process.start_boottime, some(&exe).map(str::to_string));
        let argv = text::argv(argv, ev.argv_total > ev.argv_len);
        let faulted = ev.argv_len == 0 && ev.argv_total > 0;
        let columns = Event { argv: some(&argv), ..Event::default() };
        self.life_row(&ev.hdr, EventKind::ProcessExec, columns, faulted, sink);
        Some(())
    }

    /// process_fork: the child begins with its parent's executable.
    pub(super) fn fork(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Option<()> {
        let (ev, _) = take::<vmt_fork>(bytes)?;
        let (child, parent) = (&ev.hdr.self_, &ev.parent);
        let exe = self.processes.get(parent.pid, parent.start_boottime).and_then(|p| p.exe.clone());
        self.processes.insert(child.pid, child.start_boottime, exe);
        let key = self.processes.key(parent.pid, parent.start_boottime);
        let columns = Event { parent_pid: Some(parent.pid), parent_key: some(&key), ..Event::default() };
        self.life_row(&ev.hdr, EventKind::ProcessFork, columns, false, sink);
        Some(())
    }

    /// process_exit: the process stays known for a while, for records that come late.
    pub(super) fn exit(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Option<()> {
        let (ev, _) = take::<vmt_exit>(bytes)?;
        let process = &ev.hdr.self_;
        let columns = Event { exit_code: Some(ev.status), ..Event::default() };
        self.life_row(&ev.hdr, EventKind::ProcessExit, columns, false, sink);
        self.processes.end(process.pid, process.start_boottime);
        Some(())
    }
}
