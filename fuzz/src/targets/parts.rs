//! Captures in which one part is changed, read by the commands that go through that part.

use std::sync::OnceLock;

use super::capture::made;
use crate::commands::Line;
use crate::form::capture::Area;
use crate::room;

/// What a target changes, and what reads it.
struct Part {
    areas: &'static [Area],
    words: &'static [&'static str],
    lines: OnceLock<Vec<Line>>,
}

impl Part {
    const fn new(areas: &'static [Area], words: &'static [&'static str]) -> Self {
        Part { areas, words, lines: OnceLock::new() }
    }

    fn run(&self, input: &[u8]) {
        let lines = self.lines.get_or_init(|| self.words.iter().map(|words| Line::new(words)).collect());
        let Some((which, file)) = made(input, self.areas) else { return };
        room::put("a.parquet", &file);
        if let Some(line) = lines.get(usize::from(which) % lines.len()) {
            line.run();
        }
        room::clear();
    }
}

/// The footer: schema, row groups, column chunks.
pub fn footer(input: &[u8]) {
    static PART: Part =
        Part::new(&[Area::Footer], &["info %/a.parquet", "verify %/a.parquet", "replay -T jsonl %/a.parquet"]);
    PART.run(input);
}

/// Page indexes.
pub fn index(input: &[u8]) {
    static PART: Part = Part::new(
        &[Area::Index],
        &["verify %/a.parquet", "replay -T jsonl %/a.parquet", "replay --since 0.5 %/a.parquet", "info %/a.parquet"],
    );
    PART.run(input);
}

/// Headers, levels and values of pages, of every column.
pub fn page(input: &[u8]) {
    static PART: Part = Part::new(
        &[Area::Page, Area::Page, Area::Page, Area::PageHeader],
        &["verify %/a.parquet", "replay -T jsonl %/a.parquet", "replay -p 16547 %/a.parquet"],
    );
    PART.run(input);
}

/// The manifest, at the end and at the begin.
pub fn manifest(input: &[u8]) {
    static PART: Part = Part::new(
        &[Area::Manifest, Area::Manifest, Area::Begin],
        &[
            "info -v %/a.parquet",
            "verify %/a.parquet",
            "summary %/a.parquet",
            "replay %/a.parquet",
            "redact --preview %/a.parquet",
            "info -T json %/a.parquet",
            "export -T ocsf %/a.parquet",
        ],
    );
    PART.run(input);
}

/// Chain, frames and seal.
pub fn chain(input: &[u8]) {
    static PART: Part = Part::new(
        &[Area::Chain, Area::Head, Area::Frames, Area::Sealed, Area::Raw, Area::Begin],
        &[
            "verify %/a.parquet",
            "verify -T json %/a.parquet",
            "slice %/a.parquet --where seq_>_3 -o %/b.parquet --force",
            "merge %/a.parquet -o %/b.parquet --force",
        ],
    );
    PART.run(input);
}
