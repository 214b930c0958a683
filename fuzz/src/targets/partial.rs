//! A capture without its end: what is whole is found by its frames, and recovered.

use std::sync::OnceLock;

use super::capture::form;
use crate::commands::Line;
use crate::form::capture::Area;
use crate::form::edit::records;
use crate::oracle::fail;
use crate::room;

struct Lines {
    verify: Line,
    recover: Line,
    check: Line,
    replay: Line,
}

pub fn run(input: &[u8]) {
    static LINES: OnceLock<Lines> = OnceLock::new();
    let lines = LINES.get_or_init(|| Lines {
        verify: Line::new("verify %/t.parquet.partial"),
        recover: Line::new("recover %/t.parquet.partial -o %/r.parquet --force"),
        check: Line::new("verify %/r.parquet"),
        replay: Line::new("replay -T jsonl %/r.parquet"),
    });
    let Some((base, rest)) = input.split_first() else { return };
    let changes_pages = rest.starts_with(b"PAR1") || records(rest).iter().any(|edit| edit.area % 7 == 5);
    let mut file = if rest.starts_with(b"PAR1") {
        rest.to_vec()
    } else {
        let areas =
            [Area::Description, Area::Description, Area::Begin, Area::Head, Area::Frames, Area::Page, Area::Cut];
        form(usize::from(*base)).write(&areas, &records(rest))
    };
    // Without the magic at the end it is unfinished, whatever stands before.
    if file.ends_with(b"PAR1") && base & 0x80 == 0 {
        file.truncate(file.len() - 4);
    }
    room::put("t.parquet.partial", &file);
    let before = lines.verify.run();
    let status = lines.recover.run();
    // A finished file that only lacks its name is copied as it is, altered or not.
    if !file.ends_with(b"PAR1") || before % 3 == 0 {
        recovered(status, changes_pages, &lines.check, &lines.replay);
    }
    room::clear();
}

/// What was recovered is whole, and can be read; not if a stranger made pages of nonsense with the right sums, which are
/// copied as they are.
pub fn recovered(status: u8, nonsense: bool, check: &Line, replay: &Line) {
    if !matches!(status, 0 | 3) {
        return;
    }
    let verified = check.run();
    if verified == 1 || verified == 2 && !nonsense {
        fail(format_args!("what was recovered does not verify: status {verified}"));
    }
    if replay.run() == 2 && !nonsense {
        fail(format_args!("what was recovered cannot be read"));
    }
}
