//! SQL of somebody else's: it sees the captures, and changes what a list allows.

use std::path::Path;
use std::process::Command;

use super::query;

const SAMPLE: &str = "samples/mpi-pair/mpi-pair.parquet";

fn external(kind: &str, location: &Path) -> String {
    format!("CREATE EXTERNAL TABLE t STORED AS {kind} LOCATION '{}'; SELECT count(*) AS n FROM t", location.display())
}

fn refused(args: &[&str], message: &str) {
    let ran = query(&[&[SAMPLE], args].concat());
    assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{args:?}");
    assert!(ran.err.contains(message) && ran.err.lines().count() == 1, "{args:?}: {}", ran.err);
}

#[test]
fn sql_reads_no_file_that_was_not_named() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret.parquet");
    std::fs::copy(super::root().join(SAMPLE), &secret).unwrap();
    for sql in [
        external("PARQUET", &secret),
        format!("EXPLAIN {}", external("PARQUET", &secret)),
        format!("CREATE UNBOUNDED {}", external("PARQUET", &secret).strip_prefix("CREATE ").unwrap()),
    ] {
        refused(&[&sql], "SQL reads the captures that are named before it and no other file: --allow-files lets it");
    }
    for (sql, message) in [
        ("SELECT * FROM '{}'", "not found"),
        ("SELECT * FROM read_parquet('{}')", "there is no table function read_parquet"),
        ("CREATE VIEW v AS SELECT * FROM '{}'", "not found"),
    ] {
        refused(&[&sql.replace("{}", secret.to_str().unwrap())], message);
    }
    for (sql, message) in [
        ("COPY events TO '{}'", "COPY would write"),
        ("COPY (SELECT 1) TO '{}' STORED AS CSV", "COPY would write"),
        ("EXPLAIN COPY events TO '{}'", "COPY would write"),
        ("PREPARE p AS COPY events TO '{}'", "Unsupported SQL statement"),
    ] {
        let out = dir.path().join("out.csv");
        refused(&[&sql.replace("{}", out.to_str().unwrap())], message);
        assert!(!out.exists());
    }
    let allowed = query(&[SAMPLE, "--allow-files", "-Tcsv", &external("PARQUET", &secret)]);
    assert_eq!((allowed.status, allowed.out.as_str(), allowed.err.as_str()), (0, "n\n15\n", ""));
}

#[test]
fn only_regular_files_are_read_if_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo.parquet");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for place in [fifo.as_path(), dir.path(), Path::new("/dev/zero")] {
        for kind in ["PARQUET", "CSV"] {
            refused(&["--allow-files", &external(kind, place)], "is not a regular file");
        }
    }
    refused(&["--allow-files", &external("CSV", &dir.path().join("none"))], "cannot read LOCATION");
    refused(&["--allow-files", &external("CSV", Path::new("https://host/x.csv"))], "is not on this machine");
}

#[test]
fn set_changes_what_a_list_allows() {
    for setting in [
        "datafusion.runtime.memory_limit = '1T'",
        "datafusion.runtime.temp_directory = '/'",
        "datafusion.runtime.max_temp_directory_size = '1T'",
        "datafusion.execution.batch_size = 100000000",
        "datafusion.execution.target_partitions = 100000",
        "datafusion.execution.parquet.pruning = false",
        "DataFusion.Runtime.Memory_Limit = '1T'",
        "datafusion.catalog.location = '/'",
    ] {
        refused(&[&format!("SET {setting}")], "SQL cannot change the setting datafusion.");
    }
    refused(
        &["RESET datafusion.runtime.memory_limit"],
        "SQL cannot change the setting datafusion.runtime.memory_limit",
    );
    let zone = "SET datafusion.execution.time_zone = '+05:00'; SHOW datafusion.execution.time_zone; \
        RESET datafusion.execution.time_zone; SET TimeZone = '+06:00'; SHOW datafusion.execution.time_zone";
    let ran = query(&[SAMPLE, zone, "-Tcsv"]);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    assert!(ran.out.contains("+05:00") && ran.out.contains("+06:00"), "{}", ran.out);
}

#[test]
fn views_and_tables_in_memory_can_be_made() {
    let sql = "CREATE VIEW v AS SELECT * FROM events; CREATE TABLE m AS SELECT count(*) AS n FROM v; SELECT n FROM m; \
        DROP VIEW v; DROP TABLE m; PREPARE p AS SELECT 1 AS one; EXECUTE p";
    let ran = query(&[SAMPLE, sql, "-Tcsv"]);
    assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (0, "n\n15\none\n1\n", ""));
}
