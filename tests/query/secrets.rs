//! The analysis `secrets`: what it finds, what it takes for none, and that it shows none of them.

use serde_json::{Value, json};
use vmtrace::schema::types::{Iovec, Iovecs};
use vmtrace::schema::{Event, Manifest};

use super::captures::{self, ledger, manifest, readv};
use super::{kept, rows};

/// Each kind of secret once: what it is called, its text, the part of it that nobody should see.
fn examples() -> Vec<(&'static str, String, &'static str)> {
    let long = "Zk3TqVx81LmNoP92QrStUvWxYz0aBcDeFgHiJkLm";
    let crypt = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./abcdefghijklmnopqrstuv";
    vec![
        ("GitHub token", format!("ghs_{long}"), long),
        ("GitHub token", format!("gho_{long}"), long),
        ("GitHub token", format!("ghp_{long}"), long),
        ("GitHub token", format!("github_pat_{long}"), long),
        ("GitHub Actions secret", "\"isSecret\":true".to_string(), "nothing of it"),
        ("JSON web token", format!("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.{long}"), long),
        ("AWS access key id", "AKIAIOSFODNN7EXAMPLE".to_string(), "IOSFODNN7"),
        ("AWS access key id", "ASIAIOSFODNN7EXAMPLE".to_string(), "IOSFODNN7"),
        ("AWS secret access key", format!("AWS_SECRET_ACCESS_KEY={long}"), long),
        ("AWS secret access key", format!("SecretAccessKey\": \"{long}"), long),
        ("AWS session token", format!("IQoJb3JpZ2luX2VjE{long}"), long),
        ("AWS session token", format!("aws_session_token = {long}"), long),
        ("private key", "-----BEGIN OPENSSH PRIVATE KEY-----".to_string(), "b3BlbnNz"),
        ("private key", "-----BEGIN PRIVATE KEY-----".to_string(), "b3BlbnNz"),
        ("hash of a password", format!("$6$salt$hash{}", &crypt[..82]), "hash"),
        ("hash of a password", format!("$6$rounds=5000$salt$hash{}", &crypt[..82]), "hash"),
        ("hash of a password", format!("$5$salt$hash{}", &crypt[..39]), "hash"),
        ("hash of a password", format!("$y$j9T$salt$hash{}", &crypt[..39]), "hash"),
        ("hash of a password", format!("$2b$12$hash{}", &crypt[..49]), "hash"),
        ("hash of a password", format!("$1$salt$hash{}", &crypt[..18]), "hash"),
        ("HTTP authorization", format!("Authorization: Bearer {long}"), long),
        ("HTTP cookie", format!("Set-Cookie: session={long}"), long),
        ("HTTP authorization", format!("Authorization: AWS4-HMAC-SHA256 Credential=AK/x, Signature={long}"), long),
        ("HTTP cookie", format!("Cookie: a=1234; session={long}"), long),
        ("API key", format!("X-Api-Key: {long}"), long),
        ("API key", format!("api_key={long}"), long),
        ("API key", format!("PRIVATE-TOKEN: {long}"), long),
        ("URL with a password", "postgres://joe:hunter2@".to_string(), "hunter2"),
        ("password", "password=hunter2".to_string(), "hunter2"),
        ("password", "passphrase: hunter2".to_string(), "hunter2"),
    ]
}

/// What looks like it at a glance: prefixes as they stand in libraries and help texts.
const NONE: [&str; 8] = [
    "$6$\0$5$\0rounds=\0%s%zu$",
    "crypt: $6$salt$tooshort",
    "ghs_ and ghp_ begin tokens",
    "eyJust a word. eyJ",
    "AKIA",
    "PRIVATE KEY-----",
    "\"isSecret\":false",
    "passwords are not here",
];

fn ask(name: &str, payloads: &[Vec<u8>], moved: i64) -> Vec<Value> {
    const LOCAL: &[Iovec] = &[Iovec { base: 0x1000, len: 5 }, Iovec { base: 0x9000, len: 4091 }];
    const REMOTE: &[Iovec] = &[Iovec { base: 0x7f00_0000_0000, len: 4096 }];
    let event = |(n, payload): (usize, &'static Vec<u8>)| Event {
        payload: Some(payload),
        payload_len: payload.len() as u32,
        bytes: Some(moved),
        local_iov: Some(Iovecs::Pairs(LOCAL)),
        remote_iov: Some(Iovecs::Pairs(REMOTE)),
        ..readv(n as i64)
    };
    let payloads: &'static Vec<Vec<u8>> = Box::leak(Box::new(payloads.to_vec()));
    let events: Vec<_> = payloads.iter().enumerate().map(event).collect();
    let path = kept(name);
    captures::write(&path, &Manifest { ledger: ledger(&events), ..manifest() }, &[&events]);
    rows(&[path.to_str().unwrap(), "--named", "secrets"])
}

#[test]
fn every_kind_is_found_and_none_is_shown() {
    let examples = examples();
    // One byte before it is in the first range, what follows in the second.
    let payloads: Vec<_> =
        examples.iter().map(|(_, text, _)| format!("\0\0\0\0\0\0\0{text}\0\n").into_bytes()).collect();
    let found = ask("secrets.parquet", &payloads, 4096);
    assert_eq!(found[0]["what"], "searched");
    assert_eq!(found.len(), examples.len() + 1, "{found:?}");
    for ((what, text, secret), row) in examples.iter().zip(&found[1..]) {
        assert_eq!((&row["what"], &row["payload_offset"]), (&json!(what), &json!(7)), "{text}: {row}");
        assert_eq!((&row["dst_address"], &row["src_address"]), (&json!(0x9002), &json!(0x7f00_0000_0007_u64)), "{row}");
        let shown = row["found"].as_str().unwrap();
        assert!(!shown.contains(secret), "{row}");
        assert!(shown.starts_with(&text[..3]), "{row}");
        assert!(shown == text || shown.ends_with(&format!("*** ({} characters)", text.len())), "{row}");
    }
}

#[test]
fn several_in_one_payload_are_all_found() {
    let token = |n: usize| format!("ghp_{:040}", n);
    let payload = format!("{} {} Authorization: token {}", token(1), token(1), token(2)).into_bytes();
    let found = ask("several.parquet", &[payload], 4096);
    let tokens: Vec<_> =
        found.iter().filter(|row| row["what"] == "GitHub token").map(|r| &r["payload_offset"]).collect();
    assert_eq!(tokens, [&json!(0), &json!(45), &json!(111)]);
    assert_eq!(found.iter().filter(|row| row["what"] == "HTTP authorization").count(), 1);
}

#[test]
fn what_only_begins_like_one_is_none_and_how_much_was_searched_is_said() {
    let payloads: Vec<_> = NONE.iter().map(|text| text.as_bytes().to_vec()).collect();
    let found = ask("no-secrets.parquet", &payloads, 10_000);
    let length: usize = NONE.iter().map(|text| text.len()).sum();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(length, 147, "the percentage below");
    assert_eq!(found[0]["found"], "0.1 % kept: 147 of 80000 bytes that moved");
    let nothing = ask("nothing-moved.parquet", &[], 0);
    assert_eq!(nothing[0]["found"], "no bytes moved");
}
