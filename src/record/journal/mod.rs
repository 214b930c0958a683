//! The journal: everything that becomes a capture, in the order in which it was accepted, in append-only files.
//!
//! The drain thread appends records as they come from the rings; the writer thread reads them at its own pace and makes
//! rows. So a burst that is faster than the encoder waits on disk instead of in the rings. `vmtrace recover` reads what
//! a killed recorder left with the same code. Owns frames and their files. Does not look into records.
//!
//! The files are `NAME.journal-000001` and so on. A file is removed when all of its content is in the capture. The last
//! one may contain only a `Spare` frame: the next file is created ahead, so that appending never waits for the disk.
//! The files are no capture format: frames contain records in the layout of `bpf/wire.h`, and name that layout.

mod append;
pub mod drain;
pub mod frame;
mod read;
mod segments;
mod sync;

pub use append::{Journal, Limits};
pub use frame::{Frame, FrameKind};
pub use read::Reader;
pub use read::capture_id;
pub use segments::{Base, Begin, exists, files, remove_all};
pub use sync::Syncer;
