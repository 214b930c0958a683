//! Patterns for the names of processes (`--comm`), in the form in which the BPF programs try them (bpf/process.bpf.h, named_as()).
//!
//! All patterns together are one automaton of up to 64 states, each of which is a bit: for every byte of a name, all states go on at
//! once. So a name takes the same few steps whatever the patterns are, which the verifier of every kernel takes.

use std::fmt::{self, Debug, Formatter};

/// Bytes of a name: TASK_COMM_LEN without the end (include/linux/sched.h).
const LONGEST: usize = 15;
/// States of all patterns together.
const STATES: usize = 64;

/// A set of patterns, of which one is enough.
#[derive(Clone)]
pub struct Names {
    patterns: Vec<String>,
    accept: [u64; 256],
    first: u64,
    star: u64,
    last: u64,
}

impl Default for Names {
    fn default() -> Self {
        Names { patterns: Vec::new(), accept: [0; 256], first: 0, star: 0, last: 0 }
    }
}

impl Debug for Names {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Names").field(&self.patterns).finish()
    }
}

/// One element of a pattern.
enum Element {
    /// `*`.
    Star,
    /// One byte of these.
    One(Vec<u8>),
}

impl Names {
    /// Takes patterns as they are typed: `*`, `?`, `[a-z]`, `[!a-z]`, and `\` in front of one that is meant as it is.
    ///
    /// # Errors
    /// The pattern, and what is wrong with it.
    pub fn parse<S: AsRef<str>>(patterns: &[S]) -> Result<Self, String> {
        let mut names = Names::default();
        let mut used = 0;
        for pattern in patterns.iter().map(AsRef::as_ref) {
            let wrong = |what: String| format!("{pattern}: {what}");
            let elements = elements(pattern.as_bytes()).map_err(|what| wrong(what.into()))?;
            let least = elements.iter().filter(|element| matches!(element, Element::One(_))).count();
            if least > LONGEST {
                return Err(wrong(format!(
                    "names have at most {LONGEST} bytes, so none is that long: end it with * before the {}th",
                    LONGEST + 1
                )));
            }
            if elements.is_empty() {
                return Err(wrong("no process has an empty name".into()));
            }
            if used + elements.len() + 1 > STATES {
                return Err(wrong("the patterns are too long together: leave out some of them".into()));
            }
            names.add(&elements, used);
            used += elements.len() + 1;
            names.patterns.push(pattern.to_string());
        }
        Ok(names)
    }

    /// Adds a pattern whose states begin at bit `from`.
    fn add(&mut self, elements: &[Element], from: usize) {
        let mut state = 1u64 << from;
        self.first |= state;
        for element in elements {
            match element {
                Element::Star => self.star |= state,
                Element::One(bytes) => {
                    let entries =
                        bytes.iter().filter_map(|byte| Some((*byte, self.accept.get(usize::from(*byte))? | state)));
                    let entries: Vec<(u8, u64)> = entries.collect();
                    for (byte, states) in entries {
                        if let Some(entry) = self.accept.get_mut(usize::from(byte)) {
                            *entry = states;
                        }
                    }
                }
            }
            state <<= 1;
        }
        self.last |= state;
        self.first |= (self.first & self.star) << 1;
    }

    /// As they were typed.
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether a name matches: what the BPF programs do.
    pub fn matches(&self, name: &[u8]) -> bool {
        let end = name.iter().take(LONGEST).try_fold(self.first, |states, byte| {
            let states = (states & self.accept.get(usize::from(*byte))?) << 1 | (states & self.star);
            Some(states | (states & self.star) << 1)
        });
        end.is_some_and(|states| states & self.last != 0)
    }

    /// States that a byte leads from, for each byte; at the begin; that stay; and at the end.
    pub fn automaton(&self) -> (&[u64; 256], u64, u64, u64) {
        (&self.accept, self.first, self.star, self.last)
    }
}

/// The elements of a pattern, of stars in a row the first alone.
fn elements(pattern: &[u8]) -> Result<Vec<Element>, &'static str> {
    let mut elements: Vec<Element> = Vec::new();
    let mut rest = pattern;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        let element = match byte {
            b'*' if matches!(elements.last(), Some(Element::Star)) => continue,
            b'*' => Element::Star,
            b'?' => Element::One((1..=u8::MAX).collect()),
            b'{' => return Err("{a,b} is not known: name the option twice, or write \\{ for a brace"),
            b'[' => {
                let (bytes, behind) = class(rest)?;
                rest = behind;
                Element::One(bytes)
            }
            b'\\' => {
                let (byte, behind) = rest.split_first().ok_or("nothing follows the \\ at its end")?;
                rest = behind;
                Element::One(vec![*byte])
            }
            byte => Element::One(vec![*byte]),
        };
        elements.push(element);
    }
    Ok(elements)
}

