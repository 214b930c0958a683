//! Captures of strangers, screens of any size, and few colours.

use ratatui::style::Color;

use super::stage::{Stage, calls, make, sample};
use crate::schema::Event;
use crate::view::look::Look;

const SCREENS: [&str; 8] = ["", "<Enter>", "z", "qF", "qM", "qL", "+", "q?"];

#[test]
fn captured_text_does_not_act() {
    let evil = "\x1b[2J\x1b]52;c;QQ==\x07\u{202e}\u{200b}\u{85}evil\r\n";
    let events =
        ["process_vm_readv", "splice", "process_exec", "process_exit", "lost", "a\x1b[31mb"].map(|event| Event {
            event,
            comm: evil,
            exe: Some(evil),
            argv: Some(evil),
            target_pid: Some(9),
            target_comm: Some(evil),
            target_start_ns: Some(1),
            errno: Some(evil),
            fd_in_path: Some(evil),
            fd_in_kind: Some(evil),
            container: Some(evil),
            lost_event: Some(evil),
            lost_cause: Some(evil),
            direction: Some("in"),
            payload: Some(evil.as_bytes()),
            payload_status: Some(evil),
            iov_verdict: Some(evil),
            ..calls(0..1)[0]
        });
    let (_dir, path) = make(&[events.to_vec()]);
    let mut stage = Stage::of(&path);
    let mut escaped = [false; SCREENS.len()];
    for row in 0..events.len() {
        for (screen, keys) in SCREENS.into_iter().enumerate() {
            stage.press(keys);
            for line in stage.lines() {
                let acts = line.chars().any(|c| c.is_control() || "\u{202e}\u{200b}".contains(c));
                assert!(!acts, "{row} {keys}: {line:?}");
                // The screen drops what controls it by itself: only text that was escaped is still there.
                escaped[screen] |= line.contains("\\x1b");
            }
        }
        stage.press("qqqq");
        stage.press("j");
    }
    // The last one is the list of keys.
    assert_eq!(escaped, [true, true, true, true, true, true, true, false], "{SCREENS:?}");
    stage.press("g<Enter>z");
    assert!(stage.shows("\\x1b[2J\\x1b]52;c;QQ==\\x07\\u{202e}"), "it can be seen: {:#?}", stage.lines());
}

#[test]
fn any_size_is_drawn_and_one_that_is_too_small_is_said() {
    let path = sample("pipe-relay");
    let mut stage = Stage::of(&path);
    for keys in SCREENS {
        stage.press(keys);
        for (columns, lines) in [(1, 1), (59, 24), (80, 11), (60, 12), (61, 13), (80, 24), (250, 100)] {
            stage.resize(columns, lines);
            let too_small = columns < 60 || lines < 12;
            let said = format!("{columns}×{lines} is too small");
            let said: String = said.chars().take(usize::from(columns)).collect();
            assert_eq!(stage.lines()[0].starts_with(&said), too_small, "{columns}×{lines}: {:#?}", stage.lines());
        }
        stage.resize(80, 24);
    }
}

#[test]
fn colours_are_of_the_16_and_none_where_nobody_wants_any() {
    let path = sample("failing-caller");
    for color in [true, false] {
        let mut stage = Stage::of(&path);
        stage.app.look = Look { color };
        stage.draw();
        let mut used = std::collections::BTreeSet::new();
        for keys in SCREENS {
            stage.press(keys);
            used.extend(stage.buffer().content().iter().map(|cell| format!("{:?} {:?}", cell.fg, cell.bg)));
            for cell in stage.buffer().content() {
                assert!(!matches!(cell.fg, Color::Rgb(..) | Color::Indexed(_)));
            }
        }
        assert_eq!(used.len() > 1, color, "{used:?}");
    }
}

#[test]
fn a_damaged_group_is_said_in_its_rows_and_the_others_are_shown() {
    let (_dir, path) = make(&[calls(0..100), calls(100..200), calls(200..300)]);
    let capture = crate::schema::reader::Capture::open(&path).unwrap();
    let (_, range) = capture.row_group(1).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    bytes[range.start as usize..range.end as usize].fill(0xff);
    std::fs::write(&path, &bytes).unwrap();
    let mut stage = Stage::of(&path);
    stage.press("95G");
    assert!(stage.shows("row group 1 cannot be read") || stage.press("jjjjjjjjjj").shows("row group 1 cannot be read"));
    assert_eq!(stage.press("250G").seq(), 250);
    // It is not tried again for each of its rows each time they are drawn: a try can take long.
    std::fs::write(&path, whole).unwrap();
    assert!(stage.press("150G").shows("row group 1 cannot be read"), "{:#?}", stage.lines());
    assert!(!Stage::of(&path).press("150G").shows("cannot be read"), "it could be read now");
    std::fs::write(&path, bytes).unwrap();
    stage.press("&errno = EAGAIN<Enter>");
    assert!(stage.lines()[0].ends_with("incomplete"), "{:#?}", stage.lines());
    stage.press("/nowhere<Enter>");
    assert!(stage.last_line().contains("row group 1 cannot be read"), "{}", stage.last_line());
}

#[test]
fn an_empty_capture_has_screens_too() {
    let (_dir, path) = make(&[]);
    let mut stage = Stage::of(&path);
    assert!(stage.shows("the capture has no events"));
    for keys in
        SCREENS.into_iter().chain(["j", "G", "g", "e", "5G", "ma'a''", "t1<Enter>", "&pid = 1<Enter>", "wb", "yb", "]"])
    {
        stage.press(keys);
    }
}
