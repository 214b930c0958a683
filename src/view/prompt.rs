//! A line that is typed: its text, the place in it, and what came before.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What the line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// What to look for.
    Find,
    /// The same, towards the begin.
    FindBack,
    /// Which rows to show.
    Filter,
    /// An instant.
    GoTo,
    /// A file for the SQL of the filter.
    WriteSql,
    /// A file for the line for a report.
    WriteLine,
}

impl Purpose {
    /// What stands before the text.
    pub fn label(self) -> &'static str {
        match self {
            Purpose::Find => "/",
            Purpose::FindBack => "search back: ",
            Purpose::Filter => "filter: ",
            Purpose::GoTo => "time: ",
            Purpose::WriteSql => "write SQL to: ",
            Purpose::WriteLine => "write the line to: ",
        }
    }
}

/// What a key did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    /// The text changed.
    Text,
    /// Nothing that matters.
    Nothing,
    /// It is complete.
    Done,
    /// It is not wanted.
    Cancelled,
}

/// Longest text.
const MOST: usize = 4096;

/// The line.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// What for.
    pub purpose: Purpose,
    before: Vec<char>,
    behind: Vec<char>,
    /// Earlier texts, and which of them is shown.
    past: Vec<String>,
    at: usize,
}

impl Prompt {
    /// A line that begins with `text`.
    pub fn new(purpose: Purpose, text: &str, past: &[String]) -> Self {
        Prompt { purpose, before: text.chars().collect(), behind: Vec::new(), past: past.to_vec(), at: past.len() }
    }

    /// All of it.
    pub fn text(&self) -> String {
        self.before.iter().chain(self.behind.iter().rev()).collect()
    }

    /// What stands before the place where is typed.
    pub fn front(&self) -> String {
        self.before.iter().collect()
    }

    /// A key was pressed.
    pub fn key(&mut self, key: &KeyEvent) -> Typed {
        let is_ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Esc => return Typed::Cancelled,
            KeyCode::Enter => return Typed::Done,
            KeyCode::Char('c' | 'g') if is_ctrl => return Typed::Cancelled,
            KeyCode::Char('u') if is_ctrl => self.before.clear(),
            KeyCode::Char('k') if is_ctrl => self.behind.clear(),
            KeyCode::Char('w') if is_ctrl => self.erase_word(),
            KeyCode::Char('h') if is_ctrl => drop(self.before.pop()),
            KeyCode::Char('a') if is_ctrl => return self.go(usize::MAX, true),
            KeyCode::Char('e') if is_ctrl => return self.go(usize::MAX, false),
            KeyCode::Char(c) if !is_ctrl && !c.is_control() => {
                if self.before.len() + self.behind.len() < MOST {
                    self.before.push(c);
                }
            }
            // As in less: there is nothing to erase any more.
            KeyCode::Backspace if self.before.is_empty() && self.behind.is_empty() => return Typed::Cancelled,
            KeyCode::Backspace => drop(self.before.pop()),
            KeyCode::Delete => drop(self.behind.pop()),
            KeyCode::Left => return self.go(1, true),
            KeyCode::Right => return self.go(1, false),
            KeyCode::Home => return self.go(usize::MAX, true),
            KeyCode::End => return self.go(usize::MAX, false),
            KeyCode::Up => return self.recall(self.at.checked_sub(1)),
            KeyCode::Down => return self.recall(Some(self.at + 1)),
            _ => return Typed::Nothing,
        }
        Typed::Text
    }

    fn erase_word(&mut self) {
        while self.before.pop_if(|c| *c == ' ').is_some() {}
        while self.before.pop_if(|c| *c != ' ').is_some() {}
    }

    fn go(&mut self, steps: usize, left: bool) -> Typed {
        let (from, to) = if left { (&mut self.before, &mut self.behind) } else { (&mut self.behind, &mut self.before) };
        let steps = steps.min(from.len());
        (0..steps).for_each(|_| to.extend(from.pop()));
        Typed::Nothing
    }

    /// Shows an earlier text, or an empty one behind the last.
    fn recall(&mut self, at: Option<usize>) -> Typed {
        let Some(at) = at.filter(|at| *at <= self.past.len()) else { return Typed::Nothing };
        self.at = at;
        self.before = self.past.get(at).map(|text| text.chars().collect()).unwrap_or_default();
        self.behind.clear();
        Typed::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(prompt: &mut Prompt, code: KeyCode) -> Typed {
        prompt.key(&KeyEvent::new(code, KeyModifiers::NONE))
    }

    fn ctrl(prompt: &mut Prompt, c: char) -> Typed {
        prompt.key(&KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL))
    }

    #[test]
    fn text_is_edited_anywhere() {
        let mut prompt = Prompt::new(Purpose::Filter, "pid = 1", &[]);
        press(&mut prompt, KeyCode::Left);
        assert_eq!(press(&mut prompt, KeyCode::Char('é')), Typed::Text);
        assert_eq!((prompt.text(), prompt.front()), ("pid = é1".into(), "pid = é".into()));
        press(&mut prompt, KeyCode::Delete);
        press(&mut prompt, KeyCode::Backspace);
        assert_eq!(prompt.text(), "pid = ");
        ctrl(&mut prompt, 'w');
        assert_eq!(prompt.text(), "pid ");
        ctrl(&mut prompt, 'a');
        press(&mut prompt, KeyCode::Char('t'));
        ctrl(&mut prompt, 'k');
        assert_eq!(prompt.text(), "t");
        ctrl(&mut prompt, 'u');
        assert_eq!(press(&mut prompt, KeyCode::Backspace), Typed::Cancelled);
    }

    #[test]
    fn earlier_texts_come_back() {
        let mut prompt = Prompt::new(Purpose::Find, "", &["one".into(), "two".into()]);
        press(&mut prompt, KeyCode::Up);
        assert_eq!(prompt.text(), "two");
        press(&mut prompt, KeyCode::Up);
        assert_eq!(press(&mut prompt, KeyCode::Up), Typed::Nothing);
        assert_eq!(prompt.text(), "one");
        press(&mut prompt, KeyCode::Down);
        press(&mut prompt, KeyCode::Down);
        assert_eq!((prompt.text().as_str(), press(&mut prompt, KeyCode::Enter)), ("", Typed::Done));
        assert_eq!(ctrl(&mut prompt, 'c'), Typed::Cancelled);
    }
}
