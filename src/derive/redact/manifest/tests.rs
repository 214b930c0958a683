use std::collections::{BTreeSet, HashMap};

use super::*;
use crate::derive::redact::clocks::Shift;
use crate::derive::redact::names::Names;
use crate::derive::redact::options::Keep;
use crate::derive::redact::redactor::Payloads;
use crate::derive::redact::rules;
use crate::derive::redact::secret::Secret;
use crate::schema::derived::Replaced;
use crate::schema::manifest::{ClockState, Clocks, LedgerRow, RegionReadings, Tool};

fn redactor(level: Level) -> Redactor {
    let secret = Secret::of(b"k");
    Redactor {
        shift: Shift::of(&secret),
        names: Names::new(secret, level, Keep::default(), false),
        masked: false,
        dropped: Vec::new(),
        payloads: Payloads::default(),
        hosts: HashMap::new(),
    }
}

/// The same, of two hosts.
fn full() -> Manifest {
    let part = |number: i32| HostPart {
        host: format!("secret-host-{number}"),
        captures: vec![format!("secret-capture-{number}")],
        mono_shift_ns: 5,
        clock_uncertainty_ns: Some(6),
        manifest: of_one(),
    };
    Manifest { hosts: vec![part(1), part(2)], ..of_one() }
}

/// A manifest with a word of its own, `secret-N`, wherever a text can stand, and nothing left out.
fn of_one() -> Manifest {
    let mut number = 0;
    let mut secret = || {
        number += 1;
        format!("secret-{number}")
    };
    let clocks = Clocks { realtime_ns: 1 << 60, monotonic_ns: 5, boottime_ns: 6, uncertainty_ns: 7 };
    let state = ClockState { state: "TIME_OK".into(), frequency_ppm: 4.5, offset_ns: 9, ..ClockState::default() };
    Manifest {
        capture_id: secret(),
        tool: Tool { name: "vmtrace".into(), ..Tool::default() },
        argv: vec!["vmtrace".into(), "record".into(), "-o".into(), secret(), "--".into(), secret(), secret()],
        comment: Some(secret()),
        filters: Filters {
            pids: vec![4211],
            command: vec![secret(), secret()],
            uids: vec![1000],
            cgroup: Some(format!("/{}", secret())),
            count: Some(1),
            duration_s: Some(1.0),
            ..Filters::default()
        },
        host: Host {
            hostname: secret(),
            sysname: "Linux".into(),
            release: "6.18.44-mine".into(),
            version: secret(),
            machine: "x86_64".into(),
            boot_id: secret(),
            machine_id: Some(secret()),
            lockdown: Some("[none] integrity confidentiality".into()),
            container: Some(secret()),
            ..Host::default()
        },
        start: clocks,
        end: clocks,
        start_clock: Some(state.clone()),
        end_clock: Some(state),
        segment: Some(Segment {
            index: 2,
            begin: clocks,
            first_seq: 9,
            previous_root: Some(secret()),
            previous_file: Some(secret()),
            last: Some(3),
        }),
        hooks: vec![Hook { reason: Some(secret()), ..Hook::default() }],
        families: vec![FamilyReport { untested: vec![secret()], gap: Some(secret()), ..FamilyReport::default() }],
        gaps: vec![secret(), "x32 calls are not seen, where the kernel has them".into(), secret()],
        ledger: vec![LedgerRow { event: "tee".into(), lost_journal: 1, left_out: 1, ..LedgerRow::default() }],
        ledger_from_rows: true,
        regions: Some(RegionReadings { named: 1, ..RegionReadings::default() }),
        derived_from: vec![Derivation {
            command: "slice".into(),
            argv: vec![secret(), secret()],
            sources: vec![Source { file: format!("{}.parquet", secret()), capture_id: secret(), ..Source::default() }],
            left_out: vec![secret()],
            redaction: Some(Redaction {
                level: "share".into(),
                options: vec![format!("--keep comm={}", secret())],
                values: vec![Replaced::default()],
                ..Redaction::default()
            }),
            ..Derivation::default()
        }],
        ..Manifest::default()
    }
}

/// The fields of an object, those of objects in it with their names before them.
fn fields(value: &serde_json::Value, front: &str, all: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(object) => object.iter().for_each(|(key, value)| {
            let dot = if front.is_empty() { "" } else { "." };
            fields(value, &format!("{front}{dot}{key}"), all);
        }),
        serde_json::Value::Array(list) if list.iter().any(serde_json::Value::is_object) => {
            list.iter().for_each(|value| fields(value, front, all));
        }
        _ => {
            all.insert(front.to_string());
        }
    }
}

