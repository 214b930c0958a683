//! The digest chain over a capture's row groups, and the seal over everything else in the file.
//!
//! Owns what is digested and how the digests are stored. Reads and writes no file.

use serde::{Deserialize, Serialize};

use super::manifest::Clocks;

/// Metadata key of the chain, JSON.
pub const KEY_CHAIN: &str = "vmtrace.chain";
/// Metadata key of the seal: 64 hexadecimal digits.
pub const KEY_SEAL: &str = "vmtrace.seal";

/// A BLAKE3 digest.
pub type Digest = blake3::Hash;

/// The chain as stored in the footer. `begin`, and each `link`, is the link that the next one is made from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Chain {
    /// BLAKE3 of the manifest at the begin of the file.
    pub begin: String,
    /// One per row group, in the order of the file.
    pub groups: Vec<Link>,
}

/// One row group's link.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Link {
    /// Where the row group's bytes begin.
    pub at: u64,
    /// How many they are.
    pub len: u64,
    /// Rows in it.
    pub rows: u64,
    /// When it was written.
    pub clocks: Clocks,
    /// BLAKE3 of the link before, the digest of the row group's bytes, rows and clocks; see [`link`].
    pub link: String,
}

/// The first link: digest of the begin manifest's bytes.
pub fn first(begin: &[u8]) -> Digest {
    blake3::hash(begin)
}

/// The link of a row group: BLAKE3 of the link before (32 bytes), the digest of its bytes (32 bytes), and as 64-bit
/// little-endian numbers its rows and its clocks (realtime, monotonic, boottime, uncertainty).
pub fn link(previous: &Digest, digest: &Digest, rows: u64, clocks: &Clocks) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(previous.as_bytes());
    hasher.update(digest.as_bytes());
    hasher.update(&rows.to_le_bytes());
    for clock in [clocks.realtime_ns, clocks.monotonic_ns, clocks.boottime_ns, clocks.uncertainty_ns] {
        hasher.update(&clock.to_le_bytes());
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_depends_on_everything_in_it() {
        let zero = Digest::from([0; 32]);
        let one = Digest::from([1; 32]);
        let clocks = Clocks::default();
        let links = [
            link(&zero, &zero, 0, &clocks),
            link(&one, &zero, 0, &clocks),
            link(&zero, &one, 0, &clocks),
            link(&zero, &zero, 1, &clocks),
            link(&zero, &zero, 0, &Clocks { realtime_ns: 1, ..clocks }),
            link(&zero, &zero, 0, &Clocks { monotonic_ns: 1, ..clocks }),
            link(&zero, &zero, 0, &Clocks { boottime_ns: 1, ..clocks }),
            link(&zero, &zero, 0, &Clocks { uncertainty_ns: 1, ..clocks }),
        ];
        for (i, a) in links.iter().enumerate() {
            assert!(links.iter().skip(i + 1).all(|b| a != b), "{i}");
        }
    }
}
