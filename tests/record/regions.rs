//! The mappings in which remote ranges lie: each is named right, or not at all.

use std::collections::BTreeMap;

use serde_json::Value;
use vmtrace::schema::manifest::Manifest;

use super::harness::{Recording, Row, Tier, record, record_by, work};

/// Whether this kernel shows what mappings are named by.
fn are_named(manifest: &Manifest) -> bool {
    let attached = manifest.hooks.iter().any(|hook| hook.serves == "regions" && hook.attached);
    let gaps = manifest.gaps.iter().filter(|gap| gap.contains("region_source none")).count();
    assert!(gaps == 1 || (gaps == 0 && attached), "said once, or not at all: {:?}", manifest.gaps);
    gaps == 0
}

fn recorded(tier: Tier, case: &str) -> Recording {
    let recording = record_by(tier.recorder(), &["-e", "process_vm_readv,@process"], &work(&format!("edge {case}")));
    recording.succeeded();
    tier.check(&recording);
    recording
}

/// The numbers in the manifest are those of the rows.
fn accounted(recording: &Recording, rows: &[Row], named: usize) {
    let Some(readings) = recording.manifest().regions else {
        assert_eq!(named, 0);
        return;
    };
    let unnamed: u64 = readings.unnamed().map(|(count, _)| count).sum();
    assert_eq!((readings.named, unnamed), (named as u64, (rows.len() - named) as u64), "{readings:?}");
    println!("{named} of {} named: {readings:?}", rows.len());
}

/// Of calls on a target that maps nothing for a while. The last ones are not, if it ends or maps something soon after them.
fn some_are_named(recording: &Recording, rows: &[Row]) {
    let named = rows.iter().filter(|row| row["region_source"] == "maps").count();
    assert_eq!(named > 0, are_named(&recording.manifest()), "{named} of {}: {rows:?}", rows.len());
}

fn judge_kinds(tier: Tier) {
    let recording = recorded(tier, "regions");
    let (report, rows) = (recording.report(), recording.event("process_vm_readv"));
    let (mut at, mut named) = (0, 0);
    for phase in report["phases"].as_array().expect("phases") {
        let (calls, places) =
            (phase["calls"].as_u64().expect("calls") as usize, phase["places"].as_array().expect("places"));
        let of_phase = &rows[at..at + calls];
        at += calls;
        for row in of_phase.iter().filter(|row| row["region_source"] == "maps") {
            let regions = row["remote_regions"].as_array().expect("regions");
            assert_eq!(regions.len(), places.len());
            for (region, place) in regions.iter().zip(places) {
                assert_eq!((&region[3], &region[2]), (&place["path"], &place["perms"]), "of {place}: {region}");
                let file_offset =
                    if place["path"].as_str().is_some_and(|path| path.ends_with("kept file")) { 4096 } else { 0 };
                assert!(region[3] == "[stack]" || region[3] == "[heap]" || region[4] == file_offset, "{region}");
            }
            named += 1;
        }
        some_are_named(&recording, of_phase);
    }
    assert_eq!(at, rows.len());
    accounted(&recording, &rows, named);
}

#[test]
#[ignore = "needs root and BPF"]
fn every_kind_of_mapping_on_the_best_tier() {
    judge_kinds(Tier::Best);
}

#[test]
#[ignore = "needs root and BPF"]
fn every_kind_of_mapping_on_the_tracepoint_tier() {
    judge_kinds(Tier::Tracepoint);
}

/// What was mapped when a call read it is told by the bytes. Whatever is mapped and unmapped under the calls and under the
/// recorder's readings, a name that is given is right.
fn judge_race(tier: Tier) {
    let recording = recorded(tier, "regions-race");
    let (report, rows) = (recording.report(), recording.event("process_vm_readv"));
    let mut found: BTreeMap<(String, u8), usize> = BTreeMap::new();
    let mut named = 0;
    for row in &rows {
        let payload = row.text("payload");
        let byte = |at: usize| u8::from_str_radix(&payload[2 * at..2 * at + 2], 16).expect("hexadecimal");
        let bytes = [byte(0), byte(64)];
        let source = row.text("region_source");
        for (index, byte) in bytes.into_iter().enumerate() {
            *found.entry((source.to_string(), byte)).or_default() += 1;
            if source == "maps" {
                let (region, variant) = (&row["remote_regions"][index], &report["variants"][byte.to_string()]);
                assert_eq!([&region[3], &region[2]], [&variant[0], &variant[1]], "range {index} of {row:?}");
            }
        }
        named += usize::from(source == "maps");
    }
    println!("{found:?}");
    let variants: Vec<u8> = found.keys().filter(|(source, _)| source == "maps").map(|(_, byte)| *byte).collect();
    assert!(!are_named(&recording.manifest()) || !variants.is_empty(), "nothing was named: {found:?}");
    assert!(found.keys().any(|(source, _)| source == "none"), "nothing was remapped in time: {found:?}");
    accounted(&recording, &rows, named);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_racing_remapper_on_the_best_tier() {
    judge_race(Tier::Best);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_racing_remapper_on_the_tracepoint_tier() {
    judge_race(Tier::Tracepoint);
}

/// The first range was read of one mapping, the second of another in its place. What is there when the recorder looks is right
/// for the second only, so none is named.
#[test]
#[ignore = "needs root and BPF"]
fn mappings_that_change_within_a_call_are_not_named() {
    for tier in [Tier::Best, Tier::Tracepoint] {
        let recording = recorded(tier, "regions-between");
        let (report, rows) = (recording.report(), recording.event("process_vm_readv"));
        let row = &rows[0];
        assert_eq!((&row["tid"], row.number("riovcnt"), row.number("bytes")), (&report["tid"], 2, 4096), "{row:?}");
        assert_eq!((row.text("region_source"), &row["remote_regions"]), ("none", &Value::Null), "{row:?}");
        some_are_named(&recording, &rows);
    }
}

/// Dumpers read /proc/PID/cmdline first. What that has left noted must not stand for a later state of the mappings.
#[test]
#[ignore = "needs root and BPF"]
fn what_reading_the_command_line_leaves_noted_names_nothing_wrongly() {
    for tier in [Tier::Best, Tier::Tracepoint] {
        let recording = record_by(tier.recorder(), &["-e", "pread,@process"], &work("edge regions-leftover"));
        recording.succeeded();
        tier.check(&recording);
        let (report, rows) = (recording.report(), recording.event("pread"));
        let mut named = 0;
        for row in rows.iter().filter(|row| row["region_source"] == "maps") {
            let byte = u8::from_str_radix(&row.text("payload")[..2], 16).expect("hexadecimal");
            let (region, variant) = (&row["remote_regions"][0], &report["variants"][byte.to_string()]);
            assert_eq!([&region[3], &region[2]], [&variant[0], &variant[1]], "{row:?}");
            named += 1;
        }
        assert_eq!(rows.len(), 100);
        some_are_named(&recording, &rows);
        accounted(&recording, &rows, named);
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn without_regions_nothing_is_looked_up() {
    let recording = record(&["--no-regions", "-e", "process_vm_readv,@process"], &work("readv --count 20"));
    let manifest = recording.manifest();
    assert!(!manifest.filters.regions && manifest.regions.is_none());
    assert!(!manifest.hooks.iter().any(|hook| hook.serves == "regions"));
    let rows = recording.event("process_vm_readv");
    assert!(rows.len() == 20 && rows.iter().all(|row| row["region_source"] == Value::Null));
}
