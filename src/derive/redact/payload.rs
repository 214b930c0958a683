//! Payloads: what stays of bytes that are removed, and bytes that stay with secrets masked in them.

use std::sync::LazyLock;

use regex::Regex;

use super::secret::Secret;
use crate::schema::vocabulary::PayloadEntropy;

/// Hexadecimal digits of a digest: 128 bits.
const DIGITS: usize = 32;
/// What stands in the place of a masked byte.
const MASK: u8 = b'*';

/// The keyed digest of a payload.
pub fn digest(secret: &Secret, bytes: &[u8]) -> String {
    secret.hex("payload", bytes, DIGITS)
}

/// What kind of bytes these are; `None` of none.
pub fn entropy(bytes: &[u8]) -> Option<PayloadEntropy> {
    let mut counts = [0u32; 256];
    for byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let distinct = counts.iter().filter(|count| **count > 0).count();
    if distinct <= 1 {
        return (distinct == 1).then_some(PayloadEntropy::Constant);
    }
    let printable = bytes.iter().filter(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t')).count();
    if bytes.len() - printable <= bytes.len() / 16 {
        return Some(PayloadEntropy::Text);
    }
    let all = bytes.len() as f64;
    let shares = counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / all);
    let bits: f64 = shares.map(|share| -share * share.log2()).sum();
    let most = (bytes.len().min(256) as f64).log2();
    Some(match bits / most {
        share if share < 0.5 => PayloadEntropy::Low,
        share if share < 0.9 => PayloadEntropy::Mixed,
        _ => PayloadEntropy::High,
    })
}

/// What a pattern shows of a secret, and how far the secret goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// All of the match behind its first bytes.
    Match,
    /// The match says that a key follows: up to the line that ends it, or to the end.
    Key,
    /// The match stands beside a secret in an object of JSON: all of it between the braces.
    Object,
}

