//! The screens.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};

use super::app::{App, Pending, Screen};
use super::canvas::{self, Scene};
use super::keys::{self, BINDINGS};
use super::lanes::Picture;
use super::list::Columns;
use super::look;
use crate::count;
use crate::model::origin;
use crate::model::process::Identity;
use crate::replay::describe::{Named, Role};
use crate::schema::Event;
use crate::schema::manifest::LedgerRow;
use crate::terminal::escape::SafeLine;
use crate::terminal::{fit, signs};

/// Fewest columns and lines with which everything can be read.
const LEAST: [u16; 2] = [60, 12];
/// Columns of the keys in the help.
const KEYS: usize = 16;

/// Where the cursor of the terminal is, if it is shown.
pub type Cursor = Option<Position>;

impl App {
    /// Draws the screen.
    pub fn draw(&mut self, buffer: &mut Buffer) -> Cursor {
        let area = buffer.area;
        let [columns, lines] = LEAST;
        if area.width < columns || area.height < lines {
            let text = format!("{}×{} is too small: vmtrace view needs {columns}×{lines}", area.width, area.height);
            buffer.set_stringn(area.x, area.y, text, usize::from(area.width), Style::new());
            return None;
        }
        let body = Rect { y: area.y + 1, height: area.height - 2, ..area };
        self.columns = area.width;
        match self.screen {
            Screen::Help => self.help(buffer, body),
            Screen::Lanes => self.lanes(buffer, body),
            Screen::List => self.list(buffer, body),
        }
        self.title(buffer, Rect { height: 1, ..area });
        self.last_line(buffer, Rect { y: area.bottom() - 1, height: 1, ..area })
    }

    /// The first line: the file, how much of it is shown, and what is being read.
    fn title(&self, buffer: &mut Buffer, area: Rect) {
        let name = self.capture().path().file_name().map(|name| name.to_string_lossy().into_owned());
        let name = SafeLine(&name.unwrap_or_default()).to_string();
        let rows = self.source.rows();
        let manifest = self.capture().manifest();
        let made = origin::brief(&manifest.derived_from, LedgerRow::total(&manifest.ledger).left_out);
        let (left, right) = match &self.filter {
            None => (format!("{name}  {}{made}", count::rows(rows)), String::new()),
            Some(filter) => {
                let shown = format!("{} of {}", count::grouped(filter.len()), count::rows(rows));
                let percent = (u128::from(filter.looked_at()) * 100 / u128::from(rows.max(1))) as u64;
                let state = match filter.error() {
                    Some(_) => "incomplete ".to_string(),
                    None if !filter.has_ended() => format!("reading {percent} % "),
                    None => String::new(),
                };
                (format!("{name}  {shown}{made}  {}", SafeLine(&filter.expr.to_string())), state)
            }
        };
        self.look.bar(buffer, area, &left, &right);
    }

    fn list(&mut self, buffer: &mut Buffer, area: Rect) {
        let (list, pane) = match (&self.pane, self.whole) {
            (None, _) => (area, None),
            (Some(_), true) => (Rect { height: 0, ..area }, Some(area)),
            (Some(_), false) => {
                let top = (area.height / 2).max(4);
                (Rect { height: top, ..area }, Some(Rect { y: area.y + top, height: area.height - top, ..area }))
            }
        };
        self.shown = u64::from(list.height.saturating_sub(1)).max(1);
        if list.height > 0 {
            self.rows(buffer, list);
        }
        if let Some(area) = pane {
            self.pane(buffer, area);
        }
    }

    fn columns_of_list(&self) -> Columns {
        let rows = self.first_seq.saturating_add(self.source.rows());
        Columns::of(rows, self.span().1.saturating_sub(self.start_ns()), usize::from(self.columns))
    }

