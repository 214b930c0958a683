//! Limits as they are listed: in docs/LIMITS.md, and for tests.

use super::Limits;

/// What a limit is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// A number of what the limit is of.
    Number,
    /// How many times as much.
    Times,
}

/// What a limit is a limit of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A finished capture, and what belongs to it.
    Capture,
    /// What `recover` and `verify` read of one that is not finished.
    Unfinished,
    /// A zip archive.
    Archive,
    /// What is made of captures.
    Making,
    /// What a command of a reader takes or keeps.
    Command,
    /// A query.
    Query,
}

impl Part {
    /// All of them, in the order of the document.
    pub const ALL: [Part; 6] =
        [Part::Capture, Part::Unfinished, Part::Archive, Part::Making, Part::Command, Part::Query];

    /// What a table of it is called.
    pub fn heading(self) -> &'static str {
        match self {
            Part::Capture => "a capture, and files beside it",
            Part::Unfinished => "an unfinished capture and its journal (`recover`), frames (`verify`, `merge`)",
            Part::Archive => "a zip archive",
            Part::Making => "what `slice`, `merge`, `redact`, `bundle` and `report` make",
            Part::Command => "what a command takes, and keeps in memory",
            Part::Query => "`query`",
        }
    }
}

/// A limit that nothing raises.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Its constant.
    pub name: &'static str,
    /// Most that is accepted.
    pub most: u64,
    /// What that is counted in.
    pub unit: Unit,
    /// What it belongs to.
    pub part: Part,
    /// What is limited.
    pub what: &'static str,
    /// Why, and why to so much.
    pub why: &'static str,
}

/// A limit that `--allow-large SIZE` raises.
#[derive(Clone, Copy, Debug)]
pub struct Growing {
    /// Its method of [`Limits`].
    pub name: &'static str,
    /// Most that is accepted, in bytes; in a small file, where it depends on that.
    pub most: fn(Limits) -> u64,
    /// That with SIZE, in words.
    pub raised: &'static str,
    /// What is limited.
    pub what: &'static str,
    /// Why, and why to so much.
    pub why: &'static str,
}

/// Limits that grow with `--allow-large`.
pub const GROWING: &[Growing] = &[
    Growing {
        name: "page",
        most: Limits::page,
        raised: "SIZE",
        what: "a page of a column, or its dictionary, uncompressed",
        why: "a row group's payload is in one page, and has at most 64 MiB",
    },
    Growing {
        name: "batch",
        most: Limits::batch,
        raised: "SIZE",
        what: "the rows that are decoded at a time",
        why: "a thousand rows, fewer if they are large",
    },
    Growing {
        name: "pages",
        most: Limits::pages,
        raised: "1.5 SIZE",
        what: "pages and dictionaries held at a time, all columns together",
        why: "the largest page, and half of it for all other columns",
    },
    Growing {
        name: "value",
        most: Limits::value,
        raised: "SIZE / 64",
        what: "a value: a payload, a text",
        why: "a dictionary has it once, and rows have it each",
    },
    Growing {
        name: "row_group",
        most: Limits::row_group,
        raised: "12 SIZE",
        what: "a row group, uncompressed",
        why: "the sum of what its columns claim",
    },
    Growing {
        name: "metadata",
        most: |limits| limits.metadata(0),
        raised: "SIZE",
        what: "footer and page indexes in memory; a quarter of the file, if that is more",
        why: "the Parquet library makes much of few bytes",
    },
];
