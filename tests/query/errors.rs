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
        ("INSERT INTO events VALUES (1)", "INSERT would write", None),
        ("SELECT arg_max(comm, seq) OVER () FROM events", "arg_max cannot be used here", None),
        ("SELECT 'a", "Unterminated string literal", Some(8)),
    ] {
        let (found, column) = fails(&[SAMPLE, sql]);
        assert!(found.contains(message), "{sql}: {found}");
        assert!(!query(&[SAMPLE, sql]).err.contains("bug"), "{sql}");
        assert_eq!(column, caret, "{sql}: {found}");
    }
}

/// Mistakes that people make: each is answered by one sentence in plain words.
#[test]
fn mistakes_are_answered_plainly() {
    for (sql, message) in [
        ("SELECT cout(*) FROM events", "there is no function cout: did you mean count?"),
        ("SELECT hexdmp(payload) FROM events", "there is no function hexdmp: did you mean hexdump?"),
        ("SELECT qqqqq(payload) FROM events", "there is no function qqqqq"),
        ("SELECT rank() FROM events", "rank is a function of a window: write rank() OVER (ORDER BY ...)"),
        ("SELECT comm FROM evnts", "table 'evnts' not found: did you mean events?"),
        ("SELECT * FROM denied", "table 'denied' not found: it is an analysis, --named denied runs it"),
        (
            "SELECT * FROM missing.parquet",
            "table 'missing.parquet' not found: SQL reads the captures that are named before it, as the table events",
        ),
        (
            "SELECT * FROM read_parquet('missing.parquet')",
            "there is no table function read_parquet: SQL reads the captures that are named before it, as the table events",
        ),
        (
            "SELECT * FROM generate_serie(1, 2)",
            "there is no table function generate_serie: did you mean generate_series?",
        ),
        (
            "SELECT * FROM events WHERE comm = 5",
            "'vmtrace' is no number of type Int64: compare numbers with numbers and text with text; TRY_CAST makes null of what is none",
        ),
        ("SELECT * FROM events WHERE pid = 'gdb'", "'gdb' is no number of type Int32: "),
        ("SELECT * FROM events WHERE ts > 5", "these types cannot be compared: timestamp > Int64; CAST one side"),
        (
            "SELECT * FROM events WHERE ts > 'yesterday'",
            "'yesterday' is no timestamp: write it as '2026-11-30T08:52:47Z'",
        ),
        ("SELECT * FROM events WHERE comm = \"gdb\"", "No field named gdb. Text stands in single quotes: 'gdb'."),
        (
            "SELECT comm, count(*) FROM events",
            "column comm is neither in GROUP BY nor in an aggregate: write GROUP BY comm, or min(comm)",
        ),
        ("SELECT comm FROM events GROUP BY comm HAVING bytes > 1", "column bytes is neither in GROUP BY nor "),
        ("SELECT comm events", "No field named comm. FROM is missing, which names a table."),
        ("SELECT 1; SELCT 2", "Expected: an SQL statement, found: SELCT: did you mean SELECT?"),
        ("SELECT 1 SELECT 2", "Expected: end of statement, found: SELECT: a semicolon parts statements"),
        ("SELECT comm FROM events ORDER pid", "Expected: end of statement, found: ORDER: did you mean ORDER BY?"),
        ("SELECT comm FROM events WHERE", "Expected: an expression, found: the end of the SQL"),
        ("SELECT local_iov[1]['bas'] FROM events", "the structure has no field bas: DESCRIBE events shows the fields"),
        ("SELECT local_iov.base FROM events", "a list has no fields: take one of its items first, as in "),
        ("SELECT local_iov[1].bas FROM events", "a dot is for columns of tables: a field is taken as in "),
        ("SELECT local_iov[1]['base']['x'] FROM events", "UInt64 has no fields"),
        ("SELECT comm + 1 FROM events", "these types cannot be calculated with: text + Int64; CAST one side"),
        ("SELECT local_iov > 1 FROM events", "these types cannot be compared: list > Int64; CAST one side"),
        ("SELECT max(local_iov) FROM events", "lists and structures have no order: "),
        ("SELECT sum(comm) FROM events", "sum does not take this argument: text"),
        ("SELECT avg(ts) FROM events", "avg does not take this argument: timestamp"),
        (
            "SELECT upper(comm, 2) FROM events",
            "Function 'upper' expects 1 argument but received 2: write upper(String)",
        ),
        ("SELECT substr(comm) FROM events", "substr needs a place to begin: substr(text, 1, 5)"),
        ("SELECT 1 / 0", "division by zero: x / nullif(y, 0) is null instead"),
        (
            "SELECT 1 IN (SELECT pid FROM events)",
            "IN (SELECT ...), EXISTS, ANY and ALL are conditions of WHERE and no values",
        ),
        (
            "SELECT pid NOT IN (SELECT pid FROM events) FROM events",
            "IN (SELECT ...), EXISTS, ANY and ALL are conditions",
        ),
        ("SELECT EXISTS (SELECT 1 FROM events)", "IN (SELECT ...), EXISTS, ANY and ALL are conditions of WHERE"),
        ("SELECT 1 = ANY (SELECT pid FROM events)", "IN (SELECT ...), EXISTS, ANY and ALL are conditions of WHERE"),
        ("SELECT * FROM events WHERE comm ~ '('", "the regular expression is wrong: unclosed group"),
        ("SELECT find_all(payload, '(') FROM events", "\"(\" is not a regular expression: unclosed group"),
        ("SELECT CAST(comm AS INTT) FROM events", "Unsupported SQL type INTT"),
        ("SHOW TABELS", "there is no setting tabels: did you mean SHOW TABLES?"),
        ("DROP TABLE nothing", "Table 'nothing' doesn't exist."),
        (";", "there is no SQL to run"),
        ("/* a comment */", "there is no SQL to run"),
    ] {
        let (found, _) = fails(&[SAMPLE, sql]);
        assert!(found.starts_with(message), "{sql}: {found}");
        let said = query(&[SAMPLE, sql]).err;
        let caret = said.ends_with("^\n");
        assert_eq!(said.lines().count(), if caret { 3 } else { 1 }, "one sentence, and where: {said}");
        for internal in ["error: ", "Utf8", "BinaryView", "datafusion", "Span(", "non-null", "\\t"] {
            assert!(!said.contains(internal), "{sql}: {said}");
        }
    }
}

