//! How parts of lines look, and painting them. Colours are those that every terminal has; without colour, what matters is bold or
//! reversed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use crate::replay::describe::{Line, Role};
use crate::terminal::fit;

/// Whether colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// They are.
    pub color: bool,
}

impl Look {
    /// The style of a part.
    pub fn style(self, role: Role) -> Style {
        let plain = Style::new();
        let colored = |color: Color, modifier: Modifier| {
            if self.color { plain.fg(color).add_modifier(modifier) } else { plain.add_modifier(modifier) }
        };
        match role {
            Role::Plain => plain,
            Role::Dim => plain.add_modifier(Modifier::DIM),
            Role::Name => plain.add_modifier(Modifier::BOLD),
            Role::In => colored(Color::Green, Modifier::BOLD),
            Role::Out => colored(Color::Blue, Modifier::BOLD),
            Role::Bad => colored(Color::Red, Modifier::BOLD),
            Role::Warn => colored(Color::Yellow, Modifier::empty()),
            Role::Payload => colored(Color::Cyan, Modifier::empty()),
        }
    }

    /// Paints a line at the top of `area`, reversed if it is `chosen`.
    pub fn line(self, buffer: &mut Buffer, area: Rect, line: &Line, chosen: bool) {
        let mut x = area.x;
        for (role, part) in line.parts() {
            let style = self.style(role);
            // What is reversed has one colour: not every pair of the 16 can be read.
            let style = if chosen { Style::new().add_modifier(style.add_modifier) } else { style };
            let left = usize::from(area.right().saturating_sub(x));
            x = buffer.set_stringn(x, area.y, part, left, style).0;
        }
        if chosen {
            let whole = Rect { height: 1, ..area };
            buffer.set_style(whole, Style::new().remove_modifier(Modifier::DIM).add_modifier(Modifier::REVERSED));
        }
    }

    /// Paints text over a whole row of the screen, reversed.
    pub fn bar(self, buffer: &mut Buffer, area: Rect, left: &str, right: &str) {
        let width = usize::from(area.width);
        let room = width.saturating_sub(fit::columns(right) + 1);
        let left = fit::cut(left, room);
        let gap = width.saturating_sub(fit::columns(left) + fit::columns(right));
        let text = format!("{left}{:gap$}{right}", "");
        buffer.set_stringn(area.x, area.y, text, width, Style::new().add_modifier(Modifier::REVERSED));
    }
}

/// Text in lines of at most so many columns, broken between words.
pub fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let mut now = String::new();
        for word in line.split_inclusive(' ') {
            let is_first = now.trim().is_empty();
            if !is_first && fit::columns(&now) + fit::columns(word.trim_end()) > columns {
                lines.push(std::mem::replace(&mut now, "  ".into()));
            }
            now.push_str(word);
        }
        lines.push(now);
    }
    lines
}

/// A line of one part.
pub fn plain(role: Role, text: &str) -> Line {
    let mut line = Line::default();
    line.add(role, format_args!("{text}"));
    line
}
