//! Panes beside the list, lanes, and the help.

use super::stage::{Stage, calls, each, make, sample};
use crate::schema::cell::Cell;
use crate::terminal::escape::Hex;
use crate::view::keys::{BINDINGS, names};

#[test]
fn the_detail_has_every_value() {
    let path = sample("mem-editor");
    let wanted = each(&path, |event| {
        let mut names = Vec::new();
        event.cells(|name, cell| match cell {
            Cell::Null | Cell::Text("") => {}
            _ if matches!(name, "data" | "payload_len" | "payload_total") => {}
            _ => names.push(name),
        });
        (event.seq, names, event.payload.map(|bytes| Hex(&bytes[..bytes.len().min(8)]).to_string()))
    });
    let mut stage = Stage::sized(&path, 100, 40);
    stage.press("<Enter>z");
    for (seq, names, payload) in wanted {
        assert_eq!(stage.seq(), seq);
        let lines: Vec<String> =
            stage.app.pane.as_ref().unwrap().lines.iter().map(|line| line.text().to_string()).collect();
        for name in names {
            assert!(lines.iter().any(|line| line.starts_with(name)), "{seq} {name}: {lines:#?}");
        }
        if let Some(payload) = payload.filter(|hex| !hex.is_empty()) {
            let dumped = lines.iter().map(|line| line.replace(' ', "")).any(|line| line.contains(&payload));
            assert!(dumped, "{seq} {payload}: {lines:#?}");
        }
        // The pane follows the selection.
        stage.press("zjz");
    }
}

#[test]
fn the_pane_scrolls_and_closes() {
    let path = sample("debugger");
    let mut stage = Stage::of(&path);
    stage.press("<Enter>");
    let first = stage.lines();
    assert!(first[12].starts_with("─ row 0 "), "{first:#?}");
    stage.press("<Tab>jj");
    let second = stage.lines();
    assert!(second[12].starts_with("▸ row 0 ") && second[13] == first[15], "{second:#?}");
    assert_eq!(stage.press("G").seq(), 0, "the list stays");
    assert!(stage.shows("worked out by vmtrace"), "{:#?}", stage.lines());
    stage.press("q");
    assert!(!stage.shows("row 0 ") && stage.asks().is_empty());
    stage.press("q");
    assert_eq!(stage.asks(), [crate::view::app::Ask::Quit]);
}

#[test]
fn a_flow_is_what_flows_prints_and_its_calls_are_gone_to() {
    let path = sample("pipe-relay");
    let seq =
        each(&path, |event| (event.event == "vmsplice").then_some(event.seq)).into_iter().flatten().next().unwrap();
    let limits = crate::schema::limits::Limits::default();
    let (text, calls) = crate::replay::flows::answer(&path, limits, seq, &|_| Ok(())).unwrap();
    assert!(text.contains("Certainty: ") && calls.len() > 1, "{text}");
    let mut stage = Stage::of(&path);
    stage.press(&format!("{seq}GF"));
    let words = |text: &str| text.split_whitespace().map(str::to_string).collect::<Vec<_>>();
    let shown = stage.lines()[13..23].join("\n");
    assert_eq!(words(&shown), words(&text), "{:#?}", stage.lines());
    let gone: Vec<u64> = calls.iter().skip_while(|call| **call <= seq).map(|_| stage.press("]").seq()).collect();
    assert_eq!(gone, calls.iter().copied().filter(|call| *call > seq).collect::<Vec<_>>());
    stage.press("]");
    assert_eq!(stage.last_line(), "the flow has no other call there");
}

#[test]
fn memory_is_what_memory_prints() {
    let path = sample("mem-editor");
    let read = each(&path, |event| {
        let range = event.remote_iov.and_then(|iov| iov.get(0))?;
        let bytes = event.payload.filter(|bytes| bytes.len() >= 8)?;
        Some((event.seq, event.target_pid?, range.base, bytes[..8].to_vec()))
    });
    let (seq, pid, base, bytes) = read.into_iter().flatten().next().unwrap();
    let mut stage = Stage::of(&path);
    stage.press(&format!("{seq}GM"));
    assert!(stage.shows(&format!("memory of process {pid} at {base:#x}+")), "{:#?}", stage.lines());
    let dumped: String = bytes.iter().map(|byte| format!(" {byte:02x}")).collect();
    assert!(stage.shows(&format!("{base:#x} {dumped}")), "{dumped}: {:#?}", stage.lines());
    stage.press("o");
    assert!(!stage.shows(&format!("memory of process {pid} at")), "the other side: {:#?}", stage.lines());
    let (_dir, path) = make(&[calls(0..3)]);
    let mut stage = Stage::of(&path);
    stage.press("M");
    assert_eq!(stage.last_line(), "this event names no memory");
}

