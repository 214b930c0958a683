//! What a capture means, however it is shown: its processes and their memory, transfers and losses, the flows of bytes
//! through pipes, its summary, its events in numbers, what is selected of it, what it was made from, and instants.
//!
//! Everything that shows a capture sees it through here: what is learned about processes, or how an event becomes a
//! movement of bytes from one end to another, is decided once. Does no rendering and no I/O.

pub mod flow;
pub mod hosts;
pub mod loss;
pub mod memory;
pub mod origin;
pub mod process;
pub mod reading;
pub mod recording;
pub mod select;
pub mod summary;
pub mod tally;
pub mod time;
pub mod transfer;
