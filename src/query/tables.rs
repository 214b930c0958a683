//! The content of footers as tables: `manifest`, one row per capture, and `ledger`, one row per entry of its ledger, or of the
//! ledger of each of its hosts.
//!
//! src/query/views/duckdb.sql makes the same tables from the same JSON.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use arrow::array::{ArrayRef, Int32Array, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder};
use datafusion::datasource::MemTable;
use serde_json::Value;

use super::open::Opened;
use crate::schema::Manifest;

/// The table `manifest`.
///
/// # Errors
/// When Arrow refuses the columns, which would be a defect of this module.
pub fn manifest(captures: &[Arc<Opened>]) -> Result<MemTable> {
    let text = |of: &dyn Fn(&Manifest) -> Option<&str>| -> ArrayRef {
        Arc::new(captures.iter().map(|c| of(c.capture.manifest())).collect::<StringArray>())
    };
    let number = |of: &dyn Fn(&Opened) -> i64| -> ArrayRef {
        Arc::new(captures.iter().map(|c| Some(of(c))).collect::<Int64Array>())
    };
    let version = captures.iter().map(|c| i32::try_from(c.capture.version()).ok()).collect::<Int32Array>();
    let argv = captures.iter().map(|c| Some(c.capture.manifest().argv.join(" "))).collect::<StringArray>();
    let mut gaps = ListBuilder::new(StringBuilder::new());
    for capture in captures {
        gaps.append_value(capture.capture.manifest().gaps.iter().map(Some));
    }
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("capture", names(captures), false),
        ("capture_id", text(&|m| Some(&m.capture_id)), true),
        ("schema_version", Arc::new(version), true),
        ("tool_version", text(&|m| Some(&m.tool.version)), true),
        ("tool_git", text(&|m| Some(&m.tool.git)), true),
        ("argv", Arc::new(argv), true),
        ("comment", text(&|m| m.comment.as_deref()), true),
        ("hostname", text(&|m| Some(&m.host.hostname)), true),
        ("kernel", text(&|m| Some(&m.host.release)), true),
        ("machine", text(&|m| Some(&m.host.machine)), true),
        ("boot_id", text(&|m| Some(&m.host.boot_id)), true),
        ("start_ts_ns", number(&|c| c.capture.manifest().start.realtime_ns), true),
        ("end_ts_ns", number(&|c| c.capture.manifest().end.realtime_ns), true),
        ("start_mono_ns", number(&|c| c.capture.manifest().start.monotonic_ns), true),
        ("end_mono_ns", number(&|c| c.capture.manifest().end.monotonic_ns), true),
        ("snaplen", number(&|c| i64::from(c.capture.manifest().filters.snaplen)), true),
        ("end_reason", text(&|m| Some(&m.end_reason)), true),
        ("rows", number(&|c| i64::try_from(c.capture.rows()).unwrap_or(i64::MAX)), true),
        ("gaps", Arc::new(gaps.finish()), true),
        ("manifest", Arc::new(captures.iter().map(|c| Some(json(c))).collect::<StringArray>()), true),
    ])?;
    table(batch)
}

/// The table `ledger`.
///
/// # Errors
/// As for [`manifest`].
pub fn ledger(captures: &[Arc<Opened>]) -> Result<MemTable> {
    let (mut capture, mut event, mut entry, mut count, mut host) = (vec![], vec![], vec![], vec![], vec![]);
    for opened in captures {
        for (of, line) in lines(opened) {
            let name = line.get("event").and_then(Value::as_str).unwrap_or_default();
            for (key, value) in line.as_object().into_iter().flatten().filter(|(key, _)| *key != "event") {
                capture.push(opened.name.clone());
                event.push(name.to_string());
                entry.push(key.clone());
                count.push(value.as_i64());
                host.push(of.clone());
            }
        }
    }
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("capture", Arc::new(StringArray::from(capture)) as ArrayRef, false),
        ("event", Arc::new(StringArray::from(event)), false),
        ("entry", Arc::new(StringArray::from(entry)), false),
        ("count", Arc::new(Int64Array::from(count)), true),
        ("host", Arc::new(StringArray::from(host)), true),
    ])?;
    table(batch)
}

fn table(batch: RecordBatch) -> Result<MemTable> {
    MemTable::try_new(batch.schema(), vec![vec![batch]]).map_err(|error| anyhow!("{error}"))
}

fn names(captures: &[Arc<Opened>]) -> ArrayRef {
    Arc::new(captures.iter().map(|c| Some(c.name.as_str())).collect::<StringArray>())
}

/// The manifest as in the file, including fields that this version does not know.
fn json(opened: &Opened) -> &str {
    opened.capture.manifest_json()
}

/// The rows of its ledger; those of the ledger of each host, with what rows call it, where it has several.
fn lines(opened: &Opened) -> Vec<(Option<String>, Value)> {
    let manifest: Value = serde_json::from_str(json(opened)).unwrap_or_default();
    let list = |of: &Value, name: &str| of.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let hosts = list(&manifest, "hosts");
    if hosts.is_empty() {
        return list(&manifest, "ledger").into_iter().map(|line| (None, line)).collect();
    }
    let of_host = |part: &Value| {
        let host = part.get("host").and_then(Value::as_str).map(str::to_string);
        let lines = part.get("manifest").map(|of| list(of, "ledger")).unwrap_or_default();
        lines.into_iter().map(move |line| (host.clone(), line)).collect::<Vec<_>>()
    };
    hosts.iter().flat_map(of_host).collect()
}
