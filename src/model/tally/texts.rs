//! Names, each kept once, within a limit: a file may contain any number of them, of any length.

use std::collections::HashSet;
use std::sync::Arc;

/// Bytes kept of one name: PATH_MAX.
const NAME_LIMIT: usize = 4_096;
/// Bytes kept of all names together.
const LIMIT: usize = 16 << 20;
/// What a name takes beside its bytes.
const OVERHEAD: usize = 64;

/// Names that are kept.
#[derive(Debug, Default)]
pub(super) struct Texts {
    kept: HashSet<Arc<str>>,
    size: usize,
}

impl Texts {
    /// The whole text; `None` if it is too long, or if there is no room for more.
    pub fn whole(&mut self, text: &str) -> Option<Arc<str>> {
        if let Some(kept) = self.kept.get(text) {
            return Some(Arc::clone(kept));
        }
        let size = text.len() + OVERHEAD;
        if text.len() > NAME_LIMIT || self.size + size > LIMIT {
            return None;
        }
        self.size += size;
        let kept: Arc<str> = text.into();
        self.kept.insert(Arc::clone(&kept));
        Some(kept)
    }

    /// The beginning of the text; `None` if there is no room for more.
    pub fn front(&mut self, text: &str) -> Option<Arc<str>> {
        let end = (0..=text.len().min(NAME_LIMIT)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        self.whole(text.get(..end).unwrap_or_default())
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

/// How often each of a few words came, such as errors. A file may contain any number of words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    words: Vec<(Arc<str>, u64)>,
    others: u64,
}

/// Words that are distinguished: there are some 130 errors.
const WORDS: usize = 160;

impl Words {
    pub(super) fn note(&mut self, word: &str, texts: &mut Texts) {
        if let Some((_, count)) = self.words.iter_mut().find(|(known, _)| known.as_ref() == word) {
            *count += 1;
        } else if let Some(kept) = texts.whole(word).filter(|_| self.words.len() < WORDS) {
            self.words.push((kept, 1));
        } else {
            self.others += 1;
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
        let (first, second) = (texts.whole("exe").unwrap(), texts.front("exe").unwrap());
        assert!(Arc::ptr_eq(&first, &second));
        let long = "é".repeat(NAME_LIMIT);
        assert_eq!(texts.whole(&long), None);
        assert_eq!(texts.front(&long).unwrap().len(), NAME_LIMIT);
        let mut name = Some(Arc::clone(&first));
        texts.set(&mut name, None);
        assert_eq!(name.as_deref(), Some("exe"));
        texts.set(&mut name, Some("sh"));
        assert_eq!(name.as_deref(), Some("sh"));
        let filler = "x".repeat(NAME_LIMIT - 8);
        let fit = (0..LIMIT).take_while(|n| texts.whole(&format!("{n:08}{filler}")).is_some()).count();
        assert!((LIMIT / NAME_LIMIT / 2..=LIMIT / NAME_LIMIT).contains(&fit), "{fit}");
        assert_eq!(texts.whole("exe"), Some(first), "what is kept stays");
        texts.set(&mut name, Some(&format!("another{filler}")));
        assert_eq!(name, None, "an unknown name is better than one that was right before");
    }

    #[test]
    fn words_beyond_the_limit_are_counted() {
        let (mut words, mut texts) = (Words::default(), Texts::default());
        for word in ["EPERM", "EIO", "EPERM"] {
            words.note(word, &mut texts);
        }
        assert_eq!(words.iter().collect::<Vec<_>>(), [("EPERM", 2), ("EIO", 1)]);
        (0..WORDS).for_each(|number| words.note(&format!("E{number}"), &mut texts));
        assert_eq!((words.iter().count(), words.others(), words.total()), (WORDS, 2, WORDS as u64 + 3));
    }
}
