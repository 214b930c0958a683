//! A viewer without a terminal, and captures for it.

use std::path::{Path, PathBuf};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

use crate::schema::group::EncodedGroup;
use crate::schema::limits::Limits;
use crate::schema::manifest::{Clocks, LedgerRow, Manifest};
use crate::schema::reader::{Capture, Scan};
use crate::schema::writer::CaptureFile;
use crate::schema::{BatchBuilder, Event};
use crate::view::app::{App, Ask};
use crate::view::job::Bell;
use crate::view::look::Look;
use crate::view::source::Source;

/// When captures that are made here begin, on CLOCK_MONOTONIC.
pub const START: i64 = 5_000_000_000;

/// A viewer and its screen.
pub struct Stage {
    pub app: App,
    terminal: Terminal<TestBackend>,
}

impl Stage {
    /// A viewer of a capture, on a screen of 80 columns and 24 lines.
    pub fn of(path: &Path) -> Self {
        Stage::sized(path, 80, 24)
    }

    pub fn sized(path: &Path, columns: u16, lines: u16) -> Self {
        let source = Source::open(path, Limits::default()).unwrap();
        let app = App::new(source, Look { color: true }, Bell::default());
        let mut stage = Stage { app, terminal: Terminal::new(TestBackend::new(columns, lines)).unwrap() };
        stage.draw();
        stage
    }

    pub fn resize(&mut self, columns: u16, lines: u16) {
        self.terminal.backend_mut().resize(columns, lines);
        self.draw();
    }

    /// Presses keys one after another: characters, `^x` with Ctrl, names in `<>`. All jobs end before the next key.
    pub fn press(&mut self, keys: &str) -> &mut Self {
        let mut rest = keys;
        while let Some(c) = rest.chars().next() {
            let (code, modifiers, length) = match c {
                '<' if rest.find('>').is_some_and(|end| end > 1) => {
                    let end = rest.find('>').unwrap();
                    (named(&rest[1..end]), KeyModifiers::NONE, end + 1)
                }
                '^' => (KeyCode::Char(rest[1..].chars().next().unwrap()), KeyModifiers::CONTROL, 2),
                c => (KeyCode::Char(c), KeyModifiers::NONE, c.len_utf8()),
            };
            self.app.key(&KeyEvent::new(code, modifiers));
            self.app.settle();
            self.draw();
            rest = &rest[length..];
        }
        self
    }

    pub fn draw(&mut self) {
        // What is drawn can begin a job, whose end is drawn then.
        for _ in 0..2 {
            let app = &mut self.app;
            self.terminal
                .draw(|frame| {
                    if let Some(cursor) = app.draw(frame.buffer_mut()) {
                        frame.set_cursor_position(cursor);
                    }
                })
                .unwrap();
            self.app.settle();
        }
    }

    pub fn buffer(&self) -> &Buffer {
        self.terminal.backend().buffer()
    }

    /// The lines of the screen.
    pub fn lines(&self) -> Vec<String> {
        let buffer = self.buffer();
        let line = |y| (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..buffer.area.height).map(|y| line(y).trim_end().to_string()).collect()
    }

    pub fn last_line(&self) -> String {
        self.lines().pop().unwrap()
    }

    pub fn shows(&self, text: &str) -> bool {
        self.lines().iter().any(|line| line.contains(text))
    }

    /// The `seq` of the selected event.
    pub fn seq(&mut self) -> u64 {
        self.app.of_event(|event| event.seq).unwrap()
    }

    pub fn asks(&mut self) -> Vec<Ask> {
        std::mem::take(&mut self.app.asks)
    }
}

fn named(name: &str) -> KeyCode {
    match name {
        "Enter" => KeyCode::Enter,
        "Esc" => KeyCode::Esc,
        "Tab" => KeyCode::Tab,
        "Down" => KeyCode::Down,
        "PageDown" => KeyCode::PageDown,
        "Backspace" => KeyCode::Backspace,
        name => panic!("no key {name}"),
    }
}

pub fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("samples/{name}/{name}.parquet"))
}

/// What `see` makes of every event of a capture.
pub fn each<R>(path: &Path, mut see: impl FnMut(&Event<'_>) -> R) -> Vec<R> {
    let capture = Capture::open(path).unwrap();
    let batches = capture.scan(&Scan::default()).unwrap();
    batches.flat_map(|batch| batch.unwrap().iter().map(|event| see(&event)).collect::<Vec<_>>()).collect()
}

/// A capture with these row groups, in a directory of its own.
pub fn make(groups: &[Vec<Event<'_>>]) -> (tempfile::TempDir, PathBuf) {
    make_with(groups, |_| ())
}

/// The same with a manifest that `change` changed.
pub fn make_with(groups: &[Vec<Event<'_>>], change: impl FnOnce(&mut Manifest)) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("made.parquet");
    let clocks = |ns| Clocks { realtime_ns: ns, monotonic_ns: ns, boottime_ns: ns, uncertainty_ns: 1 };
    let rows = groups.iter().map(Vec::len).sum::<usize>() as u64;
    let ledger = vec![LedgerRow { event: "tee".into(), seen: rows, written: rows, ..LedgerRow::default() }];
    let mut manifest = Manifest { start: clocks(START), end: clocks(START * 2), ledger, ..Manifest::default() };
    change(&mut manifest);
    let mut file = CaptureFile::create(std::fs::File::create(&path).unwrap(), &manifest).unwrap();
    let mut seq = 0..;
    for group in groups {
        let mut builder = BatchBuilder::default();
        group.iter().for_each(|event| builder.push(&Event { seq: seq.next().unwrap(), ..*event }));
        let group = EncodedGroup::encode(builder.take().unwrap()).unwrap();
        file.append(&group, manifest.end, &serde_json::Value::Null).unwrap();
    }
    file.close(&manifest).unwrap();
    (dir, path)
}

/// So many events of process 7, a microsecond apart, of which every tenth failed.
pub fn calls(rows: std::ops::Range<i64>) -> Vec<Event<'static>> {
    let call = |n: i64| Event {
        mono_ns: START + n * 1000,
        ts_ns: START + n * 1000,
        event: "tee",
        pid: 7,
        tid: 7,
        comm: "caller",
        start_ns: 10_000_000,
        errno: (n % 10 == 3).then_some("EAGAIN"),
        bytes: Some(if n % 10 == 3 { 0 } else { n }),
        ..Event::default()
    };
    rows.map(call).collect()
}