    fn rows(&mut self, buffer: &mut Buffer, area: Rect) {
        let (start, columns) = (self.start_ns(), self.columns_of_list());
        let look = self.look;
        look.line(buffer, Rect { height: 1, ..area }, &columns.heading(), false);
        let len = self.len();
        self.at = self.at.min(len.saturating_sub(1));
        // The selected row is on the screen, and the screen is full.
        self.top = self.top.clamp((self.at + 1).saturating_sub(self.shown), self.at);
        self.top = self.top.min(len.saturating_sub(self.shown));
        for line in 0..u16::try_from(self.shown).unwrap_or(u16::MAX) {
            let n = self.top + u64::from(line);
            let Some(row) = self.row(n) else { break };
            let place = Rect { y: area.y + 1 + line, height: 1, ..area };
            let text = self.source.event(row, |event| columns.line(event, start));
            let text =
                text.unwrap_or_else(|error| look::plain(Role::Bad, &SafeLine(&format!("{error:#}")).to_string()));
            look.line(buffer, place, &text, n == self.at);
        }
        if len == 0 {
            let text = match &self.filter {
                Some(filter) if !filter.has_ended() => "no row that the filter selects has been found yet",
                Some(_) => "the filter selects no row",
                None => "the capture has no events",
            };
            buffer.set_stringn(area.x, area.y + 1, text, usize::from(area.width), look.style(Role::Warn));
        }
    }

    fn pane(&mut self, buffer: &mut Buffer, area: Rect) {
        let (look, in_pane) = (self.look, self.in_pane || self.whole);
        let lines = usize::from(area.height.saturating_sub(1));
        self.pane_lines = lines.max(1);
        let Some(pane) = &mut self.pane else { return };
        pane.scroll(0, lines);
        let shown = pane.lines.len().min(pane.top + lines);
        let right = match pane.is_reading() {
            true => pane.progress(),
            false => format!("{}-{shown} of {} ", (pane.top + 1).min(shown), pane.lines.len()),
        };
        let mark = if in_pane { "▸" } else { "─" };
        let title = format!("{mark} {} ", SafeLine(&pane.title));
        let gap = usize::from(area.width).saturating_sub(fit::columns(&title) + fit::columns(&right) + 1);
        let text = format!("{title}{} {right}", "─".repeat(gap));
        let style = if in_pane { look.style(Role::Name) } else { look.style(Role::Dim) };
        buffer.set_stringn(area.x, area.y, text, usize::from(area.width), style);
        for (line, y) in pane.lines.iter().skip(pane.top).take(lines).zip(area.y + 1..) {
            look.line(buffer, Rect { y, height: 1, ..area }, line, false);
        }
    }

    fn help(&mut self, buffer: &mut Buffer, area: Rect) {
        self.pane_lines = usize::from(area.height).max(1);
        let shown = BINDINGS.iter().skip(self.help_top).zip(area.y..area.bottom());
        for (binding, y) in shown {
            let width = usize::from(area.width);
            let x = buffer.set_stringn(
                area.x,
                y,
                format!("{:KEYS$} ", keys::names(binding)),
                width,
                self.look.style(Role::Name),
            );
            buffer.set_stringn(x.0, y, binding.help, usize::from(area.right().saturating_sub(x.0)), Style::new());
        }
    }

    fn lanes(&mut self, buffer: &mut Buffer, area: Rect) {
        // The last line is that of the selected event.
        let canvas = Rect { height: area.height - 1, ..area };
        self.count_lanes(canvas::columns(area.width));
        self.shown = canvas::lanes(canvas.height) as u64;
        let (start_ns, cursor, chosen) = (self.start_ns(), self.of_event(|event| event.mono_ns), self.chosen());
        let (look, top) = (self.look, self.lanes.top);
        if let (Some(job), Some(window)) = (&self.lanes.job, &self.lanes.window) {
            job.state(|state| {
                let order = state.value.order();
                let order = order.get(top.min(order.len().saturating_sub(1))..).unwrap_or_default();
                let cursor = cursor.and_then(|at| window.column(at));
                let scene = Scene { picture: &state.value, window, start_ns, cursor, chosen, order };
                canvas::draw(&scene, look, buffer, canvas);
                if state.value.lanes.is_empty() && state.end.is_some() {
                    let width = usize::from(area.width);
                    buffer.set_stringn(
                        area.x,
                        area.y + 1,
                        "nothing happens in this span",
                        width,
                        look.style(Role::Warn),
                    );
                }
            });
        }
        let columns = self.columns_of_list();
        if let Some(line) = self.of_event(|event: &Event<'_>| columns.line(event, start_ns)) {
            look.line(buffer, Rect { y: area.bottom() - 1, height: 1, ..area }, &line, false);
        }
    }

