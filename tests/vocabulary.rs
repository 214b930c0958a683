//! The SQL of views, analyses and documents uses the words of the format: a word that a query compares a column with is
//! one that this column can hold, and where a query tells all words apart, none is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use vmtrace::schema::events::{EVENTS, Group};
use vmtrace::schema::hosts::HostPart;
use vmtrace::schema::manifest::{LedgerRow, Manifest};
use vmtrace::schema::names::{advice_names, errno_names, ptrace_request_names};
use vmtrace::schema::vocabulary::{DescriptorKind, Loss, LostCause, VOCABULARIES};

/// Names that views give to words of their own.
const OWN: [&str; 1] = ["way"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(directory: &str, extension: &str) -> Vec<PathBuf> {
    let entries = root().join(directory).read_dir().unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|e| e == extension)).collect()
}

fn sql_files() -> Vec<(String, String)> {
    let paths = [files("src/query/views", "sql"), files("src/query/named", "sql")].concat();
    paths.iter().map(|path| (path.display().to_string(), std::fs::read_to_string(path).unwrap())).collect()
}

/// What each column of the tables and views can hold.
fn words() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let texts = |words: &'static [(&str, &str)]| words.iter().map(|(word, _)| *word).collect::<BTreeSet<_>>();
    let mut words: BTreeMap<_, _> =
        VOCABULARIES.iter().flat_map(|v| v.places.iter().map(move |place| (*place, texts(v.words)))).collect();
    let events: BTreeSet<_> = EVENTS.iter().map(|event| event.name).collect();
    words.extend([("event", events.clone()), ("lost_event", events)]);
    words.insert("errno", errno_names().collect());
    words.insert("ptrace_request", ptrace_request_names().collect());
    words.insert("advice", advice_names().collect());
    // What the view `losses` makes of a row that names no cause.
    words.entry("lost_cause").or_default().insert("unknown");
    // Of the views `transfers` and `losses`, and of the table `ledger`.
    let ends: BTreeSet<_> = texts(DescriptorKind::VOCABULARY.words).into_iter().chain(["process"]).collect();
    words.extend([("src_kind", ends.clone()), ("dst_kind", ends)]);
    words.insert("cause", texts(Loss::VOCABULARY.words));
    let line = serde_json::to_value(LedgerRow::default()).unwrap();
    let entries = line.as_object().unwrap().keys().map(|key| &*key.clone().leak());
    words.insert("entry", entries.chain(Loss::ALL.iter().map(|loss| loss.as_str())).collect());
    words
}

#[derive(Clone, Debug, PartialEq)]
enum Token<'a> {
    /// A keyword or a name.
    Name(&'a str),
    /// What stands between quotes.
    Text(&'a str),
    /// Anything else.
    Sign(char),
}

/// The tokens of SQL, or of a document that has some. A text ends with its line.
fn tokens(sql: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for line in sql.lines() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let name = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let quoted = rest.strip_prefix('\'').and_then(|text| text.split_once('\''));
            rest = match quoted {
                _ if rest.starts_with("-- ") => break,
                _ if name > 0 => {
                    tokens.push(Token::Name(&rest[..name]));
                    &rest[name..]
                }
                Some((text, behind)) => {
                    tokens.push(Token::Text(text));
                    behind
                }
                None => {
                    tokens.push(Token::Sign(first));
                    &rest[first.len_utf8()..]
                }
            };
            rest = rest.trim_start();
        }
    }
    tokens
}

/// Texts that a column is compared with.
#[derive(Debug)]
struct Compared<'a> {
    column: &'a str,
    texts: Vec<&'a str>,
    /// By `CASE column WHEN 'text' THEN 'result'`: the results.
    results: Vec<&'a str>,
}

