//! Who may sign: a file in the format of ssh-keygen's ALLOWED SIGNERS.
//!
//! Owns parsing its lines and deciding whom they allow. A line that is not understood allows nobody.

use std::path::Path;

use anyhow::{Context, Result};
use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};
use ssh_key::PublicKey;
use ssh_key::public::KeyData;

use super::{NAMESPACE, Signature, read_small};
use crate::schema::quote::quoted;

/// The lines of an allowed signers file.
#[derive(Debug)]
pub struct AllowedSigners {
    signers: Vec<Signer>,
    /// Numbers of lines that were not understood, and why.
    refused: Vec<(usize, String)>,
}

#[derive(Debug)]
struct Signer {
    principals: String,
    key: KeyData,
    namespaces: Option<String>,
    after: Option<DateTime<Utc>>,
    before: Option<DateTime<Utc>>,
}

impl AllowedSigners {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn load(path: &Path) -> Result<Self> {
        let text =
            read_small(path).with_context(|| format!("the allowed signers {} cannot be read", path.display()))?;
        Ok(AllowedSigners::parse(&String::from_utf8_lossy(&text)))
    }

    fn parse(text: &str) -> Self {
        let mut all = AllowedSigners { signers: Vec::new(), refused: Vec::new() };
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match signer(line) {
                Ok(signer) => all.signers.push(signer),
                Err(why) => all.refused.push((index + 1, why)),
            }
        }
        all
    }

    /// The principals by whom the signature may be, at `now`; with `identity` only if it is among them.
    ///
    /// # Errors
    /// Why it is by nobody who may sign, in words.
    pub fn allow(
        &self,
        signature: &Signature,
        identity: Option<&str>,
        now: DateTime<Utc>,
    ) -> std::result::Result<String, String> {
        let with_key: Vec<&Signer> = self.signers.iter().filter(|signer| signer.key == signature.key).collect();
        if with_key.is_empty() {
            let refused = self.refused.first().map(|(line, why)| format!(" (line {line} was not understood: {why})"));
            return Err(format!("no allowed signer has its key{}", refused.unwrap_or_default()));
        }
        let named = |signer: &&Signer| identity.is_none_or(|identity| matches_list(&signer.principals, identity));
        let mut candidates = with_key.into_iter().filter(named).peekable();
        if candidates.peek().is_none() {
            return Err(format!("its key is not that of {}", identity.unwrap_or_default()));
        }
        let mut why = String::new();
        for signer in candidates {
            match signer.refuses(now) {
                None => return Ok(identity.unwrap_or(&signer.principals).to_string()),
                Some(refusal) => why = refusal,
            }
        }
        Err(why)
    }
}

impl Signer {
    /// Why the line does not allow a signature of its key.
    fn refuses(&self, now: DateTime<Utc>) -> Option<String> {
        if self.namespaces.as_deref().is_some_and(|list| !matches_list(list, NAMESPACE)) {
            return Some(format!("its key may not sign in the namespace {NAMESPACE}"));
        }
        if self.after.is_some_and(|after| now < after) {
            return Some("its key is not valid yet".into());
        }
        self.before.is_some_and(|before| now >= before).then(|| "its key is not valid any more".into())
    }
}

/// `PRINCIPALS [OPTIONS] TYPE KEY [COMMENT]`
fn signer(line: &str) -> std::result::Result<Signer, String> {
    let (principals, rest) = word(line).ok_or("a quote is not closed")?;
    let (second, after_second) = word(rest).ok_or("a quote is not closed")?;
    // No option has the name of a key type.
    let is_key = PublicKey::from_openssh(rest).is_ok();
    let (options, key) = if is_key { ("", rest) } else { (second, after_second) };
    let key = PublicKey::from_openssh(key).map_err(|error| format!("no key of a known type: {error}"))?;
    let mut signer = Signer {
        principals: principals.trim_matches('"').to_string(),
        key: key.key_data().clone(),
        namespaces: None,
        after: None,
        before: None,
    };
    for option in split_outside_quotes(options) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let value = value.trim_matches('"');
        match name.to_ascii_lowercase().as_str() {
            "namespaces" => signer.namespaces = Some(value.to_string()),
            "valid-after" => signer.after = Some(instant(value)?),
            "valid-before" => signer.before = Some(instant(value)?),
            "cert-authority" => return Err("certificates are not supported".into()),
            _ => return Err(format!("unknown option {:?}", quoted(name))),
        }
    }
    Ok(signer)
}

