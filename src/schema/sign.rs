//! wip
use std::path::{Path, PathBuf};
/// wip
#[derive(Clone, Debug)]
pub struct Key;
impl Key {
    /// wip
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        anyhow::bail!("{}: wip", path.display())
    }
    /// wip
    pub fn sign_file(&self, _: &Path) -> anyhow::Result<()> {
        Ok(())
    }
}
/// wip
pub fn signature_path(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(path);
    name.push(".sig");
    name.into()
}
