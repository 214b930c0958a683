//! Tables that fit a width, and sentences that are broken into lines.
//!
//! Numbers are never cut. Text is, with `…`; columns that are less needed are left out before that.

use unicode_width::UnicodeWidthStr;

use crate::terminal::fit;

/// Columns of text that remain of a cell, however narrow the table.
const LEAST: usize = 12;
/// Blanks between columns.
const BETWEEN: usize = 2;

/// How a column is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number: to the right, never cut.
    Number,
    /// A number that is left out where there is no room.
    Extra,
    /// Text: may be cut.
    Text,
    /// Text that is left out where there is no room.
    ExtraText,
}

/// A table before it is laid out.
#[derive(Debug)]
pub struct Table {
    columns: Vec<(&'static str, Kind)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub fn new(columns: &[(&'static str, Kind)]) -> Self {
        Table { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row, of as many cells as there are columns.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Appends the table, no wider than `width` unless its numbers are.
    pub fn render(&self, out: &mut String, width: usize) {
        let widths = self.widths(width);
        let titles: Vec<&str> = self.columns.iter().map(|(title, _)| *title).collect();
        self.line(out, &titles, &widths);
        for row in &self.rows {
            self.line(out, &row.iter().map(String::as_str).collect::<Vec<_>>(), &widths);
        }
    }

    /// How wide each column is; `None` for those that are left out.
    fn widths(&self, width: usize) -> Vec<Option<usize>> {
        let natural = |at: usize, title: &str| {
            let cells = self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.width());
            cells.fold(title.width(), usize::max)
        };
        let columns = || self.columns.iter().enumerate();
        let mut widths: Vec<Option<usize>> = columns().map(|(at, (title, _))| Some(natural(at, title))).collect();
        // From the right, those go that are not needed, until the rest fits with its text cut.
        for (at, (_, kind)) in columns().rev() {
            let least = self.columns.iter().zip(&widths).filter_map(|((_, kind), width)| {
                let width = (*width)?;
                Some(if kind.is_text() { width.min(LEAST) } else { width })
            });
            let (count, sum) = least.fold((0, 0), |(count, sum), width| (count + 1, sum + width));
            let fits = sum + BETWEEN * usize::saturating_sub(count, 1) <= width;
            if !fits
                && matches!(kind, Kind::Extra | Kind::ExtraText)
                && let Some(width) = widths.get_mut(at)
            {
                *width = None;
            }
        }
        self.cut(&mut widths, width);
        widths
    }

    /// Takes from the widest text, until the table fits.
    fn cut(&self, widths: &mut [Option<usize>], width: usize) {
        loop {
            let shown = widths.iter().flatten();
            let sum = shown.clone().sum::<usize>() + BETWEEN * shown.count().saturating_sub(1);
            let texts = self.columns.iter().zip(widths.iter_mut()).filter(|((_, kind), _)| kind.is_text());
            let widest = texts.filter_map(|(_, width)| width.as_mut()).max_by_key(|width| **width);
            match widest {
                Some(widest) if sum > width && *widest > LEAST => *widest -= 1,
                _ => return,
            }
        }
    }

    fn line(&self, out: &mut String, cells: &[&str], widths: &[Option<usize>]) {
        let start = out.len();
        for ((cell, (_, kind)), width) in cells.iter().zip(&self.columns).zip(widths) {
            let Some(width) = *width else { continue };
            let cell = cut(cell, width);
            let blanks = " ".repeat(width.saturating_sub(cell.width()));
            if out.len() > start {
                out.push_str(&" ".repeat(BETWEEN));
            }
            let parts = if kind.is_text() { [cell, blanks] } else { [blanks, cell] };
            parts.iter().for_each(|part| out.push_str(part));
        }
        out.truncate(start + out.get(start..).map_or(0, |line| line.trim_end().len()));
        out.push('\n');
    }
}

impl Kind {
    fn is_text(self) -> bool {
        match self {
            Kind::Text | Kind::ExtraText => true,
            Kind::Number | Kind::Extra => false,
        }
    }
}

/// The beginning of a text, with `…` behind it where it goes on.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_string();
    }
    format!("{}…", fit::cut(text, width.saturating_sub(1)))
}

/// Appends a sentence in lines of at most `width` columns, the following ones indented. Words stay whole.
pub fn wrap(out: &mut String, sentence: &str, width: usize) {
    let mut column = 0;
    for word in sentence.split(' ') {
        let wide = word.width();
        if column == 0 {
            column = wide;
        } else if column + 1 + wide <= width {
            out.push(' ');
            column += 1 + wide;
        } else {
            out.push_str("\n  ");
            column = 2 + wide;
        }
        out.push_str(word);
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let columns = [
            ("Caller", Kind::Text),
            ("Target", Kind::Text),
            ("Calls", Kind::Number),
            ("First", Kind::Extra),
            ("By", Kind::ExtraText),
        ];
        let mut table = Table::new(&columns);
        let by = "process_vm_readv, /proc/25296/mem";
        table.row(
            ["python3-with-a-long-name[26274]", "Runner.Worker[25296]", "1,234", "0.5", by].map(Into::into).into(),
        );
        table.row(["日本語日本語日本語[1]", "x[2]", "5", "10.25", "ptrace"].map(Into::into).into());
        table
    }

    fn rendered(width: usize) -> Vec<String> {
        let mut out = String::new();
        table().render(&mut out, width);
        out.lines().map(str::to_string).collect()
    }

    #[test]
    fn a_table_fits_and_numbers_stay_whole() {
        for width in [34, 40, 60, 80, 100, 200] {
            let lines = rendered(width);
            assert!(lines.iter().all(|line| line.width() <= width), "{width}: {lines:#?}");
            assert!(lines.iter().any(|line| line.contains("1,234")), "{width}: {lines:#?}");
        }
        let wide = rendered(200);
        assert_eq!(
            wide[1],
            "python3-with-a-long-name[26274]  Runner.Worker[25296]  1,234    0.5  process_vm_readv, /proc/25296/mem"
        );
        assert_eq!(wide[2], "日本語日本語日本語[1]            x[2]                      5  10.25  ptrace");
    }

    #[test]
    fn what_is_less_needed_goes_first() {
        assert!(rendered(60)[0].ends_with("By") && rendered(60)[1].contains('…'));
        let narrow = rendered(40);
        assert_eq!(narrow[0], "Caller        Target        Calls  First");
        let narrower = rendered(34);
        assert_eq!(narrower[0].split_whitespace().collect::<Vec<_>>(), ["Caller", "Target", "Calls"]);
        assert_eq!(rendered(1).len(), 3, "what does not fit is printed wider");
    }

    #[test]
    fn an_escape_is_not_cut() {
        assert_eq!(cut("ab\\x1bcd", 6), "ab…");
        assert_eq!(cut("ab\\x1bcd", 7), "ab\\x1b…");
        assert_eq!(cut("ab\\x1bcd", 8), "ab\\x1bcd");
    }

    #[test]
    fn sentences_are_broken_between_words() {
        let wrapped = |text: &str, width| {
            let mut out = String::new();
            wrap(&mut out, text, width);
            out
        };
        assert_eq!(wrapped("one two three", 9), "one two\n  three\n");
        assert_eq!(wrapped("one two three", 80), "one two three\n");
        assert_eq!(wrapped("incomprehensible word", 5), "incomprehensible\n  word\n");
        assert_eq!(wrapped("", 5), "\n");
    }
}
