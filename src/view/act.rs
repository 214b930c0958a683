//! What keys do.

use std::path::Path;

use crossterm::event::{KeyCode, KeyEvent};

use super::app::{App, Ask, Pending, Screen};
use super::export;
use super::find::Wanted;
use super::keys::{self, BINDINGS, Command};
use super::pane::{self, Kind, Pane};
use super::prompt::{Prompt, Purpose, Typed};
use crate::model::origin;
use crate::model::process::Identity;
use crate::model::time::{self, When, Zone};
use crate::schema::expr::Expr;

/// Texts that are kept of each purpose.
const PAST: usize = 50;
/// How much shorter a span gets.
const ZOOM: f64 = 0.5;

impl App {
    /// A key was pressed.
    pub fn key(&mut self, key: &KeyEvent) {
        self.notice = Default::default();
        if self.prompt.is_some() {
            return self.typed(key);
        }
        if let Some(pending) = self.pending.take() {
            return self.finish(pending, key);
        }
        if let KeyCode::Char(digit @ '0'..='9') = key.code
            && (digit != '0' || self.count.is_some() || self.screen == Screen::List)
            && key.modifiers.is_empty()
        {
            let digit = u64::from(digit) - u64::from('0');
            self.count = Some(self.count.unwrap_or(0).saturating_mul(10).saturating_add(digit));
            return;
        }
        match keys::command(key) {
            Some(command) => self.command(command),
            None => self.warn("this key does nothing; ? lists those that do"),
        }
        self.count = None;
    }

    fn command(&mut self, command: Command) {
        use Command as C;
        match command {
            C::Quit => self.close_or(Ask::Quit),
            C::Close => self.cancel(),
            C::Suspend => self.asks.push(Ask::Suspend),
            C::Redraw => self.asks.push(Ask::Redraw),
            C::Help => {
                (self.under, self.screen, self.help_top) = (self.screen, Screen::Help, 0);
            }
            _ if self.screen == Screen::Help => self.scroll_help(command),
            C::Down | C::Up | C::PageDown | C::PageUp | C::HalfDown | C::HalfUp | C::First | C::Last => {
                self.motion(command)
            }
            C::Left | C::Right | C::ZoomIn | C::ZoomOut | C::ZoomAll => self.in_lanes(command),
            C::Find => self.ask(Purpose::Find, ""),
            C::FindBack => self.ask(Purpose::FindBack, ""),
            C::Next => self.again(false),
            C::Before => self.again(true),
            C::NextError | C::ErrorBefore => {
                let (what, none) = ("errors and gaps".to_string(), "no call failed, and there is no gap".to_string());
                self.find(Wanted::Error, command == C::ErrorBefore, what, none);
            }
            C::Filter => {
                self.before = Some((self.expr(), self.selected().unwrap_or(0)));
                let text = self.expr().map(|expr| expr.to_string()).unwrap_or_default();
                self.ask(Purpose::Filter, &text);
            }
            C::GoTo => self.ask(Purpose::GoTo, ""),
            C::Mark => self.pending = Some(Pending::Mark),
            C::ToMark => self.pending = Some(Pending::ToMark),
            C::Write => self.pending = Some(Pending::Write),
            C::Copy => self.pending = Some(Pending::Copy),
            C::Detail => self.detail(),
            C::Flow => self.flow(),
            C::Memory => {
                self.side = 0;
                self.memory();
            }
            C::OtherSide => {
                self.side += 1;
                self.memory();
            }
            C::NextCall | C::CallBefore => self.call_beside(command == C::CallBefore),
            C::Focus => self.in_pane = self.pane.is_some() && !self.in_pane,
            C::Whole => self.whole = self.pane.is_some() && !self.whole,
            C::Lanes => self.screen = if self.screen == Screen::Lanes { Screen::List } else { Screen::Lanes },
        }
    }

    fn ask(&mut self, purpose: Purpose, text: &str) {
        let past = self.past.get(&purpose).map(Vec::as_slice).unwrap_or_default();
        self.prompt = Some(Prompt::new(purpose, text, past));
    }

    /// Closes what is open; asks for `otherwise` if nothing is.
    fn close_or(&mut self, otherwise: Ask) {
        match self.screen {
            Screen::Help => self.screen = self.under,
            Screen::Lanes => self.screen = Screen::List,
            Screen::List if self.pane.is_some() => {
                (self.pane, self.in_pane, self.whole) = (None, false, false);
            }
            Screen::List => self.asks.push(otherwise),
        }
    }

