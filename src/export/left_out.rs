//! Counts events that a format has no form for, so that none is missing without a word.

use std::collections::BTreeMap;

use crate::count::Count;
use crate::schema::Event;
use crate::schema::vocabulary::Abi;

/// The counts, by event.
#[derive(Debug, Default)]
pub(super) struct LeftOut(BTreeMap<&'static str, u64>);

impl LeftOut {
    /// One that was left out.
    pub fn note(&mut self, event: &Event<'_>) {
        let name = match event.spec() {
            // Not the system call of that name.
            Some(_) if is_io_uring(event) => "io_uring request",
            Some(spec) => spec.name,
            None => "event of a later version",
        };
        *self.0.entry(name).or_default() += 1;
    }

    /// One sentence, if there were any: `strace has no form for 3 events (2 process_snapshot, 1 lost)`.
    pub fn sentences(&self, format: &str) -> Vec<String> {
        let total: u64 = self.0.values().sum();
        let named: Vec<String> = self.0.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let sentence =
            || format!("{format} has no form for {} ({})", Count(total, "event", "events"), named.join(", "));
        (total > 0).then(sentence).into_iter().collect()
    }
}

/// Whether an event is a request of io_uring and no system call.
pub(super) fn is_io_uring(event: &Event<'_>) -> bool {
    event.abi.is_some_and(|abi| Abi::IoUring.is(abi))
}