/// The first word of a line, in which quotes hold blanks together, and what follows. `None` where one is not closed.
fn word(line: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    let line = line.trim_start();
    let end = line.find(|c: char| {
        quoted ^= c == '"';
        !quoted && c.is_whitespace()
    });
    let (word, rest) = line.split_at(end.unwrap_or(line.len()));
    (word.matches('"').count() % 2 == 0).then_some((word, rest.trim_start()))
}

fn split_outside_quotes(options: &str) -> Vec<&str> {
    let mut quoted = false;
    let parts = options.split(|c: char| {
        quoted ^= c == '"';
        !quoted && c == ','
    });
    parts.filter(|part| !part.is_empty()).collect()
}

/// `YYYYMMDD[HHMM[SS]]`, in local time unless `Z` follows.
fn instant(text: &str) -> std::result::Result<DateTime<Utc>, String> {
    let digits = text.trim_end_matches('Z');
    let time = match digits.len() {
        8 => NaiveDate::parse_from_str(digits, "%Y%m%d").map(|day| day.and_time(NaiveTime::MIN)),
        12 => NaiveDateTime::parse_from_str(&format!("{digits}00"), "%Y%m%d%H%M%S"),
        _ => NaiveDateTime::parse_from_str(digits, "%Y%m%d%H%M%S"),
    };
    let wrong = || format!("{:?} is not a time like 20261231 or 20261231235959Z", quoted(text));
    let time = time.map_err(|_| wrong())?;
    if text.ends_with('Z') {
        return Ok(time.and_utc());
    }
    Local.from_local_datetime(&time).earliest().map(|time| time.with_timezone(&Utc)).ok_or_else(wrong)
}

/// Whether `text` matches one of the patterns between commas, and none of those behind a `!`.
fn matches_list(patterns: &str, text: &str) -> bool {
    let mut found = false;
    for pattern in patterns.split(',').map(str::trim) {
        match pattern.strip_prefix('!') {
            Some(pattern) if matches(pattern.as_bytes(), text.as_bytes()) => return false,
            Some(_) => (),
            None => found |= matches(pattern.as_bytes(), text.as_bytes()),
        }
    }
    found
}

/// `*` stands for any bytes, `?` for one.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // Where the latest `*` was, and how far into `text` it has been tried.
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || text.get(t) == Some(c) => (p, t) = (p + 1, t + 1),
            _ => {
                let Some((at, tried)) = star else { return false };
                star = Some((at, tried + 1));
                (p, t) = (at + 1, tried + 1);
            }
        }
    }
    pattern.iter().skip(p).all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_ssh_config_says() {
        for (patterns, text, expected) in [
            ("a@b", "a@b", true),
            ("a@b", "a@bc", false),
            ("*@b.org", "x@b.org", true),
            ("*@b.org,!evil@*", "evil@b.org", false),
            ("!evil@*", "x@b.org", false),
            ("x, y", "y", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxaxbx", true),
            ("", "x", false),
            ("*", "", true),
        ] {
            assert_eq!(matches_list(patterns, text), expected, "{patterns} {text}");
        }
    }

    #[test]
    fn instants_are_utc_or_local() {
        assert_eq!(instant("20231114221320Z").unwrap().timestamp(), 1_700_000_000);
        assert_eq!(instant("202311142213Z").unwrap().timestamp(), 1_699_999_980);
        assert_eq!(instant("20231114Z").unwrap().timestamp(), 1_699_920_000);
        let local = Local.with_ymd_and_hms(2023, 11, 14, 22, 13, 20).unwrap();
        assert_eq!(instant("20231114221320").unwrap(), local);
        for text in ["", "Z", "2023", "20231314", "20231114x", "yesterday"] {
            assert!(instant(text).unwrap_err().contains("is not a time"), "{text}");
        }
    }

    #[test]
    fn a_line_that_is_not_understood_allows_nobody() {
        let all =
            AllowedSigners::parse("# comment\n\nme ssh-ed25519\nme colour=red ssh-ed25519 AAAA\n\"open ssh-rsa A\n");
        assert!(all.signers.is_empty());
        assert_eq!(all.refused.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 4, 5]);
    }
}