    /// Ends what runs; closes what is open if nothing does.
    fn cancel(&mut self) {
        if self.finding.take().is_some() {
            return self.say("the search was cancelled");
        }
        if self.pane.as_ref().is_some_and(Pane::is_reading) {
            (self.pane, self.in_pane, self.whole) = (None, false, false);
            return self.say("cancelled");
        }
        if self.screen != Screen::List || self.pane.is_some() {
            return self.close_or(Ask::Redraw);
        }
        self.say("q ends vmtrace");
    }

    fn motion(&mut self, command: Command) {
        let times = i64::try_from(self.count.unwrap_or(1)).unwrap_or(i64::MAX);
        let is_pane = self.screen == Screen::List && self.pane.is_some() && (self.in_pane || self.whole);
        let page = i64::try_from(if is_pane { self.pane_lines as u64 } else { self.shown }).unwrap_or(1).max(1);
        let lines = match command {
            Command::Down => times,
            Command::Up => -times,
            Command::PageDown => page.saturating_mul(times),
            Command::PageUp => -page.saturating_mul(times),
            Command::HalfDown => (page / 2).max(1).saturating_mul(times),
            Command::HalfUp => -(page / 2).max(1).saturating_mul(times),
            Command::First => i64::MIN,
            _ => i64::MAX,
        };
        if self.screen == Screen::Lanes && matches!(command, Command::Down | Command::Up) {
            return self.choose_lane(lines);
        }
        let shown = self.pane_lines;
        if let Some(pane) = self.pane.as_mut().filter(|_| is_pane) {
            return pane.scroll(lines, shown);
        }
        match (command, self.count) {
            (Command::First | Command::Last, Some(number)) => self.go_to_number(number),
            (Command::First, None) => self.go_far(0),
            (Command::Last, None) => self.go_far(u64::MAX),
            _ => self.step(lines),
        }
    }

    /// Selects the n-th row that is shown, and remembers where the selection was.
    fn go_far(&mut self, n: u64) {
        self.last = self.selected().unwrap_or(0);
        self.select(n);
    }

    /// Goes to the row with a number: numbers go on from file to file of a recording.
    fn go_to_number(&mut self, number: u64) {
        let first = self.first_seq;
        let rows = self.source.rows();
        match number.checked_sub(first).filter(|row| *row < rows) {
            Some(row) => self.go(row),
            None if rows == 0 => self.warn("the capture has no events"),
            None => {
                let last = first.saturating_add(rows.saturating_sub(1));
                self.warn(&format!("there is no row {number}: the rows are {first} to {last}"));
            }
        }
    }

    fn scroll_help(&mut self, command: Command) {
        let page = self.pane_lines.max(1);
        let top = match command {
            Command::Down => self.help_top + 1,
            Command::Up => self.help_top.saturating_sub(1),
            Command::PageDown | Command::HalfDown | Command::Last => self.help_top + page,
            Command::PageUp | Command::HalfUp | Command::First => self.help_top.saturating_sub(page),
            _ => self.help_top,
        };
        self.help_top = top.min(BINDINGS.len().saturating_sub(page));
    }

    fn again(&mut self, other_way: bool) {
        let Some((wanted, text, back)) = self.wanted.clone() else {
            return self.warn("nothing was looked for yet: / looks for something");
        };
        let none = format!("{text} is not there");
        self.find(wanted, back != other_way, text, none);
    }

    fn detail(&mut self) {
        match (self.screen, self.pane.as_ref().map(|pane| pane.kind)) {
            (Screen::Lanes, _) => self.screen = Screen::List,
            (_, Some(Kind::Detail)) => self.in_pane = !self.in_pane,
            _ => {
                self.open_detail();
                self.in_pane = false;
            }
        }
    }

    fn flow(&mut self) {
        let Some(seq) = self.of_event(|event| event.seq) else { return };
        self.screen = Screen::List;
        let columns = usize::from(self.columns);
        self.pane = Some(Pane::flow(&self.capture().clone(), seq, columns, &self.bell, &self.turns.pane));
    }