/// Names and heads of arrows, by process, in a capture of three processes of which the first reads of the others.
#[test]
fn lanes_have_arrows_from_who_gave_to_who_got() {
    let read = |n: i64, target: i32| crate::schema::Event {
        event: "process_vm_readv",
        direction: Some("in"),
        bytes: Some(100),
        errno: None,
        target_pid: Some(target),
        target_comm: Some(if target == 8 { "near" } else { "far" }),
        ..calls(n..n + 1)[0]
    };
    let write = |n: i64| crate::schema::Event { event: "process_vm_writev", direction: Some("out"), ..read(n, 9) };
    // The bounds of the span come first and last: 59 columns of 10 µs.
    let (_dir, path) = make(&[vec![read(0, 8), read(100, 8), read(200, 9), write(300), calls(589..590)[0]]]);
    let mut stage = Stage::of(&path);
    stage.press("L");
    let lines = stage.lines();
    let at = |column: usize, line: usize| lines[line].chars().nth(21 + column).unwrap_or(' ');
    assert!(
        lines[2].starts_with("caller[7]") && lines[4].starts_with("near[8]") && lines[6].starts_with("far[9]"),
        "{lines:#?}"
    );
    let window = stage.app.lanes.window.unwrap();
    let column = |n: i64| window.column(super::stage::START + n * 1000).unwrap();
    let arrow = |n, lines: [usize; 5]| lines.map(|line| at(column(n), line)).into_iter().collect::<String>();
    assert_eq!(arrow(100, [2, 3, 4, 5, 6]), "▲│●  ");
    assert_eq!(arrow(200, [2, 3, 4, 5, 6]), "▲│┼│●");
    assert_eq!(arrow(300, [2, 3, 4, 5, 6]), "●│┼│▼");
    assert_eq!(stage.last_line(), "caller[7]: 5 events, 300 B came, 100 B went, 0 failed");
    stage.press("j");
    assert_eq!(stage.last_line(), "near[8]: 2 events, 0 B came, 200 B went, 0 failed");
}

#[test]
fn lanes_and_list_share_the_selection() {
    let (_dir, path) = make(&[calls(0..6000)]);
    let mut stage = Stage::of(&path);
    stage.press("3000GL");
    // 59 columns of 5,999,001 ns.
    let column = |n: u64| n * 1000 * 59 / 5_999_001;
    let later = (3000..).find(|n| column(*n) > column(3000)).unwrap();
    assert_eq!(stage.press("l").seq(), later);
    let earlier = (0..later).rev().find(|n| column(*n) < column(later)).unwrap();
    assert_eq!(stage.press("h").seq(), earlier);
    assert_eq!(stage.press("30l").seq(), (0..6000).find(|n| column(*n) >= column(earlier) + 30).unwrap_or(earlier));
    stage.press("99h");
    assert!(stage.last_line().starts_with("nothing happens before"), "{}", stage.last_line());
    let seq = stage.seq();
    stage.press("<Enter>");
    assert!(stage.lines()[2..23].iter().any(|line| line.starts_with(&format!("{seq:>4} "))), "{:#?}", stage.lines());
}

#[test]
fn spans_zoom_around_the_selection() {
    let (_dir, path) = make(&[calls(0..6000)]);
    let mut stage = Stage::of(&path);
    stage.press("3000GL++");
    let window = stage.app.lanes.window.unwrap();
    let length = (window.last - window.first) as f64 / 5_999_000.0;
    assert!((0.24..0.26).contains(&length), "{window:?}");
    // What is counted is what happens in that span.
    let inside = each(&path, |event| (window.first..=window.last).contains(&event.mono_ns));
    let inside = inside.into_iter().filter(|inside| *inside).count() as u64;
    assert!(
        stage.last_line().starts_with(&format!("caller[7]: {} events", crate::count::grouped(inside))),
        "{}",
        stage.last_line()
    );
    let before = stage.press("h").seq();
    assert!(before < 3000, "{before}");
    stage.press("<Enter>");
    assert!(stage.shows(&format!("{before} ")) && stage.shows("CALLER"));
    stage.press("L0");
    assert!(stage.last_line().starts_with("caller[7]: 6,000 events"), "{}", stage.last_line());
}

#[test]
fn the_help_lists_every_key() {
    let (_dir, path) = make(&[calls(0..3)]);
    let mut stage = Stage::sized(&path, 80, 24);
    stage.press("?");
    let mut seen = stage.lines();
    for _ in 0..3 {
        seen.extend(stage.press(" ").lines());
    }
    for binding in BINDINGS {
        let line = format!("{:16} {}", names(binding), binding.help);
        assert!(seen.contains(&line), "{line}: {seen:#?}");
    }
    stage.press("q");
    assert!(stage.shows("CALLER"), "the list again");
}
