//! The event that shows bytes of memory, and in which order two of them moved their bytes.

use std::sync::Arc;

/// An event that shows bytes of memory, or has overwritten them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its row.
    pub seq: u64,
    /// The call.
    pub event: &'static str,
    /// Who called.
    pub pid: i32,
    /// Its thread name, as captured.
    pub comm: Arc<str>,
    /// Whose memory was reached, or who fed the pipe.
    pub target_pid: Option<i32>,
    /// Its thread name, as captured.
    pub target_comm: Option<Arc<str>>,
    /// When the call returned, on CLOCK_MONOTONIC.
    pub mono_ns: i64,
    /// The same, ns since 1970.
    pub ts_ns: i64,
    /// When it began; `None` where the capture does not say.
    pub begin_ns: Option<i64>,
    /// When its thread was known to have returned from another call; it began later.
    pub not_before_ns: Option<i64>,
    /// Whether its ranges are the kernel's own, and not read from memory when the call returned.
    pub verified: bool,
}

/// Whether a call moved its bytes after an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It began after it.
    After,
    /// It was under way.
    Overlaps,
    /// The capture does not say when it began.
    Unknown,
}

impl Origin {
    /// How the call stands to an instant before its return.
    pub fn order(&self, mono_ns: i64) -> Order {
        match (self.begin_ns, self.not_before_ns) {
            (Some(begin), _) if begin >= mono_ns => Order::After,
            (Some(_), _) => Order::Overlaps,
            (None, Some(bound)) if bound >= mono_ns => Order::After,
            (None, Some(_) | None) => Order::Unknown,
        }
    }

    /// The earliest instant at which its bytes can have moved, as far as it is known: else its return.
    pub fn earliest_ns(&self) -> i64 {
        self.begin_ns.unwrap_or(self.mono_ns)
    }
}