/// Every `column = 'text'`, `column <> 'text'`, `column [NOT] IN ('text', …)`, `coalesce(column, 'text')` and
/// `CASE column WHEN 'text' …`.
fn compared<'a>(tokens: &[Token<'a>]) -> Vec<Compared<'a>> {
    use Token::{Name, Sign, Text};
    let mut found = Vec::new();
    let mut add = |column, texts, results| found.push(Compared { column, texts, results });
    for at in 0..tokens.len() {
        let keyword =
            |n: usize, word: &str| matches!(&tokens[at + n..], [Name(name), ..] if name.eq_ignore_ascii_case(word));
        match &tokens[at..] {
            [Name(column), Sign('='), Text(text), ..] | [Name(column), Sign('<'), Sign('>'), Text(text), ..] => {
                add(*column, vec![*text], vec![]);
            }
            [Name(column), Name(_), rest @ ..] if keyword(1, "IN") && !keyword(0, "NOT") => {
                add(*column, list(rest), vec![]);
            }
            [Name(column), Name(_), Name(_), rest @ ..] if keyword(1, "NOT") && keyword(2, "IN") => {
                add(*column, list(rest), vec![]);
            }
            [Name(_), Sign('('), Name(column), Sign(','), Text(text), Sign(')'), ..] if keyword(0, "coalesce") => {
                add(*column, vec![*text], vec![]);
            }
            [Name(_), Name(column), Name(_), rest @ ..] if keyword(0, "CASE") && keyword(2, "WHEN") => {
                let (mut texts, mut results, mut rest) = (vec![], vec![], rest);
                while let [Text(text), Name(_), result, more @ ..] = rest {
                    texts.push(*text);
                    results.extend(if let Text(result) = result { Some(*result) } else { None });
                    let [Name(when), behind @ ..] = more else { break };
                    rest = if when.eq_ignore_ascii_case("WHEN") { behind } else { &[] };
                }
                add(*column, texts, results);
            }
            _ => {}
        }
    }
    found.retain(|compared| !compared.texts.is_empty());
    found
}

/// `('text', …)`
fn list<'a>(tokens: &[Token<'a>]) -> Vec<&'a str> {
    let inner = tokens.strip_prefix(&[Token::Sign('(')]).unwrap_or_default();
    let texts = inner.iter().take_while(|token| **token != Token::Sign(')'));
    texts.filter_map(|token| if let Token::Text(text) = token { Some(*text) } else { None }).collect()
}

#[test]
fn queries_compare_columns_with_words_that_they_can_hold() {
    let words = words();
    let mut seen = BTreeSet::new();
    for (path, sql) in sql_files() {
        let tokens = tokens(&sql);
        for compared in compared(&tokens).iter().filter(|c| !OWN.contains(&c.column)) {
            // These compare texts of the footer and of payload, for DuckDB alone.
            if path.ends_with("duckdb.sql") && !words.contains_key(compared.column) {
                continue;
            }
            let known = words.get(compared.column);
            let known = known.unwrap_or_else(|| panic!("{path}: which words can {} hold?", compared.column));
            for text in &compared.texts {
                assert!(known.contains(text), "{path}: {} is never {text:?}", compared.column);
            }
            seen.insert(compared.column.to_string());
        }
    }
    let expected =
        ["direction", "errno", "event", "fd_out_kind", "iov_verdict", "lost_cause", "ptrace_request", "src_kind"];
    assert!(expected.iter().all(|column| seen.contains(*column)), "{seen:?}");
}

#[test]
fn documents_compare_columns_with_words_that_they_can_hold() {
    let words = words();
    let mut seen = 0;
    for path in [files("docs", "md"), vec![root().join("README.md")]].concat() {
        let text = std::fs::read_to_string(&path).unwrap();
        // Of these tokens the columns of captures are looked at, and names of other things are passed over.
        for compared in compared(&tokens(&text)).iter().filter(|c| words.contains_key(c.column)) {
            for text in &compared.texts {
                let known = &words[compared.column];
                assert!(known.contains(text), "{}: {} is never {text:?}", path.display(), compared.column);
                seen += 1;
            }
        }
    }
    assert!(seen >= 3, "only {seen} comparisons");
}

