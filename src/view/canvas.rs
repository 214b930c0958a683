//! Draws processes over time: a lane each, a column for each part of the span, and arrows from who gave bytes to who got them.

use std::collections::BTreeMap;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::lanes::{Picture, Window};
use super::look::Look;
use crate::model::process::Identity;
use crate::model::time;
use crate::replay::describe::{self, Named, Role};
use crate::terminal::fit;

/// Columns of a name.
const NAME: u16 = 20;
/// Columns between two instants on the axis.
const TICKS: usize = 20;

/// What is to be drawn.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The counts.
    pub picture: &'a Picture,
    /// Their span.
    pub window: &'a Window,
    /// When the recording began.
    pub start_ns: i64,
    /// The column of the selected event.
    pub cursor: Option<usize>,
    /// The process that is looked at.
    pub chosen: Option<Identity>,
    /// The lanes in the order from above, from the first that is shown.
    pub order: &'a [usize],
}

/// Columns of time on a screen of that width.
pub fn columns(width: u16) -> usize {
    usize::from(width.saturating_sub(NAME + 1)).max(1)
}

/// Lanes on an area of that height: the axis takes a line, and between two lanes is one for arrows.
pub fn lanes(height: u16) -> usize {
    usize::from(height.saturating_sub(1).div_ceil(2))
}

/// Draws it.
pub fn draw(scene: &Scene<'_>, look: Look, buffer: &mut Buffer, area: Rect) {
    axis(scene, look, buffer, area);
    let shown = scene.order.iter().take(lanes(area.height)).zip(0u16..);
    let rows = shown.map(|(lane, at)| (*lane, area.y + 1 + 2 * at)).collect();
    let mut canvas = Canvas { scene, look, buffer, area, rows };
    canvas.lanes();
    canvas.arrows();
    for column in scene.picture.gaps.keys() {
        canvas.put(*column, area.y, "!", Role::Bad);
    }
    if let Some(x) = scene.cursor.and_then(|column| canvas.x(column)) {
        let cursor = Rect { x, y: area.y, width: 1, height: area.height };
        canvas.buffer.set_style(cursor, Style::new().add_modifier(Modifier::REVERSED));
    }
}

struct Canvas<'a> {
    scene: &'a Scene<'a>,
    look: Look,
    buffer: &'a mut Buffer,
    area: Rect,
    /// The line of each lane that is shown.
    rows: BTreeMap<usize, u16>,
}

impl Canvas<'_> {
    /// Where a column is, if it is on the screen.
    fn x(&self, column: usize) -> Option<u16> {
        let x = (self.area.x + NAME + 1).checked_add(u16::try_from(column).ok()?)?;
        (x < self.area.right()).then_some(x)
    }

    fn put(&mut self, column: usize, y: u16, sign: &str, role: Role) {
        if let Some(x) = self.x(column) {
            self.buffer.set_stringn(x, y, sign, 1, self.look.style(role));
        }
    }

    fn lanes(&mut self) {
        let scene = self.scene;
        for (lane, y) in self.rows.clone() {
            let Some(lane) = scene.picture.lanes.get(lane) else { continue };
            let named = Named { host: lane.host.as_deref(), name: Some(&lane.name), pid: lane.process.pid };
            let name = describe::name_in_short(named, usize::from(NAME));
            let mut style = self.look.style(Role::Name);
            if scene.chosen.is_some_and(|chosen| chosen.matches(lane.process)) {
                style = style.add_modifier(Modifier::REVERSED);
            }
            self.buffer.set_stringn(self.area.x, y, name, usize::from(NAME), style);
            let ends = lane.cells.keys().next().zip(lane.cells.keys().next_back());
            for column in ends.map_or(0..0, |(first, last)| *first..*last + 1) {
                let (sign, role) = match lane.cells.get(&column) {
                    Some(cell) if cell.failed => ("!", Role::Bad),
                    Some(_) => ("•", Role::Plain),
                    None => ("─", Role::Dim),
                };
                self.put(column, y, sign, role);
            }
        }
    }

    fn arrows(&mut self) {
        for (column, links) in &self.scene.picture.links {
            let mut links: Vec<_> = links.iter().collect();
            // What moved most comes last, over the others.
            links.sort_by_key(|(_, bytes)| **bytes);
            for ((from, to), _) in links {
                self.arrow(*column, *from, *to);
            }
        }
    }

    /// An arrow from one lane to another. Lanes that are not shown are below.
    fn arrow(&mut self, column: usize, from: usize, to: usize) {
        let (start, end) = (self.rows.get(&from).copied(), self.rows.get(&to).copied());
        if start.is_none() && end.is_none() {
            return;
        }
        let below = self.area.bottom();
        let [start_y, end_y] = [start, end].map(|y| y.unwrap_or(below));
        for y in start_y.min(end_y) + 1..start_y.max(end_y).min(below) {
            // Lanes between the two stay to be seen.
            let sign = if self.rows.values().any(|row| *row == y) { "┼" } else { "│" };
            self.put(column, y, sign, Role::Out);
        }
        let lanes = &self.scene.picture.lanes;
        let failed =
            |lane: usize| lanes.get(lane).and_then(|lane| lane.cells.get(&column)).is_some_and(|cell| cell.failed);
        let head = if end_y > start_y { "▼" } else { "▲" };
        for (lane, y, sign, role) in [(from, start, "●", Role::Out), (to, end, head, Role::In)] {
            if let Some(y) = y.filter(|_| !failed(lane)) {
                self.put(column, y, sign, role);
            }
        }
    }
}

/// The instants above the lanes.
fn axis(scene: &Scene<'_>, look: Look, buffer: &mut Buffer, area: Rect) {
    buffer.set_stringn(area.x, area.y, "SECONDS", usize::from(NAME), look.style(Role::Dim));
    for column in (0..scene.window.columns).step_by(TICKS) {
        let at = scene.window.instant(i64::try_from(column).unwrap_or(0));
        let mut text = time::seconds(at.into(), scene.start_ns.into());
        // No more digits than the span needs: two columns never show the same.
        let part = i128::from(scene.window.last) - i128::from(scene.window.first);
        let part = part / scene.window.columns.max(1) as i128;
        let digits = [1_000_000_000i128, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10];
        let needed = digits.iter().take_while(|unit| **unit > part).count();
        text.truncate(text.len().saturating_sub(9 - needed.min(9)));
        let text = text.trim_end_matches('.');
        let x = area.x + NAME + 1 + u16::try_from(column).unwrap_or(u16::MAX - area.x - NAME - 1);
        let room = usize::from(area.right().saturating_sub(x)).min(TICKS);
        if fit::columns(text) < room {
            buffer.set_stringn(x, area.y, format!("╷{text}"), room, look.style(Role::Dim));
        }
    }
}
