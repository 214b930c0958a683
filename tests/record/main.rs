//! The recorder against workloads that say what they did: every event, byte, address and target.
//!
//! Tests that load BPF programs need root and are ignored by default, so that they compile everywhere and
//! `cargo test -- --include-ignored` runs them. They record only processes that they start.

#![cfg(feature = "record")]

mod bad_input;
mod captures;
mod check;
mod commands;
mod containers;
mod crash;
mod descriptors;
mod dice;
mod dying;
mod edges;
mod exact;
mod fallbacks;
mod fed;
mod flight;
mod full;
mod harness;
mod hostile;
mod inherited;
mod invariants;
mod life;
mod limits;
mod limits_doc;
mod live;
mod names;
mod namespaces;
mod output;
mod overload;
mod print;
mod privileges;
mod programs;
mod progress;
mod quiet;
mod races;
mod recovery;
mod regions;
mod rotate;
mod sandboxed;
mod selection;
mod sockets;
mod stopping;
mod subjects;
mod sweep;
mod terminal;
mod threads;
mod torn;
mod transfers;
mod watch;
mod whole_system;
mod wording;