    fn memory(&mut self) {
        if origin::without_addresses(&self.capture().manifest().derived_from) {
            return self.warn("redaction took all addresses away: no memory is known");
        }
        let Some(places) = self.of_event(pane::places) else { return };
        let Some(place) = places.get(self.side % places.len().max(1)).cloned() else {
            return self.warn("this event names no memory");
        };
        self.screen = Screen::List;
        let columns = usize::from(self.columns);
        self.pane = Some(Pane::memory(&self.capture().clone(), place, columns, &self.bell, &self.turns.pane));
    }

    fn call_beside(&mut self, back: bool) {
        let Some(seq) = self.of_event(|event| event.seq) else { return };
        let Some(pane) = self.pane.as_ref().filter(|pane| pane.kind == Kind::Flow) else {
            return self.warn("no flow is open: F follows the bytes of an event");
        };
        match pane.call_beside(seq, back) {
            Some(call) => self.go_to_number(call),
            None => self.warn("the flow has no other call there"),
        }
    }

    fn in_lanes(&mut self, command: Command) {
        let Some(window) = self.lanes.window.filter(|_| self.screen == Screen::Lanes) else {
            return self.warn("L shows processes over time, where this key moves");
        };
        let Some(cursor) = self.of_event(|event| event.mono_ns) else { return };
        let whole = self.span();
        let times = i64::try_from(self.count.unwrap_or(1)).unwrap_or(i64::MAX);
        let column = window.column(cursor).and_then(|column| i64::try_from(column).ok()).unwrap_or(0);
        match command {
            Command::ZoomIn => self.lanes.window = Some(window.zoomed(cursor, ZOOM, whole)),
            Command::ZoomOut => self.lanes.window = Some(window.zoomed(cursor, 1.0 / ZOOM, whole)),
            Command::ZoomAll => self.lanes.window = None,
            Command::Left => {
                let at = window.instant(column.saturating_sub(times).saturating_add(1));
                let until = time::seconds(at.into(), self.start_ns().into());
                let none = format!("nothing happens before {until}");
                self.find(Wanted::Before(at), true, format!("what happens before {until}"), none);
            }
            _ => {
                let at = window.instant(column.saturating_add(times));
                let since = time::seconds(at.into(), self.start_ns().into());
                let none = format!("nothing happens after {since}");
                self.find(Wanted::Since(at), false, format!("what happens at {since}"), none);
            }
        }
    }

    fn choose_lane(&mut self, lines: i64) {
        let chosen = self.chosen();
        let Some(job) = &self.lanes.job else { return };
        let next = job.state(|state| {
            let order = state.value.order();
            let lane = |place: usize| Some(state.value.lanes.get(*order.get(place)?)?.process);
            let is = |place: &usize| lane(*place).zip(chosen).is_some_and(|(lane, chosen)| lane.matches(chosen));
            let place = (0..order.len()).find(is).unwrap_or(0);
            let moved = i64::try_from(place).unwrap_or(0).saturating_add(lines).max(0);
            let moved = usize::try_from(moved).unwrap_or(usize::MAX).min(order.len().saturating_sub(1));
            lane(moved).map(|process| (process, moved))
        });
        if let Some((process, place)) = next {
            self.lanes.chosen = Some(process);
            let shown = usize::try_from(self.shown).unwrap_or(1).max(1);
            self.lanes.top = self.lanes.top.clamp((place + 1).saturating_sub(shown), place);
        }
    }

    /// The process that is looked at: the one that was chosen, or whose event is selected.
    pub fn chosen(&mut self) -> Option<Identity> {
        match self.lanes.chosen {
            Some(chosen) => Some(chosen),
            None => self.of_event(Identity::caller),
        }
    }

    /// The second key of a command.
    fn finish(&mut self, pending: Pending, key: &KeyEvent) {
        let KeyCode::Char(letter) = key.code else { return self.say("cancelled") };
        match (pending, letter) {
            (Pending::Mark, '\'') => self.warn("'' goes to where you were: choose a letter"),
            (Pending::Mark, letter) => {
                if let Some(row) = self.selected() {
                    self.marks.insert(letter, row);
                    self.say(&format!("mark {letter}"));
                }
            }
            (Pending::ToMark, '\'') => self.go(self.last),
            (Pending::ToMark, letter) => match self.marks.get(&letter) {
                Some(row) => self.go(*row),
                None => self.warn(&format!("there is no mark {letter}: m{letter} sets it")),
            },
            (Pending::Write, 's') => self.ask(Purpose::WriteSql, ""),
            (Pending::Write, 'b') => self.ask(Purpose::WriteLine, ""),
            (Pending::Copy, 's') => self.copy(Purpose::WriteSql),
            (Pending::Copy, 'b') => self.copy(Purpose::WriteLine),
            (Pending::Write | Pending::Copy, _) => self.warn("s is the SQL of the filter, b the line for a report"),
        }
    }

