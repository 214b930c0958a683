//! What is counted of the rows of a derived capture, and the ledger that follows from it.

use anyhow::{Result, ensure};

use crate::count;
use crate::schema::events::EventSpec;
use crate::schema::limits::{MAX_HOSTS, MAX_KINDS};
use crate::schema::manifest::LedgerRow;
use crate::schema::quote::quoted;
use crate::schema::vocabulary::{IovVerdict, PayloadStatus};
use crate::schema::{Event, EventKind};
use crate::terminal::escape::SafeLine;

/// Columns that [`Counts::note`] looks at.
pub const COLUMNS: &[&str] = &["event", "errno", "bytes", "payload_status", "iov_verdict", "argv", "host"];

/// Rows by event, and by host and event where the rows are of several hosts.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    of: Vec<LedgerRow>,
    /// The one that the last row was counted in.
    last: usize,
    hosts: Vec<(String, Counts)>,
    /// That of the last row.
    last_host: usize,
}

impl Counts {
    /// Counts a row.
    ///
    /// # Errors
    /// When there are more kinds of events than a capture can have.
    pub fn note(&mut self, event: &Event<'_>) -> Result<()> {
        let failed = u64::from(event.errno.is_some());
        let bytes = event.bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
        let faults = u64::from(has_fault(event));
        let row = self.of(event.event)?;
        row.written += 1;
        row.failed += failed;
        row.bytes = row.bytes.saturating_add(bytes);
        row.read_faults += faults;
        match event.host {
            Some(host) => self.host(host)?.note(&Event { host: None, ..*event }),
            None => Ok(()),
        }
    }

    fn host(&mut self, host: &str) -> Result<&mut Counts> {
        // Most rows are of the host of the row before.
        let last = Some(self.last_host).filter(|at| self.hosts.get(*at).is_some_and(|(known, _)| known == host));
        let at = match last.or_else(|| self.hosts.iter().position(|(known, _)| known == host)) {
            Some(at) => at,
            None => {
                ensure!(self.hosts.len() < MAX_HOSTS, "the rows are of more than {MAX_HOSTS} hosts");
                self.hosts.push((host.into(), Counts::default()));
                self.hosts.len() - 1
            }
        };
        self.last_host = at;
        self.hosts.get_mut(at).map(|(_, counts)| counts).ok_or_else(|| anyhow::anyhow!("no such host"))
    }

    /// Those of the rows of a host.
    pub fn of_host(&self, host: &str) -> Option<Counts> {
        self.hosts.iter().find(|(known, _)| known == host).map(|(_, counts)| counts.clone())
    }

    fn of(&mut self, event: &str) -> Result<&mut LedgerRow> {
        // Most rows are of the event of the row before.
        if self.of.get(self.last).is_none_or(|row| row.event != event) {
            self.last = match self.of.iter().position(|row| row.event == event) {
                Some(at) => at,
                None => {
                    ensure!(self.of.len() < MAX_KINDS, "the rows are of more than {MAX_KINDS} kinds of events");
                    self.of.push(LedgerRow { event: event.into(), ..LedgerRow::default() });
                    self.of.len() - 1
                }
            };
        }
        // It is there.
        let last = self.last;
        self.of.get_mut(last).ok_or_else(|| anyhow::anyhow!("no such event"))
    }

    /// Adds what others count.
    ///
    /// # Errors
    /// As for [`Counts::note`].
    pub fn add(&mut self, other: &Counts) -> Result<()> {
        for more in &other.of {
            let row = self.of(&more.event)?;
            row.written = row.written.saturating_add(more.written);
            row.failed = row.failed.saturating_add(more.failed);
            row.bytes = row.bytes.saturating_add(more.bytes);
            row.read_faults = row.read_faults.saturating_add(more.read_faults);
        }
        other.hosts.iter().try_for_each(|(host, counts)| self.host(host)?.add(counts))
    }

    /// All rows.
    pub fn rows(&self) -> u64 {
        self.of.iter().fold(0, |sum, row| sum.saturating_add(row.written))
    }

    /// The ledger of a capture with these rows, which are taken from one with the ledger `source`: what is not taken is left out. A
    /// line of which everything was taken stays as it is: what the recorder counted is more exact than what rows show.
    ///
    /// # Errors
    /// When there are rows that `source` does not count.
    pub fn ledger(&self, source: &[LedgerRow]) -> Result<Vec<LedgerRow>> {
        for row in &self.of {
            let counted = source.iter().filter(|of| of.event == row.event);
            let most = counted.fold(0u64, |sum, of| sum.saturating_add(of.written).saturating_add(of.left_out));
            ensure!(
                row.written <= most,
                "it holds {} of {}, and its ledger counts {most}",
                count::rows(row.written),
                SafeLine(&quoted(&row.event))
            );
        }
        Ok(source.iter().map(|row| self.line(row)).collect())
    }

