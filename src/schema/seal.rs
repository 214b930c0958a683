//! The seal of a capture, which is its root digest: BLAKE3 over every byte outside the row groups.
//!
//! Owns what is digested, and that the seal's own digits count as zeros. The chain covers the bytes of the row groups;
//! it is in the footer and so is sealed, too.

use std::fs::File;
use std::ops::Range;

use anyhow::{Context, Result};

use super::chain::Digest;
use super::file::{each_part, read_at};

/// The placeholder for the seal's digits while it is computed.
pub(crate) const NO_SEAL: [u8; 64] = [b'0'; 64];

/// A seal being worked out. The bytes come in the order of the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seal(blake3::Hasher);

impl Seal {
    /// Takes bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Takes bytes of a file.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn add_range(&mut self, file: &File, range: &Range<u64>) -> Result<()> {
        Ok(each_part(file, range, |part| {
            self.0.update(part);
            Ok(())
        })?)
    }

    /// Takes the last bytes of a finished file, which states `stated` as its seal.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn add_end(&mut self, file: &File, range: &Range<u64>, stated: &str) -> Result<()> {
        let length = read_at(file, range.end.saturating_sub(8), 4)?;
        let length = length.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let footer_at = range.end.saturating_sub(8 + u64::from(length)).max(range.start);
        self.add_range(file, &(range.start..footer_at))?;
        let len = usize::try_from(range.end - footer_at).context("the footer is too large")?;
        let mut footer = read_at(file, footer_at, len)?;
        let digits = find(&footer, stated).and_then(|digits| footer.get_mut(digits));
        if let Some(digits) = digits.filter(|digits| digits.len() == NO_SEAL.len()) {
            digits.copy_from_slice(&NO_SEAL);
        }
        self.add(&footer);
        Ok(())
    }

    /// The root digest.
    pub fn root(&self) -> Digest {
        self.0.finalize()
    }
}

/// The position of `seal` in the end of a capture. It is a digest, so nothing else there can be equal.
pub(crate) fn find(bytes: &[u8], seal: &str) -> Option<Range<usize>> {
    let start = bytes.windows(seal.len().max(1)).rposition(|window| window == seal.as_bytes())?;
    Some(start..start + seal.len())
}
