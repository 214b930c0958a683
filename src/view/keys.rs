//! Every key and what it does. Both the help and the dispatch are made of this table.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// One row down.
    Down,
    /// One row up.
    Up,
    /// A screen down.
    PageDown,
    /// A screen up.
    PageUp,
    /// Half a screen down.
    HalfDown,
    /// Half a screen up.
    HalfUp,
    /// The first row, or the row of that number.
    First,
    /// The last row, or the row of that number.
    Last,
    /// To the left: an earlier instant.
    Left,
    /// To the right: a later instant.
    Right,
    /// Look for something.
    Find,
    /// Look for something towards the begin.
    FindBack,
    /// The next of what was looked for.
    Next,
    /// The one before.
    Before,
    /// The next error.
    NextError,
    /// The error before.
    ErrorBefore,
    /// Filter rows.
    Filter,
    /// Go to an instant.
    GoTo,
    /// Mark a row.
    Mark,
    /// Go to a mark.
    ToMark,
    /// Everything about the event.
    Detail,
    /// Where its bytes came from and went.
    Flow,
    /// The memory that it touched.
    Memory,
    /// The memory of the other side.
    OtherSide,
    /// The next call of the flow.
    NextCall,
    /// The call before.
    CallBefore,
    /// Processes over time.
    Lanes,
    /// Switch between list and pane.
    Focus,
    /// The pane takes the whole screen, or half of it.
    Whole,
    /// A shorter span of time.
    ZoomIn,
    /// A longer one.
    ZoomOut,
    /// All of it.
    ZoomAll,
    /// Write the selection into a file.
    Write,
    /// Copy the selection.
    Copy,
    /// The keys.
    Help,
    /// Close what is open.
    Close,
    /// Close what is open, or end.
    Quit,
    /// Stop, as a shell has it.
    Suspend,
    /// Draw all again.
    Redraw,
}

/// A command and its keys.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// Its keys.
    pub keys: &'static [Key],
    /// The command.
    pub command: Command,
    /// What it does, as the help has it.
    pub help: &'static str,
}

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character.
    Char(char),
    /// A character with Ctrl.
    Ctrl(char),
    /// Another key.
    Code(KeyCode),
}

use Command as C;
use Key::{Char, Code, Ctrl};

const fn bind(keys: &'static [Key], command: Command, help: &'static str) -> Binding {
    Binding { keys, command, help }
}

