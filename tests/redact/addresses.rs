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

#[test]
fn no_export_shows_an_address_that_was_removed() {
    let place = Place::new();
    let export = |file: &str, format: &str| {
        let out = place.path("exported");
        place.ok(&["export", "-T", format, file, "-o", out.to_str().unwrap(), "--force"]);
        String::from_utf8_lossy(&std::fs::read(out).unwrap()).into_owned()
    };
    for sample in ["mem-editor", "pipe-relay", "debugger", "uffd", "mpi-pair"] {
        let file = root().join(format!("samples/{sample}/{sample}.parquet"));
        let out = place.redact(&file, &format!("{sample}.parquet"), &["--level", "metadata"]);
        let (file, out) = (file.to_str().unwrap(), out.to_str().unwrap());
        let strace = export(out, "strace");
        for nothing in ["0x0", "iov_base=NULL", "NULL) ", "NULL, 32"] {
            assert!(!strace.contains(nothing), "{sample}: {nothing}: {strace}");
        }
        // What goes through pipes has no form in OCSF.
        for format in ["ecs", "ocsf"].iter().take(if sample == "pipe-relay" { 1 } else { 2 }) {
            let (before, text) = (export(file, format), export(out, format));
            assert!(before.contains("\"0x7") && !text.contains("\"0x7"), "{sample}: {format}");
            assert!(!text.contains("\"0x0+") && !text.contains("address\":\"0x0\""), "{sample}: {format}: {text}");
            assert!(text.contains("[\"+"), "{sample}: {format}: {text}");
        }
        let timesketch = export(out, "timesketch");
        assert!(timesketch.contains("_iov\":\":0x") && !timesketch.contains("0x0:"), "{sample}: {timesketch}");
        // The name of an annotation, behind its length.
        let has_base = |file: &str| export(file, "perfetto").contains("\u{4}base");
        assert!(has_base(file) && !has_base(out), "{sample}");
    }
    let line = |sample: &str, call: &str| {
        let strace = export(place.path(&format!("{sample}.parquet")).to_str().unwrap(), "strace");
        let line = strace.lines().find(|line| line.contains(call)).unwrap_or_else(|| panic!("{call}: {strace}"));
        line.split_once(call).unwrap().1.to_string()
    };
    assert!(line("mem-editor", " pread64(").contains(", ..., 32, ...) = 32"), "{}", line("mem-editor", " pread64("));
    assert!(line("mem-editor", " readv(").contains("[{iov_base=..., iov_len=8}, {iov_base=..., iov_len=24}], 2) = 32"));
    assert!(line("debugger", "ptrace(PTRACE_GETREGS, ").ends_with(", ...) = 0"));
    assert!(line("uffd", "UFFDIO_COPY, ").starts_with("{dst=..., src=..., len=0x1000, mode=0, copy=0x1000}"));
}
