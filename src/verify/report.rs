//! The findings about one file, and their text.

use std::fmt::Write;

use serde::Serialize;

use crate::count;
use crate::model::origin;
use crate::schema::derived::Derivation;
use crate::terminal::escape::{Safe, SafeMessage};
use crate::terminal::status;

/// What a finding means for the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// Bytes are not those that were digested or signed.
    Altered,
    /// What the file says does not agree with itself.
    Contradiction,
    /// Something cannot be read, or there is nothing to check it against.
    Unreadable,
    /// Events are missing, and the capture says so.
    Loss,
    /// Nothing is wrong with it.
    Note,
}

impl FindingKind {
    /// Whether the file is not what it should be.
    pub fn is_bad(self) -> bool {
        match self {
            FindingKind::Altered | FindingKind::Contradiction | FindingKind::Unreadable => true,
            FindingKind::Loss | FindingKind::Note => false,
        }
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// What it means.
    pub kind: FindingKind,
    /// The row group it is about.
    pub row_group: Option<usize>,
    /// In words.
    pub text: String,
}

/// All findings about one file. The JSON of `verify -T json` is exactly this; fields are only added.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Path as given; bytes that are no UTF-8 replaced.
    pub file: String,
    /// Exit status of this file alone: 0, 1, 2 or 3.
    pub status: u8,
    /// The root digest, if the file is intact.
    pub root: Option<String>,
    /// Row groups, as the footer states them.
    pub row_groups: Option<usize>,
    /// Rows, as the footer states them.
    pub rows: Option<u64>,
    /// The first row group with altered bytes, counted from 0.
    pub first_altered_row_group: Option<usize>,
    /// Of a recording in several files: the FILE that this one follows, where it was given and is the right one.
    pub follows: Option<String>,
    /// Of a capture that was made from others: the steps that led to it, as it states them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub derived_from: Vec<Derivation>,
    /// By whom the file is signed, if that was asked and is so.
    pub signed_by: Option<String>,
    /// Everything that was found, in the order of the checks.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Adds what was found.
    pub fn add(&mut self, kind: FindingKind, text: impl Into<String>) {
        self.findings.push(Finding { kind, row_group: None, text: text.into() });
    }

    /// Adds what was found of a row group.
    pub fn add_of(&mut self, kind: FindingKind, row_group: usize, text: impl Into<String>) {
        self.findings.push(Finding { kind, row_group: Some(row_group), text: text.into() });
    }

    /// Whether something of this kind was found.
    pub fn has(&self, kind: FindingKind) -> bool {
        self.findings.iter().any(|finding| finding.kind == kind)
    }

    /// Settles status and root when everything has been found out.
    pub fn conclude(&mut self) {
        self.status = if self.has(FindingKind::Altered) || self.has(FindingKind::Contradiction) {
            status::ALTERED
        } else if self.has(FindingKind::Unreadable) {
            status::ERROR
        } else if self.has(FindingKind::Loss) {
            status::LOSS
        } else {
            status::OK
        };
        if !matches!(self.status, status::OK | status::LOSS) {
            self.root = None;
        }
        let altered = self.findings.iter().filter(|finding| finding.kind == FindingKind::Altered);
        self.first_altered_row_group = altered.filter_map(|finding| finding.row_group).min();
    }

    /// The text for people.
    pub fn render(&self) -> String {
        let verdict = match (self.status, self.derived_from.last()) {
            (status::OK, None) => "intact and complete".to_string(),
            (status::LOSS, None) => "intact, not complete".into(),
            (status::OK, Some(step)) => format!("{}, intact", origin::made(step)),
            (status::LOSS, Some(step)) => format!("{}, intact; loss is recorded", origin::made(step)),
            (status::ALTERED, _) => "ALTERED, or contradicts itself".into(),
            _ => "CANNOT BE VERIFIED".into(),
        };
        let mut out = String::new();
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(out, "{}: {verdict}", Safe(&self.file));
        if let Some(root) = &self.root {
            let _ = writeln!(out, "  root digest {}", Safe(root));
        }
        if let (Some(groups), Some(rows)) = (self.row_groups, self.rows) {
            let _ = writeln!(out, "  {} in {}", count::rows(rows), count::row_groups(groups));
        }
        if let Some(file) = &self.follows {
            let _ = writeln!(out, "  follows {}", Safe(file));
        }
        if let Some(signer) = &self.signed_by {
            let _ = writeln!(out, "  signed by {}", Safe(signer));
        }
        for finding in &self.findings {
            let kind = match finding.kind {
                FindingKind::Altered => "ALTERED: ",
                FindingKind::Contradiction => "CONTRADICTION: ",
                FindingKind::Unreadable => "UNREADABLE: ",
                FindingKind::Loss => "loss: ",
                FindingKind::Note => "note: ",
            };
            let _ = writeln!(out, "  {kind}{}", SafeMessage(&finding.text).to_string().replace('\n', " "));
        }
        out
    }
}
