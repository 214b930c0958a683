//! The list: rows, moving, filter, search, errors, instants, marks.

use super::stage::{Stage, calls, each, make, make_with, sample};
use crate::model::time;
use crate::schema::derived::{Derivation, Redaction};
use crate::schema::expr::Expr;
use crate::schema::{Event, EventKind};

const SAMPLES: [&str; 5] = ["mem-editor", "debugger", "failing-caller", "pipe-relay", "forger"];

#[test]
fn every_row_is_in_the_list_as_the_capture_has_it() {
    for name in SAMPLES {
        let path = sample(name);
        let start = crate::schema::reader::Capture::open(&path).unwrap().manifest().start.monotonic_ns;
        let wanted = each(&path, |event| {
            let mut at = time::seconds(event.mono_ns.into(), start.into());
            at.truncate(at.len() - 3);
            let lost = event.event == EventKind::Lost.name();
            let call = if lost { "GAP".into() } else { event.event.to_string() };
            let who = if lost { String::new() } else { format!("[{}]", event.pid) };
            (event.seq, at, call, who)
        });
        let mut stage = Stage::of(&path);
        let mut row = 0;
        while row < wanted.len() {
            let lines = stage.lines();
            let shown = &lines[2..23];
            for (line, (seq, at, call, who)) in shown.iter().zip(&wanted[row..]) {
                let words: Vec<&str> = line.split_whitespace().collect();
                assert_eq!((words[0], words[1]), (seq.to_string().as_str(), at.as_str()), "{name}: {line}");
                assert!(line.contains(call.as_str()) && line.contains(who.as_str()), "{name}: {line}");
            }
            row += shown.len();
            if row < wanted.len() {
                stage.press(&format!("{}G", wanted[(row + 20).min(wanted.len() - 1)].0));
                row = row.min(wanted.len() - 21);
            }
        }
        assert!(stage.lines()[0].contains(&format!("{} rows", crate::count::grouped(wanted.len() as u64))));
    }
}

#[test]
fn the_title_says_what_is_not_the_whole_recording_and_not_as_recorded() {
    let (_dir, path) = make_with(&[calls(0..3)], |manifest| {
        let redaction = Redaction { level: "share\x1b[2J".into(), ..Redaction::default() };
        manifest.derived_from = vec![Derivation { redaction: Some(redaction), ..Derivation::default() }];
        manifest.ledger[0].left_out = 12_345;
    });
    let mut stage = Stage::sized(&path, 120, 24);
    let title = stage.lines()[0].clone();
    assert_eq!(title.trim(), r"made.parquet  3 rows · redacted (share\x1b[2J) · 12,345 LEFT OUT");
    let title = stage.press("&errno = EAGAIN<Enter>").lines()[0].clone();
    assert!(title.contains("0 of 3 rows · redacted") && title.contains("LEFT OUT  errno = EAGAIN"), "{title}");
    assert!(!Stage::of(&sample("mem-editor")).lines()[0].contains('·'));
}

#[test]
fn keys_move_as_in_less_and_vim() {
    let (_dir, path) = make(&[calls(0..1000), calls(1000..2000)]);
    let mut stage = Stage::of(&path);
    for (keys, seq) in [
        ("j", 1),
        ("<Down>5j", 7),
        ("k", 6),
        ("^d", 16),
        ("^u", 6),
        (" ", 27),
        ("<PageDown>", 48),
        ("b", 27),
        ("G", 1999),
        ("j", 1999),
        ("g", 0),
        ("k", 0),
        ("1234g", 1234),
        ("0G", 0),
        ("''", 1234),
        ("ma", 1234),
        ("1500G'a", 1234),
        ("''", 1500),
    ] {
        assert_eq!(stage.press(keys).seq(), seq, "{keys}");
        let mark = format!("{seq:>4} ");
        assert!(stage.lines().iter().any(|line| line.starts_with(&mark)), "{keys}: the row is on the screen");
    }
    stage.press("5000G");
    assert_eq!(stage.last_line(), "there is no row 5000: the rows are 0 to 1999");
    stage.press("'x");
    assert_eq!(stage.last_line(), "there is no mark x: mx sets it");
}