#[test]
fn every_field_has_one_rule() {
    let mut all = BTreeSet::new();
    fields(&serde_json::to_value(full()).unwrap(), "", &mut all);
    for field in &all {
        let of = rules::MANIFEST
            .iter()
            .filter(|(name, _)| field.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')));
        assert_eq!(of.count(), 1, "which rule has {field}?");
    }
    for (name, _) in rules::MANIFEST {
        let of = |field: &String| field.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        assert!(all.iter().any(of), "{name} is no field");
    }
}

#[test]
fn no_text_of_the_original_stays() {
    for level in [Level::Share, Level::Metadata] {
        let redacted = redacted(&mut redactor(level), &full());
        let json = serde_json::to_string(&redacted).unwrap();
        for text in ["secret-", "4211", "1000]", "-mine"].iter().filter(|t| level == Level::Metadata || **t != "-mine")
        {
            assert!(!json.contains(text), "{text}: {json}");
        }
        assert_eq!(redacted.gaps, [HIDDEN, "x32 calls are not seen, where the kernel has them"]);
        assert_eq!((redacted.filters.pids.len(), redacted.ledger.len()), (1, 1));
        assert_eq!(redacted.derived_from[0].argv, ["vmtrace", "slice"]);
        assert_ne!(redacted.start.realtime_ns, 1 << 60);
        assert_eq!(redacted.start_clock.unwrap().frequency_ppm, 0.0);
    }
    let share = redacted(&mut redactor(Level::Share), &full());
    assert_eq!(share.argv[..3], ["vmtrace", "record", "-o"]);
    assert!(share.argv[5].starts_with("comm-") && share.host.hostname.starts_with("host-"));
}

#[test]
fn the_level_payload_keeps_all_but_the_capture_and_its_neighbours() {
    let (full, redacted) = (of_one(), redacted(&mut redactor(Level::Payload), &of_one()));
    let mut wanted = full.clone();
    wanted.capture_id = redacted.capture_id.clone();
    wanted.derived_from[0].sources[0].capture_id = redacted.derived_from[0].sources[0].capture_id.clone();
    let segment = wanted.segment.as_mut().unwrap();
    (segment.previous_root, segment.previous_file) = (None, None);
    assert_eq!(redacted, wanted);
    assert_ne!(redacted.capture_id, full.capture_id);
}

/// The options of `vmtrace record`, as its source has them: a build without the recorder cannot ask it.
fn options_of_record() -> BTreeSet<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/record/options/args.rs");
    let source = std::fs::read_to_string(path).unwrap();
    let (_, fields) = source.split_once("pub struct Args {").unwrap();
    let (fields, _) = fields.split_once("\n}").unwrap();
    let mut options = BTreeSet::new();
    for part in fields.split("#[arg(").skip(1) {
        let (attribute, field) = part.split_once(")]\n").unwrap();
        let name = field.trim_start().strip_prefix("pub ").and_then(|field| field.split(':').next()).unwrap();
        for word in attribute.split(", ").map(str::trim) {
            match word.split_once(" = ") {
                None if word == "long" => drop(options.insert(format!("--{}", name.replace('_', "-")))),
                None if word == "short" => drop(options.insert(format!("-{}", &name[..1]))),
                Some(("short", letter)) => drop(options.insert(format!("-{}", letter.trim_matches('\'')))),
                Some(("long", other)) => drop(options.insert(format!("--{}", other.trim_matches('"')))),
                _ => {}
            }
        }
    }
    options
}

#[test]
fn every_option_of_record_stays_in_its_command_line() {
    let listed = RECORDER_WORDS.iter().filter(|word| word.starts_with('-') && **word != "--");
    let listed: BTreeSet<String> = listed.map(ToString::to_string).collect();
    assert_eq!(listed, options_of_record(), "RECORDER_WORDS has the options of record, and no other");
    let argv = "vmtrace record --print -T jsonl --ready-fd 7 -o secret -- secret --print".split(' ');
    let manifest = Manifest { argv: argv.map(str::to_string).collect(), ..Manifest::default() };
    let argv = redacted(&mut redactor(Level::Share), &manifest).argv;
    assert_eq!(argv[..4], ["vmtrace", "record", "--print", "-T"]);
    assert_eq!((&*argv[5], &*argv[7]), ("--ready-fd", "-o"));
    assert!(argv[6].starts_with("num-") && argv[11].starts_with("--opt-"), "{argv:?}");
}
