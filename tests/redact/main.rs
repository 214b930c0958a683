//! `vmtrace redact`: what stands in its result, what does not, and that every command reads it.

mod addresses;
mod anew;
mod command;
mod docs;
mod leaks;
mod made;
mod originals;
#[cfg(feature = "record")]
mod recorded;
mod samples;