#[test]
fn rows_far_apart_do_not_stay_in_memory() {
    let payload = vec![7u8; 60_000];
    let large = |rows| calls(rows).into_iter().map(|event| Event { payload: Some(&payload), ..event }).collect();
    let groups: Vec<_> = (0..5).map(|group| large(group * 400..(group + 1) * 400)).collect();
    let (_dir, path) = make(&groups);
    let mut stage = Stage::of(&path);
    for row in [0, 1000, 1500, 1999, 5, 1300, 850] {
        assert_eq!(stage.press(&format!("{row}G")).seq(), row);
        assert!(stage.app.source.bytes() < 80 << 20, "{}", stage.app.source.bytes());
    }
}

/// The rows that a condition selects, by the reader of `replay`.
fn selected(path: &std::path::Path, text: &str) -> Vec<u64> {
    let expr = Expr::parse(text).unwrap();
    let rows = each(path, |event| (event.event == EventKind::Lost.name() || expr.matches(event)).then_some(event.seq));
    rows.into_iter().flatten().collect()
}

#[test]
fn a_filter_shows_the_rows_that_it_selects() {
    for (name, text) in [
        ("failing-caller", "errno is not null"),
        ("mem-editor", "event = pwrite or event = write"),
        ("debugger", "comm ~ gdb* and bytes >= 8"),
        ("pipe-relay", "pipe_in is not null"),
    ] {
        let path = sample(name);
        let wanted = selected(&path, text);
        assert!(!wanted.is_empty(), "{name}");
        let mut stage = Stage::of(&path);
        stage.press(&format!("&{text}<Enter>g"));
        let title = stage.lines()[0].clone();
        assert!(title.contains(&format!("{} of ", crate::count::grouped(wanted.len() as u64))), "{title}");
        for seq in &wanted {
            assert_eq!(stage.seq(), *seq, "{name}");
            stage.press("j");
        }
    }
}

#[test]
fn a_filter_is_applied_while_it_is_typed_and_taken_back() {
    let (_dir, path) = make(&[calls(0..3000)]);
    let mut stage = Stage::of(&path);
    stage.press("1234G&errno");
    assert!(
        stage.last_line().starts_with("filter: errno  at character 6: expected an operator"),
        "{}",
        stage.last_line()
    );
    assert_eq!(stage.app.len(), 3000, "what cannot be read selects nothing");
    stage.press(" = EAGAIN");
    assert_eq!((stage.app.len(), stage.seq()), (300, 1243), "the next row that is shown");
    stage.press("<Esc>");
    assert_eq!((stage.app.len(), stage.seq()), (3000, 1234));
    stage.press("&errno = EAGAIN<Enter>");
    assert_eq!((stage.app.len(), stage.seq()), (300, 1243));
    stage.press("jj&^u<Enter>");
    assert_eq!((stage.app.len(), stage.seq()), (3000, 1263), "an empty one shows all");
    stage.press("&pid = 8<Enter>");
    assert!(stage.shows("the filter selects no row"));
    stage.press("&<Esc>jkG<Enter>/x<Enter>");
    assert!(stage.shows("the filter selects no row"), "nothing to be selected does no harm");
}

