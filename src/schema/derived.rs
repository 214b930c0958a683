//! What a capture states of its origin if it was not recorded but made from other captures.
//!
//! Owns the form of `derived_from` in the manifest. The rule of evolution is that of the manifest.

use serde::{Deserialize, Serialize};

use super::tool::Tool;

/// One step from captures to a capture.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Derivation {
    /// What made it: `slice`, `merge` or `redact`, or the word of a later version.
    pub command: String,
    /// Its command line. `redact` leaves out what would say what it hides.
    pub argv: Vec<String>,
    /// The program that made it.
    pub tool: Tool,
    /// The captures that it was made from, in the order in which they were given.
    pub sources: Vec<Source>,
    /// What it left out, a sentence each.
    pub left_out: Vec<String>,
    /// What was made unrecognisable, by `redact`.
    pub redaction: Option<Redaction>,
}

/// A capture that another one was made from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Source {
    /// Its name, without directories.
    pub file: String,
    /// Its root digest; `None` if it had none.
    pub root: Option<String>,
    /// Of the recording.
    pub capture_id: String,
    /// Rows in it.
    pub rows: u64,
    /// Of those, rows that were taken.
    pub taken: u64,
}

/// What `redact` did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Redaction {
    /// The level: `payload`, `share` or `metadata`, or the word of a later version.
    pub level: String,
    /// Version of the rules.
    pub rules: u32,
    /// What adjusts the level, an option each.
    pub options: Vec<String>,
    /// Distinct values that were replaced, by kind of value, such as `comm` or `address`.
    pub values: Vec<Replaced>,
}

/// The last redaction among the steps that led to a capture.
pub fn redaction(steps: &[Derivation]) -> Option<&Redaction> {
    steps.iter().rev().find_map(|step| step.redaction.as_ref())
}

/// How many values of a kind were replaced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Replaced {
    /// The kind of value.
    pub kind: String,
    /// Distinct values.
    pub distinct: u64,
}
