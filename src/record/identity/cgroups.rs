//! The path of a cgroup, and the container that it identifies. Owns what was resolved; asks a [`Lookup`].

use std::collections::HashMap;

use crate::record::identity::container::container_id;
use crate::record::identity::lookup::Lookup;

/// A cgroup by its path, and the container that the path identifies.
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

/// The cgroup of every cgroup v2 id, resolved once per id.
#[derive(Debug, Default)]
pub struct Cgroups {
    by_id: HashMap<u64, Cgroup>,
}

impl Cgroups {
    /// The cgroup of that id; its path is `id:N` where it cannot be resolved. Id 0 is no cgroup.
    ///
    /// A cgroup's id is the inode number of its directory (kernel/cgroup/cgroup.c, cgroup_id).
    pub fn get(&mut self, id: u64, lookup: &mut dyn Lookup) -> &Cgroup {
        self.by_id.entry(id).or_insert_with(|| {
            if id == 0 {
                return Cgroup::default();
            }
            Cgroup::at(lookup.cgroup(id).unwrap_or_else(|| format!("id:{id}")))
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
