//! `vmtrace view` in a real terminal, one of tmux, and where there is none.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::captures::*;
use super::terminal::Screen;
use super::vmtrace;

/// Types a command and waits for what it prints. `$status` is that of the command before.
fn answer(screen: &Screen, command: &str) -> String {
    // The screen may still have an earlier answer.
    static ANSWERS: AtomicUsize = AtomicUsize::new(0);
    let number = ANSWERS.fetch_add(1, Relaxed);
    screen.types(&format!("status=$?; clear; {command}; echo end''ed {number}"));
    screen.press("Enter");
    let end = format!("ended {number}");
    let lines = screen.until(command, |lines| lines.contains(&end));
    lines[..lines.iter().position(|line| *line == end).unwrap()].join("\n")
}

fn modes(screen: &Screen) -> String {
    answer(screen, "stty -g")
}

fn view(path: &Path) -> String {
    format!("'{}' view '{}'", env!("CARGO_BIN_EXE_vmtrace"), path.display())
}

/// Starts a command and waits until the viewer is there.
fn start(screen: &Screen, command: &str) -> Vec<String> {
    screen.types(command);
    screen.press("Enter");
    screen.until("the viewer", |lines| lines.first().is_some_and(|line| line.starts_with("demo.parquet")))
}

fn prompt(screen: &Screen) {
    screen.until("the prompt", |lines| lines.last().is_some_and(|line| line.trim_end() == "ready>"));
}

fn is_on_other_screen(screen: &Screen) -> bool {
    screen.tmux(&["display-message", "-p", "#{alternate_on}"]).stdout == b"1\n"
}

#[test]
fn a_terminal_is_as_before_whatever_happens() {
    let made = make(&everything());
    let screen = Screen::shell(80, 24);
    let before = modes(&screen);
    assert!(!before.is_empty());
    let lines = start(&screen, &view(&made.path));
    assert!(is_on_other_screen(&screen));
    let rows = everything().len();
    assert!(lines[0].contains(&format!("{rows} rows")) && lines[1].contains("CALLER"), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("process_vm_readv") && line.contains("py-spy[4211]")), "{lines:#?}");
    screen.types("G");
    let last = format!("{rows} of {rows} rows");
    screen.until("the last row", |lines| lines.last().is_some_and(|line| line.starts_with(&last)));

    screen.tmux(&["resize-window", "-x", "100", "-y", "30"]);
    screen.until("the new size", |lines| lines.len() == 30 && lines[29].starts_with(&last));
    screen.tmux(&["resize-window", "-x", "50", "-y", "20"]);
    screen.until("a sentence", |lines| lines.first().is_some_and(|line| line.starts_with("50×20 is too small")));
    screen.tmux(&["resize-window", "-x", "80", "-y", "24"]);
    screen.until("the old size", |lines| lines.len() == 24 && lines[23].starts_with(&last));

    screen.press("C-z");
    prompt(&screen);
    assert!(!is_on_other_screen(&screen));
    assert_eq!(modes(&screen), before, "stopped");
    screen.types("fg");
    screen.press("Enter");
    screen.until("the viewer again", |lines| lines.last().is_some_and(|line| line.starts_with(&last)));
    screen.types("g/hello");
    screen.press("Enter");
    let found = format!("5 of {rows} rows");
    screen.until("the search", |lines| lines.last().is_some_and(|line| line.starts_with(&found)));
    screen.types("q");
    prompt(&screen);
    assert!(!is_on_other_screen(&screen));
    assert_eq!(answer(&screen, "echo status $status"), "status 0");
    assert_eq!(modes(&screen), before, "ended");
}

#[test]
fn a_signal_ends_it_and_leaves_the_terminal_whole() {
    let made = make(&everything());
    let screen = Screen::shell(80, 24);
    let before = modes(&screen);
    let pid_file = made.dir.path().join("pid");
    for (signal, status) in [(nix::sys::signal::SIGTERM, 143), (nix::sys::signal::SIGINT, 130)] {
        start(&screen, &format!("sh -c 'echo $$ >\"$0\"; exec \"$@\"' '{}' {}", pid_file.display(), view(&made.path)));
        let pid: i32 = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
        screen.until("its end", |lines| lines.iter().any(|line| line.starts_with("ready>")));
        assert!(!is_on_other_screen(&screen));
        assert_eq!(answer(&screen, "echo status $status"), format!("status {status}"));
        assert_eq!(modes(&screen), before, "{signal}");
    }
}

#[test]
fn no_colour_where_nobody_wants_any() {
    let made = make(&everything());
    let screen = Screen::shell(80, 24);
    for (variable, colours) in [("", true), ("NO_COLOR=1 ", false)] {
        start(&screen, &format!("{variable}{}", view(&made.path)));
        let shown = screen.tmux(&["capture-pane", "-e", "-p"]);
        let shown = String::from_utf8(shown.stdout).unwrap();
        let set = shown.split("\x1b[").skip(1).flat_map(|part| part.split('m').next().unwrap().split(';'));
        let has = set.filter_map(|code| code.parse::<u32>().ok()).any(|code| matches!(code, 30..=38 | 90..=97));
        assert_eq!(has, colours, "{variable}: {shown:?}");
        screen.types("q");
        prompt(&screen);
        answer(&screen, "true");
    }
}

#[test]
fn what_is_no_terminal_is_said_with_what_to_do() {
    let made = make(&everything());
    let ran = vmtrace(&["view", made.path()]);
    let said =
        format!("vmtrace: view needs a terminal, and stdout is none: vmtrace replay {} prints it\n", made.path());
    assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (2, "", said.as_str()));
    let ran = vmtrace(&["view", "-"]);
    assert_eq!((ran.status, ran.err.as_str()), (2, "vmtrace: view reads keys from standard input: name a file\n"));
    let screen = Screen::shell(200, 24);
    let shown = answer(&screen, &format!("{} </dev/null; echo status $?", view(&made.path)));
    assert!(shown.contains("view needs a terminal, and stdin is none: ") && shown.ends_with("status 2"), "{shown}");
    let shown = answer(&screen, &format!("TERM=dumb {}; echo status $?", view(&made.path)));
    assert!(shown.contains("TERM is dumb: vmtrace replay ") && shown.ends_with("status 2"), "{shown}");
}

#[test]
fn a_file_that_cannot_be_read_is_said_as_by_other_commands() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("text");
    std::fs::write(&text, "no capture").unwrap();
    for path in [dir.path().join("missing"), dir.path().to_path_buf(), text] {
        let path = path.to_str().unwrap();
        let (viewed, replayed) = (vmtrace(&["view", path]), vmtrace(&["replay", path]));
        assert_eq!((viewed.status, viewed.err), (2, replayed.err));
    }
    let ran = vmtrace(&["view", "x", "--where", "nonsense"]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("unknown column") || ran.err.contains("expected an operator"), "{}", ran.err);
}

/// What is saved may be anywhere: it is named when the viewer runs.
#[test]
fn a_line_for_a_report_is_saved_where_it_is_named() {
    let made = make(&everything());
    let elsewhere = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("temporary directory");
    let saved = elsewhere.path().join("s");
    let screen = Screen::shell(200, 24);
    start(&screen, &view(&made.path));
    screen.types("wb");
    screen.types(saved.to_str().unwrap());
    screen.press("Enter");
    screen.until("what was written", |lines| lines.last().is_some_and(|line| line.contains("wrote")));
    let text = std::fs::read_to_string(&saved).expect("what was saved");
    assert!(text.starts_with("vmtrace "), "{text}");
    screen.types("q");
    prompt(&screen);
}
