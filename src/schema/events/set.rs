//! Sets of events, as `-e` selects them.

use super::{EVENTS, EventKind, EventSpec, FamilySpec, Group};

/// A set of events, as `-e` selects it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSet(Vec<EventKind>);

impl EventSet {
    /// Every event.
    pub fn all() -> Self {
        EventSet(EVENTS.iter().map(|e| e.kind).collect())
    }

    /// Reads a comma-separated list of names and groups: `process_vm_readv,@pipe`.
    ///
    /// # Errors
    /// Names the word that is neither, and what would be.
    pub fn parse(list: &str) -> Result<Self, String> {
        let mut kinds = Vec::new();
        for word in list.split(',').map(str::trim).filter(|w| !w.is_empty()) {
            let before = kinds.len();
            kinds.extend(EVENTS.iter().filter(|e| matches(word, e)).map(|e| e.kind));
            if kinds.len() == before {
                return Err(format!("unknown event {word:?}; known are {}", known_words()));
            }
        }
        if kinds.is_empty() {
            return Err(format!("no event named; known are {}", known_words()));
        }
        kinds.sort();
        kinds.dedup();
        Ok(EventSet(kinds))
    }

    /// Adds the events of `other`.
    pub fn merge(mut self, other: EventSet) -> Self {
        self.0.extend(other.0);
        self.0.sort();
        self.0.dedup();
        self
    }

    /// Whether `kind` is selected. `lost` always is.
    pub fn contains(&self, kind: EventKind) -> bool {
        kind == EventKind::Lost || self.0.contains(&kind)
    }

    /// Names of the selected events.
    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|k| k.name()).collect()
    }
}

impl FamilySpec {
    /// Whether any of its events was asked for.
    pub fn is_wanted(&'static self, events: &EventSet) -> bool {
        self.events().any(|event| events.contains(event.kind))
    }
}

fn matches(word: &str, event: &EventSpec) -> bool {
    match word.strip_prefix('@') {
        Some("all") => true,
        Some(group) => event.group.name() == group && event.group != Group::Ledger,
        None => event.name == word,
    }
}

/// Names of all sets of events, as the command line takes them.
pub fn sets() -> Vec<String> {
    let mut sets: Vec<String> = Vec::new();
    for group in EVENTS.iter().map(|event| event.group).filter(|group| *group != Group::Ledger) {
        let set = group.set();
        if !sets.contains(&set) {
            sets.push(set);
        }
    }
    sets.push("@all".into());
    sets
}

fn known_words() -> String {
    let names: Vec<_> = EVENTS.iter().map(|e| e.name).collect();
    format!("{} {}", sets().join(" "), names.join(" "))
}
