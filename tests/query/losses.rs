//! Losses as the model sees them are those of the view `losses`, row by row.

use std::path::Path;

use serde_json::{Value, json};
use vmtrace::model::loss::{Losses, Lost, What};
use vmtrace::schema::hosts::HostPart;
use vmtrace::schema::manifest::LedgerRow;
use vmtrace::schema::reader::{Capture, Scan};
use vmtrace::schema::{Event, Manifest};

use super::captures::{lost, make_with, manifest, readv, write};
use super::{kept, rows, samples};

const SQL: &str = "SELECT host, event, cause, count, reported, gaps, since_mono_ns, until_mono_ns FROM losses ORDER BY host, event, cause";

fn of_the_model(path: &Path) -> Vec<Value> {
    let capture = Capture::open(path).unwrap();
    let mut losses = Losses::of(capture.manifest());
    for batch in capture.scan(&Scan::default()).unwrap() {
        batch.unwrap().iter().for_each(|event| losses.note(&event));
    }
    assert_eq!(losses.unlisted(), 0);
    let row = |(what, lost): (What<'_>, &Lost)| {
        json!({
            "host": what.host,
            "event": what.event,
            "cause": what.cause,
            "count": lost.count(),
            "reported": lost.reported,
            "gaps": lost.gaps,
            "since_mono_ns": lost.since_mono_ns,
            "until_mono_ns": lost.until_mono_ns,
        })
    };
    losses.iter().map(row).collect()
}

/// How many rows were compared.
fn compare(path: &Path) -> usize {
    let (view, model) = (rows(&[path.to_str().unwrap(), SQL]), of_the_model(path));
    // What is not known is left out of a row, or null.
    let known = |row: &Value| -> Vec<(String, Value)> {
        let fields = row.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
        fields.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    let sorted = |rows: &[Value]| {
        let mut rows: Vec<String> = rows.iter().map(|row| format!("{:?}", known(row))).collect();
        rows.sort();
        rows
    };
    assert_eq!(sorted(&view), sorted(&model), "{}", path.display());
    model.len()
}

#[test]
fn the_models_losses_are_those_of_the_view() {
    for sample in samples() {
        compare(&sample);
    }
    let ledger = |event: &str| LedgerRow { event: event.into(), ..LedgerRow::default() };
    let counted = vec![
        LedgerRow { lost_ring_full: 2468, lost_crash: 5, ..ledger("process_vm_readv") },
        LedgerRow { lost_write_error: 7, ..ledger("tee") },
        ledger("splice"),
    ];
    let other = |us: i64, event: Option<&'static str>, cause: Option<&'static str>, count: u64| Event {
        lost_event: event,
        lost_cause: cause,
        lost_count: Some(count),
        dur_ns: None,
        ..lost(us)
    };
    let events = [
        lost(1),
        readv(2),
        lost(3),
        other(4, Some("process_vm_readv"), Some("recorder_killed"), 4),
        other(5, Some("splice"), Some("left_in_ring"), 6),
        other(6, Some("splice"), Some("of_later"), 8),
        other(7, Some("splice"), None, 9),
        other(8, None, Some("ring_full"), 10),
    ];
    let made = make_with(&Manifest { ledger: counted.clone(), ..manifest() }, &[&events]);
    assert_eq!(compare(Path::new(made.path())), 7);
    // Of several hosts: two lost the same, one is named by no row, and two rows are of none.
    let part = |host: &str, ledger: &[LedgerRow]| HostPart {
        host: host.into(),
        manifest: Manifest { ledger: ledger.to_vec(), ..Manifest::default() },
        ..HostPart::default()
    };
    let hosts = vec![part("web1", &counted), part("web2", &counted[..1]), part("web3", &counted[1..2])];
    let of =
        [Some("web1"), Some("web2"), None, Some("web2"), Some("web1"), Some("stranger"), Some("web1"), Some("web2")];
    let events: Vec<Event<'_>> = events.into_iter().zip(of).map(|(event, host)| Event { host, ..event }).collect();
    let path = kept("hosts.parquet");
    write(&path, &Manifest { ledger: counted, hosts, ..manifest() }, &[&events]);
    let found = compare(&path);
    // Six that ledgers count, and five that rows alone report.
    assert_eq!(found, 11);
}
