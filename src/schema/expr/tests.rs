use super::Expr;
use crate::schema::columns::{COLUMNS, Event};

fn matches(text: &str, event: &Event<'_>) -> bool {
    Expr::parse(text).unwrap_or_else(|e| panic!("{text}: {e}")).matches(event)
}

fn error(text: &str) -> String {
    Expr::parse(text).map(|e| format!("{e:?} was taken")).unwrap_err()
}

fn denied() -> Event<'static> {
    Event {
        event: "process_vm_writev",
        pid: 10,
        comm: "ssh-agent",
        target_pid: Some(4211),
        ret: Some(-1),
        errno: Some("EPERM"),
        bytes: Some(0),
        toctou: Some(false),
        remote_iov: None,
        local_iov: Some(crate::schema::types::Iovecs::Pairs(&[])),
        data: u64::MAX,
        dur_ns: Some(1_500_000),
        ts: 1_767_323_045_000_000,
        ..Event::default()
    }
}

#[test]
fn conditions_by_type() {
    let event = denied();
    for (text, wanted) in [
        ("errno = EPERM", true),
        ("errno == 'EPERM'", true),
        ("errno != EPERM", false),
        ("errno=EACCES", false),
        ("comm!=sshd", true),
        ("comm ~ \"ssh*\"", true),
        ("comm ~ ssh*", true),
        ("comm !~ [a-r]*", true),
        ("comm ~ agent", false),
        ("pid = 10", true),
        ("pid=0xa", true),
        ("pid > 10", false),
        ("pid >= 10", true),
        ("pid < 11", true),
        ("pid <= 9", false),
        ("ret = -1", true),
        ("ret < 0", true),
        ("data = 18446744073709551615", true),
        ("data > -1", true),
        ("bytes >= 1M", false),
        ("bytes < 1K", true),
        ("dur_ns > 1ms", true),
        ("dur_ns > 1s", false),
        ("toctou = false", true),
        ("toctou != false", false),
        ("ts >= 2026-01-02T03:04:05Z", true),
        ("ts > '2026-01-02T03:04:05Z'", false),
        ("remote_iov is null", true),
        ("local_iov is null", false),
        ("local_iov is not null", true),
    ] {
        assert_eq!(matches(text, &event), wanted, "{text}");
    }
    assert!(matches("bytes >= 1M", &Event { bytes: Some(1 << 20), ..denied() }));
    assert!(!matches("bytes >= 1M", &Event { bytes: Some((1 << 20) - 1), ..denied() }));
}

#[test]
fn conditions_combine_as_in_sql() {
    let event = denied();
    for (text, wanted) in [
        ("event = process_vm_writev and target_pid = 4211", true),
        ("event = process_vm_writev AND target_pid = 1", false),
        ("pid = 1 or errno = EPERM", true),
        // `and` binds closer than `or`.
        ("errno = EPERM or pid = 10 and pid = 1", true),
        ("(errno = EPERM or pid = 10) and pid = 1", false),
        ("not pid = 1 and pid = 10", true),
        ("not (pid = 1 or pid = 10)", false),
        ("not not pid = 10", true),
    ] {
        assert_eq!(matches(text, &event), wanted, "{text}");
    }
}

#[test]
fn no_comparison_with_null_holds() {
    let event = Event { errno: None, ..denied() };
    for text in ["errno = EPERM", "errno != EPERM", "not errno = EPERM", "errno ~ *", "errno !~ *"] {
        assert!(!matches(text, &event), "{text}");
    }
    for text in ["errno is null", "errno = EPERM or pid = 10", "not (errno = EPERM and pid = 1)"] {
        assert!(matches(text, &event), "{text}");
    }
    assert!(!matches("not (errno = EPERM and pid = 10)", &event));
}

#[test]
fn every_column_can_be_asked_for() {
    let event = Event::default();
    for column in COLUMNS {
        let null = matches(&format!("{} is null", column.name), &event);
        assert_eq!(null, column.nullable, "{}", column.name);
    }
}

