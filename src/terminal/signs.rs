//! The signs in the text output of `vmtrace replay`, and what each means.
//!
//! The one table of them: the renderer takes them from here, and the legend (`replay --legend`, the manual page) is made of it.
//! In a sign that has a part that changes, that part is in capitals.

/// Bytes came to the process of the heading.
pub const IN: &str = "←";
/// Bytes went away from it.
pub const OUT: &str = "→";
/// Neither.
pub const NEITHER: &str = "·";
/// Events were lost.
pub const GAP: &str = "!";
/// There is more.
pub const MORE: &str = "…";
/// No process could be found.
pub const UNRESOLVED: &str = "(unresolved)";
/// The target was no more when the call returned.
pub const ENDED: &str = "(ended meanwhile)";
/// The pages themselves were passed on.
pub const BY_REFERENCE: &str = "(by reference)";
/// A sign that contradicts the record.
#[derive(Clone, Copy, Debug)]
pub struct Doubt {
    /// In whole lines.
    pub whole: &'static str,
    /// In lines of few columns, which have room for it always.
    pub in_short: &'static str,
}

/// The arguments did not stay the same.
pub const TOCTOU: Doubt = Doubt { whole: "[toctou: arguments changed under way]", in_short: "[toctou]" };
/// The array of ranges is not that which the kernel used.
pub const IOVEC_CONFLICT: Doubt = Doubt { whole: "[iovec conflict]", in_short: "[conflict]" };
/// The descriptor is not that which the kernel used.
pub const DESCRIPTOR_CONFLICT: Doubt = Doubt { whole: "[descriptor conflict]", in_short: "[fd conflict]" };
/// The array of ranges could not be read.
pub const IOVEC_UNREADABLE: Doubt = Doubt { whole: "[iovec unreadable]", in_short: "[unreadable]" };

/// What a sign of short lines means, which stands in the legend behind the same of whole lines.
const SAME_IN_SHORT: &str = "the same in a short line";

/// Every sign and its meaning, in the order of a line.
pub const LEGEND: &[(&str, &str)] = &[
    ("# TEXT", "about the capture, or about what is not shown"),
    ("NAME[PID] ...", "a process: the lines below are seen from its side"),
    (IN, "bytes came to this process"),
    (OUT, "bytes went from this process"),
    (NEITHER, "no bytes of its memory moved, or which way is not known"),
    (GAP, "GAP: events were lost here; how many, and why"),
    ("4096 B, 64K", "bytes moved (K, M, G: powers of 1024; 9.8K is rounded)"),
    ("4096/8192 B", "bytes moved, and bytes requested"),
    ("ok, = N", "the call returned 0, or N"),
    ("EPERM, ...", "the call failed: errno(3)"),
    ("from, to NAME[PID]", "the process at the other end; in short lines NAME alone"),
    ("caller NAME[PID]", "the process at the other end, which made the call"),
    ("fed by NAME[PID]", "the process that put bytes into this pipe last"),
    ("pid N", "a process without a known name"),
    ("itself", "the process is its own target"),
    ("(passed as N)", "the number by which the caller named the target"),
    (UNRESOLVED, "no process was found by this number"),
    (ENDED, "the target had ended when the call returned"),
    ("via pidfd N", "the target was named by a PID file descriptor"),
    (TOCTOU.whole, "user memory changed during the call"),
    (TOCTOU.in_short, SAME_IN_SHORT),
    (IOVEC_CONFLICT.whole, "the ranges contradict what the kernel did"),
    (IOVEC_CONFLICT.in_short, SAME_IN_SHORT),
    (DESCRIPTOR_CONFLICT.whole, "the descriptor contradicts what the kernel did"),
    (DESCRIPTOR_CONFLICT.in_short, SAME_IN_SHORT),
    (IOVEC_UNREADABLE.whole, "the ranges could not be read"),
    (IOVEC_UNREADABLE.in_short, SAME_IN_SHORT),
    ("[compat32]", "a 32-bit call"),
    ("[io_uring]", "made by io_uring"),
    ("0xADDRESS+N", "N bytes of memory; +N is left out if N is said already"),
    ("[A, B, +N more]", "several ranges, N more than these"),
    ("[N ranges unread]", "ranges that could not be read"),
    ("into, from, with", "before memory of the process of the heading"),
    ("fd N, via fd N", "a descriptor: an end of the transfer, or the way to it"),
    ("pipe:[N]", "a pipe, by its inode: --pipe N selects its events"),
    ("peer ADDRESS", "where the peer of a socket is bound"),
    ("at N", "offset in the file"),
    ("data N", "ptrace's data argument"),
    ("flags N", "the call's flags"),
    ("\"TEXT\"", "the first bytes; \\n, \\xHH and others are written bytes"),
    ("(first N of N B)", "so many bytes were kept"),
    ("(fault: N of N B readable)", "the rest of the bytes could not be read"),
    ("(payload redacted)", "vmtrace redact removed the bytes"),
    (BY_REFERENCE, "pages were passed on: who reads them may get later bytes"),
    ("thread NAME[TID]", "the call was made by a thread other than the main one"),
    ("took N", "from entry to exit of the call"),
    (MORE, "there is more: more bytes, or what --wide shows"),
    ("… N more like it", "alike events that are counted: --no-fold shows them"),
];

/// The legend as text for a terminal.
pub fn legend() -> String {
    LEGEND.iter().fold(String::new(), |text, (sign, meaning)| match sign.chars().count() {
        0..24 => text + &format!("{sign:<24}{meaning}\n"),
        _ => text + &format!("{sign}\n{:<24}{meaning}\n", ""),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::fit;

    #[test]
    fn the_legend_fits_any_terminal() {
        for line in legend().lines() {
            assert!(fit::columns(line) <= 80, "{line}");
        }
    }

    #[test]
    fn no_sign_has_two_meanings() {
        for (index, (sign, _)) in LEGEND.iter().enumerate() {
            assert!(!LEGEND[..index].iter().any(|(other, _)| other == sign), "{sign}");
        }
    }
}
