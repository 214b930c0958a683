//! What the workload did, as JSON.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::buffer::{content, hex};
use super::sys;

/// Calls of one kind.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// All calls.
    pub calls: u64,
    /// Those that did not fail.
    pub ok: u64,
    /// Bytes that moved.
    pub bytes: u64,
    /// The others, by errno.
    pub failed: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts a call that returned `ret` and moved `bytes`.
    pub fn add(&mut self, ret: i64, bytes: u64) {
        self.calls += 1;
        match sys::errno_name(ret) {
            None => {
                self.ok += 1;
                self.bytes += bytes;
            }
            Some(errno) => *self.failed.entry(errno).or_default() += 1,
        }
    }

    fn merge(&mut self, other: Tally) {
        self.calls += other.calls;
        self.ok += other.ok;
        self.bytes += other.bytes;
        for (errno, n) in other.failed {
            *self.failed.entry(errno).or_default() += n;
        }
    }
}

/// What a recorder should have seen of one call: columns of a capture and their values.
#[derive(Clone, Debug)]
pub struct Entry(Map<String, Value>);

impl Entry {
    /// A native call of this thread that returned `ret`. `bytes` follows from `ret`.
    pub fn new(event: &str, ret: i64) -> Self {
        let mut entry = Entry(Map::new());
        entry.set("event", json!(event));
        entry.set("abi", json!("native"));
        entry.set("pid", json!(std::process::id()));
        entry.set("tid", json!(sys::gettid()));
        entry.set("ret", json!(ret));
        entry.set("errno", json!(sys::errno_name(ret)));
        entry.set("bytes", json!(ret.max(0)));
        if ret < 0 { entry.nothing_captured() } else { entry }
    }

    fn set(&mut self, column: &str, value: Value) {
        self.0.insert(column.to_string(), value);
    }

    /// Also expects `value` in `column`.
    pub fn with(mut self, column: &str, value: impl Into<Value>) -> Self {
        self.set(column, value.into());
        self
    }

    /// Leaves open what `column` holds.
    pub fn forget(&mut self, column: &str) {
        self.0.remove(column);
    }

    /// Expects `bytes` as what moved; the test cuts them at its snap length.
    pub fn payload(self, bytes: &[u8]) -> Self {
        let total = bytes.len();
        self.with("payload", hex(bytes)).with("payload_total", total).with("payload_side", "caller")
    }

    /// Expects the payload of number `seq`, as many bytes as moved.
    pub fn numbered(self, seq: u64) -> Self {
        let moved = self.bytes();
        if moved > 0 { self.payload(&content(seq, moved as usize)) } else { self.nothing_captured() }
    }

    /// Expects no payload.
    pub fn nothing_captured(self) -> Self {
        self.with("payload", Value::Null).with("payload_total", 0).with("payload_side", Value::Null)
    }

    /// The event's name.
    pub fn event(&self) -> &str {
        self.0.get("event").and_then(Value::as_str).unwrap_or_default()
    }

    fn ret(&self) -> i64 {
        self.0.get("ret").and_then(Value::as_i64).unwrap_or_default()
    }

    fn bytes(&self) -> u64 {
        self.0.get("bytes").and_then(Value::as_u64).unwrap_or_default()
    }
}

/// Everything the workload did.
#[derive(Debug, Default)]
pub struct Report {
    tallies: BTreeMap<String, Tally>,
    log: Vec<Entry>,
    facts: Map<String, Value>,
}

impl Report {
    /// Notes a fact beside the tallies.
    pub fn fact(&mut self, name: &str, value: impl Into<Value>) {
        self.facts.insert(name.to_string(), value.into());
    }

    /// Counts and logs one call.
    pub fn call(&mut self, entry: Entry) {
        self.tallies.entry(entry.event().to_string()).or_default().add(entry.ret(), entry.bytes());
        self.log.push(entry);
    }

    /// Takes over the calls of a loop: all of them counted, some of them logged.
    pub fn calls(&mut self, event: &str, tally: Tally, log: Vec<Entry>) {
        self.tallies.entry(event.to_string()).or_default().merge(tally);
        self.log.extend(log);
    }

    /// What a child process reported of itself, as [`Report::into_json`] made it.
    pub fn child(&mut self, json: &Value) -> Result<()> {
        for entry in json.get("log").and_then(Value::as_array).into_iter().flatten() {
            self.call(Entry(entry.as_object().cloned().unwrap_or_default()));
        }
        Ok(())
    }

    /// The whole report.
    pub fn into_json(self) -> Value {
        let mut all = self.facts;
        all.insert("pid".into(), json!(std::process::id()));
        all.insert("calls".into(), json!(self.tallies));
        all.insert("log".into(), self.log.into_iter().map(|e| Value::Object(e.0)).collect());
        Value::Object(all)
    }

    /// Prints the report as one line.
    pub fn print(self) -> Result<()> {
        println!("{}", serde_json::to_string(&self.into_json())?);
        Ok(())
    }
}
