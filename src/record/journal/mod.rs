//! The journal: everything that becomes a capture, in the order in which it was accepted, on its way through files
//! that grow at their end only.
//!
//! The draining thread appends what it takes from the rings, as it stands there; the writing thread reads it back,
//! at its own pace, and makes rows of it. So a burst that outruns the encoder waits on disk instead of in the rings,
//! and what a killed recorder leaves is read again by `vmtrace recover`, by the same code. Owns frames and the files
//! they stand in. Does not look into records.
//!
//! The files are `NAME.journal-000001` and so on; a file is removed when all that it holds stands in the capture.
//! The last one may hold a `Spare` frame alone: the next file is there before it is needed, so that whoever appends never
//! waits for the disk.
//! They are no capture format: frames hold records as `bpf/wire.h` lays them out, and name that layout.

mod append;
pub mod frame;
mod read;
mod segments;
mod sync;

pub use append::{Journal, Limits};
pub use frame::{Frame, Kind};
pub use read::Reader;
pub use read::capture_id;
pub use segments::{Base, Begin, exists, files, remove_all};
pub use sync::Syncer;