    /// The last line: what is typed, a sentence, or where one is.
    fn last_line(&mut self, buffer: &mut Buffer, area: Rect) -> Cursor {
        let width = usize::from(area.width);
        if let Some(prompt) = &self.prompt {
            let label = prompt.purpose.label();
            let (text, front) = (SafeLine(&prompt.text()).to_string(), SafeLine(&prompt.front()).to_string());
            let x = fit::columns(label) + fit::columns(&front);
            buffer.set_stringn(area.x, area.y, format!("{label}{text}"), width, Style::new());
            // What is wrong with it stands behind it, if there is room.
            let at = fit::columns(label) + fit::columns(&text) + 2;
            if self.notice.bad && at + 10 < width {
                let left = width - at;
                let x = area.x + u16::try_from(at).unwrap_or(0);
                buffer.set_stringn(x, area.y, &self.notice.text, left, self.look.style(Role::Warn));
            }
            let x = u16::try_from(x.min(width.saturating_sub(1))).unwrap_or(0);
            return Some(Position { x: area.x + x, y: area.y });
        }
        let (text, style) = match (self.pending, &self.finding) {
            _ if !self.notice.text.is_empty() => {
                let role = if self.notice.bad { Role::Bad } else { Role::Plain };
                (self.notice.text.clone(), self.look.style(role))
            }
            (Some(Pending::Mark), _) => ("mark: a letter".into(), Style::new()),
            (Some(Pending::ToMark), _) => ("go to mark: its letter, or '".into(), Style::new()),
            (Some(Pending::Write | Pending::Copy), _) => {
                ("s: SQL of the filter   b: line for a report".into(), Style::new())
            }
            (None, Some(finding)) => {
                let rows = finding.job.state(|state| state.rows);
                let what = SafeLine(&finding.what).to_string();
                (format!("looking for {what}: {} (Esc cancels)", count::rows(rows)), Style::new())
            }
            (None, None) => (self.place_in_words(), Style::new().add_modifier(Modifier::DIM)),
        };
        buffer.set_stringn(area.x, area.y, text, width, style);
        None
    }

    fn place_in_words(&mut self) -> String {
        if let Some(count) = self.count {
            return count.to_string();
        }
        match self.screen {
            Screen::Help => "q closes the help".into(),
            Screen::Lanes => {
                let chosen = self.chosen();
                let job = self.lanes.job.as_ref();
                job.map(|job| {
                    job.state(|state| {
                        let reading = if state.end.is_none() { "reading… " } else { "" };
                        format!("{reading}{}", lane(&state.value, chosen))
                    })
                })
                .unwrap_or_default()
            }
            Screen::List => {
                let len = self.len();
                let place = count::grouped((self.at + 1).min(len));
                let of = format!("{place} of {}", count::rows(len));
                format!("{of}  {} ? keys, Enter event, & filter, / search, q ends", signs::NEITHER)
            }
        }
    }
}

/// What is known of a process.
fn lane(picture: &Picture, chosen: Option<Identity>) -> String {
    let lane = chosen.and_then(|chosen| picture.lanes.iter().find(|lane| lane.process.matches(chosen)));
    let others = match picture.others {
        0 => String::new(),
        others => format!("; {} of processes without a lane", count::events(others)),
    };
    let Some(lane) = lane else { return format!("{} processes{others}", picture.lanes.len()) };
    let named = Named { host: lane.host.as_deref(), name: Some(&lane.name), pid: lane.process.pid };
    let [came, went] = [lane.came, lane.went].map(count::size);
    let failed = count::grouped(lane.failed);
    format!("{named}: {}, {came} came, {went} went, {failed} failed{others}", count::events(lane.events))
}
