//! The table `flows` has the flows that `vmtrace flows` prints, row by row; and so has the Parquet file that it writes.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{kept, query, root, rows, samples};

/// Columns that the two have under the same name, or that differ in form alone.
const SQL: &str = "SELECT * FROM flows ORDER BY source_seq, source_offset, sink_seq, sink_offset, pipes";

/// What `vmtrace flows` does with `args`; its output.
fn flows(args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmtrace"));
    let ran = command.arg("flows").args(args).current_dir(root()).output().unwrap();
    assert!(ran.status.code().is_some_and(|status| status < 2), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

/// The row that the table should have of a flow in the JSON of `vmtrace flows`.
fn row(flow: &Value) -> Value {
    let mut row = serde_json::Map::new();
    let mut put = |name: String, value: &Value| {
        if !value.is_null() {
            row.insert(name, value.clone());
        }
    };
    put("capture".into(), &flow["file"]);
    for side in ["source", "sink"] {
        for (name, value) in flow[side].as_object().unwrap() {
            let number = |text: &str| json!(u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap());
            let value = if name == "address" { value.as_str().map(number).unwrap_or_default() } else { value.clone() };
            put(format!("{side}_{name}"), &value);
        }
    }
    let number = |text: &str| json!(u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap());
    put("via_address".into(), &flow["via_address"].as_str().map(number).unwrap_or_default());
    let steps = flow["pipes"].as_array().unwrap();
    let moved: Vec<&Value> = steps.iter().map(|step| &step["moved_by"]["seq"]).filter(|seq| !seq.is_null()).collect();
    put("pipes".into(), &steps.iter().map(|step| step["pipe"].clone()).collect());
    put("moved_by".into(), &json!(moved));
    for name in
        ["certainty", "why", "held_before", "by_reference", "equal", "differs_at", "via_pid", "via_comm", "bytes"]
    {
        put(name.into(), &flow[name]);
    }
    Value::Object(row)
}

/// Rows of the table without their nulls, as a set.
fn without_nulls(rows: Vec<Value>) -> Vec<String> {
    let mut texts: Vec<String> = rows
        .into_iter()
        .map(|row| {
            let Value::Object(mut row) = row else { panic!("{row}") };
            row.retain(|_, value| !value.is_null());
            Value::Object(row).to_string()
        })
        .collect();
    texts.sort();
    texts
}

fn expected(path: &str) -> Vec<String> {
    let printed = flows(&[path, "-T", "json"]);
    let mut rows: Vec<String> =
        printed.lines().map(|line| row(&serde_json::from_str(line).unwrap()).to_string()).collect();
    rows.sort();
    rows
}

#[test]
fn the_table_has_what_the_command_prints() {
    let mut seen = 0;
    for path in samples() {
        let path = path.to_str().unwrap();
        let expected = expected(path);
        assert_eq!(without_nulls(rows(&[path, SQL])), expected, "{path}");
        seen += expected.len();
    }
    assert!(seen >= 10, "{seen} flows in all samples");
}

#[test]
fn flows_as_parquet_are_the_same_rows_and_nothing_is_replaced_unasked() {
    let sample = root().join("samples/pipe-relay/pipe-relay.parquet");
    let sample = sample.to_str().unwrap();
    let written = kept("flows.parquet");
    let name = written.to_str().unwrap();
    assert_eq!(flows(&[sample, "-T", "parquet", "-o", name, "--force"]), "");
    let sql = format!("CREATE EXTERNAL TABLE written STORED AS PARQUET LOCATION '{name}'; SELECT * FROM written");
    let read = rows(&[sample, "--allow-files", &sql]);
    assert_eq!(without_nulls(read), expected(sample));
    assert_refused(&written, &[sample, "-T", "parquet", "-o", name], "exists");
    assert_refused(&written, &[sample, "-T", "parquet"], "needs -o FILE");
    assert_refused(&written, &[sample, "-o", name], "-o is for -T parquet");
}

/// Refused in one sentence, with the file as it was.
fn assert_refused(file: &Path, args: &[&str], why: &str) {
    let before = std::fs::read(file).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmtrace"));
    let ran = command.arg("flows").args(args).output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!((ran.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains(why), "{said}");
    assert!(std::fs::read(file).unwrap() == before);
}

#[test]
fn a_limit_ends_the_query_before_all_is_read() {
    let ran = query(&["samples/pipe-relay", "SELECT certainty FROM flows LIMIT 1"]);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
}