#[test]
fn names_keep_their_quotes_and_spaces() {
    let event = Event { comm: "it's a \"name\"", ..Event::default() };
    assert!(matches("comm = 'it''s a \"name\"'", &event));
    assert!(matches("comm = \"it's a \"\"name\"\"\"", &event));
    assert!(matches("comm = 'and'", &Event { comm: "and", ..event }));
    assert!(matches("exe ~ '/usr/*'", &Event { exe: Some("/usr/bin/ssh"), ..event }), "* matches a slash");
}

#[test]
fn errors_say_where_and_what() {
    for (text, wanted) in [
        ("", "at character 1: expected a column, found the end"),
        ("erno = EPERM", "at character 1: unknown column \"erno\"; similar: errno"),
        ("pid = 1 and target = 2", "at character 13: unknown column \"target\"; similar: target_"),
        ("§ = 1 or ü = 2", "at character 1: unknown column \"§\""),
        ("comm = 'ü' or ü = 2", "at character 15: unknown column \"ü\""),
        ("pid", "at character 4: expected an operator or `is null` behind pid, found the end"),
        ("pid = ", "at character 7: expected a value, found the end"),
        ("pid = and", "at character 7: expected a value, found \"and\""),
        ("pid = 1 pid = 2", "at character 9: expected and, or, or the end, found \"pid\""),
        ("(pid = 1", "at character 9: expected a closing parenthesis, found the end"),
        ("pid = 1)", "at character 8: expected and, or, or the end, found \")\""),
        ("pid = one", "at character 7: pid is a number, not \"one\""),
        ("pid = 1K", "at character 7: pid is a number, not \"1K\""),
        ("bytes = 1T", "at character 9: bytes is a number, if need be with K, M, G, not \"1T\""),
        ("pid ~ 1", "at character 5: pid is a number: compare it with"),
        ("comm < a", "at character 6: comm is text: compare it with"),
        ("comm ~ [a", "at character 8: \"[a\" is not a glob pattern"),
        ("comm = 'a", "at character 8: this quote is not closed"),
        ("toctou = maybe", "at character 10: toctou is true or false, not \"maybe\""),
        ("payload = x", "at character 9: payload can only be asked for with `is null`"),
        ("ts > yesterday", "at character 6: ts is a time such as"),
        ("pid is 1", "at character 8: expected null, found \"1\""),
        ("errno = EPREM", "at character 9: errno is never \"EPREM\"; similar: EPERM"),
        ("event = process_vm_write", "at character 9: event is never \"process_vm_write\"; similar: process_vm_writev"),
        ("ptrace_request = ATTACH", "at character 18: ptrace_request is never \"ATTACH\""),
    ] {
        let error = error(text);
        assert!(error.starts_with(wanted), "{text}: {error}");
        assert!(!error.contains('\n'));
    }
    for text in ["errno = EUNKNOWN", "errno = ERESTARTSYS", "ptrace_request = 99", "lost_event = tee"] {
        assert!(Expr::parse(text).is_ok(), "{text}");
    }
}

#[test]
fn nesting_ends_before_the_stack_does() {
    let deep = |n: usize| format!("{}pid = 1{}", "(".repeat(n), ")".repeat(n));
    assert!(Expr::parse(&deep(60)).is_ok());
    assert!(error(&deep(100_000)).contains("more than 64 levels of nesting"));
    assert!(error(&"not ".repeat(100_000)).contains("more than 64 levels of nesting"));
    let wide = vec!["pid = 1"; 10_000].join(" or ");
    assert!(Expr::parse(&wide).is_ok());
}

#[test]
fn it_names_its_columns() {
    let expr = Expr::parse("pid = 1 or not (comm ~ a* and payload is not null)").unwrap();
    assert_eq!(expr.columns(), ["pid", "comm", "payload"]);
}

#[test]
fn it_shows_as_it_was_given() {
    assert_eq!(Expr::parse("pid  =  1").unwrap().to_string(), "pid  =  1");
}
