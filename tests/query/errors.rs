//! Bad SQL and bad usage: what is said, and where it points.

use super::query;

const SAMPLE: &str = "samples/mpi-pair/mpi-pair.parquet";

/// The message without its `vmtrace: `, and the column of the caret, from 1.
fn fails(args: &[&str]) -> (String, Option<usize>) {
    let ran = query(args);
    assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{args:?}");
    let mut lines = ran.err.lines();
    let message = lines.next().unwrap().strip_prefix("vmtrace: ").unwrap_or_default().to_string();
    let caret = lines.last().filter(|line| line.ends_with('^')).map(|line| line.len() - 2);
    (message, caret)
}

#[test]
fn errors_point_into_the_sql() {
    for (sql, message, caret) in [
        ("SELECT pid,, tid FROM events", "Expected: an expression", Some(12)),
        ("SELECT pid FROM\nevents WHERE nope = 1", "No field named nope", Some(14)),
        ("SELECT count(*) FROM nothing", "table 'nothing' not found: there are edges, events, flows, ", Some(22)),
        ("SELECT count(*) FROM event", "table 'event' not found: did you mean events?", Some(22)),
        ("SELECT a.pid FROM events a JOIN edges b ON pid = 1", "Ambiguous reference", Some(44)),
        ("SELECT hexdump(pid) FROM events", "the function takes other arguments: hexdump(bytes)", None),
        ("COPY events TO 'never.csv'", "COPY would write", None),
        ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'https://host/x'", "--allow-files lets it", None),
        ("SELECT * FROM 'https://host/x.parquet'", "table 'https://host/x.parquet' not found", None),
        ("SELECT * FROM 'src/main.rs'", "table 'src/main.rs' not found", None),
        ("SELECT rank() OVER (ORDER BY payload) FROM events", "write OVER (... ORDER BY ... ROWS UNBOUNDED", None),
        ("SELECT max(seq) OVER (ORDER BY local_iov) FROM events", "write OVER (... ORDER BY ... ROWS UNBOUNDED", None),
        ("SELECT arg_max(comm) FROM events", "arg_max", None),
        ("SELECT arg_max(comm, seq) OVER () FROM events", "arg_max cannot be used here", None),
        ("SELECT 'a", "Unterminated string literal", Some(8)),
    ] {
        let (found, column) = fails(&[SAMPLE, sql]);
        assert!(found.contains(message), "{sql}: {found}");
        assert!(!query(&[SAMPLE, sql]).err.contains("bug"), "{sql}");
        assert_eq!(column, caret, "{sql}: {found}");
    }
}

#[test]
fn deep_sql_is_refused_not_crashed_on() {
    let deep = format!("SELECT {}1{}", "(".repeat(20_000), ")".repeat(20_000));
    let (message, _) = fails(&[SAMPLE, &deep]);
    assert!(message.contains("recursion"), "{message}");
    let long = format!("SELECT 1{}", " + 1".repeat(300));
    assert_eq!(query(&[SAMPLE, &long]).status, 0);
    let (message, _) = fails(&[SAMPLE, &format!("SELECT 1{}", " + 1".repeat(25_000))]);
    assert!(message.contains("longer than"), "{message}");
}

#[test]
fn usage_is_checked() {
    for (args, message) in [
        (&["missing.parquet", "SELECT 1"][..], "cannot open missing.parquet"),
        (&["src", "SELECT 1"], "src holds no captures"),
        (&["nothing*", "SELECT 1"], "nothing* matches no file"),
        (&["Cargo.toml", "SELECT 1"], "is not a Parquet file: not a capture"),
        (&[SAMPLE, "--named", "denid"], "there is no analysis \"denid\": did you mean denied?"),
        (&[SAMPLE, "--named", "nope"], "there is no analysis \"nope\": take one of top-talkers"),
        (&[SAMPLE, "SELECT 1", "--named", "gaps"], "--named and SQL exclude each other"),
        (&[SAMPLE, " "], "there is no SQL to run"),
        (&[SAMPLE], "there is no SQL to run"),
        (&[SAMPLE, "selct"], "selct is neither a file that exists nor an SQL statement: did you mean SELECT?"),
        (&[SAMPLE, "edge"], "did you mean \"SELECT * FROM edges\"?"),
        (&["SELECT 1"], "there is no capture to ask: name one before the SQL"),
        (&[SAMPLE, "SELECT 1", "--width", "7"], "give 0 for whole lines, or 40 to 65535"),
        (&[SAMPLE, "selct 1"], "Expected: an SQL statement, found: selct"),
        (&[SAMPLE, "missing.parquet"], "cannot open missing.parquet"),
    ] {
        let (found, _) = fails(args);
        assert!(found.contains(message), "{args:?}: {found}");
    }
    assert_eq!(query(&[SAMPLE, "SELECT 1", "--memory-limit", "1M"]).status, 2);
    assert_eq!(query(&[]).status, 2);
}

#[test]
fn analyses_can_be_listed_and_shown() {
    let list = query(&["--list"]);
    assert_eq!(list.status, 0);
    for line in list.out.lines() {
        let shown = query(&["--show", line.split_whitespace().next().unwrap()]);
        assert_eq!(shown.status, 0);
        assert!(shown.out.contains("SELECT") && shown.out.contains("-- Benign: "), "{line}");
    }
    assert!(query(&[SAMPLE, "--print-duckdb-views"]).out.contains("CREATE OR REPLACE VIEW transfers"));
}
