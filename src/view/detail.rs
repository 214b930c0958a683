//! Everything about one event: its line in whole, every column that has a value and where that comes from, ranges, and the captured
//! bytes as hexadecimal and text.

use crate::count::{self, Count};
use crate::model::process::Processes;
use crate::model::select::View;
use crate::model::{origin, time};
use crate::replay::describe::{self, Line, Role};
use crate::replay::dump;
use crate::schema::cell::Cell;
use crate::schema::columns::{ColumnSpec, column_spec};
use crate::schema::types::Iovecs;
use crate::schema::{Event, EventKind};
use crate::terminal::escape::Safe;
use crate::terminal::fit;

/// Columns of a name, and of what stands between it and the value.
const NAME: usize = 18;
const INDENT: usize = NAME + 5;
/// Lines of one value.
const MOST: usize = 100;
/// Characters that are looked at of a value.
const CHARACTERS: usize = 20_000;
/// Columns whose values are bit masks or words.
const IN_HEX: [&str; 2] = ["flags", "data"];
/// Columns whose values are addresses where the file is memory.
const OFFSETS: [&str; 2] = ["off_in", "off_out"];

/// The lines, of at most so many columns. Where redaction took the addresses of the capture away, ranges have lengths alone.
pub fn lines(event: &Event<'_>, columns: usize, without_addresses: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut whole = Line::of(without_addresses);
    describe::event(&mut whole, event, View::Caller, &Processes::default());
    lines.extend(wrapped(whole.text(), columns).map(|text| line(Role::Plain, text)));
    lines.push(Line::default());
    let mut ranges = Vec::new();
    event.cells(|name, cell| match cell {
        Cell::Null | Cell::Bytes(_) => {}
        Cell::Iovecs(iovecs) => ranges.push((name, iovecs)),
        Cell::Uint(0) if without_addresses && name == "data" => {}
        Cell::Int(_) if without_addresses && OFFSETS.contains(&name) && origin::has_address_as_offset(event) => {}
        _ => field(&mut lines, event, name, cell, columns),
    });
    for (name, iovecs) in ranges {
        list(&mut lines, name, iovecs, columns, without_addresses);
    }
    payload(&mut lines, event, columns);
    lines.push(Line::default());
    let key = "K from the kernel, U from user memory, R worked out by vmtrace; * the program could change it meanwhile";
    lines.extend(wrapped(key, columns).map(|text| line(Role::Dim, text)));
    lines
}

fn line(role: Role, text: &str) -> Line {
    super::look::plain(role, text)
}

/// The parts of a text that fit into so many columns each.
fn wrapped(text: &str, columns: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    let mut left = MOST;
    std::iter::from_fn(move || {
        left = left.checked_sub(1)?;
        let part = fit::cut(rest, columns.max(1));
        rest = rest.get(part.len()..)?;
        (!part.is_empty()).then_some(part)
    })
}

fn origin(column: Option<&ColumnSpec>) -> String {
    let Some(column) = column else { return "  ".into() };
    format!("{}{}", column.origin.tag(), if column.toctou { "*" } else { " " })
}

fn field(lines: &mut Vec<Line>, event: &Event<'_>, name: &'static str, cell: Cell<'_>, columns: usize) {
    let column = column_spec(name);
    let value = match cell {
        Cell::Uint(number) if IN_HEX.contains(&name) => format!("{number:#x}"),
        Cell::Int(number) => number.to_string(),
        Cell::Uint(number) => number.to_string(),
        Cell::Bool(truth) => truth.to_string(),
        Cell::Micros(ts) => time::utc_micros(ts),
        Cell::Text(text) => {
            let front: String = text.chars().take(CHARACTERS).collect();
            Safe(&front).to_string()
        }
        Cell::Regions(regions) => {
            let front: String = regions.to_string().chars().take(CHARACTERS).collect();
            Safe(&front).to_string()
        }
        Cell::Null | Cell::Bytes(_) | Cell::Iovecs(_) => return,
    };
    // What the columns hold where there is nothing.
    let is_nothing = match name {
        "data" => event.ptrace_request.is_none(),
        "payload_len" | "payload_total" => event.payload_status.is_none(),
        "start_ns" | "tid" | "uid" => event.event == EventKind::Lost.name(),
        _ => value.is_empty(),
    };
    if is_nothing {
        return;
    }
    let role = if name == "errno" || (name == "toctou" && value == "true") { Role::Bad } else { Role::Plain };
    for (index, part) in wrapped(&value, columns.saturating_sub(INDENT)).enumerate() {
        let mut line = Line::default();
        match index {
            0 => line.add(Role::Dim, format_args!("{name:NAME$} {} ", origin(column))),
            _ => line.add(Role::Dim, format_args!("{:INDENT$}", "")),
        }
        line.add(role, format_args!(" {part}"));
        line.fit(columns);
        lines.push(line);
    }
}

