//! What is fuzzed, a file each.

pub mod capture;
pub mod oracle;
pub mod partial;
pub mod parts;
pub mod recover;
pub mod signature;
pub mod words;
pub mod zip;
