//! All fuzz targets in one program; VMTRACE_FUZZ names the one that runs. See docs/fuzzing.md.
#![no_main]

mod bases;
mod commands;
mod form;
mod mutate;
mod oracle;
mod room;
mod targets;

use std::sync::OnceLock;

#[global_allocator]
static COUNTING: oracle::Counting = oracle::Counting;

/// A target: its name, what it does first, what it does with an input, and how inputs are changed.
struct Target {
    name: &'static str,
    begin: fn(),
    run: fn(&[u8]),
    shape: mutate::Shape,
}

/// No target has anything to do first but these.
fn nothing() {}

const TARGETS: [Target; 14] = {
    use mutate::Shape::{Bytes, Records};
    use targets::{capture, partial, parts, recover, signature, words, zip};
    const fn of(name: &'static str, begin: fn(), run: fn(&[u8]), shape: mutate::Shape) -> Target {
        Target { name, begin, run, shape }
    }
    [
        of("capture", capture::begin, capture::run, Records(2)),
        of("footer", capture::begin, parts::footer, Records(2)),
        of("index", capture::begin, parts::index, Records(2)),
        of("page", capture::begin, parts::page, Records(2)),
        of("manifest", capture::begin, parts::manifest, Records(2)),
        of("chain", capture::begin, parts::chain, Records(2)),
        of("partial", capture::begin, partial::run, Records(1)),
        of("recover", recover::begin, recover::run, Records(0)),
        of("zip", zip::begin, zip::run, Records(1)),
        of("signature", nothing, signature::run, Records(1)),
        of("condition", nothing, words::condition, Bytes),
        of("select", nothing, words::select, Bytes),
        of("redaction", nothing, words::redaction, Bytes),
        of("record", nothing, words::record, Bytes),
    ]
};

/// Not among the others: every input of it is a crash.
const ORACLE: Target =
    Target { name: "oracle", begin: nothing, run: targets::oracle::run, shape: mutate::Shape::Bytes };

fn target() -> &'static Target {
    static TARGET: OnceLock<&Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        let name = std::env::var("VMTRACE_FUZZ").unwrap_or_default();
        TARGETS.iter().chain([&ORACLE]).find(|target| target.name == name).unwrap_or_else(|| {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            eprintln!("VMTRACE_FUZZ is none of {}", names.join(" "));
            std::process::exit(2)
        })
    })
}

libfuzzer_sys::fuzz_target!(
    init: {
        if std::env::var("VMTRACE_FUZZ").as_deref() == Ok("list") {
            TARGETS.iter().for_each(|target| println!("{}", target.name));
            std::process::exit(0);
        }
        target();
        oracle::begin();
    },
    |data: &[u8]| {
        static BEGUN: OnceLock<()> = OnceLock::new();
        BEGUN.get_or_init(|| (target().begin)());
        (target().run)(data);
    }
);

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    target().shape.change(data, size, max_size, seed)
});