/// The bytes of a class, behind its bracket, and what follows it. A bracket at its begin is one of them.
fn class(text: &[u8]) -> Result<(Vec<u8>, &[u8]), &'static str> {
    const OPEN: &str = "[ is never closed: write \\[ for a bracket";
    let (is_negated, mut rest) = match text.split_first() {
        Some((b'!' | b'^', behind)) => (true, behind),
        _ => (false, text),
    };
    let mut bytes = Vec::new();
    let mut is_begin = true;
    loop {
        let (byte, behind) = rest.split_first().ok_or(OPEN)?;
        rest = behind;
        match (byte, rest) {
            (b']', _) if !is_begin => break,
            (low, [b'-', high, behind @ ..]) if *high != b']' => {
                if low > high {
                    return Err("a range goes from a lower character to a higher one");
                }
                bytes.extend(*low..=*high);
                rest = behind;
            }
            (byte, _) => bytes.push(*byte),
        }
        is_begin = false;
    }
    if !bytes.is_ascii() {
        return Err("between [ and ] only ASCII characters can stand");
    }
    let is_of = |byte: &u8| bytes.contains(byte) != is_negated;
    Ok(((1..=u8::MAX).filter(is_of).collect(), rest))
}

#[cfg(test)]
mod tests {
    use globset::GlobBuilder;

    use super::*;

    fn matches(patterns: &[&str], name: &str) -> bool {
        Names::parse(patterns).unwrap().matches(name.as_bytes())
    }

    #[test]
    fn any_of_the_patterns_is_enough() {
        for (patterns, name, wanted) in [
            (&["Runner.Worker"][..], "Runner.Worker", true),
            (&["Runner"], "Runner.Worker", false),
            (&["Runner.*"], "Runner.Worker", true),
            (&["*Worker"], "Runner.Worker", true),
            (&["a*b*c"], "aXbYbZc", true),
            (&["a*b*c"], "aXbYbZ", false),
            (&["kworker/*", "p?thon[23]"], "python3", true),
            (&["kworker/*", "p?thon[23]"], "python4", false),
            (&["[!a-y]*"], "zsh", true),
            (&["[!a-y]*"], "sh", false),
            (&["[]-]"], "-", true),
            (&[r"\*"], "*", true),
            (&[r"\*"], "a", false),
            (&["*"], "", true),
            (&["é?"], "éx", true),
            (&[], "anything", false),
        ] {
            assert_eq!(matches(patterns, name), wanted, "{patterns:?} {name}");
        }
    }

    #[test]
    fn what_can_match_nothing_is_refused() {
        for (patterns, said) in [
            (&["Runner.Worker.Of"][..], "Runner.Worker.Of: names have at most 15 bytes, so none is that long"),
            (&["a", "[b"], "[b: [ is never closed"),
            (&[""], ": no process has an empty name"),
            (&["{a,b}"], "{a,b}: {a,b} is not known: name the option twice"),
            (&[r"a\"], r"a\: nothing follows the \ at its end"),
            (&["[é]"], "[é]: between [ and ] only ASCII"),
            (&["[z-a]"], "[z-a]: a range goes from a lower"),
            (&["abcdefghijklmno"; 5], "abcdefghijklmno: the patterns are too long together"),
        ] {
            let error = Names::parse(patterns).unwrap_err();
            assert!(error.starts_with(said), "{error}");
        }
        assert!(Names::parse(&["abcdefghijklmno"; 4]).is_ok(), "64 states");
    }

    /// The patterns of conditions (`--where 'comm ~ …'`) mean the same.
    #[test]
    fn they_match_what_other_patterns_match() {
        let mut seed = 1u64;
        let mut dice = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % below
        };
        let mut found = [0; 2];
        for _ in 0..20_000 {
            let parts = ["a", "b", "c", "?", "[ab]", "[!a]", "[a-b]", "*"];
            let mut pattern = String::new();
            for _ in 0..=dice(6) {
                let part = parts[dice(parts.len())];
                if part != "*" || !pattern.ends_with('*') {
                    pattern.push_str(part);
                }
            }
            let name: String = (0..dice(7)).map(|_| ["a", "b", "c"][dice(3)]).collect();
            let glob = GlobBuilder::new(&pattern).literal_separator(false).build().unwrap().compile_matcher();
            let wanted = glob.is_match(&name);
            found[usize::from(wanted)] += 1;
            assert_eq!(matches(&["x*y", &pattern, "zz"], &name), wanted, "{pattern} {name:?}");
        }
        assert!(found.iter().all(|number| *number > 1_000), "{found:?}");
    }
}
