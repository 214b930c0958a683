//! Conditions on the columns of an event, as `--trigger EXPR` and `--where EXPR` take them: `errno = EPERM`, `event = process_vm_writev
//! and target_pid = 4211`, `bytes >= 1M or not comm ~ "ssh*"`.
//!
//! Owns what a condition means for a row. `parse` reads its text, `value` its values; there is no I/O. The meaning is
//! that of SQL, so a condition selects the same rows in a query: if a column is null, no comparison with it is true,
//! including `!=` and `not`; use `is null`.

mod parse;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;
use std::ops::RangeInclusive;

use globset::GlobMatcher;

use super::cell::Cell;
use super::columns::{ColumnSpec, Event};

/// An expression over the columns of one event.
#[derive(Clone, Debug)]
pub struct Expr {
    text: String,
    root: Node,
}

impl Expr {
    /// Reads an expression.
    ///
    /// # Errors
    /// One sentence that says at which character what is wrong, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Expr { text: text.to_string(), root: parse::parse(text)? })
    }

    /// The columns that it looks at; one may come twice.
    pub fn columns(&self) -> Vec<&'static str> {
        let mut columns = Vec::new();
        self.root.add_columns(&mut columns);
        columns
    }

    /// Whether it holds for `event`.
    pub fn matches(&self, event: &Event<'_>) -> bool {
        self.root.holds(event) == Some(true)
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[derive(Clone, Debug)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Test { column: &'static ColumnSpec, check: Check },
}

/// What is asked of one column's value.
#[derive(Clone, Debug)]
enum Check {
    Null,
    Number(RangeInclusive<i128>),
    Bool(bool),
    Text(String),
    Glob(Box<GlobMatcher>),
}

impl Node {
    fn add_columns(&self, columns: &mut Vec<&'static str>) {
        match self {
            Node::Test { column, .. } => columns.push(column.name),
            Node::Not(node) => node.add_columns(columns),
            Node::All(nodes) | Node::Any(nodes) => nodes.iter().for_each(|node| node.add_columns(columns)),
        }
    }

    /// `None` where that depends on a value that is null.
    fn holds(&self, event: &Event<'_>) -> Option<bool> {
        match self {
            Node::Test { column, check } => check.holds((column.cell)(event)),
            Node::Not(node) => node.holds(event).map(|holds| !holds),
            Node::All(nodes) => decide(nodes, event, false),
            Node::Any(nodes) => decide(nodes, event, true),
        }
    }
}

/// `decisive` if one of `nodes` is that, its opposite if all are known and none is.
fn decide(nodes: &[Node], event: &Event<'_>, decisive: bool) -> Option<bool> {
    let mut outcome = Some(!decisive);
    for node in nodes {
        match node.holds(event) {
            Some(holds) if holds == decisive => return Some(decisive),
            Some(_) => {}
            None => outcome = None,
        }
    }
    outcome
}

impl Check {
    fn holds(&self, cell: Cell<'_>) -> Option<bool> {
        match (self, cell) {
            (Check::Null, cell) => Some(matches!(cell, Cell::Null)),
            (Check::Number(range), Cell::Int(n)) => Some(range.contains(&n.into())),
            (Check::Number(range), Cell::Uint(n)) => Some(range.contains(&n.into())),
            (Check::Bool(wanted), Cell::Bool(b)) => Some(b == *wanted),
            (Check::Text(wanted), Cell::Text(text)) => Some(text == wanted),
            (Check::Glob(glob), Cell::Text(text)) => Some(glob.is_match(text)),
            // Null; `parse` gives a column no check of another type.
            _ => None,
        }
    }
}
