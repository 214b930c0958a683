//! Texts that stand in a trace once, and are numbers wherever they are used.

use std::collections::HashMap;

use super::proto::{InternedData, InternedName};

/// Texts that are remembered, and their bytes. Behind them, texts are written out.
const LIMIT: usize = 65_536;
const BYTES: usize = 16 << 20;
/// Bytes of the longest text that is written: a file may claim more.
const LONGEST: usize = 4_096;

/// What a text is used as; each use has numbers of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Use {
    /// A category of events.
    Category,
    /// The name of an event.
    Name,
    /// The name of an annotation.
    Key,
    /// The value of an annotation.
    Value,
}

/// The texts of a trace.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: HashMap<(Use, String), u64>,
    bytes: usize,
    /// New ones, which the next packet brings.
    fresh: InternedData,
}

impl Names {
    /// The number of a text; `None` where there are too many.
    pub fn number(&mut self, usage: Use, text: &str) -> Option<u64> {
        let text = limited(text);
        let key = (usage, text.to_string());
        if let Some(number) = self.known.get(&key) {
            return Some(*number);
        }
        // Names of annotations and categories are few, and ours.
        let is_full = self.known.len() >= LIMIT || self.bytes >= BYTES;
        if is_full && matches!(usage, Use::Name | Use::Value) {
            return None;
        }
        // Unique in all uses, from 1.
        let number = self.known.len() as u64 + 1;
        let list = match usage {
            Use::Category => &mut self.fresh.event_categories,
            Use::Name => &mut self.fresh.event_names,
            Use::Key => &mut self.fresh.debug_annotation_names,
            Use::Value => &mut self.fresh.debug_annotation_string_values,
        };
        list.push(InternedName { iid: Some(number), name: Some(text.to_string()) });
        self.bytes += text.len();
        self.known.insert(key, number);
        Some(number)
    }

    /// Those that are new since the last call.
    pub fn take_fresh(&mut self) -> Option<InternedData> {
        let fresh = std::mem::take(&mut self.fresh);
        (fresh != InternedData::default()).then_some(fresh)
    }
}

/// A text, cut where it is too long.
pub(super) fn limited(text: &str) -> &str {
    let end = (0..=text.len().min(LONGEST)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_once_for_each_use() {
        let mut names = Names::default();
        let first = names.number(Use::Name, "tee");
        assert_eq!(names.number(Use::Name, "tee"), first);
        assert_ne!(names.number(Use::Value, "tee"), first);
        let fresh = names.take_fresh().unwrap();
        assert_eq!((fresh.event_names.len(), fresh.debug_annotation_string_values.len()), (1, 1));
        assert_eq!(fresh.event_names.first().and_then(|name| name.iid), first);
        names.number(Use::Name, "tee");
        assert_eq!(names.take_fresh(), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut names = Names::default();
        assert!((0..LIMIT).all(|n| names.number(Use::Value, &n.to_string()).is_some()));
        assert_eq!(names.number(Use::Value, "one too many"), None);
        assert_eq!(names.number(Use::Value, "0"), Some(1), "what is known stays");
        assert_eq!(limited(&"ä".repeat(LONGEST)).len(), LONGEST);
        let mut names = Names::default();
        let long = "x".repeat(LONGEST);
        (0..2 * BYTES / LONGEST).for_each(|n| _ = names.number(Use::Value, &format!("{n}{long}")));
        assert!(names.bytes < BYTES + LONGEST);
    }
}
