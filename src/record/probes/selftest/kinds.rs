//! The kinds of transfers that the self-test makes, as the table in `transfers.rs` lists them.

use super::expectation::Expectation;
use super::scene::Scene;
use crate::schema::events::{EventKind, Family};
use crate::schema::vocabulary::Abi;

/// A transfer: makes it and says what a row about it must hold.
pub type Act = fn(&Scene<'_>) -> Expectation;

/// One known transfer.
#[derive(Debug)]
pub struct TransferKind {
    /// Family whose hooks see it.
    pub family: Family,
    /// Its event.
    pub event: EventKind,
    /// Words that distinguish it from others.
    pub name: &'static str,
    /// How it enters the kernel; `None` for what is no call.
    pub abi: Option<Abi>,
    /// `ptrace_request`.
    pub request: Option<&'static str>,
    /// Makes it.
    pub act: Act,
}

macro_rules! kinds {
    ($($family:ident $event:ident $name:literal [$($abi:ident)?] [$($request:literal)?] $act:ident;)+) => {
        /// All of them, in the order in which they are made.
        pub const KINDS: &[TransferKind] = &[$(TransferKind {
            family: $crate::schema::events::Family::$family,
            event: $crate::schema::events::EventKind::$event,
            name: $name,
            abi: optional!($($crate::schema::vocabulary::Abi::$abi)?),
            request: optional!($($request)?),
            act: $act,
        },)+];
    };
}
pub(super) use kinds;

macro_rules! optional {
    () => {
        None
    };
    ($value:expr) => {
        Some($value)
    };
}
pub(super) use optional;
