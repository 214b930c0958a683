//! What stands beside an event: its arguments and what is known of it, as annotations.

use super::intern::{Names, Use, limited};
use super::proto::DebugAnnotation;
use crate::schema::Event;
use crate::schema::types::Iovecs;
use crate::schema::vocabulary::IovVerdict;

/// Ranges of an array that are written; their number stands beside them.
const RANGES: usize = 4;

/// Collects the annotations of one event.
pub(super) struct Annotations<'n> {
    names: &'n mut Names,
    list: Vec<DebugAnnotation>,
    without_addresses: bool,
}

impl<'n> Annotations<'n> {
    /// None yet. Where redaction took the addresses of a capture away, there are none.
    pub fn new(names: &'n mut Names, without_addresses: bool) -> Self {
        Annotations { names, list: Vec::new(), without_addresses }
    }

    /// Those of a call.
    pub fn of_call(mut self, event: &Event<'_>) -> Vec<DebugAnnotation> {
        self.uint("seq", Some(event.seq));
        self.int("ret", event.ret.filter(|ret| event.bytes != Some(*ret) || event.errno.is_some()));
        self.text("errno", event.errno);
        self.int("bytes", event.bytes.filter(|_| event.errno.is_none()));
        self.int("requested", event.bytes_requested.filter(|bytes| event.bytes != Some(*bytes)));
        if let Some(pid) = event.target_pid {
            let name = event.target_comm.unwrap_or_default();
            let target = if name.is_empty() { format!("pid {pid}") } else { format!("{name}[{pid}]") };
            self.text("target", Some(&target));
        }
        self.ranges("remote", event.remote_iov, event.riovcnt);
        self.ranges("local", event.local_iov, event.liovcnt);
        self.int("from_fd", event.fd_in.map(i64::from));
        self.text("from_path", event.fd_in_path);
        self.int("to_fd", event.fd_out.map(i64::from));
        self.text("to_path", event.fd_out_path);
        self.text("path", event.path);
        self.uint("flags", event.flags.filter(|flags| *flags != 0));
        self.text("verdict", event.iov_verdict.filter(|verdict| !IovVerdict::Kernel.is(verdict)));
        if event.toctou == Some(true) {
            self.add("toctou", DebugAnnotation { bool_value: Some(true), ..DebugAnnotation::default() });
        }
        self.list
    }

    /// Those of an event in the life of a process.
    pub fn of_life(mut self, event: &Event<'_>) -> Vec<DebugAnnotation> {
        self.uint("seq", Some(event.seq));
        self.int("parent", event.parent_pid.map(i64::from));
        self.int("wait_status", event.exit_code.map(i64::from));
        self.list
    }

    /// Those of a gap.
    pub fn of_gap(mut self, event: &Event<'_>) -> Vec<DebugAnnotation> {
        self.uint("seq", Some(event.seq));
        self.uint("lost", event.lost_count);
        self.text("event", event.lost_event);
        self.text("cause", event.lost_cause);
        self.int("span_ns", event.dur_ns);
        self.list
    }

    fn ranges(&mut self, name: &str, ranges: Option<Iovecs<'_>>, count: Option<u64>) {
        let Some(ranges) = ranges else { return };
        let mut written = Vec::new();
        for range in ranges.iter().take(RANGES) {
            let mut entries = Vec::new();
            if !self.without_addresses {
                let base = DebugAnnotation { pointer_value: Some(range.base), ..DebugAnnotation::default() };
                entries.push(self.value("base", base));
            }
            let len = DebugAnnotation { uint_value: Some(range.len), ..DebugAnnotation::default() };
            entries.push(self.value("len", len));
            written.push(DebugAnnotation { dict_entries: entries, ..DebugAnnotation::default() });
        }
        let all = count.unwrap_or(0).max(ranges.len() as u64);
        let is_cut = all > written.len() as u64;
        self.add(name, DebugAnnotation { array_values: written, ..DebugAnnotation::default() });
        self.uint(&format!("{name}_ranges"), is_cut.then_some(all));
    }

    fn uint(&mut self, name: &str, value: Option<u64>) {
        if value.is_some() {
            self.add(name, DebugAnnotation { uint_value: value, ..DebugAnnotation::default() });
        }
    }

    fn int(&mut self, name: &str, value: Option<i64>) {
        if value.is_some() {
            self.add(name, DebugAnnotation { int_value: value, ..DebugAnnotation::default() });
        }
    }

    fn text(&mut self, name: &str, value: Option<&str>) {
        let Some(text) = value else { return };
        let value = match self.names.number(Use::Value, text) {
            Some(number) => DebugAnnotation { string_value_iid: Some(number), ..DebugAnnotation::default() },
            None => DebugAnnotation { string_value: Some(limited(text).to_string()), ..DebugAnnotation::default() },
        };
        self.add(name, value);
    }

    fn add(&mut self, name: &str, value: DebugAnnotation) {
        let named = self.value(name, value);
        self.list.push(named);
    }

    /// A value with its name. There are few of them, so that each has a number.
    fn value(&mut self, name: &str, value: DebugAnnotation) -> DebugAnnotation {
        DebugAnnotation { name_iid: self.names.number(Use::Key, name), ..value }
    }
}
