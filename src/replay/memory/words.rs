//! Words and bytes of `vmtrace memory`.

use std::fmt::Write as _;

use crate::model::memory::{Claim, Doubt, Memory, Origin, Way};
use crate::replay::describe::Named;
use crate::terminal::escape::Preview;

/// Columns in which a row of 16 bytes fits.
const WHOLE_ROW: usize = 86;

/// A byte of a hexdump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Byte {
    /// Known.
    Is(u8),
    /// Not known.
    Unknown,
    /// Two calls that ran at the same time show different ones.
    Conflict,
}

/// What is known of a range of bytes, in one word.
pub fn state(claim: &Claim<'_>, at_ns: i64) -> &'static str {
    match (claim.bytes, claim.doubt, claim.way) {
        (None, _, _) if claim.origin.mono_ns > at_ns => "under way",
        (None, _, _) => "not kept",
        (Some(_), Doubt::Conflict(_), _) => "conflict",
        (Some(_), Doubt::None | Doubt::Unordered, way) => way_word(way),
    }
}

/// How an event shows bytes.
pub fn way_word(way: Way) -> &'static str {
    match way {
        Way::Seen => "seen",
        Way::Written => "written",
    }
}

/// What is to be said of a range beside its state.
pub fn remarks(claim: &Claim<'_>, memory: &Memory) -> String {
    let mut remarks = String::new();
    if let Doubt::Conflict(other) = claim.doubt {
        let _ = write!(remarks, ", with {} {}", other.seq, other.event);
    }
    if matches!(claim.doubt, Doubt::Unordered) {
        remarks.push_str(", order unknown");
    }
    if claim.is_known() && memory.is_stale(claim.origin) {
        remarks.push_str(", can be stale");
    }
    remarks
}

/// The event, and whose it was.
pub fn event(origin: &Origin, pid: i32) -> String {
    let Origin { seq, event, .. } = origin;
    if origin.pid != pid {
        return format!("{seq} {event} by {}", Named { host: None, name: Some(&origin.comm), pid: origin.pid });
    }
    let target = origin.target_pid.filter(|target| *target != pid);
    let target = target.map(|pid| format!(" ({})", Named { host: None, name: origin.target_comm.as_deref(), pid }));
    format!("{seq} {event} by itself{}", target.unwrap_or_default())
}

/// Bytes as a quoted string of at most `width` columns, with `·` for those that are not known.
pub fn quoted(bytes: &[Option<u8>], width: usize) -> String {
    if bytes.iter().all(Option::is_none) {
        return "unknown".to_string();
    }
    let mut text = String::from("\"");
    let mut left = width;
    for byte in bytes {
        let shown = match byte {
            Some(byte) => Preview { bytes: &[*byte], width: 4 }.to_string(),
            None => "\"·\"".to_string(),
        };
        let shown = shown.get(1..shown.len() - 1).unwrap_or_default();
        match left.checked_sub(shown.chars().count()) {
            Some(rest) => left = rest,
            None => {
                text.push_str("\"…");
                return text;
            }
        }
        text.push_str(shown);
    }
    text.push('"');
    text
}

/// Bytes in a row of a hexdump, for lines of so many columns.
pub fn per_row(columns: Option<usize>) -> usize {
    if columns.is_none_or(|columns| columns >= WHOLE_ROW) { 16 } else { 8 }
}

/// A row of a hexdump: its address, the bytes in hexadecimal, and as ASCII.
pub fn row(address: u64, bytes: &[Byte], per_row: usize) -> String {
    let mut line = format!("  {address:#14x} ");
    for column in 0..per_row {
        if column == 8 {
            line.push(' ');
        }
        // Writing to a String cannot fail.
        let _ = match bytes.get(column) {
            Some(Byte::Is(byte)) => write!(line, " {byte:02x}"),
            Some(Byte::Unknown) => write!(line, " ··"),
            Some(Byte::Conflict) => write!(line, " ??"),
            None => write!(line, "   "),
        };
    }
    line.push_str("  |");
    line.extend(bytes.iter().map(|byte| match byte {
        Byte::Is(byte @ b' '..=b'~') => char::from(*byte),
        Byte::Is(_) => '.',
        Byte::Unknown | Byte::Conflict => '·',
    }));
    line.push('|');
    line
}
