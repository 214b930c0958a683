//! Zip archives in the place of captures: bundles, and what looks like one.

use std::sync::OnceLock;

use crate::commands::Line;
use crate::form::edit::records;
use crate::form::zip::Zip;
use crate::{bases, room};

struct World {
    zip: Zip,
    lines: [Line; 4],
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let line = |words| Line::new(words);
        World {
            zip: Zip::bundle(&[("capture-1.parquet", bases::CAPTURES[0]), ("README.txt", b"What this is.\n")]),
            lines: [
                line("bundle --check %/a.zip"),
                line("info %/a.zip"),
                line("verify %/a.zip"),
                line("replay -T jsonl %/a.zip"),
            ],
        }
    })
}

/// What is not changed is whole.
pub fn begin() {
    let world = world();
    room::put("a.zip", &world.zip.clone().write(&[]));
    for line in &world.lines {
        if line.run() != 0 {
            crate::oracle::fail(format_args!("the bundle is not whole before anything in it is changed: {line:?}"));
        }
    }
}

pub fn run(input: &[u8]) {
    let world = world();
    let Some((which, rest)) = input.split_first() else { return };
    let file = if rest.starts_with(b"PK") { rest.to_vec() } else { world.zip.clone().write(&records(rest)) };
    room::put("a.zip", &file);
    world.lines[usize::from(*which) % world.lines.len()].run();
    room::clear();
}
