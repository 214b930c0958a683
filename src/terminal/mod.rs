//! What every command shares towards the person or script that started it: exit statuses, messages on stderr, captured text
//! made safe, colour, and the common output formats.
//!
//! Imported by all rooms and imports none of them.

mod color;
pub mod escape;
mod format;
mod message;
pub mod status;

pub use color::{ColorWhen, is_dumb};
pub use format::{Format, json_line};
pub use message::{is_broken_pipe, report, say, say_line};
