//! What a manifest says of the program that wrote it.

use serde::{Deserialize, Serialize};

/// The recorder, or what made a capture of others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tool {
    /// Always `vmtrace`.
    pub name: String,
    /// Package version.
    pub version: String,
    /// Commit it was built from, `-dirty` behind it where a source was changed; empty outside a checkout.
    pub git: String,
    /// BLAKE3 of the BPF object it loaded.
    pub bpf_digest: String,
}