#[test]
fn what_is_looked_for_is_found_in_both_directions() {
    let path = sample("mem-editor");
    let all = |test: &dyn Fn(&Event<'_>) -> bool| -> Vec<u64> {
        each(&path, |event| test(event).then_some(event.seq)).into_iter().flatten().collect()
    };
    let (text, bytes) = each(&path, |event| event.payload.map(<[u8]>::to_vec))
        .into_iter()
        .flatten()
        .find_map(|bytes| {
            let at = bytes.windows(4).position(|four| four.iter().all(u8::is_ascii_alphanumeric))?;
            Some((String::from_utf8(bytes[at..at + 4].to_vec()).unwrap(), bytes[at..at + 4].to_vec()))
        })
        .unwrap();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    let address = each(&path, |event| event.remote_iov.and_then(|iov| iov.get(0)).map(|range| range.base));
    let address = address.into_iter().flatten().next().unwrap();
    let in_payload =
        |event: &Event<'_>| event.payload.is_some_and(|payload| payload.windows(4).any(|four| four == bytes));
    let touches = |event: &Event<'_>| {
        let both = [event.local_iov, event.remote_iov].into_iter().flatten();
        both.flat_map(|iov| iov.iter()).any(|range| (range.base..range.base + range.len).contains(&address))
    };
    let in_names = |event: &Event<'_>, text: &str| {
        let names = [Some(event.event), Some(event.comm), event.exe, event.argv, event.target_comm, event.target_exe];
        names.into_iter().chain([event.fd_in_path, event.fd_out_path]).flatten().any(|name| name.contains(text))
    };
    let pwrite = |event: &Event<'_>| format!("{event:?}").contains("pwrite");
    for (typed, wanted) in [
        (text.clone(), all(&|event| in_payload(event) || in_names(event, &text))),
        (format!("x:{hex}"), all(&in_payload)),
        (format!("{address:#x}"), all(&touches)),
        ("pwrite".into(), all(&pwrite)),
    ] {
        let mut stage = Stage::of(&path);
        stage.press(&format!("G/{typed}<Enter>"));
        let mut found = vec![stage.seq()];
        found.extend((1..wanted.len()).map(|_| stage.press("n").seq()));
        assert_eq!(found, wanted, "{typed}");
        let mut back = vec![stage.seq()];
        back.extend((1..wanted.len()).map(|_| stage.press("N").seq()));
        back.reverse();
        assert_eq!(back, wanted, "{typed}");
        stage.press("N");
        assert_eq!(stage.seq(), *wanted.last().unwrap(), "{typed}");
        assert!(wanted.len() == 1 || stage.last_line().contains("went on at the other end"), "{}", stage.last_line());
    }
    let mut stage = Stage::of(&path);
    stage.press("/no such text<Enter>");
    assert_eq!((stage.seq(), stage.last_line().as_str()), (0, "no such text is not there"));
    stage.press("/x:0<Enter>");
    assert!(stage.last_line().starts_with("x: is followed by two hexadecimal digits"), "{}", stage.last_line());
}

#[test]
fn errors_are_found_among_the_rows_that_are_shown() {
    let (_dir, path) = make(&[calls(0..50), calls(50..100)]);
    let mut stage = Stage::of(&path);
    assert_eq!(["e", "e", "E", "E"].map(|key| stage.press(key).seq()), [3, 13, 3, 93]);
    stage.press("&bytes = 0 and seq > 20 or seq = 5<Enter>g");
    assert_eq!(["e", "e", "E", "E"].map(|key| stage.press(key).seq()), [23, 33, 23, 93]);
}

#[test]
fn instants_are_gone_to() {
    let (_dir, path) = make(&[calls(0..1000), calls(1000..2000)]);
    let mut stage = Stage::of(&path);
    assert_eq!(stage.press("t1ms<Enter>").seq(), 1000);
    assert_eq!(stage.press(":0.0015004<Enter>").seq(), 1501);
    assert_eq!(stage.press("t1970-01-01T00:00:05.0001Z<Enter>").seq(), 100);
    assert_eq!(stage.press("t9<Enter>").seq(), 100);
    assert_eq!(stage.last_line(), "the last event is at 0.001999000");
    stage.press("tsoon<Enter>");
    assert!(stage.last_line().starts_with("\"soon\" is not a time"), "{}", stage.last_line());
}