/// All of them, in the order of the help.
pub const BINDINGS: &[Binding] = &[
    bind(&[Char('j'), Code(KeyCode::Down), Ctrl('n')], C::Down, "down; 5j: five rows"),
    bind(&[Char('k'), Code(KeyCode::Up), Ctrl('p')], C::Up, "up"),
    bind(&[Char(' '), Char('f'), Ctrl('f'), Code(KeyCode::PageDown)], C::PageDown, "a screen down"),
    bind(&[Char('b'), Ctrl('b'), Code(KeyCode::PageUp)], C::PageUp, "a screen up"),
    bind(&[Char('d'), Ctrl('d')], C::HalfDown, "half a screen down"),
    bind(&[Char('u'), Ctrl('u')], C::HalfUp, "half a screen up"),
    bind(&[Char('g'), Code(KeyCode::Home)], C::First, "first row; 123g: row 123"),
    bind(&[Char('G'), Code(KeyCode::End)], C::Last, "last row; 123G: row 123"),
    bind(&[Char('/')], C::Find, "search: text, x:7f45 (bytes), 0xADDRESS[+LEN]"),
    bind(&[Char('?')], C::Help, "these keys"),
    bind(&[Ctrl('r')], C::FindBack, "search towards the begin"),
    bind(&[Char('n')], C::Next, "next match"),
    bind(&[Char('N')], C::Before, "match before"),
    bind(&[Char('e')], C::NextError, "next failed call or gap"),
    bind(&[Char('E')], C::ErrorBefore, "the one before"),
    bind(&[Char('&')], C::Filter, "filter rows, as --where does; empty: all"),
    bind(&[Char('t'), Char(':')], C::GoTo, "go to a time: 1.5, 250ms, 2026-01-02T03:04:05Z"),
    bind(&[Char('m')], C::Mark, "mark the row: m and a letter"),
    bind(&[Char('\'')], C::ToMark, "go to a mark; '' to where you were"),
    bind(&[Code(KeyCode::Enter)], C::Detail, "all about the event; in lanes: back to the list"),
    bind(&[Char('F')], C::Flow, "where its bytes came from, and went"),
    bind(&[Char(']')], C::NextCall, "next call of the flow"),
    bind(&[Char('[')], C::CallBefore, "call before"),
    bind(&[Char('M')], C::Memory, "the memory that it touched, at its time"),
    bind(&[Char('o')], C::OtherSide, "that of the other process"),
    bind(&[Code(KeyCode::Tab)], C::Focus, "from the list to the pane, and back"),
    bind(&[Char('z')], C::Whole, "the pane on the whole screen, or half of it"),
    bind(&[Char('L'), Char('v')], C::Lanes, "processes over time"),
    bind(&[Char('h'), Code(KeyCode::Left)], C::Left, "lanes: earlier"),
    bind(&[Char('l'), Code(KeyCode::Right)], C::Right, "lanes: later"),
    bind(&[Char('+'), Char('=')], C::ZoomIn, "lanes: a shorter span"),
    bind(&[Char('-')], C::ZoomOut, "lanes: a longer span"),
    bind(&[Char('0')], C::ZoomAll, "lanes: everything"),
    bind(&[Char('w')], C::Write, "write a file: ws SQL of the filter, wb line for a report"),
    bind(&[Char('y')], C::Copy, "copy (OSC 52): ys SQL, yb line for a report"),
    bind(&[Ctrl('l')], C::Redraw, "draw again"),
    bind(&[Ctrl('z')], C::Suspend, "stop; fg goes on"),
    bind(&[Code(KeyCode::Esc), Ctrl('c')], C::Close, "close the pane, cancel what runs"),
    bind(&[Char('q')], C::Quit, "close what is open; then: end"),
];

/// The command of a key.
pub fn command(event: &KeyEvent) -> Option<Command> {
    let is_ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
    let key = match event.code {
        _ if event.modifiers.contains(KeyModifiers::ALT) => return None,
        KeyCode::Char(c) if is_ctrl => Ctrl(c.to_ascii_lowercase()),
        KeyCode::Char(c) => Char(c),
        code => Code(code),
    };
    BINDINGS.iter().find(|binding| binding.keys.contains(&key)).map(|binding| binding.command)
}

/// The keys of a binding, as the help has them.
pub fn names(binding: &Binding) -> String {
    let names: Vec<String> = binding.keys.iter().map(name).collect();
    names.join(" ")
}

fn name(key: &Key) -> String {
    match key {
        Char(' ') => "Space".into(),
        Char(c) => c.to_string(),
        Ctrl(c) => format!("^{}", c.to_ascii_uppercase()),
        Code(KeyCode::Down) => "↓".into(),
        Code(KeyCode::Up) => "↑".into(),
        Code(KeyCode::Left) => "←".into(),
        Code(KeyCode::Right) => "→".into(),
        Code(code) => code.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_has_two_meanings() {
        let keys: Vec<&Key> = BINDINGS.iter().flat_map(|binding| binding.keys).collect();
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(key), "{key:?}");
        }
    }

    #[test]
    fn keys_are_found_with_and_without_ctrl() {
        let of = |code, modifiers| command(&KeyEvent::new(code, modifiers));
        assert_eq!(of(KeyCode::Char('d'), KeyModifiers::CONTROL), Some(Command::HalfDown));
        assert_eq!(of(KeyCode::Char('n'), KeyModifiers::CONTROL), Some(Command::Down));
        assert_eq!(of(KeyCode::Char('n'), KeyModifiers::NONE), Some(Command::Next));
        assert_eq!(of(KeyCode::Char('G'), KeyModifiers::SHIFT), Some(Command::Last));
        assert_eq!(of(KeyCode::PageUp, KeyModifiers::NONE), Some(Command::PageUp));
        assert_eq!(of(KeyCode::Char('j'), KeyModifiers::ALT), None);
    }

    #[test]
    fn the_help_fits_80_columns() {
        for binding in BINDINGS {
            assert!(format!("{:16} {}", names(binding), binding.help).chars().count() <= 78, "{binding:?}");
        }
    }
}
