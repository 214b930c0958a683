//! Row groups that `recover` copies from the files that a killed recorder left.

use std::fs::File;

use anyhow::{Context, Result};

use super::Encoder;
use crate::record::ledger::{KernelCounts, Outcomes};
use crate::schema::limits::Limits;
use crate::schema::manifest::LedgerRow;
use crate::schema::partial::PartialGroup;
use crate::schema::reader::{Capture, Scan};

impl Encoder {
    /// Copies a row group of a file of the same recording.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn adopt(&mut self, source: &File, group: &PartialGroup) -> Result<()> {
        self.series.adopt(source, group)?;
        self.come_to(group.clocks);
        self.table.restore(group.seq.1.saturating_add(1), group.mono_ns.1, 0, Outcomes::default());
        Ok(())
    }

    /// The file goes on where files end whose ledger is this one, and whose rows were copied.
    pub fn precede(&mut self, ledger: Vec<LedgerRow>) {
        self.before = ledger;
    }

    /// Counts the copied rows, where nothing shows what else was seen. Returns what they report of the kernel's counters.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn count_adopted(&mut self, limits: Limits) -> Result<KernelCounts> {
        self.series.write_footer(&self.begin)?;
        let output = self.series.output().context("no file is written")?;
        let capture = Capture::open_within(output.partial(), limits)?;
        let columns = vec!["event", "bytes", "errno", "lost_count", "lost_event", "lost_cause"];
        for batch in capture.scan(&Scan { columns, ..Scan::default() })? {
            batch?.iter().for_each(|event| self.table.outcomes.count_row(&event, &mut self.reported.kernel));
        }
        Ok(self.reported.kernel.clone())
    }
}
