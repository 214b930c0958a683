//! A capture without addresses: what shows ranges of memory says that they were removed, and does not show 0.

use super::made::{Place, root};

#[test]
fn ranges_have_lengths_alone_where_addresses_are_removed() {
    let place = Place::new();
    for sample in ["mem-editor", "pipe-relay", "debugger", "mpi-pair"] {
        let file = root().join(format!("samples/{sample}/{sample}.parquet"));
        let out = place.redact(&file, &format!("{sample}.parquet"), &["--level", "metadata"]);
        let out = out.to_str().unwrap();
        let remark = "# redaction took all addresses away: of ranges of memory, only the lengths are known";
        for form in [&["--wide", "--no-fold"][..], &["--no-fold"], &["--by", "process"]] {
            let text = place.ok(&[&["replay", out], form].concat());
            assert_eq!(text.lines().nth(2), Some(remark), "{text}");
            assert!(!text.contains("0x0"), "{sample}: {text}");
        }
        let wide = place.ok(&["replay", out, "--wide", "--no-fold"]);
        let csv = place.ok(&["replay", out, "-T", "csv"]);
        let jsonl = place.ok(&["replay", out, "-T", "jsonl"]);
        assert!(!csv.contains("0x0:") && csv.contains(",:0x"), "{csv}");
        assert!(!jsonl.contains("\"base\":0") && jsonl.contains("{\"base\":null,\"len\":"), "{jsonl}");
        if sample == "mem-editor" {
            assert!(wide.contains(" +32 via fd ") && wide.contains(" into [+8, +24]"), "{wide}");
        }
    }
}

#[test]
fn no_event_is_found_by_an_address_that_was_removed() {
    let place = Place::new();
    let file = root().join("samples/mem-editor/mem-editor.parquet");
    let out = place.redact(&file, "out.parquet", &["--level", "metadata"]);
    let out = out.to_str().unwrap();
    let slice = place.path("slice.parquet");
    let commands: [&[&str]; 4] =
        [&["replay"], &["summary"], &["export", "-T", "jsonl"], &["slice", "-o", slice.to_str().unwrap()]];
    for command in commands {
        let said = place.refused(&[command, &["--address", "0x10", out]].concat());
        let wanted = "redaction took all addresses away (level metadata), so --address finds nothing: ask for a capture of the level share";
        assert!(said.lines().last().is_some_and(|last| last.contains(wanted)), "{command:?}: {said}");
    }
    assert!(!slice.exists());
}