    fn line(&self, source: &LedgerRow) -> LedgerRow {
        let none = LedgerRow::default();
        let mine = self.of.iter().find(|row| row.event == source.event).unwrap_or(&none);
        let is_all = [mine.written, mine.failed, mine.bytes] == [source.written, source.failed, source.bytes];
        if is_all {
            return source.clone();
        }
        let left_out = source.written.saturating_add(source.left_out).saturating_sub(mine.written);
        let LedgerRow { written, failed, bytes, read_faults, .. } = *mine;
        LedgerRow { left_out, written, failed, bytes, read_faults, ..source.clone() }
    }
}

/// Whether something of a call could not be read, as far as its row shows that.
fn has_fault(event: &Event<'_>) -> bool {
    event.payload_status == Some(PayloadStatus::Fault.as_str())
        || event.iov_verdict == Some(IovVerdict::Unreadable.as_str())
        // Their offsets, which are in memory, show no fault of their own.
        || (event.errno == Some("EFAULT") && event.spec().is_some_and(EventSpec::has_offsets))
        || (event.event == EventKind::ProcessExec.name() && event.argv.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(events: &[Event<'_>]) -> Counts {
        let mut counts = Counts::default();
        events.iter().for_each(|event| counts.note(event).unwrap());
        counts
    }

    #[test]
    fn what_is_not_taken_is_left_out_and_the_ledger_balances() {
        let row = |event: &str, seen, filtered, written| LedgerRow {
            event: event.into(),
            seen,
            filtered,
            written,
            ..LedgerRow::default()
        };
        let tee = Event { event: "tee", bytes: Some(5), ..Event::default() };
        let failed = Event { event: "tee", errno: Some("EIO"), bytes: Some(0), ..Event::default() };
        let source = [row("tee", 10, 4, 6), row("splice", 3, 0, 3)];
        let ledger = counts(&[tee, failed, tee]).ledger(&source).unwrap();
        assert!(ledger.iter().all(LedgerRow::balances), "{ledger:?}");
        let shown: Vec<_> =
            ledger.iter().map(|r| [r.seen, r.filtered, r.left_out, r.written, r.failed, r.bytes]).collect();
        assert_eq!(shown, [[10, 4, 3, 3, 1, 10], [3, 0, 3, 0, 0, 0]]);
        let again = counts(&[tee]).ledger(&ledger).unwrap();
        assert_eq!([again[0].left_out, again[0].written, again[1].left_out], [5, 1, 3]);
    }

    #[test]
    fn a_line_that_was_taken_whole_stays_as_it_was() {
        let tee = Event { event: "tee", bytes: Some(5), ..Event::default() };
        let source = [LedgerRow {
            event: "tee".into(),
            seen: 1,
            written: 1,
            bytes: 5,
            read_faults: 1,
            unknown: 7,
            ..LedgerRow::default()
        }];
        assert_eq!(counts(&[tee]).ledger(&source).unwrap(), source);
    }

    #[test]
    fn rows_that_a_ledger_does_not_count_are_refused() {
        let tee = Event { event: "tee", ..Event::default() };
        let error = counts(&[tee]).ledger(&[]).unwrap_err();
        assert_eq!(error.to_string(), "it holds 1 row of tee, and its ledger counts 0");
        let names: Vec<String> = (0..=MAX_KINDS).map(|n| n.to_string()).collect();
        let mut counts = Counts::default();
        let noted: Result<()> = names.iter().try_for_each(|event| counts.note(&Event { event, ..Event::default() }));
        assert!(noted.is_err());
    }

    #[test]
    fn so_many_hosts_are_counted() {
        let names: Vec<String> = (0..=MAX_HOSTS).map(|n| n.to_string()).collect();
        let mut counts = Counts::default();
        let mut note = |host: &String| counts.note(&Event { event: "tee", host: Some(host), ..Event::default() });
        assert!(names[..MAX_HOSTS].iter().all(|host| note(host).is_ok()));
        assert!(note(&names[MAX_HOSTS]).unwrap_err().to_string().contains("the rows are of more than 1024 hosts"));
    }

    #[test]
    fn faults_are_counted_as_rows_show_them() {
        let splice = Event { event: "splice", errno: Some("EFAULT"), ..Event::default() };
        let unread = Event { event: "tee", payload_status: Some("fault"), ..Event::default() };
        let exec = Event { event: "process_exec", ..Event::default() };
        let ledger = |event: Event<'_>| counts(&[event]).of[0].read_faults;
        assert_eq!([splice, unread, exec].map(ledger), [1, 1, 1]);
        assert_eq!([Event { argv: Some("a"), ..exec }, Event { errno: Some("EIO"), ..splice }].map(ledger), [0, 0]);
    }
}
