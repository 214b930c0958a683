//! A killed recorder's journal: frames, and records of every kind. What is recovered verifies; what is only damaged
//! leads to no event that was not recorded.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use super::partial::recovered;
use crate::commands::Line;
use crate::form::edit::records;
use crate::form::journal::{Journal, is_damage};
use crate::oracle::{fail, printed};
use crate::{bases, room};

struct World {
    journal: Journal,
    recover: Line,
    check: Line,
    replay: Line,
    events: BTreeSet<String>,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let wire = blake3::hash(bases::WIRE).to_string();
        let journal = Journal::parse(bases::JOURNAL, &wire).filter(|journal| journal.len() > 3);
        let mut world = World {
            journal: journal.unwrap_or_else(|| fail(format_args!("the journal in bases/ cannot be taken apart"))),
            recover: Line::new("recover %/t.parquet.partial -o %/r.parquet --force"),
            check: Line::new("verify %/r.parquet"),
            replay: Line::new("replay -T jsonl %/r.parquet"),
            events: BTreeSet::new(),
        };
        place(&world.journal.clone().write(&[]));
        let status = world.recover.run();
        if !matches!(status, 0 | 3) {
            fail(format_args!("the journal in bases/ is not recovered: make it again (docs/fuzzing.md)"));
        }
        recovered(status, false, &world.check, &world.replay);
        world.events = events();
        if world.events.len() < 4 {
            fail(format_args!("the journal in bases/ holds {} events: make it again", world.events.len()));
        }
        room::clear();
        world
    })
}

pub fn begin() {
    world();
}

fn place(journal: &[u8]) {
    room::put("t.parquet.partial", bases::UNFINISHED);
    room::put("t.parquet.journal-000001", journal);
}

/// The calls that the recovered capture has, as far as a record alone says what they are.
fn events() -> BTreeSet<String> {
    let printed = printed();
    let lines = printed.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    let key = |event: serde_json::Value| {
        let of = |name: &str| event.get(name).map(ToString::to_string).unwrap_or_default();
        (of("event") != "\"lost\"")
            .then(|| ["event", "mono_ns", "pid", "tid", "ret", "bytes", "payload"].map(of).join(" "))
    };
    lines.filter_map(key).collect()
}

pub fn run(input: &[u8]) {
    let world = world();
    let edits = records(input);
    place(&world.journal.clone().write(&edits));
    let status = world.recover.run();
    recovered(status, false, &world.check, &world.replay);
    if matches!(status, 0 | 3) && edits.iter().all(is_damage) {
        let found = events();
        if let Some(invented) = found.difference(&world.events).next() {
            fail(format_args!("an event that nobody recorded: {invented}"));
        }
    }
    room::clear();
}
