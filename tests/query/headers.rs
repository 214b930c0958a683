//! The names of the columns of results.

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::query;

const SAMPLE: &str = "samples/pipe-relay/pipe-relay.parquet";

/// The names in each format, which have to be the same.
fn names(sql: &str) -> Vec<String> {
    let csv = query(&[SAMPLE, sql, "-T", "csv"]);
    assert_eq!((csv.status, csv.err.as_str()), (0, ""), "{sql}");
    let mut reader = csv::Reader::from_reader(csv.out.as_bytes());
    let names: Vec<String> = reader.headers().unwrap().iter().map(Into::into).collect();

    let jsonl = query(&[SAMPLE, sql, "-T", "jsonl"]).out;
    let first: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(jsonl.lines().next().unwrap()).unwrap();
    assert_eq!(first.len(), names.len(), "{sql}: no key comes twice: {jsonl}");
    assert!(names.iter().all(|name| first.contains_key(name)), "{sql}: {jsonl}");

    let table = query(&[SAMPLE, sql]).out;
    let head = table.lines().next().unwrap();
    assert!(names.iter().all(|name| head.contains(name)), "{sql}: {head}");

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.parquet");
    let out = query(&[SAMPLE, sql, "-T", "parquet", "-o", path.to_str().unwrap()]);
    assert_eq!((out.status, out.err.as_str()), (0, ""), "{sql}");
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&path).unwrap()).unwrap();
    let fields: Vec<String> = reader.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(fields, names, "{sql}");
    names
}

#[test]
fn a_column_has_the_name_that_was_written() {
    for (sql, wanted) in [
        (
            "SELECT contains_bytes(payload, 'a'), max( seq ) over () FROM events",
            &["contains_bytes(payload, 'a')", "max(seq) OVER ()"][..],
        ),
        (
            "SELECT event, COUNT(*), sum(bytes) FROM events GROUP BY event ORDER BY sum(bytes) DESC, count(*)",
            &["event", "COUNT(*)", "sum(bytes)"],
        ),
        ("SELECT sum(bytes) FROM events GROUP BY pid HAVING count(*) > 1 ORDER BY count(*)", &["sum(bytes)"]),
        ("SELECT DISTINCT upper(comm) FROM events ORDER BY upper(comm)", &["upper(comm)"]),
        ("SELECT upper(comm), count(*) FROM events GROUP BY ALL ORDER BY 2 DESC, 1", &["upper(comm)", "count(*)"]),
        ("SELECT upper(comm), count(*) FROM events GROUP BY upper(comm)", &["upper(comm)", "count(*)"]),
        ("SELECT upper(comm), count(*) FROM events GROUP BY 1", &["upper(comm)", "count(*)"]),
        ("SELECT 1, 1, 'a', NULL, -bytes, (seq) FROM events", &["1", "1_1", "'a'", "NULL", "-bytes", "seq"]),
        ("SELECT cast(seq as int), seq::bigint FROM events", &["CAST(seq AS INT)", "seq::BIGINT"]),
        ("SELECT seq, seq, Seq FROM events", &["seq", "seq_1", "Seq_2"]),
        (
            "WITH w AS (SELECT pid, seq AS pid_1 FROM events) SELECT pid, pid, pid_1 FROM w ORDER BY pid_1 DESC",
            &["pid", "pid_2", "pid_1"],
        ),
        ("SELECT DISTINCT lower(event) AS comm, comm FROM events ORDER BY comm", &["comm", "comm_1"]),
        ("SELECT a.pid, b.pid FROM events a JOIN events b ON a.seq = b.seq", &["pid", "pid_1"]),
        ("SELECT * FROM (SELECT sum(bytes) FROM events) AS t", &["sum(bytes)"]),
        ("SELECT \"sum(bytes)\" + 1 FROM (SELECT sum(bytes) FROM events) AS t", &["\"sum(bytes)\" + 1"]),
        ("WITH t AS (SELECT lower(comm) FROM events) SELECT * FROM t", &["lower(comm)"]),
        ("SELECT max(seq) FROM events UNION ALL SELECT min(seq) FROM events", &["max(seq)"]),
        (
            "SELECT (SELECT max(seq) FROM events), seq IN (1, 2) FROM events",
            &["(SELECT max(seq) FROM events)", "seq IN (1, 2)"],
        ),
        ("SELECT local_iov[1]['base'] FROM events", &["local_iov[1]['base']"]),
        ("SELECT CASE WHEN seq > 1 THEN 'x' ELSE 'y' END FROM events", &["CASE WHEN seq > 1 THEN 'x' ELSE 'y' END"]),
        ("SELECT unnest(make_array(1, 2)) FROM events", &["unnest(make_array(1, 2))"]),
        (
            "SELECT lag(seq) OVER (PARTITION BY pid ORDER BY seq) FROM events",
            &["lag(seq) OVER (PARTITION BY pid ORDER BY seq)"],
        ),
        (
            "SELECT count(DISTINCT pid) FILTER (WHERE bytes > 0) FROM events",
            &["count(DISTINCT pid) FILTER (WHERE bytes > 0)"],
        ),
    ] {
        assert_eq!(names(sql), wanted, "{sql}");
    }
}

#[test]
fn a_view_keeps_the_names() {
    let sql =
        "CREATE VIEW v AS SELECT event, max(bytes) FROM events GROUP BY event; SELECT * FROM v ORDER BY \"max(bytes)\"";
    let ran = query(&[SAMPLE, sql, "-T", "csv"]);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    assert!(ran.out.starts_with("event,max(bytes)\n"), "{}", ran.out);
}

/// A name that a column gets takes nothing from a column that has it.
#[test]
fn an_order_is_by_the_column_that_was_named() {
    let column = |sql: &str, at: usize| -> Vec<String> {
        let out = query(&[SAMPLE, sql, "-T", "csv"]).out;
        out.lines().skip(1).map(|line| line.split(',').nth(at).unwrap().to_string()).collect()
    };
    let sql = "WITH w AS (SELECT pid, seq AS pid_1 FROM events) SELECT pid, pid, pid_1 FROM w ORDER BY pid_1 DESC";
    let numbers: Vec<u64> = column(sql, 2).iter().map(|seq| seq.parse().unwrap()).collect();
    assert!(numbers.len() > 5 && numbers.is_sorted_by(|a, b| a > b), "{numbers:?}");
    let plain = column("SELECT lower(event) AS comm, comm FROM events ORDER BY comm", 0);
    let distinct = column("SELECT DISTINCT lower(event) AS comm, comm FROM events ORDER BY comm", 0);
    assert!(plain.is_sorted() && distinct.is_sorted() && distinct.len() > 3, "{distinct:?}");
}