#[test]
fn deep_sql_is_refused_not_crashed_on() {
    let deep = format!("SELECT {}1{}", "(".repeat(20_000), ")".repeat(20_000));
    let (message, _) = fails(&[SAMPLE, &deep]);
    assert!(message.contains("recursion"), "{message}");
    let long = |operators| format!("SELECT 1{}", " + 1".repeat(operators));
    assert_eq!(query(&[SAMPLE, &long(250)]).status, 0);
    // The engine would take time by the square of their number.
    for many in [long(300), long(16_000), format!("SELECT 1 FROM events WHERE {}", vec!["pid = 1"; 5_000].join(" OR "))]
    {
        let (message, _) = fails(&[SAMPLE, &many]);
        assert!(message.contains("more than 256 operators one after another: write x IN (1, 2, ...)"), "{message}");
    }
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
        (&[SAMPLE, "selct 1"], "Expected: an SQL statement, found: selct"),
        (&[SAMPLE, "missing.parquet"], "cannot open missing.parquet"),
    ] {
        let (found, _) = fails(args);
        assert!(found.contains(message), "{args:?}: {found}");
    }
    assert_eq!(query(&[SAMPLE, "SELECT 1", "--memory-limit", "1M"]).status, 2);
    let narrow = query(&[SAMPLE, "SELECT 1", "--width", "7"]);
    assert!(narrow.status == 2 && narrow.err.contains("give 0 for whole lines, or 40 to 4000"), "{}", narrow.err);
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
