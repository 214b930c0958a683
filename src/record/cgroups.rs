//! Which path a cgroup has, and which container that tells. Owns what was resolved; asks a [`Witness`].

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;

use super::container::container_id;
use super::text;
use super::witness::Witness;

/// A cgroup by its path, and the container that the path tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cgroup {
    /// Path in the hierarchy of cgroup v2, or `id:N`; empty for no cgroup.
    pub path: String,
    /// Id or name of the container, empty for none.
    pub container: String,
}

impl Cgroup {
    fn at(path: String) -> Self {
        let container = container_id(&path).unwrap_or_default().to_string();
        Cgroup { path, container }
    }
}

/// Every cgroup v2 id by what it stands for, resolved once per id.
#[derive(Debug, Default)]
pub struct Cgroups {
    by_id: HashMap<u64, Cgroup>,
}

impl Cgroups {
    /// The cgroup of that id; its path is `id:N` where it cannot be resolved. Id 0 is no cgroup.
    ///
    /// A cgroup's id is the inode number of its directory (kernel/cgroup/cgroup.c, cgroup_id).
    pub fn get(&mut self, id: u64, witness: &mut dyn Witness) -> &Cgroup {
        self.by_id.entry(id).or_insert_with(|| {
            if id == 0 {
                return Cgroup::default();
            }
            Cgroup::at(witness.cgroup(id).unwrap_or_else(|| format!("id:{id}")))
        })
    }

    /// Every id and its path.
    pub fn known(&self) -> Vec<(u64, String)> {
        self.by_id.iter().map(|(id, cgroup)| (*id, cgroup.path.clone())).collect()
    }

    /// Knows these, and nothing else.
    pub fn restore(&mut self, known: Vec<(u64, String)>) {
        self.by_id = known.into_iter().map(|(id, path)| (id, Cgroup::at(path))).collect();
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

/// The path of the cgroup with that id, as capture text.
pub fn find_cgroup(id: u64) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let mount = cgroup_mount()?;
    let mut open = vec![std::path::PathBuf::from(&mount)];
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
