//! What all commands share for their output: exit statuses, messages on stderr, escaping of captured text, colour, the
//! width of terminals, and the common output formats.
//!
//! All modules import it, and it imports none of them.

mod color;
pub mod escape;
pub mod fit;
mod format;
mod message;
pub mod pager;
pub mod signs;
pub mod status;

pub use color::{ColorWhen, is_dumb};
pub use format::{Format, json_line};
pub use message::{is_broken_pipe, report, say, say_line};
