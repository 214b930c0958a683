//! What the `bytes` of an event are: bytes that arrived in a process's memory, bytes on their way inside the kernel, or
//! a range that advice was given about or that was poisoned. All sums follow this one rule.
//!
//! A byte that crosses from one address space to another is counted once: where it arrives in memory. If it went
//! through a pipe, it is also in the row of the call that put it there (vmsplice, splice, tee, sendfile, pipe_write); these are
//! summed separately. vmsplice counts as a call on pipes, in either direction: the ledger does not part them, and what it
//! puts into a pipe is counted where it is read. The table of events says which rule holds for which event.

use serde::Serialize;

use super::events::{Bytes, event_by_name};
use super::manifest::LedgerRow;

/// Sums over a capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Bytes that came into the memory of processes, each once.
    pub memory: u64,
    /// Beside that: bytes put into or taken from pipes and files by vmsplice, splice, tee, sendfile and pipe_write.
    pub pipes: u64,
    /// Beside that: bytes that process_madvise gave advice about, and bytes that were poisoned through a userfaultfd.
    pub advised: u64,
}

impl Moved {
    /// Those of a ledger. A row of an event that this version does not know counts as memory.
    pub fn of(ledger: &[LedgerRow]) -> Self {
        ledger.iter().fold(Moved::default(), |mut moved, row| {
            let sum = match event_by_name(&row.event).map_or(Bytes::Memory, |event| event.bytes) {
                Bytes::Memory | Bytes::None => &mut moved.memory,
                Bytes::Kernel => &mut moved.pipes,
                Bytes::Advice => &mut moved.advised,
            };
            *sum = sum.saturating_add(row.bytes);
            moved
        })
    }

    /// In words, each number written by `number`: what moved, and beside it whatever else there is.
    pub fn in_words(&self, number: impl Fn(u64) -> String) -> String {
        let some =
            |bytes: u64, what: &str| if bytes > 0 { format!(", {} {what}", number(bytes)) } else { String::new() };
        let beside = some(self.pipes, "through pipes and files") + &some(self.advised, "advised");
        format!("{} moved{beside}", number(self.memory))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_crossed_is_counted_once() {
        let row = |event: &str, bytes| LedgerRow { event: event.into(), bytes, ..LedgerRow::default() };
        let ledger = [
            row("process_vm_readv", 1),
            row("splice", 20),
            row("pipe_read", 20),
            row("process_madvise", 4096),
            row("of_later", 300),
        ];
        let moved = Moved::of(&ledger);
        assert_eq!(moved, Moved { memory: 321, pipes: 20, advised: 4096 });
        let number = |bytes: u64| format!("{bytes} B");
        assert_eq!(moved.in_words(number), "321 B moved, 20 B through pipes and files, 4096 B advised");
        assert_eq!(Moved::of(&ledger[..1]).in_words(number), "1 B moved");
        let most = [row("read", u64::MAX), row("write", 1)];
        assert_eq!(Moved::of(&most).memory, u64::MAX);
    }
}
