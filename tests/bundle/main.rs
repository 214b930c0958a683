//! `vmtrace bundle`: what is in the archive and what is not, that every command reads it, and what archives of strangers cannot do.

mod archive;
mod bundles;
mod check;
mod hostile;
mod leaks;
// Other tests use more of these.
#[allow(dead_code)]
#[path = "../redact/made.rs"]
mod made;
#[allow(dead_code)]
#[path = "../redact/originals.rs"]
mod originals;
mod reading;
mod sizes;
