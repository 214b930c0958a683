//! A whole capture, read by each command.

use std::sync::OnceLock;

use crate::commands::Line;
use crate::form::capture::{Area, Form};
use crate::form::edit::records;
use crate::oracle::fail;
use crate::{bases, room};

const READING: [&str; 26] = [
    "verify %/a.parquet",
    "replay %/a.parquet",
    "info %/a.parquet",
    "summary %/a.parquet",
    "flows %/a.parquet",
    "memory -p 16547 %/a.parquet",
    "export -T jsonl %/a.parquet",
    "export -T csv %/a.parquet",
    "export -T strace %/a.parquet",
    "export -T perfetto %/a.parquet",
    "export -T ecs %/a.parquet",
    "export -T ocsf %/a.parquet",
    "export -T timesketch %/a.parquet",
    "export -T pcapng %/a.parquet",
    "verify -T json %/a.parquet",
    "info -v %/a.parquet",
    "info -T json %/a.parquet",
    "replay -x --by process --wide --no-fold %/a.parquet",
    "replay -T jsonl %/a.parquet",
    "summary -T json %/a.parquet",
    "flows -T json %/a.parquet",
    "memory -p 16547 --history 0x7ff915281000+64 %/a.parquet",
    "memory -p 16547 --search made %/a.parquet",
    "replay --where bytes_>_0_or_errno_=_EPERM %/a.parquet",
    "redact --preview %/a.parquet",
    "summary --brief --failed %/a.parquet",
];

const WRITING: [&str; 6] = [
    "slice %/a.parquet --where seq_>_3 -o %/b.parquet --force",
    "merge %/a.parquet -o %/b.parquet --force",
    "redact %/a.parquet -o %/b.parquet --force",
    "redact --level metadata %/a.parquet -o %/b.parquet --force",
    "report %/a.parquet -o %/b.html --force",
    "bundle %/a.parquet -o %/b.zip --force",
];

struct Lines {
    reading: Vec<Line>,
    writing: Vec<Line>,
    before: Line,
    verify: Line,
    check: Line,
}

fn lines() -> &'static Lines {
    static LINES: OnceLock<Lines> = OnceLock::new();
    LINES.get_or_init(|| Lines {
        reading: READING.iter().map(|words| Line::new(words)).collect(),
        writing: WRITING.iter().map(|words| Line::new(words)).collect(),
        before: Line::new("verify %/a.parquet"),
        verify: Line::new("verify %/b.parquet"),
        check: Line::new("bundle --check %/b.zip"),
    })
}

const AREAS: [Area; 16] = [
    Area::Footer,
    Area::Index,
    Area::PageHeader,
    Area::Page,
    Area::Manifest,
    Area::Chain,
    Area::Begin,
    Area::Head,
    Area::Description,
    Area::Cut,
    Area::Sealed,
    Area::Raw,
    Area::Frames,
    Area::Page,
    Area::Page,
    Area::Manifest,
];

/// A file: the input itself where it begins as one does, else changes to one of ours. The first byte says which command
/// reads it, the second which capture is changed.
pub fn made(input: &[u8], areas: &[Area]) -> Option<(u8, Vec<u8>)> {
    let (which, rest) = input.split_first()?;
    if rest.starts_with(b"PAR1") {
        return Some((*which, rest.to_vec()));
    }
    let (base, rest) = rest.split_first()?;
    Some((*which, form(usize::from(*base)).write(areas, &records(rest))))
}

/// One of our captures, taken apart.
pub fn form(base: usize) -> Form {
    static FORMS: OnceLock<Vec<Form>> = OnceLock::new();
    let forms = FORMS.get_or_init(|| {
        let forms = bases::CAPTURES.iter().map(|bytes| Form::parse(bytes));
        forms.map(|form| form.unwrap_or_else(|| fail(format_args!("a sample cannot be taken apart")))).collect()
    });
    forms[base % forms.len()].clone()
}

/// Nothing of ours may be altered when it is put together again.
pub fn begin() {
    for (index, bytes) in bases::CAPTURES.iter().enumerate() {
        let again = form(index).write(&AREAS, &[]);
        room::put("a.parquet", &again);
        let status = Line::new("verify %/a.parquet").run();
        if status != 0 && status != 3 {
            let status = format!("of {} bytes {} are left, and verify says {status}", bytes.len(), again.len());
            fail(format_args!("sample {index} is another one when it was put together again: {status}"));
        }
    }
}

pub fn run(input: &[u8]) {
    let Some((which, file)) = made(input, &AREAS) else { return };
    read(which, &file);
}

/// Has the file read by a command, or by all.
pub fn read(which: u8, file: &[u8]) {
    room::put("a.parquet", file);
    let lines = lines();
    let (reading, writing) = (lines.reading.len(), lines.writing.len());
    let which = usize::from(which) % (reading + writing + 1);
    for (index, line) in lines.reading.iter().enumerate() {
        if which == index || which == reading + writing {
            line.run();
        }
    }
    for (index, line) in lines.writing.iter().enumerate() {
        if which == reading + index || which == reading + writing {
            write(line);
        }
    }
}

/// What is made of a capture must be one.
fn write(line: &Line) {
    let lines = lines();
    let (capture, page, bundle) = (room::path("b.parquet"), room::path("b.html"), room::path("b.zip"));
    let done = line.run() == 0;
    // Row groups can be copied as they are: what was nonsense with the right sums stays that. It is never altered.
    let wrong = |status: u8| status == 1 || status == 2 && lines.before.run() % 3 == 0;
    if done && capture.exists() && wrong(lines.verify.run()) {
        fail(format_args!("{line:?}: what it wrote does not verify"));
    }
    if done && bundle.exists() && wrong(lines.check.run()) {
        fail(format_args!("{line:?}: what it wrote does not verify"));
    }
    if done && page.exists() {
        crate::oracle::plain("report", &std::fs::read(&page).unwrap_or_default());
    }
    for path in [capture, page, bundle] {
        drop(std::fs::remove_file(path));
    }
}
