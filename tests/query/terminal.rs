//! Results and the prompt on a terminal: one of tmux, whose screen is read.

use std::path::Path;

use super::captures::{self, manifest, readv};
use super::screen::Screen;
use super::{kept, query, root};
use vmtrace::schema::Event;

const SAMPLE: &str = "samples/runner-secrets/runner-secrets.parquet";

/// What a terminal of so many columns shows of `vmtrace query` with `args`.
fn shown(columns: u16, args: &str) -> Vec<String> {
    let vmtrace = env!("CARGO_BIN_EXE_vmtrace");
    Screen::of(columns, &format!("cd '{}' && '{vmtrace}' query {args}; echo status $?", root().display())).lines()
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().chain(["status 0"]).collect()
}

#[test]
fn tables_fit_the_terminal() {
    let sql = "SELECT * FROM events";
    for columns in [80, 200] {
        let width = columns.to_string();
        let piped = query(&[SAMPLE, sql, "--width", &width, "--rows", "40"]).out;
        let screen = shown(columns, &format!("{SAMPLE} '{sql}'"));
        assert_eq!(screen, lines(&piped), "no line is broken");
        assert_eq!(screen.len(), 2 + 40 + 2 + 1, "{screen:#?}");
        assert!(screen[0].starts_with("capture  ") && screen[0].contains("  …  "), "{screen:#?}");
        assert!(screen[42].contains(" columns are left out: -T line or --width 0 shows all"), "{screen:#?}");
        assert_eq!(screen[43], "… 6 more rows: --rows 0 shows all");
    }
    let wide = query(&[SAMPLE, sql, "--width", "200"]).out.lines().next().unwrap().split_whitespace().count();
    let narrow = query(&[SAMPLE, sql, "--width", "80"]).out.lines().next().unwrap().split_whitespace().count();
    assert!(wide > narrow, "what has room is shown");
}

#[test]
fn what_fits_or_is_asked_for_is_whole() {
    let sql = "SELECT seq, event FROM events";
    let piped = query(&[SAMPLE, sql]).out;
    assert_eq!(piped.lines().count(), 48, "a pipe gets all");
    assert_eq!(shown(80, &format!("{SAMPLE} '{sql}' --rows 0")), lines(&piped));
    let whole = query(&[SAMPLE, "SELECT * FROM edges"]).out;
    assert!(whole.lines().any(|line| line.len() > 250));
    let csv = query(&[SAMPLE, sql, "-T", "csv"]).out;
    assert_eq!(shown(80, &format!("{SAMPLE} '{sql}' -T csv")), lines(&csv), "for other programs");
    let line = query(&[SAMPLE, sql, "-T", "line", "--rows", "40"]).out;
    assert_eq!(shown(80, &format!("{SAMPLE} '{sql}' -T line")), lines(&line));
    assert!(line.ends_with("\n… 6 more rows: --rows 0 shows all\n"), "{line}");
}

#[test]
fn lists_and_names_keep_begin_and_end() {
    let sql = "SELECT array_agg(seq ORDER BY seq) AS numbers, min(target_exe) AS the_name_of_the_executable_that_was_reached FROM events";
    let lines = query(&[SAMPLE, sql, "--width", "60"]).out;
    let lines: Vec<&str> = lines.lines().collect();
    assert!(lines[2].starts_with("[0,1,") && lines[2].contains(",…,") && lines[2].contains(",45]  "), "{lines:#?}");
    assert!(lines[0].contains("  the_name") && lines[0].ends_with("reached") && lines[0].contains('…'), "{lines:#?}");
    assert_eq!(lines[3..], ["… stands for what has no room:", "  -T line or --width 0 shows all"]);
}

/// A line is as wide as it seems, whatever a program calls itself, and nothing of it acts on the terminal.
#[test]
fn odd_names_break_no_line() {
    let path = kept("odd.parquet");
    let names =
        ["日本語日本語", "e\u{301}e\u{301}", "\x1b]2;owned\x07", "\u{202e}evil", "\t\r\n\x0b", "\u{9b}2J", "plain"];
    let events: Vec<Event<'_>> =
        (1..).zip(names).map(|(us, comm)| Event { comm, exe: Some(comm), ..readv(us) }).collect();
    captures::write(&path, &manifest(), &[&events]);
    let sql = "SELECT comm, exe, target_comm, target_exe, event, 'x' AS x FROM events";
    let piped = query(&[path.to_str().unwrap(), sql, "--width", "50"]).out;
    let screen = shown(50, &format!("'{}' \"{sql}\"", path.display()));
    assert_eq!(screen, lines(&piped));
    assert_eq!(screen.len(), 2 + names.len() + 2 + 1);
}

/// The prompt over a sample, on a terminal of 80 columns.
fn prompt(home: &Path) -> Screen {
    let screen = Screen::shell(80, 60);
    let vmtrace = env!("CARGO_BIN_EXE_vmtrace");
    let state = home.display();
    screen.types(&format!("cd '{}' && clear && XDG_STATE_HOME='{state}' '{vmtrace}' query {SAMPLE}", root().display()));
    screen.press("Enter");
    until_asked(&screen, "vmtrace>");
    screen
}

/// Waits until the last line is this prompt; gives the lines before it.
fn until_asked(screen: &Screen, prompt: &str) -> Vec<String> {
    screen.until(prompt, |lines| lines.last().is_some_and(|line| line.trim_end() == prompt))
}

