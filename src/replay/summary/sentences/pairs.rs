//! Sentences about a caller and its target.

use std::cmp::Reverse;

use super::super::words::{self, Errors, list, name, times, with_command};
use crate::count::{self, Count, grouped};
use crate::model::tally::{Beyond, LIMIT, Pair, Span, Tally, Use, Who};
use crate::model::time;
use crate::schema::EventKind;
use crate::schema::events::{Bytes, Group};
use crate::schema::vocabulary::Direction;

/// Errors of calls that were refused.
const DENIED: [&str; 2] = ["EPERM", "EACCES"];

/// What calls did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// Bytes came from the target's memory.
    Read,
    /// Bytes went into the target's memory.
    Written,
    /// Bytes came out of a pipe that the target fed.
    Piped,
    /// A descriptor was taken.
    Taken,
    /// Advice was given.
    Advised,
    /// ptrace, without bytes.
    Controlled,
    /// Anything else.
    Other,
}

impl Deed {
    fn of(of: &Use) -> Self {
        match (of.spec, of.direction) {
            (Some(spec), direction) if spec.group == Group::Pipe => match direction {
                Some(Direction::Out) => Deed::Other,
                Some(Direction::In) | None => Deed::Piped,
            },
            (Some(spec), _) if spec.kind == EventKind::PidfdGetfd => Deed::Taken,
            (Some(spec), _) if spec.bytes == Bytes::Advice => Deed::Advised,
            (_, Some(Direction::In)) => Deed::Read,
            (_, Some(Direction::Out)) => Deed::Written,
            (Some(spec), None) if spec.group == Group::Ptrace => Deed::Controlled,
            (_, None) => Deed::Other,
        }
    }

    const ALL: [Deed; 7] =
        [Deed::Read, Deed::Written, Deed::Piped, Deed::Taken, Deed::Advised, Deed::Controlled, Deed::Other];
}

/// Appends what is to be said; of each kind at most `top` sentences.
pub fn all(all: &mut Vec<String>, tally: &Tally, top: usize) {
    conflicts(all, tally, top);
    denied(all, tally, top);
    deeds(all, tally, top);
    beyond(all, tally.beyond());
}

/// The first of `sentences`, by how much there is to say, and how many there are beside them.
fn first(all: &mut Vec<String>, mut sentences: Vec<(u64, String)>, top: usize, what: (&str, &str)) {
    // Stable: as they came first.
    sentences.sort_by_key(|(weight, _)| Reverse(*weight));
    let more = sentences.len().saturating_sub(top) as u64;
    all.extend(sentences.into_iter().take(top).map(|(_, sentence)| sentence));
    if more > 0 {
        all.push(format!("… and {}: --top lists more.", Count(more, what.0, what.1)));
    }
}

fn both(tally: &Tally) -> impl Iterator<Item = &Pair> {
    tally.pairs().chain(tally.alone())
}

fn conflicts(all: &mut Vec<String>, tally: &Tally, top: usize) {
    let of = |pair: &Pair| {
        let calls = Count(pair.conflicts, "call", "calls");
        let on = target(pair).map(|target| format!(" on {target}")).unwrap_or_default();
        let who = name(&pair.caller);
        let sentence = format!(
            "The arguments of {calls} of {who}{on} changed during the call, or contradict what the kernel did."
        );
        (pair.conflicts, sentence)
    };
    let sentences = both(tally).filter(|pair| pair.conflicts > 0).map(of).collect();
    first(all, sentences, top, ("more pair with such calls", "more pairs with such calls"));
}

fn denied(all: &mut Vec<String>, tally: &Tally, top: usize) {
    let mut sentences = Vec::new();
    for (pair, of) in both(tally).flat_map(|pair| pair.uses.iter().map(move |of| (pair, of))) {
        let mut errors = Errors::default();
        for (error, count) in of.errors.iter().filter(|(error, _)| is_denial(error)) {
            errors.all.push((error.to_string(), count));
        }
        let count = errors.total();
        if count == 0 {
            continue;
        }
        let on = target(pair).map(|target| format!(" on {target}")).unwrap_or_default();
        let sentence = format!(
            "{}{} tried {}{on}{} and was denied ({}).",
            with_command(&pair.caller),
            user(&pair.caller),
            words::event(of.event.as_deref()),
            times(count),
            words::errors(&errors.all)
        );
        sentences.push((count, sentence));
    }
    first(all, sentences, top, ("more kind of denied call", "more kinds of denied calls"));
}

/// ` of uid 1000`.
fn user(who: &Who) -> String {
    who.uid.filter(|uid| *uid != u32::MAX).map(|uid| format!(" of uid {uid}")).unwrap_or_default()
}

fn is_denial(error: &str) -> bool {
    DENIED.contains(&error)
}

/// The target as a sentence names it, if there is one.
fn target(pair: &Pair) -> Option<String> {
    let target = pair.target.as_ref()?;
    Some(if pair.is_self() { "itself".into() } else { name(target) })
}

/// What the calls of a pair did in one way.
#[derive(Debug, Default)]
struct Done {
    calls: u64,
    transfers: u64,
    bytes: u64,
    failures: u64,
    errors: Errors,
    denied: u64,
    means: Vec<String>,
    first_ns: Option<i64>,
    last_ns: Option<i64>,
}

