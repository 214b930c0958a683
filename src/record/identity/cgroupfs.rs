//! Which cgroups the mounted cgroup v2 hierarchy shows. [`crate::record::identity::cgroups`] remembers them.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

use crate::record::text;

/// The cgroup that `--cgroup` names, and all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// As it was named.
    pub given: PathBuf,
    /// Its id.
    pub id: u64,
    /// How far below the mount it is.
    pub level: u32,
    /// Its path in the hierarchy, as capture text.
    pub path: String,
}

impl Chosen {
    /// The cgroup at `given`, a path in the hierarchy or one that begins with where that is mounted.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(given: &Path) -> Result<Self> {
        let name = given.display();
        let mount = cgroup_mount().context("--cgroup: no cgroup v2 hierarchy is mounted")?;
        let full = if given.starts_with(&mount) {
            given.to_path_buf()
        } else {
            Path::new(&mount).join(given.strip_prefix("/").unwrap_or(given))
        };
        let full = full.canonicalize().with_context(|| format!("--cgroup {name}: not found below {mount}"))?;
        let Ok(below) = full.strip_prefix(&mount) else { bail!("--cgroup {name}: not below {mount}") };
        let id = std::fs::metadata(&full).with_context(|| format!("--cgroup {name}"))?.ino();
        let level = below.components().count() as u32;
        let path = Path::new("/").join(below);
        Ok(Chosen { given: given.to_path_buf(), id, level, path: text::escape(path.as_os_str().as_bytes()) })
    }

    /// Whether the cgroup at `path`, capture text as well, is this one or below it.
    pub fn holds(&self, path: &str) -> bool {
        let below = path.strip_prefix(self.path.trim_end_matches('/'));
        below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
    }
}

/// Where cgroup v2 is mounted.
pub fn cgroup_mount() -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let point = words.nth(1)?;
        (words.next()? == "cgroup2").then(|| point.to_string())
    })
}

/// A path of /proc/PID/cgroup as [`find_cgroup`] would name that cgroup; `None` if that is not known.
///
/// Inside a cgroup namespace paths begin where that does, and a mount from outside shows more (cgroup_namespaces(7)): from it
/// on up, the names between are not known.
pub fn as_mounted(path: &[u8]) -> Option<&[u8]> {
    // The recorder does not change its namespaces or mounts.
    static ROOT: OnceLock<Vec<u8>> = OnceLock::new();
    below(ROOT.get_or_init(|| mount_root().unwrap_or_default()), path)
}

/// `path` below `root`, both as seen in the same namespace.
fn below<'a>(root: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    if !root.starts_with(b"/..") {
        return Some(path);
    }
    match path.strip_prefix(root)? {
        [] => Some(b"/"),
        below => below.starts_with(b"/").then_some(below),
    }
}

/// The cgroup at the mount point of cgroup v2, as seen in our namespace: field 4 of proc_pid_mountinfo(5).
fn mount_root() -> Option<Vec<u8>> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mut ours = mounts.lines().filter(|line| line.contains(" - cgroup2 "));
    ours.next()?.split(' ').nth(3).map(|root| root.as_bytes().to_vec())
}

/// The path of the cgroup with that id, as capture text.
pub fn find_cgroup(id: u64) -> Option<String> {
    let mount = cgroup_mount()?;
    let mut open = vec![PathBuf::from(&mount)];
    while let Some(dir) = open.pop() {
        if std::fs::metadata(&dir).is_ok_and(|m| m.ino() == id) {
            let path = dir.strip_prefix(&mount).ok()?;
            return Some(format!("/{}", text::escape(path.as_os_str().as_bytes())));
        }
        let entries = std::fs::read_dir(&dir).into_iter().flatten().flatten();
        open.extend(entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_a_namespace_paths_are_told_from_the_mount_on() {
        let as_told = |root: &str, path: &'static str| below(root.as_bytes(), path.as_bytes());
        assert_eq!(as_told("/", "/a/b"), Some(&b"/a/b"[..]));
        assert_eq!(as_told("/docker/1", "/docker/1/x"), Some(&b"/docker/1/x"[..]), "no namespace: what /proc knows");
        assert_eq!(as_told("/..", "/.."), Some(&b"/"[..]));
        assert_eq!(as_told("/..", "/../other/x"), Some(&b"/other/x"[..]));
        assert_eq!(as_told("/..", "/"), None, "the namespace's own name is not known");
        assert_eq!(as_told("/..", "/x"), None);
        assert_eq!(as_told("/..", "/..x"), None);
    }

    #[test]
    fn a_cgroup_holds_those_below_it() {
        let chosen = |path: &str| Chosen { given: PathBuf::new(), id: 1, level: 1, path: path.into() };
        let held = |path: &str| ["/", "/a", "/a/b", "/ab", "/b/a"].map(|other| chosen(path).holds(other));
        assert_eq!(held("/a"), [false, true, true, false, false]);
        assert_eq!(held("/a/b"), [false, false, true, false, false]);
        assert_eq!(held("/"), [true; 5]);
    }
}
