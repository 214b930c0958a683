//! Exit statuses, as documented in docs/guide.md.

/// Everything asked for was done.
pub const OK: u8 = 0;
/// `replay` found no event that matches, `query` no row.
pub const NO_MATCH: u8 = 1;
/// `check`: recording works, but not everything at its best.
pub const GAPS: u8 = 1;
/// `verify`: the file is not what was recorded, or contradicts itself.
pub const ALTERED: u8 = 1;
/// Bad usage or bad input; nothing was written.
pub const ERROR: u8 = 2;
/// The recording is complete but events were lost, as the capture says; `verify`: intact, but not complete.
pub const LOSS: u8 = 3;
/// `record -- COMMAND`: vmtrace itself failed.
pub const RECORDER_FAILED: u8 = 125;
/// `record -- COMMAND`: COMMAND cannot be executed.
pub const NOT_EXECUTABLE: u8 = 126;
/// `record -- COMMAND`: COMMAND was not found.
pub const NOT_FOUND: u8 = 127;
