//! The capture format: events, columns, file metadata, and the Parquet writer and reader.
//!
//! Owns everything both sides of a capture file must agree on. Imports neither `record` nor `replay`.

/// Version of the capture format. Raised when an older reader would misread a newer file.
pub const SCHEMA_VERSION: u32 = 1;

pub mod batch;
mod build;
pub mod cell;
pub mod chain;
mod chunk;
mod claims;
pub mod clocks;
pub mod columns;
pub mod derived;
mod dictionary;
pub mod events;
pub mod expr;
pub mod families;
pub(crate) mod file;
mod footer;
mod frame;
pub mod group;
mod guard;
mod hybrid;
pub mod key;
mod layout;
mod lengths;
mod levels;
pub mod limits;
pub mod manifest;
pub mod member;
pub mod moved;
pub mod names;
pub(crate) mod pages;
pub mod partial;
mod properties;
pub(crate) mod quote;
mod ranges;
pub mod reader;
pub mod regions;
mod scan;
pub(crate) mod seal;
pub mod sign;
pub mod stdin;
mod structure;
mod thrift;
mod tool;
pub mod types;
pub mod vocabulary;
mod window;
pub mod writer;

pub use batch::BatchBuilder;
pub use cell::Cell;
pub use columns::{Event, EventBatch};
pub use events::{EventKind, EventSet};
pub use manifest::{Manifest, hosts};