/// Types a line and waits for the prompt after it; gives what came in between.
fn answer(screen: &Screen, line: &str, prompt: &str) -> Vec<String> {
    // ^L: the screen has nothing but what comes now.
    screen.press("C-l");
    screen.until("an empty screen", |lines| lines.len() <= 1);
    screen.types(line);
    screen.press("Enter");
    let lines =
        screen.until(line, |lines| lines.len() > 1 && lines.last().is_some_and(|last| last.trim_end() == prompt));
    lines[1..lines.len() - 1].to_vec()
}

#[test]
fn the_prompt_says_that_a_statement_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let screen = prompt(home.path());
    let (new, more) = ("vmtrace>", "    ...>");
    assert_eq!(answer(&screen, "SELECT count(*)", more), [""; 0]);
    assert!(answer(&screen, ".tables", more).contains(&"edges".to_string()));
    assert_eq!(
        answer(&screen, ".tabels", more),
        ["vmtrace: there is no command .tabels: did you mean .tables? .help lists all"]
    );
    assert_eq!(answer(&screen, "AS \"a;", more), [""; 0]);
    assert_eq!(answer(&screen, "b\" FROM events;", new), ["a;\\nb", "-----", "   46"]);
    let help = answer(&screen, ".help", new);
    assert!(help.iter().any(|line| line.starts_with(".mode [MODE]")), "{help:#?}");
    assert!(help.iter().all(|line| line.chars().count() <= 80), "{help:#?}");
    // Left while a quote is open.
    assert_eq!(answer(&screen, "SELECT 'x", more), [""; 0]);
    screen.types("quit");
    screen.press("Enter");
    screen.until("the shell", |lines| lines.last().is_some_and(|line| line.starts_with("ready>")));
}

#[test]
fn results_have_the_form_that_is_asked_for() {
    let home = tempfile::tempdir().unwrap();
    let screen = prompt(home.path());
    let new = "vmtrace>";
    let table = answer(&screen, "SELECT * FROM events;", new);
    assert_eq!(table.len(), 44, "{table:#?}");
    assert!(table[42].ends_with(": .mode line or .width 0 shows all"), "{table:#?}");
    assert_eq!(table[43], "… 6 more rows: .rows 0 shows all");
    assert_eq!(answer(&screen, ".rows 2", new), [""; 0]);
    assert_eq!(answer(&screen, ".width 50", new), [""; 0]);
    let table = answer(&screen, "SELECT * FROM events;", new);
    assert!(table.len() == 2 + 2 + 2 + 1 && table.iter().take(4).all(|line| line.chars().count() <= 50), "{table:#?}");
    let ask = "SELECT seq, comm FROM events LIMIT 1;";
    for (mode, wanted) in [
        ("line", &[" seq = 0", "comm = vmtrace"][..]),
        ("csv", &["seq,comm", "0,vmtrace"]),
        ("JSONL", &["{\"seq\":0,\"comm\":\"vmtrace\"}"]),
        ("table", &["seq  comm", "---  -------", "  0  vmtrace"]),
    ] {
        assert_eq!(answer(&screen, &format!(".mode {mode}"), new), [""; 0]);
        assert_eq!(answer(&screen, ask, new), wanted, "{mode}");
    }
    for (line, said) in [
        (".mode tabel", "vmtrace: there is no mode tabel: did you mean table?"),
        (".mode parquet", "vmtrace: that format is not for a terminal: leave, and give -T parquet -o OUT"),
        (".width 7", "vmtrace: .width 7: give 0 for whole lines, or 40 to 4000"),
        (".rows many", "vmtrace: .rows many: give a number, 0 for all"),
        (".schema edge", "vmtrace: there is no table edge: did you mean edges?"),
        (".named denid", "vmtrace: there is no analysis \"denid\": did you mean denied? --list has all"),
    ] {
        assert_eq!(answer(&screen, line, new), [said]);
    }
    let schema = answer(&screen, ".schema edges", new);
    assert!(schema[0] == "edges" && schema.iter().any(|line| line.starts_with("last_ts ")), "all of it: {schema:#?}");
}

#[test]
fn statements_are_pasted() {
    let home = tempfile::tempdir().unwrap();
    let screen = prompt(home.path());
    let pasted = ".mode csv\nSELECT 1 AS a;\n-- a comment;\nSELECT 'x\n.quit\ny' AS b\n, 2 AS c;\nSELECT 3\n";
    screen.press("C-l");
    assert!(screen.tmux(&["set-buffer", pasted]).status.success());
    assert!(screen.tmux(&["paste-buffer", "-p"]).status.success());
    screen.until("what was pasted", |lines| lines.iter().any(|line| line == "SELECT 3"));
    screen.press("Enter");
    let lines = until_asked(&screen, "    ...>");
    let out: Vec<&str> = lines.iter().map(String::as_str).collect();
    let at = out.iter().rposition(|line| line.ends_with("SELECT 3")).unwrap();
    assert_eq!(
        out[at..].iter().filter(|line| !line.is_empty()).skip(1).copied().collect::<Vec<_>>(),
        ["a", "1", "b,c", "x\\n.quit\\ny,2", "    ...>"]
    );
    // ^C forgets the rest of it, and the arrow brings it back.
    screen.press("C-c");
    until_asked(&screen, "vmtrace>");
    screen.press("Up");
    screen.until("history", |lines| lines.iter().any(|line| line.trim_end() == "vmtrace> SELECT 3"));
    screen.press("C-c");
    until_asked(&screen, "vmtrace>");
    screen.types("\\q");
    screen.press("Enter");
    screen.until("the shell", |lines| lines.last().is_some_and(|line| line.starts_with("ready>")));
}
