//! Detached signatures of captures, as `ssh-keygen -Y sign` and `-Y verify` make and check them (SSHSIG).
//!
//! Owns the file FILE.sig and what is signed: all bytes of FILE, in the namespace `vmtrace`. [`allowed`] defines who may
//! sign. Private keys are used directly, without a passphrase or an agent.

pub mod allowed;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use signature::{Signer, Verifier};
use ssh_key::public::KeyData;
use ssh_key::sha2::{Digest, Sha256, Sha512};
use ssh_key::{HashAlg, LineEnding, PrivateKey, SshSig};

use super::file::{Links, open_regular};
use super::limits::MAX_SIGNATURE;
use super::quote::quoted;
use crate::output::{self, Whole};

/// What a signature is for; `ssh-keygen -n`.
pub const NAMESPACE: &str = "vmtrace";
const BEGIN: &[u8] = b"-----BEGIN SSH SIGNATURE-----";

/// The path of the signature of `path`: `FILE.sig`.
pub fn signature_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".sig");
    PathBuf::from(name)
}

/// A private key that can sign.
#[derive(Clone)]
pub struct Key(PrivateKey);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.0.fingerprint(HashAlg::Sha256)).finish()
    }
}

impl Key {
    /// Reads a private key in OpenSSH's format.
    ///
    /// # Errors
    /// When it cannot be read, has a passphrase, or is of a kind that does not sign by itself.
    pub fn load(path: &Path) -> Result<Self> {
        let name = path.display();
        let text = read_small(path).with_context(|| format!("the key {name} cannot be read"))?;
        let later = "leave out --sign-key and sign the finished capture with ssh-keygen -Y sign -n vmtrace -f KEY FILE";
        let key = PrivateKey::from_openssh(&text).map_err(|error| match () {
            () if text.starts_with(b"ssh-") || text.starts_with(b"ecdsa-") || text.starts_with(b"sk-") => {
                anyhow!("{name} is a public key: name the private one")
            }
            () if text.starts_with(b"-----BEGIN ") && !text.starts_with(b"-----BEGIN OPENSSH") => {
                anyhow!("{name} is not in OpenSSH's format: convert it with ssh-keygen -p -f {name}")
            }
            // Of ECDSA keys the library refuses those that begin with a zero: 1 in 256, of nistp521 every other one.
            () if text.starts_with(b"-----BEGIN OPENSSH") => {
                anyhow!("{name} is a private key that vmtrace cannot read ({error}): {later}")
            }
            () => anyhow!("{name} is not a private key: {error}"),
        })?;
        ensure!(!key.is_encrypted(), "the key {name} has a passphrase, which vmtrace does not ask for: {later}");
        // Sign once as a trial: a key on a token or of an unsupported type fails now, not after the recording.
        key.try_sign(b"")
            .map_err(|_| anyhow!("vmtrace cannot sign with a key of type {}: {later}", key.algorithm()))?;
        Ok(Key(key))
    }

    /// Signs the bytes of `file`, which is called `path`: writes `PATH.sig` beside it, in place of an older signature. What has the
    /// name by now does not matter, nor where `file` stands, which is at its end then.
    ///
    /// # Errors
    /// When the file cannot be read or the signature not written, or something else has its name.
    pub fn sign(&self, mut file: &File, path: &Path) -> Result<()> {
        file.rewind().with_context(|| format!("cannot read {}", path.display()))?;
        let data = signed_data(NAMESPACE, &[], HashAlg::Sha512, &digest(file, HashAlg::Sha512)?);
        let signature = self.0.try_sign(&data).map_err(|error| anyhow!("the key does not sign: {error}"))?;
        let signature = SshSig::new(self.0.public_key().key_data().clone(), NAMESPACE, HashAlg::Sha512, signature)?;
        let target = signature_path(path);
        write(&target, signature.to_pem(LineEnding::LF)?.as_bytes())
            .with_context(|| format!("the signature {} cannot be written", target.display()))
    }
}

