//! What every command needs to speak to the person or script that started it.
//!
//! Imported by all rooms and imports none of them.

pub mod escape;
