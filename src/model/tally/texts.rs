//! Names, each kept once, within limits: a file may contain any number of them, of any length.
//!
//! Names, keys and errors have limits of their own. So however many names there are, processes stay distinguished, and
//! errors known.

use std::collections::HashSet;
use std::sync::Arc;

use crate::schema::names::errno_names;

/// Bytes kept of one name: PATH_MAX.
const NAME_LIMIT: usize = 4_096;
/// Bytes kept of all names together, and of all keys.
const LIMIT: usize = 16 << 20;
/// Bytes kept of all errors that this version does not know.
const ERRORS: usize = 1 << 20;
/// What a text takes beside its bytes.
const OVERHEAD: usize = 64;

/// Texts that are kept.
#[derive(Debug)]
struct Kept {
    all: HashSet<Arc<str>>,
    size: usize,
    limit: usize,
}

impl Kept {
    fn within(limit: usize) -> Self {
        Kept { all: HashSet::new(), size: 0, limit }
    }

    /// A text that is kept already.
    fn known(&self, text: &str) -> Option<Arc<str>> {
        // Its length first: to look a text up is to read all of it.
        if text.len() > NAME_LIMIT { None } else { self.all.get(text).cloned() }
    }

    /// `None` if the text is too long, or if there is no room for more.
    fn whole(&mut self, text: &str) -> Option<Arc<str>> {
        if let Some(known) = self.known(text) {
            return Some(known);
        }
        let size = text.len() + OVERHEAD;
        if text.len() > NAME_LIMIT || self.size + size > self.limit {
            return None;
        }
        self.size += size;
        let kept: Arc<str> = text.into();
        self.all.insert(Arc::clone(&kept));
        Some(kept)
    }
}

/// Names of processes and files, keys of processes, and errors.
#[derive(Debug)]
pub(super) struct Texts {
    names: Kept,
    keys: Kept,
    /// Those that this version knows, from the start.
    errors: Kept,
    errors_of_later: Kept,
}

impl Default for Texts {
    fn default() -> Self {
        let mut errors = Kept::within(usize::MAX);
        errors.all.extend(errno_names().map(Arc::from));
        Texts { names: Kept::within(LIMIT), keys: Kept::within(LIMIT), errors, errors_of_later: Kept::within(ERRORS) }
    }
}

impl Texts {
    /// The whole name; `None` if it is too long, or if there is no room for more.
    pub fn name(&mut self, text: &str) -> Option<Arc<str>> {
        self.names.whole(text)
    }

    /// The key of a process; `None` if it is longer than any, or if there is no room for more.
    pub fn key(&mut self, text: &str) -> Option<Arc<str>> {
        self.keys.whole(text)
    }

    /// The key of a process, if it is kept already.
    pub fn known_key(&self, text: &str) -> Option<Arc<str>> {
        self.keys.known(text)
    }

    /// The beginning of the name; `None` if there is no room for more.
    pub fn front(&mut self, text: &str) -> Option<Arc<str>> {
        self.name(front(text, NAME_LIMIT))
    }

    /// Sets a name to what a row says, where it says anything.
    pub fn set(&mut self, name: &mut Option<Arc<str>>, text: Option<&str>) {
        if let Some(text) = text
            && name.as_deref() != Some(text)
        {
            *name = self.front(text);
        }
    }
}

