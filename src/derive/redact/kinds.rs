//! Kinds of values that are replaced, how many of each there were, and the way back for whoever wants to keep it.

use std::collections::{BTreeMap, HashSet};

use crate::schema::derived::Replaced;
use crate::schema::limits::{MAX_MAPPED, MAX_MAPPED_BYTES};

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident $name:literal;)+) => {
        /// A kind of value. Equal values of a kind have equal pseudonyms.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $($(#[doc = $doc])+ $kind,)+ }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Kind] = &[$(Kind::$kind),+];

            /// Its name, in options, in the manifest and in a map.
            pub const fn name(self) -> &'static str {
                match self { $(Kind::$kind => $name,)+ }
            }
        }
    };
}

kinds! {
    /// Names of threads, and the first words of command lines.
    Comm "comm";
    /// Paths.
    Path "path";
    /// Other words of command lines.
    Word "word";
    /// User ids.
    Uid "uid";
    /// Names and ids of hosts, boots and captures.
    Host "host";
    /// Paths of cgroups.
    Cgroup "cgroup";
    /// Containers.
    Container "container";
    /// Network addresses and names of unix sockets.
    Net "net";
    /// Ports.
    Port "port";
    /// Process and thread ids.
    Pid "pid";
    /// Identities of processes.
    ProcessKey "process_key";
    /// Inodes.
    Inode "inode";
    /// File descriptors.
    Fd "fd";
    /// Regions of memory.
    Region "region";
}

/// Kinds of which `--keep` can keep values.
pub const KEPT: &[Kind] =
    &[Kind::Comm, Kind::Path, Kind::Word, Kind::Uid, Kind::Host, Kind::Cgroup, Kind::Container, Kind::Net];

/// Distinct values of a kind that are counted; of more it is only known that there are so many.
const COUNTED: usize = 1 << 18;

/// The way back, by kind: pseudonym → original.
pub type Originals = BTreeMap<&'static str, BTreeMap<String, String>>;

/// What was replaced so far.
#[derive(Debug)]
pub struct Found {
    /// By kind: hashes of the originals. Grows with them, up to 4 MiB of numbers a kind.
    distinct: Vec<HashSet<u64>>,
    originals: Option<Originals>,
    entries: usize,
    bytes: usize,
}

impl Found {
    /// Nothing; `mapped`: the way back is remembered.
    pub fn new(mapped: bool) -> Self {
        let distinct = Kind::ALL.iter().map(|_| HashSet::new()).collect();
        Found { distinct, originals: mapped.then(Originals::new), entries: 0, bytes: 0 }
    }

    /// Notes that `pseudonym` stands for `original`.
    pub fn note(&mut self, kind: Kind, original: &str, pseudonym: &str) {
        if let Some(distinct) = self.distinct.get_mut(kind as usize).filter(|distinct| distinct.len() < COUNTED) {
            let digest = blake3::hash(original.as_bytes());
            distinct.insert(digest.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)));
        }
        let Some(originals) =
            self.originals.as_mut().filter(|_| self.entries <= MAX_MAPPED && self.bytes <= MAX_MAPPED_BYTES)
        else {
            return;
        };
        let of_kind = originals.entry(kind.name()).or_default();
        if !of_kind.contains_key(pseudonym) {
            of_kind.insert(pseudonym.to_string(), original.to_string());
            self.entries += 1;
            self.bytes += pseudonym.len() + original.len();
        }
    }

    /// Distinct values of each kind of which there were some.
    pub fn counts(&self) -> Vec<Replaced> {
        let counted = Kind::ALL.iter().zip(&self.distinct).filter(|(_, distinct)| !distinct.is_empty());
        counted.map(|(kind, distinct)| Replaced { kind: kind.name().into(), distinct: distinct.len() as u64 }).collect()
    }

    /// The kinds of which there were more values than are counted.
    pub fn uncounted(&self) -> impl Iterator<Item = Kind> {
        Kind::ALL.iter().zip(&self.distinct).filter(|(_, distinct)| distinct.len() >= COUNTED).map(|(kind, _)| *kind)
    }

    /// The way back; `None` where it was not remembered, or is not whole: there were too many values.
    pub fn originals(&self) -> Option<&Originals> {
        self.originals.as_ref().filter(|_| self.entries <= MAX_MAPPED && self.bytes <= MAX_MAPPED_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_once_and_lead_back() {
        let mut found = Found::new(true);
        for _ in 0..2 {
            found.note(Kind::Comm, "victim", "comm-1");
            found.note(Kind::Comm, "spy", "comm-2");
            found.note(Kind::Pid, "7", "9");
        }
        let count = |kind: &str, distinct| Replaced { kind: kind.into(), distinct };
        assert_eq!(found.counts(), [count("comm", 2), count("pid", 1)]);
        assert_eq!(found.originals().unwrap()["comm"]["comm-2"], "spy");
        assert!(Found::new(false).originals().is_none());
        assert_eq!(found.uncounted().count(), 0);
    }

    #[test]
    fn a_map_has_so_many_values() {
        let mut found = Found { entries: MAX_MAPPED - 1, ..Found::new(true) };
        found.note(Kind::Comm, "victim", "comm-1");
        assert!(found.originals().is_some());
        found.note(Kind::Comm, "spy", "comm-2");
        assert!(found.originals().is_none());
    }

    #[test]
    fn a_map_has_so_many_bytes() {
        let mut found = Found { bytes: MAX_MAPPED_BYTES - 12, ..Found::new(true) };
        found.note(Kind::Comm, "victim", "comm-1");
        assert!(found.originals().is_some());
        found.note(Kind::Comm, "", "x");
        assert!(found.originals().is_none());
    }

    #[test]
    fn a_map_that_is_too_large_is_none() {
        let mut found = Found::new(true);
        let long = "x".repeat(MAX_MAPPED_BYTES / 2);
        for number in 0..3 {
            found.note(Kind::Word, &long, &format!("text-{number}"));
        }
        assert!(found.originals().is_none());
        assert_eq!(found.counts()[0].distinct, 1);
    }
}