#[test]
fn losses_names_every_cause_as_the_ledger_does() {
    let sql = std::fs::read_to_string(root().join("src/query/views/losses.sql")).unwrap();
    let tokens = tokens(&sql);
    let cases: Vec<Compared> = compared(&tokens).into_iter().filter(|c| !c.results.is_empty()).collect();
    assert!(!cases.is_empty());
    for case in cases {
        assert_eq!((case.column, case.texts.len()), ("lost_cause", case.results.len()));
        for cause in LostCause::ALL {
            let named = case.texts.iter().position(|text| cause.is(text)).map(|at| case.results[at].to_string());
            // ELSE 'lost_' || …
            let entry = named.unwrap_or_else(|| format!("lost_{}", cause.as_str()));
            assert_eq!(entry, cause.loss().as_str());
        }
    }
    // WHERE entry LIKE 'lost%'
    let entries = words().remove("entry").unwrap();
    let lost: BTreeSet<_> = entries.into_iter().filter(|entry| entry.starts_with("lost")).collect();
    assert_eq!(lost, Loss::ALL.iter().map(|loss| loss.as_str()).collect());
}

#[test]
fn a_list_of_process_events_has_them_all() {
    let all: BTreeSet<_> = EVENTS.iter().filter(|e| e.group == Group::Process).map(|e| e.name).collect();
    let mut lists = 0;
    for (path, sql) in sql_files() {
        for compared in compared(&tokens(&sql)).iter().filter(|c| c.column == "event" && c.texts.len() > 1) {
            let of_process: BTreeSet<_> = compared.texts.iter().copied().filter(|text| all.contains(text)).collect();
            if !of_process.is_empty() {
                assert_eq!(of_process, all, "{path}");
                lists += 1;
            }
        }
    }
    assert!(lists > 0);
}

/// What DuckDB takes out of the manifest by its path.
#[test]
fn paths_into_the_manifest_lead_somewhere() {
    let ledger = vec![LedgerRow::default()];
    let of_host = Manifest { ledger: ledger.clone(), ..Manifest::default() };
    let hosts = vec![HostPart { manifest: of_host, ..HostPart::default() }];
    let manifest = serde_json::to_value(Manifest { ledger, hosts, ..Manifest::default() }).unwrap();
    let sql = std::fs::read_to_string(root().join("src/query/views/duckdb.sql")).unwrap();
    let mut paths = 0;
    for token in tokens(&sql) {
        let Token::Text(path) = token else { continue };
        let Some(path) = path.strip_prefix("$.").filter(|path| !path.is_empty()) else { continue };
        let whole = match path {
            "event" => &manifest["ledger"][0],
            "manifest.ledger[*]" => &manifest["hosts"][0],
            _ => &manifest,
        };
        let found = path.trim_end_matches("[*]").split('.').try_fold(whole, |value: &Value, key| value.get(key));
        assert!(found.is_some(), "{path}");
        paths += 1;
    }
    assert!(paths > 10, "{paths}");
}

#[test]
fn the_queries_words_are_found() {
    let sql = "-- event = 'never'\nSELECT CASE cause WHEN 'a' THEN 'b' WHEN 'c' THEN 'd' ELSE 'e' || x END, coalesce(kind, 'f')\n\
               FROM t WHERE t.way = 'g' AND event NOT IN ('h', 'i') OR errno in ('j') AND comm <> 'k' AND n = 5";
    let found: Vec<(&str, Vec<&str>)> = compared(&tokens(sql)).into_iter().map(|c| (c.column, c.texts)).collect();
    let wanted = [
        ("cause", vec!["a", "c"]),
        ("kind", vec!["f"]),
        ("way", vec!["g"]),
        ("event", vec!["h", "i"]),
        ("errno", vec!["j"]),
        ("comm", vec!["k"]),
    ];
    assert_eq!(found, wanted);
}