/// The beginning of a text, of at most `most` bytes.
pub(super) fn front(text: &str, most: usize) -> &str {
    let end = (0..=text.len().min(most)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// How often each of a few words came, such as errors. A file may contain any number of words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    words: Vec<(Arc<str>, u64)>,
    others: u64,
}

/// Words that are distinguished beside the errors that this version knows, which are some 130.
const WORDS: usize = 160;

impl Words {
    /// Counts a word that came so many times.
    pub(super) fn note(&mut self, word: &str, times: u64, texts: &mut Texts) {
        if let Some((_, count)) = self.words.iter_mut().find(|(known, _)| known.as_ref() == word) {
            *count += times;
            return;
        }
        let kept = match texts.errors.known(word) {
            Some(known) => Some(known),
            None if self.words.len() < WORDS => texts.errors_of_later.whole(word),
            None => None,
        };
        match kept {
            Some(kept) => self.words.push((kept, times)),
            None => self.others += times,
        }
    }

    /// Each word and how often it came, in the order in which they came first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.words.iter().map(|(word, count)| (word.as_ref(), *count))
    }

    /// How often other words came.
    pub fn others(&self) -> u64 {
        self.others
    }

    /// How often any word came.
    pub fn total(&self) -> u64 {
        self.words.iter().map(|(_, count)| count).sum::<u64>() + self.others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once_and_within_the_limit() {
        let mut texts = Texts::default();
        let (first, second) = (texts.name("exe").unwrap(), texts.front("exe").unwrap());
        assert!(Arc::ptr_eq(&first, &second));
        let long = "é".repeat(NAME_LIMIT);
        assert_eq!(texts.name(&long), None);
        assert_eq!(texts.front(&long).unwrap().len(), NAME_LIMIT);
        let mut name = Some(Arc::clone(&first));
        texts.set(&mut name, None);
        assert_eq!(name.as_deref(), Some("exe"));
        texts.set(&mut name, Some("sh"));
        assert_eq!(name.as_deref(), Some("sh"));
        let filler = "x".repeat(NAME_LIMIT - 8);
        let fit = (0..LIMIT).take_while(|n| texts.name(&format!("{n:08}{filler}")).is_some()).count();
        assert!((LIMIT / NAME_LIMIT / 2..=LIMIT / NAME_LIMIT).contains(&fit), "{fit}");
        assert_eq!(texts.name("exe"), Some(first), "what is kept stays");
        texts.set(&mut name, Some(&format!("another{filler}")));
        assert_eq!(name, None, "an unknown name is better than one that was right before");
    }

    /// However many names there are, what is counted stays true.
    #[test]
    fn names_leave_no_less_room_for_keys_and_errors() {
        let (mut texts, mut words) = (Texts::default(), Words::default());
        let filler = "x".repeat(NAME_LIMIT - 8);
        assert!((0..LIMIT).any(|n| texts.name(&format!("{n:08}{filler}")).is_none()));
        assert!((0..LIMIT).any(|n| texts.errors_of_later.whole(&format!("{n:08}{filler}")).is_none()));
        assert_eq!(texts.known_key("k"), None);
        let key = texts.key("k").unwrap();
        assert_eq!(texts.known_key("k"), Some(key));
        words.note(&"E".repeat(NAME_LIMIT), 1, &mut texts);
        words.note("EPERM", 1, &mut texts);
        assert_eq!((words.iter().collect::<Vec<_>>(), words.others()), (vec![("EPERM", 1)], 1));
    }

    #[test]
    fn a_known_error_is_one_behind_any_number_of_others() {
        let (mut texts, mut words) = (Texts::default(), Words::default());
        (0..WORDS + 1).for_each(|number| words.note(&format!("E{number}"), 1, &mut texts));
        words.note("EACCES", 1, &mut texts);
        assert_eq!((words.iter().last(), words.others()), (Some(("EACCES", 1)), 1));
    }

    #[test]
    fn words_beyond_the_limit_are_counted() {
        let (mut words, mut texts) = (Words::default(), Texts::default());
        for word in ["EPERM", "EIO", "EPERM"] {
            words.note(word, 1, &mut texts);
        }
        assert_eq!(words.iter().collect::<Vec<_>>(), [("EPERM", 2), ("EIO", 1)]);
        (0..WORDS).for_each(|number| words.note(&format!("E{number}"), 1, &mut texts));
        assert_eq!((words.iter().count(), words.others(), words.total()), (WORDS, 2, WORDS as u64 + 3));
    }
}
