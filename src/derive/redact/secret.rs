//! The secret of a redaction, and what is derived from it: keyed digests, and one-to-one renumberings.
//!
//! Nothing here remembers a value: the same secret gives the same answer in every file.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::schema::file::{Links, open_regular};
use crate::schema::limits::MAX_KEY;

/// What the bytes of a key file are hashed for: a file that serves another program, too, gives another secret there.
const PURPOSE: &str = "vmtrace 2026-11-30 redaction of captures";
/// Bytes of the shortest key file.
const SHORTEST: u64 = 32;
/// Rounds of a renumbering. Four are enough for a permutation that cannot be told from a random one.
const ROUNDS: u8 = 6;

/// 256 secret bits.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// A secret that nobody knows, for one run.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; 32];
        File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).context("/dev/urandom")?;
        Ok(Secret::of(&bytes))
    }

    /// The secret of a key file.
    ///
    /// # Errors
    /// One sentence: it cannot be read, others can read it, or it is too short.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.display();
        let file = open_regular(path, Links::Follow).with_context(|| format!("--key: cannot open {name}"))?;
        let file = file.with_context(|| format!("--key: {name} is not a regular file: name a file with a secret"))?;
        let found = file.metadata().with_context(|| format!("--key: cannot open {name}"))?;
        ensure!(
            found.mode() & 0o077 == 0,
            "--key: {name} can be read or changed by others: make it yours alone with `chmod 600 {name}`"
        );
        let length = found.len();
        ensure!(
            (SHORTEST..=MAX_KEY).contains(&length),
            "--key: {name} has {length} bytes, and a key has {SHORTEST} to {MAX_KEY}: make one with \
             `head -c 32 /dev/urandom`"
        );
        let mut bytes = Vec::new();
        file.take(MAX_KEY).read_to_end(&mut bytes).with_context(|| format!("--key: cannot read {name}"))?;
        Ok(Secret::of(&bytes))
    }

    /// The secret made of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Secret(blake3::derive_key(PURPOSE, bytes))
    }

    /// The keyed digest of `bytes`; each `use_of` has its own.
    pub fn digest(&self, use_of: &str, bytes: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(use_of.as_bytes()).update(&[0]).update(bytes);
        *hasher.finalize().as_bytes()
    }

    /// The first `digits` (at most 64) of the digest, in hexadecimal.
    pub fn hex(&self, use_of: &str, bytes: &[u8], digits: usize) -> String {
        let digest = self.digest(use_of, bytes);
        let all = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        all.take(digits).filter_map(|nibble| char::from_digit(nibble.into(), 16)).collect()
    }

    /// The first 64 bits of the digest.
    pub fn number(&self, use_of: &str, bytes: &[u8]) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.digest(use_of, bytes);
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// `value` renumbered within `range`, one to one; what is outside of it stays.
    pub fn renumber(&self, use_of: &str, value: u64, range: Range<u64>) -> u64 {
        let Some(count) = range.end.checked_sub(range.start).filter(|count| *count > 1) else { return value };
        if !range.contains(&value) {
            return value;
        }
        let half = (64 - (count - 1).leading_zeros()).div_ceil(2);
        let mut at = value - range.start;
        // The permutation is of the next power of four. From a value within the range it comes back to one.
        loop {
            at = self.permute(use_of, at, half);
            if at < count {
                return range.start + at;
            }
        }
    }

    /// A permutation of the numbers of `2 * half` bits: a Feistel network.
    fn permute(&self, use_of: &str, value: u64, half: u32) -> u64 {
        let mask = (1u64 << half) - 1;
        let (mut left, mut right) = (value >> half & mask, value & mask);
        for round in 0..ROUNDS {
            let mut input = [0; 10];
            input.iter_mut().zip(right.to_le_bytes()).for_each(|(slot, byte)| *slot = byte);
            input[8] = round;
            input[9] = half as u8;
            (left, right) = (right, (left ^ self.number(use_of, &input)) & mask);
        }
        left << half | right
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_renumbering_is_one_to_one_and_secret() {
        let secret = Secret::of(b"a");
        for count in [2, 3, 17, 64, 1_000] {
            let range = 5..5 + count;
            let all: BTreeSet<u64> = range.clone().map(|value| secret.renumber("x", value, range.clone())).collect();
            assert_eq!(all, range.collect());
        }
        let of = |secret: &Secret, use_of| (0..100).map(|v| secret.renumber(use_of, v, 0..1 << 32)).collect::<Vec<_>>();
        assert_eq!(of(&secret, "x"), of(&Secret::of(b"a"), "x"));
        assert_ne!(of(&secret, "x"), of(&secret, "y"));
        assert_ne!(of(&secret, "x"), of(&Secret::of(b"b"), "x"));
        assert_eq!(secret.renumber("x", 9, 10..20), 9);
        assert_eq!(secret.renumber("x", 10, 10..10), 10);
        let top = secret.renumber("x", u64::MAX - 1, 1 << 32..u64::MAX);
        assert!((1 << 32..u64::MAX).contains(&top));
    }

    #[test]
    fn a_key_is_for_its_owner_alone_and_long_enough() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let with = |bytes: &[u8], mode| {
            std::fs::write(&path, bytes).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            Secret::read(&path)
        };
        let said = |result: Result<Secret>| format!("{:#}", result.unwrap_err());
        assert!(said(with(&[7; 32], 0o640)).contains("chmod 600"));
        assert!(said(with(&[7; 32], 0o604)).contains("chmod 600"));
        assert!(said(with(&[7; 31], 0o600)).contains("31 bytes"));
        let good = with(&[7; 32], 0o600).unwrap();
        assert_eq!(good.hex("x", b"y", 12), Secret::of(&[7; 32]).hex("x", b"y", 12));
        assert!(!format!("{good:?}").contains('7'));
        assert!(said(Secret::read(dir.path())).contains("not a regular file"));
        assert!(said(Secret::read(&dir.path().join("none"))).contains("cannot open"));
    }
}