/// Creates the signature's file. What has its name goes only if it is an older signature, which is of no use any more.
fn write(path: &Path, text: &[u8]) -> Result<()> {
    output::check_kind(path)?;
    let exists = path.symlink_metadata().is_ok();
    let is_signature = exists && read_small(path).is_ok_and(|text| text.starts_with(BEGIN));
    ensure!(is_signature || !exists, "something else has that name: remove it, and sign with ssh-keygen -Y sign");
    let whole = Whole::create(path, is_signature, 0o644)?;
    whole.file().write_all(text)?;
    whole.publish()
}

/// A signature that fits its file. By whom it may be is for [`allowed`] to say.
#[derive(Debug)]
pub struct Signature {
    key: KeyData,
}

/// What there is to say of a file's signature.
#[derive(Debug)]
pub enum Checked {
    /// It was made over exactly these bytes, in our namespace.
    Fits(Signature),
    /// It was not; why.
    Bad(String),
}

impl Signature {
    /// Checks `FILE.sig` against the bytes of `path`.
    ///
    /// # Errors
    /// When one of the two cannot be read.
    pub fn check(path: &Path) -> Result<Checked> {
        let place = signature_path(path);
        let name = place.display();
        let text = read_small(&place).with_context(|| format!("the signature {name} cannot be read"))?;
        let signature = SshSig::from_pem(&text).map_err(|error| anyhow!("{name} is not an SSH signature: {error}"))?;
        if signature.namespace() != NAMESPACE {
            return Ok(Checked::Bad(format!(
                "it is for the namespace {:?}, not vmtrace",
                quoted(signature.namespace())
            )));
        }
        let name = path.display();
        let file = open_regular(path, Links::Follow).with_context(|| format!("cannot open {name}"))?;
        let file = file.with_context(|| format!("{name} is not a regular file"))?;
        let digest = digest(file, signature.hash_alg())?;
        let data = signed_data(signature.namespace(), signature.reserved(), signature.hash_alg(), &digest);
        Ok(match signature.public_key().verify(&data, signature.signature()) {
            Ok(()) => Checked::Fits(Signature { key: signature.public_key().clone() }),
            Err(_) => Checked::Bad("it was not made over these bytes".into()),
        })
    }

    /// The signing key as `ssh-keygen -l` shows it: type and SHA256 fingerprint.
    pub fn key(&self) -> String {
        format!("{} {}", self.key.algorithm(), self.key.fingerprint(HashAlg::Sha256))
    }
}

/// What the key signs, for a message of which `digest` is known (PROTOCOL.sshsig of OpenSSH).
fn signed_data(namespace: &str, reserved: &[u8], hash: HashAlg, digest: &[u8]) -> Vec<u8> {
    let mut data = b"SSHSIG".to_vec();
    for part in [namespace.as_bytes(), reserved, hash.as_str().as_bytes(), digest] {
        data.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        data.extend(part);
    }
    data
}

/// The digest of all bytes of a file, however many.
fn digest(mut file: impl Read, hash: HashAlg) -> Result<Vec<u8>> {
    fn all<D: Digest>(file: &mut impl Read) -> std::io::Result<Vec<u8>> {
        let mut hasher = D::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hasher.finalize().to_vec()),
                n => hasher.update(buffer.get(..n).unwrap_or_default()),
            }
        }
    }
    Ok(match hash {
        HashAlg::Sha256 => all::<Sha256>(&mut file)?,
        HashAlg::Sha512 => all::<Sha512>(&mut file)?,
        other => bail!("{other} is not supported"),
    })
}

/// A file that must be small and regular: a FIFO must not make us wait.
fn read_small(path: &Path) -> Result<Vec<u8>> {
    let file = open_regular(path, Links::Follow)?.context("it is not a regular file")?;
    let mut bytes = Vec::new();
    file.take(MAX_SIGNATURE + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= MAX_SIGNATURE, "it is larger than {MAX_SIGNATURE} bytes");
    Ok(bytes)
}
