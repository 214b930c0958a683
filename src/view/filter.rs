//! Which rows a condition selects, found while the screen goes on.

use std::sync::Arc;

use anyhow::ensure;

use super::job::{Bell, Job, Turn};
use super::matches::Matches;
use crate::schema::expr::Expr;
use crate::schema::reader::{Capture, Scan};
use crate::schema::{Event, EventKind};

/// The rows that a condition selects, as far as they have been found.
#[derive(Debug)]
pub struct Filter {
    /// The condition.
    pub expr: Expr,
    job: Job<Matches>,
}

/// Whether a row is shown. Gaps in the recording always are.
pub fn selects(expr: &Expr, event: &Event<'_>) -> bool {
    event.event == EventKind::Lost.name() || expr.matches(event)
}

/// The columns that [`selects`] looks at.
pub fn columns(expr: &Expr) -> Vec<&'static str> {
    let mut columns = expr.columns();
    columns.push("event");
    columns.sort_unstable();
    columns.dedup();
    columns
}

impl Filter {
    /// Begins to look for the rows.
    pub fn start(capture: &Arc<Capture>, expr: Expr, bell: &Bell, turn: &Turn) -> Self {
        let (capture, condition) = (Arc::clone(capture), expr.clone());
        let job = Job::start(bell, turn, Matches::default(), move |run| {
            let mut first = 0u64;
            for batch in capture.scan(&Scan { columns: columns(&condition), ..Scan::default() })? {
                let batch = batch?;
                let (mut rows, mut row) = (Vec::new(), first);
                batch.each(|event| {
                    rows.extend(selects(&condition, event).then_some(row));
                    row = row.saturating_add(1);
                });
                let room = run.note(batch.len() as u64, |matches| rows.iter().all(|row| matches.push(*row)))?;
                ensure!(room, "the filter selects more rows than are kept: those behind row {first} are not shown");
                first = first.saturating_add(batch.len() as u64);
            }
            Ok(())
        });
        Filter { expr, job }
    }

    /// How many rows are known to be selected.
    pub fn len(&self) -> u64 {
        self.job.state(|state| state.value.len())
    }

    /// The n-th of them, from 0.
    pub fn nth(&self, n: u64) -> Option<u64> {
        self.job.state(|state| state.value.nth(n))
    }

    /// How many of them are before a row.
    pub fn before(&self, row: u64) -> u64 {
        self.job.state(|state| state.value.before(row))
    }

    /// How many rows have been looked at.
    pub fn looked_at(&self) -> u64 {
        self.job.state(|state| state.rows)
    }

    /// Whether all rows have been looked at, or no more will be.
    pub fn has_ended(&self) -> bool {
        self.job.has_ended()
    }

    /// Why not all rows have been looked at.
    pub fn error(&self) -> Option<String> {
        self.job.state(|state| state.end.clone().and_then(Result::err))
    }

    /// Waits until it has ended.
    #[cfg(test)]
    pub fn wait(&self) {
        self.job.wait();
    }
}
