//! Transfers as the model sees them are those of the view `transfers`, row by row.

use std::path::Path;

use serde_json::{Map, Value, json};
use vmtrace::model::transfer::{Address, End, Party, Transfer};
use vmtrace::schema::reader::{Capture, Scan};
use vmtrace::schema::types::Iovecs;

use super::{rows, samples};

const COLUMNS: &str = "seq, event, pid, comm, bytes, payload";
/// Behind `src_` and `dst_`.
const OF_AN_END: [&str; 12] = [
    "kind",
    "pid",
    "key",
    "comm",
    "exe",
    "container",
    "pipe",
    "path",
    "local_addr",
    "local_port",
    "peer_addr",
    "peer_port",
];

fn ranges(iovecs: Option<Iovecs<'_>>) -> Value {
    iovecs.map_or(Value::Null, |list| list.iter().map(|iov| json!({ "base": iov.base, "len": iov.len })).collect())
}

/// Puts the columns of an end into a row, as the view names them.
fn put(row: &mut Map<String, Value>, side: &str, end: &End<'_>) {
    let mut put = |name: &str, value: Value| drop(row.insert(format!("{side}_{name}"), value));
    let party = |put: &mut dyn FnMut(&str, Value), party: &Party<'_>| {
        put("pid", json!(party.pid));
        put("key", json!(party.key));
        put("comm", json!(party.comm));
        put("exe", json!(party.exe));
        put("container", json!(party.container));
    };
    match end {
        End::Memory { process, ranges: iovecs } | End::Register { process, ranges: iovecs } => {
            put("kind", json!("process"));
            party(&mut put, process);
            put("iov", ranges(*iovecs));
        }
        End::Pipe { inode, path, fed_by } => {
            put("kind", json!(if path.is_some() { "fifo" } else { "pipe" }));
            put("pipe", json!(inode));
            put("path", json!(path));
            party(&mut put, fed_by);
        }
        End::Socket { local, peer } => {
            put("kind", json!("socket"));
            for (name, Address { addr, port }) in [("local", local), ("peer", peer)] {
                put(&format!("{name}_addr"), json!(addr));
                put(&format!("{name}_port"), json!(port));
            }
        }
        End::File { kind, path } => {
            put("kind", json!(kind.unwrap_or("file")));
            put("path", json!(path));
        }
    }
}

fn of_the_model(capture: &Path) -> Vec<Value> {
    let capture = Capture::open(capture).unwrap();
    let mut all = Vec::new();
    for batch in capture.scan(&Scan::default()).unwrap() {
        for event in batch.unwrap().iter() {
            let Some(transfer) = Transfer::of(&event) else { continue };
            let Transfer { seq, event, caller, from, to, bytes, payload } = transfer;
            let hex = payload.map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
            let mut row = Map::from_iter([
                ("seq".to_string(), json!(seq)),
                ("event".to_string(), json!(event)),
                ("pid".to_string(), json!(caller.pid)),
                ("comm".to_string(), json!(caller.comm)),
                ("bytes".to_string(), json!(bytes)),
                ("payload".to_string(), json!(hex)),
            ]);
            put(&mut row, "src", &from);
            put(&mut row, "dst", &to);
            all.push(without_nulls(row));
        }
    }
    all
}

fn without_nulls(mut row: Map<String, Value>) -> Value {
    row.retain(|_, value| !value.is_null());
    Value::Object(row)
}

#[test]
fn the_models_transfers_are_those_of_the_view() {
    let ends = ["src", "dst"].map(|side| {
        let columns = OF_AN_END.iter().chain([&"iov"]).map(|name| format!("{side}_{name}"));
        columns.collect::<Vec<_>>().join(", ")
    });
    let sql = format!("SELECT {COLUMNS}, {} FROM transfers ORDER BY seq", ends.join(", "));
    let samples = samples();
    assert!(samples.len() >= 7, "{samples:?}");
    let mut compared = 0;
    for sample in samples {
        let view = rows(&[sample.to_str().unwrap(), &sql]);
        let model = of_the_model(&sample);
        assert_eq!(view.len(), model.len(), "{}", sample.display());
        for (view, model) in view.into_iter().zip(model) {
            let Value::Object(view) = view else { panic!("{view}") };
            assert_eq!(without_nulls(view), model, "{}", sample.display());
            compared += 1;
        }
    }
    assert!(compared > 150, "only {compared} rows were compared");
}
