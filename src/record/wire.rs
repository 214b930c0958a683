//! The Rust side of `bpf/wire.h`, made by build.rs, and how its parts are taken out of bytes.
//!
//! Owns nothing but layout: what the numbers mean stands in [`super::decode`].

#![allow(dead_code, missing_docs, non_camel_case_types, non_snake_case, non_upper_case_globals)]
#![allow(clippy::all, clippy::undocumented_unsafe_blocks)]

use zerocopy::{FromBytes, Immutable, KnownLayout};

include!(concat!(env!("OUT_DIR"), "/wire.rs"));

/// Takes a struct off the front of `bytes`.
pub fn take<T: FromBytes + KnownLayout + Immutable>(bytes: &[u8]) -> Option<(T, &[u8])> {
    T::read_from_prefix(bytes).ok()
}

/// Takes `len` bytes off the front of a tail.
pub fn take_bytes<'a>(tail: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = tail.split_at_checked(len)?;
    *tail = rest;
    Some(taken)
}

/// BLAKE3 of `bpf/wire.h`: the layout of all that stands in a journal.
pub const LAYOUT: &str = env!("VMTRACE_WIRE_DIGEST");