fn list(lines: &mut Vec<Line>, name: &'static str, iovecs: Iovecs<'_>, columns: usize, without_addresses: bool) {
    let ranges = Count(iovecs.len() as u64, "range", "ranges");
    let total = count::bytes(iovecs.total());
    let mut head = Line::default();
    head.add(Role::Dim, format_args!("{name:NAME$} {} ", origin(column_spec(name))));
    head.add(Role::Plain, format_args!(" {ranges}, {total}"));
    head.fit(columns);
    lines.push(head);
    for (index, range) in iovecs.iter().enumerate() {
        let mut row = line(Role::Dim, &format!("{:>NAME$} ", format!("[{index}]")));
        match without_addresses {
            true => row.add(Role::Plain, format_args!("    +{}", range.len)),
            false => row.add(Role::Plain, format_args!("    {:#x}+{}", range.base, range.len)),
        }
        row.fit(columns);
        lines.push(row);
    }
}

fn payload(lines: &mut Vec<Line>, event: &Event<'_>, columns: usize) {
    let Some(bytes) = event.payload else { return };
    let mut head = Line::default();
    head.add(Role::Dim, format_args!("{:NAME$} {} ", "payload", origin(column_spec("payload"))));
    head.add(Role::Plain, format_args!(" {} of {}", count::grouped(bytes.len() as u64), event.payload_total));
    head.add(Role::Plain, format_args!(" bytes"));
    head.fit(columns);
    lines.push(head);
    lines.extend(dump::rows(event, Some(columns)).iter().map(|row| {
        let mut line = line(Role::Payload, &row.to_string());
        line.fit(columns);
        line
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::types::Iovec;

    fn text(event: &Event<'_>, columns: usize) -> Vec<String> {
        lines(event, columns, false).iter().map(|line| line.text().to_string()).collect()
    }

    #[test]
    fn every_value_is_there_and_every_range() {
        let ranges: Vec<Iovec> = (0..40).map(|n| Iovec { base: 0x1000 * n, len: 16 }).collect();
        let event = Event {
            event: "process_vm_readv",
            pid: 7,
            comm: "spy",
            errno: Some("EFAULT"),
            flags: Some(9),
            remote_iov: Some(Iovecs::Pairs(&ranges)),
            iov_verdict: Some("conflict"),
            payload: Some(b"GET / HTTP/1.1\r\n\x1b[31m"),
            payload_total: 21,
            ..Event::default()
        };
        let text = text(&event, 80);
        let has = |wanted: &str| assert!(text.iter().any(|line| line.contains(wanted)), "{wanted}: {text:#?}");
        ["EFAULT", "conflict", "0x9", "40 ranges, 640 bytes", "[39]", "0x27000+16", "21 of 21 bytes"]
            .into_iter()
            .for_each(has);
        has("47 45 54 20 2f 20 48 54  |GET / HT|");
        has("iov_verdict        R ");
        assert!(!text.iter().any(|line| line.starts_with("fd_in")), "what is null is left out");
    }

    #[test]
    fn no_address_is_shown_that_redaction_took_away() {
        let range = [Iovec { base: 0, len: 16 }];
        let event = Event {
            event: "sendfile",
            pid: 7,
            comm: "spy",
            remote_iov: Some(Iovecs::Pairs(&range)),
            ptrace_request: Some("PTRACE_GETREGS"),
            fd_in: Some(3),
            fd_in_kind: Some("proc_mem"),
            off_in: Some(0),
            off_out: Some(0),
            ..Event::default()
        };
        let text = |without| lines(&event, 80, without).iter().map(|line| line.text().to_string()).collect::<Vec<_>>();
        let has = |text: &[String], wanted: &str| text.iter().any(|line| line.contains(wanted));
        let (before, after) = (text(false), text(true));
        for shown in ["0x0+16", "data  ", "off_in"] {
            assert!(has(&before, shown) && !has(&after, shown), "{shown}: {after:#?}");
        }
        assert!(has(&after, "[0]     +16") && !has(&after, "0x0"), "{after:#?}");
    }

    #[test]
    fn lines_are_bounded_whatever_the_text() {
        let long = "\x1b]52;c;AAAA\x07\u{202e}".repeat(50_000);
        let event =
            Event { event: "process_exec", argv: Some(&long), comm: &long, exe: Some(&long), ..Event::default() };
        let text = text(&event, 60);
        assert!(text.len() < 10 * MOST, "{}", text.len());
        for line in text {
            assert!(fit::columns(&line) <= 60 && !line.chars().any(char::is_control), "{line}");
        }
    }
}