/// What looks like a secret: the patterns of the analysis `secrets` of `vmtrace query`, which a test compares. The bytes
/// at the beginning that say what it is stay.
const PATTERNS: &[(&str, usize, Extent, &[&str])] = &[
    ("GitHub token", 4, Extent::Match, &["gh[pousr]_[A-Za-z0-9][A-Za-z0-9_.-]{19,}"]),
    ("GitHub token", 11, Extent::Match, &["github_pat_[A-Za-z0-9_]{20,}"]),
    ("GitHub Actions secret", 20, Extent::Object, &["\"isSecret\" ?: ?true"]),
    ("JSON web token", 3, Extent::Match, &[r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+)?"]),
    ("AWS access key id", 4, Extent::Match, &["(?:AKIA|ASIA)[A-Z0-9]{16}"]),
    (
        "AWS secret access key",
        6,
        Extent::Match,
        &[r#"(?i:(?:aws_?)?secret_?access_?key)["' ]{0,2}[=:] ?["']?[A-Za-z0-9/+]{40}"#],
    ),
    (
        "AWS session token",
        7,
        Extent::Match,
        &[
            r#"(?i:(?:aws_?)?session_?token)["' ]{0,2}[=:] ?["']?[A-Za-z0-9/+=]{16,}"#,
            "|(?:IQoJb3JpZ2luX2|FwoGZXIvYXdz)[A-Za-z0-9/+=]{16,}",
        ],
    ),
    ("private key", 80, Extent::Key, &["-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"]),
    (
        "hash of a password",
        3,
        Extent::Match,
        &[
            r"\$6\$(?:rounds=[0-9]{4,9}\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{86}",
            r"|\$5\$(?:rounds=[0-9]{4,9}\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{43}",
            r"|\$g?y\$[./0-9A-Za-z]{1,20}\$[./0-9A-Za-z]{1,86}\$[./0-9A-Za-z]{43}",
            r"|\$7\$[./0-9A-Za-z]{11,97}\$[./0-9A-Za-z]{43}",
            r"|\$2[abxy]\$[0-9]{2}\$[./0-9A-Za-z]{53}",
            r"|\$1\$[./0-9A-Za-z]{1,8}\$[./0-9A-Za-z]{22}",
        ],
    ),
    (
        "HTTP authorization",
        15,
        Extent::Match,
        &[
            r#""(?i:authorization)\\?"?: ?\\?"?[A-Za-z][A-Za-z0-9-]{1,30} [!#-~][ !#-~]{3,}"#,
            r#"|'(?i:authorization)'?: ?'?[A-Za-z][A-Za-z0-9-]{1,30} [!-&(-~][ -&(-~]{3,}"#,
            r#"|(?i:authorization): ?[A-Za-z][A-Za-z0-9-]{1,30} [!-~][ -~]{3,}"#,
        ],
    ),
    (
        "HTTP cookie",
        7,
        Extent::Match,
        &[
            r#""(?i:(?:set-)?cookie)\\?"?: ?\\?"?[ !#-<>-~]{1,100}=[!#-~][ !#-~]{3,}"#,
            r#"|'(?i:(?:set-)?cookie)'?: ?'?[ -&(-<>-~]{1,100}=[!-&(-~][ -&(-~]{3,}"#,
            r#"|(?i:(?:set-)?cookie): ?[ -<>-~]{1,100}=[!-~][ -~]{3,}"#,
        ],
    ),
    (
        "API key",
        6,
        Extent::Match,
        &[
            r#"(?i:\bx-[a-z-]{0,20}(?:api-?key|auth-?key|token|secret)|private-token|api[_-]?key|client[_-]secret|access[_-]token)"#,
            r#"[\\"' ]{0,3}[=:] ?[\\"']{0,2}[!#-&(-+\--~]{8,}"#,
        ],
    ),
    (
        "URL with a password",
        6,
        Extent::Match,
        &[r#"[A-Za-z][A-Za-z0-9+.-]{1,20}://[!#-&(-+\-.0-9;=?A-~]{0,64}:[!#-&(-+\-.0-;=?A-~]{1,128}@"#],
    ),
    (
        "password",
        6,
        Extent::Match,
        &[
            r#"(?i:passw(?:or)?d|passphrase)[\\"' ]{0,3}(?:=>|:=|={1,2}|:) {0,16}"#,
            r#"(?:\\"[ !#-\[\]-~]+|"(?:\\[ -~]|[ !#-\[\]-~])+|'[ -&(-~]+|[!-~]+)"#,
        ],
    ),
];

static COMPILED: LazyLock<Vec<(usize, Extent, Regex)>> = LazyLock::new(|| {
    let compile = |(_, shown, extent, parts): &(&str, usize, Extent, &[&str])| {
        Some((*shown, *extent, Regex::new(&parts.concat()).ok()?))
    };
    PATTERNS.iter().filter_map(compile).collect()
});

/// Masks what looks like a secret, byte for byte; returns how many there were. Bytes that are not printable ASCII end a
/// secret, as in the analysis.
pub fn mask(bytes: &mut [u8]) -> u64 {
    let line = |byte: &u8| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '\n' };
    let text: String = bytes.iter().map(line).collect();
    let mut found = 0;
    for (shown, extent, regex) in COMPILED.iter() {
        for hit in regex.find_iter(&text).filter(|hit| !hit.is_empty()) {
            found += 1;
            let range = match extent {
                Extent::Match => hit.start() + shown.min(&hit.len())..hit.end(),
                Extent::Key => hit.end()..end_of_key(&text, hit.end()),
                Extent::Object => object(&text, hit.start(), hit.end()),
            };
            let secret = bytes.get_mut(range).unwrap_or_default();
            // Blanks stay, so that what is masked keeps its form.
            secret.iter_mut().filter(|byte| matches!(byte, b'!'..=b'~')).for_each(|byte| *byte = MASK);
        }
    }
    found
}

fn end_of_key(text: &str, from: usize) -> usize {
    text.get(from..).and_then(|rest| rest.find("-----END")).map_or(text.len(), |at| from + at)
}

/// Between the braces around a match, or as far as there is text.
fn object(text: &str, start: usize, end: usize) -> std::ops::Range<usize> {
    let from = text.get(..start).and_then(|front| front.rfind('{')).map_or(0, |at| at + 1);
    let to = text.get(end..).and_then(|rest| rest.find('}')).map_or(text.len(), |at| end + at);
    from..to
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_bytes_are_told_apart() {
        assert_eq!(entropy(b""), None);
        let random: Vec<u8> = (0..64u32).flat_map(|n| *blake3::hash(&n.to_le_bytes()).as_bytes()).collect();
        let mixed: Vec<u8> = random.iter().map(|byte| byte & 0x3f).collect();
        let low: Vec<u8> = random.iter().map(|byte| if *byte < 16 { 1 } else { 0 }).collect();
        let of = [b"\0\0\0".as_slice(), b"message 0: the quick brown fox\n", &random, &mixed, &low].map(entropy);
        use PayloadEntropy::*;
        assert_eq!(of, [Some(Constant), Some(Text), Some(High), Some(Mixed), Some(Low)]);
    }

    #[test]
    fn a_digest_needs_the_secret() {
        let of = |secret: &[u8]| digest(&Secret::of(secret), b"PIN 1234");
        assert_eq!(of(b"a").len(), 32);
        assert_ne!(of(b"a"), of(b"b"));
        assert_ne!(of(b"a"), blake3::hash(b"PIN 1234").to_hex()[..32]);
    }

    fn masked(text: &[u8]) -> (String, u64) {
        let mut bytes = text.to_vec();
        let found = mask(&mut bytes);
        assert_eq!(bytes.len(), text.len());
        (String::from_utf8_lossy(&bytes).into_owned(), found)
    }

    /// Secrets of several parts, with blanks, or within something else; and what stays.
    const HEADERS: &[(&str, &str)] = &[
        ("Cookie: a=1234; session=s3cr3t; x=y\r\nHost: h", "Cookie: ******* *************** ***\r\nHost: h"),
        ("Cookie: a; session=s3cr3t", "Cookie: ** **************"),
        ("cookie: sid=abcd", "cookie: ********"),
        ("{\"Cookie\":\"sid=abcd\",\"n\":1}", "{\"Cookie***********\",\"n\":1}"),
        (
            "Authorization: AWS4-HMAC-SHA256 Credential=AKID/20130524/us, Signature=fe5f80\r\nx",
            "Authorization: **************** **************************** ****************\r\nx",
        ),
        ("Authorization: Basic YTpi", "Authorization: ***** ****"),
        ("{\"Authorization\":\"Bearer abcd\",\"user\":\"joe\"}", "{\"Authorization\"******** ****\",\"user\":\"joe\"}"),
        ("-H 'Authorization: Bearer abcd' https://h", "-H 'Authorization: ****** ****' https://h"),
        ("X-Api-Key: 0123456789abcdef\r\n", "X-Api-**** ****************\r\n"),
        ("{\"apiKey\":\"0123456789\",\"user\":\"joe\"}", "{\"apiKey*************\",\"user\":\"joe\"}"),
        ("PRIVATE-TOKEN: glpat-0123456", "PRIVAT******** *************"),
        ("access_token=0123456789&x=1", "access*********************"),
        ("see https://joe:hunter2@example.org/a", "see https:**************example.org/a"),
        ("\"password\": \"two words\", \"user\": 1", "\"passwo**** **** *****\", \"user\": 1"),
        ("password='two words' user", "passwo******* *****' user"),
        ("'password' => 'hunter2'", "'passwo*** ** ********'"),
        ("password:   hunter2", "passwo***   *******"),
        ("{\\\"password\\\":\\\"two words\\\"}", "{\\\"passwo********** *****\\\"}"),
        ("passphrase: open", "passph***** ****"),
    ];
    /// What only looks like it.
    const HARMLESS: &[&str] = &[
        "http://localhost:3000/@vite/client",
        "{\"url\":\"http://host\",\"mail\":\"joe@example.org\"}",
        "X-Cache-Key: /static/app.js",
        "max-key=index_of_things",
        "a cookie: none",
        "authorization: required",
    ];

    #[test]
    fn secrets_are_masked_in_place() {
        assert_eq!(masked(b"\0user=joe password=hunter2\0\xff"), ("\0user=joe passwo**********\0\u{fffd}".into(), 1));
        assert_eq!(masked(b"ghp_abcdefghijklmnopqrstuvwx"), ("ghp_************************".into(), 1));
        let key = b"-----BEGIN PRIVATE KEY-----\nAbc/\ndef=\n-----END PRIVATE KEY-----\n";
        let hidden = "-----BEGIN PRIVATE KEY-----\n****\n****\n-----END PRIVATE KEY-----\n";
        assert_eq!(masked(key), (hidden.into(), 1));
        assert_eq!(masked(&key[..33]), ("-----BEGIN PRIVATE KEY-----\n****\n".into(), 1));
        let json = b"{\"a\":1,\"b\":{\"value\":\"xyz\",\"isSecret\":true},\"c\":2}";
        let (text, found) = masked(json);
        assert!(found == 1 && text.starts_with("{\"a\":1,\"b\":{***") && text.ends_with("***},\"c\":2}"), "{text}");
        assert!(!text.contains("xyz"));
        for (text, hidden) in HEADERS {
            assert_eq!(masked(text.as_bytes()), (hidden.to_string(), 1), "{text}");
        }
        for text in HARMLESS {
            assert_eq!(masked(text.as_bytes()), (text.to_string(), 0));
        }
        assert_eq!(COMPILED.len(), PATTERNS.len(), "every pattern can be compiled");
    }

    /// The tuples of the analysis: its name, what it shows, its pattern.
    fn of_the_analysis() -> Vec<(String, usize, String)> {
        let sql = include_str!("../../query/named/secrets.sql");
        let values = sql.split("VALUES").nth(1).unwrap().split("), candidates").next().unwrap();
        let lines: Vec<&str> = values.lines().map(str::trim).filter(|line| !line.starts_with("--")).collect();
        let mut all: Vec<(String, usize, String)> = Vec::new();
        let mut numbers = 0;
        // Pieces between quotes, of which two stand for one within.
        let (mut rest, text) = (0, lines.join("\n"));
        let mut texts: Vec<String> = Vec::new();
        while let Some(open) = text[rest..].find('\'').map(|at| rest + at) {
            let between = &text[rest..open];
            if between.contains('(') && !between.contains("||") {
                texts.push(String::new());
            } else if let Some(number) = between.split(',').map(str::trim).find_map(|word| word.parse().ok()) {
                all.push((texts.pop().unwrap(), number, String::new()));
                numbers += 1;
            }
            let mut piece = String::new();
            let mut at = open + 1;
            loop {
                let quote = at + text[at..].find('\'').unwrap();
                piece += &text[at..quote];
                at = quote + 1;
                if !text[at..].starts_with('\'') {
                    break;
                }
                piece.push('\'');
                at += 1;
            }
            rest = at;
            match texts.last_mut() {
                Some(name) => *name = piece,
                None => all.last_mut().unwrap().2 += &piece,
            }
        }
        assert_eq!(numbers, all.len());
        all
    }

    #[test]
    fn the_patterns_are_those_of_the_analysis() {
        let own = PATTERNS.iter().map(|(name, shown, _, parts)| (name.to_string(), *shown, parts.concat()));
        assert_eq!(own.collect::<Vec<_>>(), of_the_analysis());
    }
}
