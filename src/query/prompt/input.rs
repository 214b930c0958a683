//! What is typed or pasted, taken apart: commands, and statements as soon as they are whole.
//!
//! Knows of SQL what is needed to find the end of a statement: quotes and comments. Runs nothing.

/// Words that end the prompt, whatever is open.
pub const LEAVING: [&str; 5] = [".quit", ".exit", "quit", "exit", "\\q"];

/// A part of the input.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// The end of the prompt is wanted.
    Leave,
    /// A line that is a command: it begins with a dot.
    Command(String),
    /// SQL up to a semicolon.
    Statements(String),
}

/// A statement that goes on, if there is one.
#[derive(Debug, Default)]
pub struct Input {
    open: String,
    state: State,
    /// Whether something other than blanks and comments stands behind the last semicolon.
    begun: bool,
    /// Whether there is a semicolon.
    ended: bool,
}

/// Where in SQL one is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Plain,
    /// Within quotes, up to this one.
    Quoted(char),
    /// Within comments: so many are nested.
    Comment(usize),
}

impl Input {
    /// Takes what came up to Enter; gives what is whole by it, in order.
    pub fn take(&mut self, text: &str) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            // Within a statement, only what was typed last is a command: a pasted statement may have any lines.
            let piece = if self.is_open() && lines.peek().is_some() { None } else { command(line) };
            match piece {
                Some(piece) => pieces.push(piece),
                None => pieces.extend(self.add(line).map(Piece::Statements)),
            }
        }
        pieces
    }

    /// Whether a statement goes on.
    pub fn is_open(&self) -> bool {
        self.begun || self.ended || self.state != State::Plain
    }

    /// Forgets the statement that goes on; gives what there was of it.
    pub fn cancel(&mut self) -> String {
        std::mem::take(self).open
    }

    /// Adds a line; gives the statements if they are whole by it.
    fn add(&mut self, line: &str) -> Option<String> {
        self.scan(line);
        self.open.push_str(line);
        self.open.push('\n');
        let whole = self.ended && !self.begun && self.state == State::Plain;
        // Comments alone are no beginning.
        if !whole && self.is_open() {
            return None;
        }
        let text = std::mem::take(self).open;
        whole.then(|| text.trim().to_string())
    }

    fn scan(&mut self, line: &str) {
        let mut rest = line.chars();
        while let Some(c) = rest.next() {
            let next = rest.clone().next();
            match self.state {
                State::Quoted(end) if c == end => self.state = State::Plain,
                State::Quoted(_) => {}
                State::Comment(depth) => match (c, next) {
                    ('*', Some('/')) => {
                        rest.next();
                        self.state = if depth > 1 { State::Comment(depth - 1) } else { State::Plain };
                    }
                    ('/', Some('*')) => {
                        rest.next();
                        self.state = State::Comment(depth.saturating_add(1));
                    }
                    _ => {}
                },
                State::Plain => match (c, next) {
                    ('-', Some('-')) => return,
                    ('/', Some('*')) => {
                        rest.next();
                        self.state = State::Comment(1);
                    }
                    (';', _) => (self.begun, self.ended) = (false, true),
                    ('\'' | '"' | '`', _) => (self.begun, self.state) = (true, State::Quoted(c)),
                    (c, _) => self.begun |= !c.is_whitespace(),
                },
            }
        }
    }
}

/// The command that a line is.
fn command(line: &str) -> Option<Piece> {
    let line = line.trim().trim_end_matches(';').trim_end();
    let word = line.split_whitespace().next().unwrap_or_default();
    if LEAVING.iter().any(|leaving| line.eq_ignore_ascii_case(leaving)) {
        return Some(Piece::Leave);
    }
    // Not a number, nor the rest of a name.
    let named = word.strip_prefix('.').is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()));
    named.then(|| Piece::Command(line.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statements(text: &str) -> Piece {
        Piece::Statements(text.to_string())
    }

    fn commands(text: &str) -> Piece {
        Piece::Command(text.to_string())
    }

    #[test]
    fn a_statement_goes_on_to_its_semicolon() {
        let mut input = Input::default();
        for line in ["SELECT ';', -- ;", "\"a;b\", /* ; /* ; */ ; */ `;`", "  , 'it''s;", "'  -- no end;", ""] {
            assert_eq!(input.take(line), [], "{line}");
            assert!(input.is_open());
        }
        let [Piece::Statements(text)] = &input.take("FROM t; -- the end")[..] else { panic!() };
        assert!(text.starts_with("SELECT ';'") && text.ends_with("FROM t; -- the end"), "{text}");
        assert!(!input.is_open());
        assert_eq!(input.take("SELECT 1; SELECT 2;"), [statements("SELECT 1; SELECT 2;")]);
        assert_eq!(input.take("SELECT 1; SELECT"), []);
        assert_eq!(input.take("2;"), [statements("SELECT 1; SELECT\n2;")]);
    }

    #[test]
    fn what_is_pasted_comes_apart() {
        let mut input = Input::default();
        let pasted = "-- all\n.mode csv\nSELECT 1;\n\nSELECT\n.5\n, 2;;\n.tables ;\nSELECT 3";
        let wanted =
            [commands(".mode csv"), statements("SELECT 1;"), statements("SELECT\n.5\n, 2;;"), commands(".tables")];
        assert_eq!(input.take(pasted), wanted);
        assert!(input.is_open());
        assert_eq!(input.take("quit\n;"), [statements("SELECT 3\nquit\n;")], "within what is pasted, a name");
    }

    #[test]
    fn commands_are_known_within_a_statement() {
        let mut input = Input::default();
        assert_eq!(input.take("SELECT 'a"), []);
        assert_eq!(input.take(" .schema edges; "), [commands(".schema edges")]);
        assert_eq!(input.take(".nope"), [commands(".nope")]);
        for word in ["quit", "EXIT;", "\\q", ".quit", " .exit ;"] {
            assert_eq!(input.take(word), [Piece::Leave], "{word}");
        }
        assert_eq!(input.take("';"), [statements("SELECT 'a\n';")]);
        assert_eq!(input.take("quitter"), []);
        assert_eq!(input.cancel(), "quitter\n");
        assert!(!input.is_open());
    }

    #[test]
    fn blanks_and_comments_begin_nothing() {
        let mut input = Input::default();
        for line in ["", "  ", "-- SELECT", "/* a */"] {
            assert_eq!(input.take(line), [], "{line}");
            assert!(!input.is_open(), "{line}");
        }
        assert_eq!(input.take("/* a"), []);
        assert!(input.is_open());
        assert_eq!(input.take("*/"), []);
        assert!(!input.is_open());
        assert_eq!(input.take(";"), [statements(";")]);
    }
}