impl Done {
    fn of(pair: &Pair, deed: Deed) -> Self {
        let mut done = Done::default();
        for of in pair.uses.iter().filter(|of| Deed::of(of) == deed) {
            done.calls += of.calls;
            done.transfers += of.transfers;
            done.bytes = done.bytes.saturating_add(of.bytes);
            done.failures += of.errors.total();
            done.denied += of.errors.iter().filter(|(error, _)| is_denial(error)).map(|(_, count)| count).sum::<u64>();
            done.errors.add(&of.errors, |error| !is_denial(error));
            let means = words::means(of);
            if !done.means.contains(&means) {
                done.means.push(means);
            }
            let min = |a: Option<i64>, b: i64| Some(a.map_or(b, |a| a.min(b)));
            let max = |a: Option<i64>, b: i64| Some(a.map_or(b, |a| a.max(b)));
            if let Some(Span { first_mono_ns, last_mono_ns, .. }) = of.moved {
                done.first_ns = min(done.first_ns, first_mono_ns);
                done.last_ns = max(done.last_ns, last_mono_ns);
            }
        }
        done
    }

    /// Calls that returned no error.
    fn succeeded(&self) -> u64 {
        self.calls.saturating_sub(self.failures)
    }

    /// ` over 0.21 s`; nothing for a single instant.
    fn over(&self) -> String {
        let span = self.last_ns.zip(self.first_ns).map_or(0, |(last, first)| last.saturating_sub(first));
        if span > 0 { format!(" over {}", time::span(span)) } else { String::new() }
    }
}

fn deeds(all: &mut Vec<String>, tally: &Tally, top: usize) {
    let mut sentences = Vec::new();
    for pair in both(tally) {
        for deed in Deed::ALL {
            let done = Done::of(pair, deed);
            if let Some(sentence) = sentence(pair, deed, &done) {
                // What a process does with itself, and what moved nothing, comes last.
                let weight = if done.transfers == 0 || deed == Deed::Advised { 0 } else { done.bytes };
                sentences.push((if pair.is_self() { 0 } else { weight }, sentence));
            }
        }
    }
    first(all, sentences, top, ("more sentence like these", "more sentences like these"));
}

/// `None` where there is nothing to say, or where it is said as denied.
fn sentence(pair: &Pair, deed: Deed, done: &Done) -> Option<String> {
    let who = with_command(&pair.caller);
    let succeeded = done.succeeded();
    let Some(target) = target(pair) else { return failed(&who, None, done) };
    let through = format!(" through {}", list(&done.means));
    let number = |number: u64, one: &str, many: &str| Count(number, one, many).to_string();
    let (size, over) = (count::size(done.bytes), done.over());
    let (text, one, many) = match deed {
        Deed::Read if done.transfers > 0 => {
            let reads = number(done.transfers, "read", "reads");
            (format!("read {size} of {target} in {reads}{over}{through}"), "read", "reads")
        }
        Deed::Written if done.transfers > 0 => {
            let writes = number(done.transfers, "write", "writes");
            (format!("wrote {size} into {target} in {writes}{over}{through}"), "write", "writes")
        }
        Deed::Piped if done.transfers > 0 => {
            let (calls, fed) = (number(done.transfers, "call", "calls"), fed_by(&target));
            (format!("took {size} out of pipes {fed} in {calls}{over}{through}"), "call", "calls")
        }
        Deed::Taken if succeeded > 0 => {
            let descriptors = number(succeeded, "descriptor", "descriptors");
            (format!("took {descriptors} of {target}{through}"), "call", "calls")
        }
        Deed::Advised if succeeded > 0 => {
            let calls = number(succeeded, "call", "calls");
            (format!("gave advice about {size} of the memory of {target} in {calls}{through}"), "call", "calls")
        }
        Deed::Controlled if succeeded > 0 => (
            format!("made {} on {target}", number(succeeded, "ptrace request", "ptrace requests")),
            "request",
            "requests",
        ),
        Deed::Other if succeeded > 0 => {
            (format!("called {} on {target}{}", list(&done.means), times(succeeded)), "call", "calls")
        }
        Deed::Read | Deed::Written | Deed::Piped | Deed::Taken | Deed::Advised | Deed::Controlled | Deed::Other => {
            return failed(&who, Some(&target), done);
        }
    };
    let failures = done.errors.total();
    let failed = match failures {
        0 => String::new(),
        failures => format!("; {} failed ({})", number(failures, one, many), words::errors(&done.errors.all)),
    };
    Some(format!("{who} {text}{failed}."))
}

/// Whose pipes.
fn fed_by(target: &str) -> String {
    if target == "itself" { "that it fed itself".into() } else { format!("that {target} fed") }
}

/// That all calls failed, and none of them was denied.
fn failed(who: &str, target: Option<&str>, done: &Done) -> Option<String> {
    let failures = done.errors.total();
    let on = target.map(|target| format!(" on {target}")).unwrap_or_default();
    let (means, errors) = (list(&done.means), words::errors(&done.errors.all));
    (failures > 0).then(|| format!("{who} tried {means}{on}{} and failed ({errors}).", times(failures)))
}

fn beyond(all: &mut Vec<String>, beyond: Beyond) {
    let Beyond { calls, failures, bytes_in, bytes_out } = beyond;
    if calls > 0 {
        all.push(format!(
            "{} of pairs beyond the first {} are in no pair here: {} in, {} out, {} failed.",
            Count(calls, "call", "calls"),
            grouped(LIMIT as u64),
            count::size(bytes_in),
            count::size(bytes_out),
            grouped(failures)
        ));
    }
}