    fn export(&mut self, purpose: Purpose) -> Option<String> {
        let capture = self.capture().clone();
        match purpose {
            Purpose::WriteSql => match export::query(&capture, self.expr().as_ref()) {
                Ok(query) => Some(query),
                Err(error) => {
                    self.warn(&error);
                    None
                }
            },
            _ => self.of_event(|event| export::report(&capture, event) + "\n"),
        }
    }

    fn copy(&mut self, purpose: Purpose) {
        if let Some(text) = self.export(purpose) {
            self.say("handed to the terminal's clipboard, if it takes text (OSC 52)");
            self.asks.push(Ask::Copy(text));
        }
    }

    /// A key in a line that is typed.
    fn typed(&mut self, key: &KeyEvent) {
        let Some(prompt) = &mut self.prompt else { return };
        let (typed, purpose) = (prompt.key(key), prompt.purpose);
        let text = prompt.text();
        match typed {
            Typed::Nothing => {}
            Typed::Text if purpose == Purpose::Filter => self.try_filter(&text),
            Typed::Text => {}
            Typed::Cancelled => {
                self.prompt = None;
                if let Some((expr, row)) = self.before.take().filter(|_| purpose == Purpose::Filter) {
                    if expr.as_ref().map(Expr::to_string) != self.expr().map(|expr| expr.to_string()) {
                        self.set_filter(expr);
                    }
                    self.go(row);
                }
            }
            Typed::Done => self.entered(purpose, &text),
        }
    }

    /// Applies a filter while it is typed, as soon as it can be read.
    fn try_filter(&mut self, text: &str) {
        if text.trim().is_empty() {
            if self.filter.is_some() {
                self.set_filter(None);
            }
            return;
        }
        match Expr::parse(text) {
            Ok(expr) if self.expr().is_some_and(|now| now.to_string() == expr.to_string()) => {}
            Ok(expr) => self.set_filter(Some(expr)),
            Err(error) => self.warn(&error),
        }
    }

    fn entered(&mut self, purpose: Purpose, text: &str) {
        // A filter that cannot be read stays, to be mended.
        if purpose == Purpose::Filter {
            self.try_filter(text);
            if self.notice.bad {
                return;
            }
            self.before = None;
        }
        self.prompt = None;
        if !text.is_empty() {
            let past = self.past.entry(purpose).or_default();
            past.retain(|other| other != text);
            past.push(text.to_string());
            let beyond = past.len().saturating_sub(PAST);
            past.drain(..beyond);
        }
        match purpose {
            Purpose::Filter => {}
            Purpose::Find | Purpose::FindBack if text.is_empty() => self.again(false),
            Purpose::Find | Purpose::FindBack => match Wanted::parse(text) {
                Ok(wanted) => {
                    self.wanted = Some((wanted, text.to_string(), purpose == Purpose::FindBack));
                    self.again(false);
                }
                Err(error) => self.warn(&error),
            },
            Purpose::GoTo => self.go_to_time(text),
            Purpose::WriteSql | Purpose::WriteLine if text.is_empty() => self.say("nothing was written"),
            Purpose::WriteSql | Purpose::WriteLine => {
                let Some(content) = self.export(purpose) else { return };
                match export::write(Path::new(text), &content) {
                    Ok(()) => self.say(&format!("wrote {text}")),
                    Err(error) => self.warn(&format!("{error:#}").replace("choose another -o", "choose another name")),
                }
            }
        }
    }

    fn go_to_time(&mut self, text: &str) {
        let when = match time::parse_in(text, Zone::Utc) {
            Ok(when) => when,
            Err(error) => return self.warn(&error),
        };
        let start = self.capture().manifest().start;
        let at = match when {
            When::Relative(ns) => start.monotonic_ns.saturating_add(ns),
            When::Absolute(ns) => start.monotonic_ns.saturating_add(ns.saturating_sub(start.realtime_ns)),
        };
        let last = time::seconds(self.span().1.into(), start.monotonic_ns.into());
        self.find(Wanted::Since(at), false, format!("time {text}"), format!("the last event is at {last}"));
    }
}
