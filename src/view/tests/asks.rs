//! What is written or copied.

use super::stage::{Stage, calls, make, sample};
use crate::view::app::Ask;

#[test]
fn the_filter_is_written_as_sql_and_nothing_is_replaced() {
    let (dir, path) = make(&[calls(0..20)]);
    let out = dir.path().join("query.sql");
    let out = out.to_str().unwrap();
    let mut stage = Stage::of(&path);
    stage.press(&format!("&errno = EAGAIN<Enter>ws{out}<Enter>"));
    let sql = std::fs::read_to_string(out).unwrap();
    let wanted = "SELECT * FROM events WHERE event = 'lost' OR (errno = 'EAGAIN') ORDER BY seq;\n";
    assert!(sql.ends_with(wanted) && sql.starts_with("-- vmtrace query "), "{sql}");
    stage.press(&format!("&^u<Enter>ws{out}<Enter>"));
    assert!(stage.last_line().contains("exists"), "{}", stage.last_line());
    assert_eq!(std::fs::read_to_string(out).unwrap(), sql);
    stage.press("ws/nonexistent/x<Enter>");
    assert!(stage.app.notice.bad && stage.last_line().contains("/nonexistent/x"), "{}", stage.last_line());
}

#[test]
fn an_event_is_one_line_for_a_report() {
    let path = sample("mem-editor");
    let mut stage = Stage::of(&path);
    stage.press("3Gyb");
    let asks = stage.asks();
    let [Ask::Copy(line)] = &asks[..] else { panic!("{asks:?}") };
    let manifest = stage.app.capture().manifest().clone();
    let event = stage.app.of_event(|event| (event.event.to_string(), event.pid)).unwrap();
    for part in [manifest.capture_id.as_str(), &manifest.host.release, "row 3, ", &event.0, &format!("[{}]", event.1)] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert_eq!(line.matches('\n').count(), 1, "{line}");
    stage.press("yx");
    assert!(stage.asks().is_empty() && stage.app.notice.bad);
}

#[test]
fn stopping_and_drawing_again_are_left_to_the_program_around() {
    let (_dir, path) = make(&[calls(0..3)]);
    let mut stage = Stage::of(&path);
    stage.press("^z^l");
    assert_eq!(stage.asks(), [Ask::Suspend, Ask::Redraw]);
}
