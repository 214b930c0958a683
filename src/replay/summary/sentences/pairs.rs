//! Sentences about a caller and its target.

use std::cmp::Reverse;

use super::super::words::{self, Errors, list, name, times, with_command};
use crate::count::{self, Count, grouped};
use crate::model::tally::{Beyond, Pair, Span, Tally, Use, Who, is_denial};
use crate::model::time;
use crate::schema::EventKind;
use crate::schema::events::{Bytes, Group};
use crate::schema::vocabulary::Direction;

/// Names of mappings in a sentence.
const REGIONS: usize = 3;

/// A process that could not be identified.
const UNKNOWN: &str = "an unknown process";

/// What calls did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// Bytes came from the target's memory.
    Read,
    /// Bytes went into the target's memory.
    Written,
    /// Pages of the target were filled.
    Filled,
    /// Bytes came out of a pipe that the target fed.
    Piped,
    /// Bytes were duplicated from one pipe into another, and stayed.
    Duplicated,
    /// Bytes went into a pipe.
    Put,
    /// Bytes went from one file into another.
    Moved,
    /// A descriptor was taken.
    Taken,
    /// The memory of the target was opened.
    Opened,
    /// Advice was given.
    Advised,
    /// Pages of the target can no longer be touched.
    Poisoned,
    /// ptrace, without bytes.
    Controlled,
    /// Anything else.
    Other,
}

impl Deed {
    fn of(of: &Use, has_target: bool) -> Self {
        match (of.spec, of.direction) {
            (Some(spec), _) if spec.kind == EventKind::Tee => Deed::Duplicated,
            (Some(spec), direction) if spec.group == Group::Pipe => match direction {
                Some(Direction::Out) => Deed::Put,
                None if spec.is_between_files() && !has_target => Deed::Moved,
                Some(Direction::In) | None => Deed::Piped,
            },
            (Some(spec), _) if spec.kind == EventKind::PidfdGetfd => Deed::Taken,
            (Some(spec), _) if spec.kind == EventKind::MemOpen => Deed::Opened,
            (Some(spec), _) if spec.kind == EventKind::UffdPoison => Deed::Poisoned,
            (Some(spec), _) if spec.group == Group::Uffd => Deed::Filled,
            (Some(spec), _) if spec.bytes == Bytes::Advice => Deed::Advised,
            (_, Some(Direction::In)) => Deed::Read,
            (_, Some(Direction::Out)) => Deed::Written,
            (Some(spec), None) if spec.group == Group::Ptrace => Deed::Controlled,
            (_, None) => Deed::Other,
        }
    }

    const ALL: [Deed; 13] = [
        Deed::Read,
        Deed::Written,
        Deed::Filled,
        Deed::Piped,
        Deed::Duplicated,
        Deed::Put,
        Deed::Moved,
        Deed::Taken,
        Deed::Opened,
        Deed::Advised,
        Deed::Poisoned,
        Deed::Controlled,
        Deed::Other,
    ];

    /// Whether it is done with bytes; else with as many calls as succeeded.
    fn moves_bytes(self) -> bool {
        match self {
            Deed::Read | Deed::Written | Deed::Filled | Deed::Piped | Deed::Duplicated | Deed::Put | Deed::Moved => {
                true
            }
            Deed::Taken | Deed::Opened | Deed::Advised | Deed::Poisoned | Deed::Controlled | Deed::Other => false,
        }
    }
}

/// Appends what is to be said; of each kind at most `top` sentences.
pub fn all(all: &mut Vec<String>, tally: &Tally, top: usize) {
    conflicts(all, tally, top);
    denied(all, tally, top);
    deeds(all, tally, top);
}

/// The first of `sentences`, by how much there is to say, and how many there are beside them.
fn first<Weight: Ord + Copy>(
    all: &mut Vec<String>,
    mut sentences: Vec<(Weight, String)>,
    top: usize,
    what: (&str, &str),
) {
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
        let tried = match Deed::of(of, pair.target.is_some()) {
            Deed::Opened => to_open(target(pair).as_deref()),
            _ => format!("{}{on}", words::event(of.event.as_deref())),
        };
        let sentence = format!(
            "{} tried {tried}{} and was denied ({}).",
            then(pair, of),
            times(count),
            words::errors(&errors.all)
        );
        sentences.push((count, sentence));
    }
    first(all, sentences, top, ("more kind of denied call", "more kinds of denied calls"));
}

/// The caller as it was when it was denied: `rank0[7] (pair.py), later sshd, of uid 1000`.
fn then(pair: &Pair, of: &Use) -> String {
    let now = &pair.caller;
    let Some(denied) = &of.denied else { return with_command(now) };
    let who = Who { comm: denied.comm.clone(), command: denied.command.clone(), earlier_comm: None, ..now.clone() };
    let later = match now.comm.as_deref() {
        Some(later) if now.comm != denied.comm => format!(", later {},", words::short(later, words::NAME)),
        Some(_) | None => String::new(),
    };
    let uid = match (denied.uid, denied.has_more_uids) {
        (u32::MAX, _) => String::new(),
        (uid, true) => format!(" of uid {uid} and others"),
        (uid, false) => format!(" of uid {uid}"),
    };
    format!("{}{later}{uid}", with_command(&who))
}

/// What somebody tried who wanted the memory of a process.
fn to_open(target: Option<&str>) -> String {
    format!("to open /proc/PID/mem of {}", target.unwrap_or(UNKNOWN))
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
    events: Vec<String>,
    means: Vec<String>,
    regions: Vec<String>,
    more_regions: bool,
    first_ns: Option<i64>,
    last_ns: Option<i64>,
}

impl Done {
    fn of(pair: &Pair, deed: Deed) -> Self {
        let mut done = Done::default();
        for of in pair.uses.iter().filter(|of| Deed::of(of, pair.target.is_some()) == deed) {
            done.calls += of.calls;
            done.transfers += of.transfers;
            done.bytes = done.bytes.saturating_add(of.bytes);
            done.failures += of.errors.total();
            done.errors.add(&of.errors, |error| !is_denial(error));
            add(&mut done.events, words::event(of.event.as_deref()));
            add(&mut done.means, words::means(of));
            of.regions.iter().for_each(|region| add(&mut done.regions, words::short(region, words::NAME)));
            done.more_regions |= of.has_more_regions;
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

    /// `, including [heap] and [stack]`; nothing where no mapping is known by a name.
    fn including(&self) -> String {
        if self.regions.is_empty() {
            return String::new();
        }
        let more = self.more_regions || self.regions.len() > REGIONS;
        let mut named: Vec<String> = self.regions.iter().take(REGIONS).cloned().collect();
        named.extend(more.then(|| "others".to_string()));
        format!(", including {}", list(&named))
    }

    /// ` over 0.21 s`; nothing for a single instant.
    fn over(&self) -> String {
        let span = self.last_ns.zip(self.first_ns).map_or(0, |(last, first)| last.saturating_sub(first));
        if span > 0 { format!(" over {}", time::span(span)) } else { String::new() }
    }
}

fn add(names: &mut Vec<String>, name: String) {
    if !names.contains(&name) {
        names.push(name);
    }
}

fn deeds(all: &mut Vec<String>, tally: &Tally, top: usize) {
    let mut sentences = Vec::new();
    for pair in both(tally) {
        for deed in Deed::ALL {
            let done = Done::of(pair, deed);
            if let Some(sentence) = sentence(pair, deed, &done) {
                // What reached another process comes first; last, what a process does with itself, and what moved nothing.
                let weight = match pair.target {
                    _ if done.transfers == 0 || [Deed::Advised, Deed::Poisoned].contains(&deed) || pair.is_self() => {
                        (0, 0)
                    }
                    None => (1, done.bytes),
                    Some(_) => (2, done.bytes),
                };
                sentences.push((weight, sentence));
            }
        }
    }
    first(all, sentences, top, ("more sentence like these", "more sentences like these"));
}

/// `None` where there is nothing to say, or where it is said as denied.
fn sentence(pair: &Pair, deed: Deed, done: &Done) -> Option<String> {
    let (who, target) = (with_command(&pair.caller), target(pair));
    let on = target.as_ref().map(|target| format!(" on {target}")).unwrap_or_default();
    let (succeeded, failures) = (done.succeeded(), done.errors.total());
    let (one, many) = match deed {
        Deed::Read => ("read", "reads"),
        Deed::Written => ("write", "writes"),
        Deed::Controlled => ("request", "requests"),
        Deed::Opened => ("attempt", "attempts"),
        Deed::Filled
        | Deed::Piped
        | Deed::Duplicated
        | Deed::Put
        | Deed::Moved
        | Deed::Taken
        | Deed::Advised
        | Deed::Poisoned
        | Deed::Other => ("call", "calls"),
    };
    let through = format!(" through {}", list(&done.means));
    let mut text = if deed.moves_bytes() && done.transfers > 0 {
        let what = with_bytes(deed, target.as_deref(), &count::size(done.bytes));
        let (calls, including) = (Count(done.transfers, one, many), done.including());
        let mut text = format!("{what} in {calls}{}{through}{including}", done.over());
        let nothing = succeeded.saturating_sub(done.transfers);
        if nothing > 0 {
            text.push_str(&format!("; {} moved nothing", Count(nothing, one, many)));
        }
        text
    } else if deed.moves_bytes() && succeeded > 0 {
        let through = if done.means == done.events { "" } else { &through };
        format!("called {}{on}{}{through} and moved nothing", list(&done.events), times(succeeded))
    } else if succeeded > 0 {
        without_bytes(deed, target.as_deref(), done)
    } else if failures > 0 {
        let errors = words::errors(&done.errors.all);
        let tried = match deed {
            Deed::Opened => to_open(target.as_deref()),
            _ => format!("{}{on}", list(&done.means)),
        };
        return Some(format!("{who} tried {tried}{} and failed ({errors}).", times(failures)));
    } else {
        return None;
    };
    if failures > 0 {
        text.push_str(&format!("; {} failed ({})", Count(failures, one, many), words::errors(&done.errors.all)));
    }
    Some(format!("{who} {text}."))
}

/// What calls did that moved `size`.
fn with_bytes(deed: Deed, target: Option<&str>, size: &str) -> String {
    let process = target.unwrap_or(UNKNOWN);
    match deed {
        Deed::Read => format!("read {size} of {process}"),
        Deed::Written => format!("wrote {size} into {process}"),
        Deed::Filled => format!("filled {size} of {}", memory_of(target)),
        Deed::Piped => format!("took {size} out of pipes{}", fed_by(target)),
        Deed::Duplicated => format!("duplicated {size} of pipes{}", fed_by(target)),
        Deed::Put => format!("put {size} into pipes{}", target.map(|of| format!(" of {of}")).unwrap_or_default()),
        Deed::Moved | Deed::Taken | Deed::Opened | Deed::Advised | Deed::Poisoned | Deed::Controlled | Deed::Other => {
            format!("moved {size} between files")
        }
    }
}

/// What other calls did.
fn without_bytes(deed: Deed, target: Option<&str>, done: &Done) -> String {
    let (succeeded, process) = (done.succeeded(), target.unwrap_or(UNKNOWN));
    let on = target.map(|target| format!(" on {target}")).unwrap_or_default();
    let through = list(&done.means);
    match deed {
        Deed::Taken => {
            let descriptors = Count(succeeded, "descriptor", "descriptors");
            format!("took {descriptors} of {process} through {through}")
        }
        Deed::Opened => format!("opened /proc/PID/mem of {process}{}", times(succeeded)),
        Deed::Advised => {
            let (size, calls) = (count::size(done.bytes), Count(succeeded, "call", "calls"));
            format!("gave advice about {size} of the memory of {process} in {calls} through {through}")
        }
        Deed::Poisoned => {
            let (size, calls) = (count::size(done.bytes), Count(succeeded, "call", "calls"));
            format!("poisoned {size} of {} in {calls} through {through}", memory_of(target))
        }
        Deed::Controlled => format!("made {}{on}", Count(succeeded, "ptrace request", "ptrace requests")),
        Deed::Read
        | Deed::Written
        | Deed::Filled
        | Deed::Piped
        | Deed::Duplicated
        | Deed::Put
        | Deed::Moved
        | Deed::Other => format!("called {through}{on}{}", times(succeeded)),
    }
}

/// Whose memory.
fn memory_of(target: Option<&str>) -> String {
    match target {
        Some("itself") => "its own memory".into(),
        Some(target) => format!("the memory of {target}"),
        None => format!("the memory of {UNKNOWN}"),
    }
}

/// Whose pipes, if that is known.
fn fed_by(target: Option<&str>) -> String {
    match target {
        Some("itself") => " that it fed itself".into(),
        Some(target) => format!(" that {target} fed"),
        None => String::new(),
    }
}

/// What is in no sentence about a pair.
pub fn beyond(tally: &Tally) -> Vec<String> {
    let mut all = Vec::new();
    let Beyond { calls, failures, bytes_in, bytes_out } = tally.beyond();
    if calls > 0 {
        all.push(format!(
            "{} in no pair here, since there are more pairs or longer keys than can be distinguished: {} in, {} out, {} \
             failed.",
            Count(calls, "call is", "calls are"),
            count::size(bytes_in),
            count::size(bytes_out),
            grouped(failures)
        ));
    }
    let without_use = both(tally).map(|pair| pair.calls_without_use).sum::<u64>();
    if without_use > 0 {
        let calls = Count(without_use, "call of these pairs is", "calls of these pairs are");
        all.push(format!("{calls} in no sentence, since there are more kinds of calls than can be distinguished."));
    }
    all
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::tally::LIMIT;
    use crate::schema::Event;
    use crate::schema::regions::{Mapping, Regions};

    fn call(pid: usize, event: &'static str) -> Event<'static> {
        let pid = i32::try_from(pid).unwrap();
        Event { pid, event, target_pid: Some(1), direction: Some("in"), bytes: Some(8), ..Event::default() }
    }

    #[test]
    fn an_attempt_to_open_memory_is_named_as_one() {
        let open = |ret, errno| Event {
            ret: Some(ret),
            errno,
            comm: "python3",
            uid: 65_534,
            target_comm: Some("vault"),
            direction: None,
            bytes: None,
            ..call(7, "mem_open")
        };
        let said = |events: &[Event<'_>]| {
            let (mut tally, mut said) = (Tally::default(), Vec::new());
            events.iter().for_each(|event| tally.note(event));
            all(&mut said, &tally, 9);
            said
        };
        let (opened, denied, gone) = (open(3, None), open(-13, Some("EACCES")), open(-2, Some("ENOENT")));
        let tried = "python3[7] of uid 65534 tried to open /proc/PID/mem of vault[1] and was denied (EACCES).";
        assert_eq!(said(&[denied]), [tried]);
        let both = "python3[7] opened /proc/PID/mem of vault[1] 2 times; 1 attempt failed (ENOENT).";
        assert_eq!(said(&[opened, denied, gone, opened]), [tried, both]);
        let nobody = Event { target_pid: None, target_comm: None, ..gone };
        let failed = "python3[7] tried to open /proc/PID/mem of an unknown process 2 times and failed (ENOENT).";
        assert_eq!(said(&[nobody, nobody]), [failed]);
    }

    #[test]
    fn mappings_that_were_reached_are_named() {
        let mapped = |path: &str| Some(Arc::new(Mapping { end: 1, path: path.into(), ..Mapping::default() }));
        let heap = [mapped("[heap]"), mapped("[stack]"), mapped(""), None];
        let files = [mapped("/usr/lib/libc.so.6"), mapped("/a/\u{1b}b")];
        let read = Event { comm: "dumper", target_comm: Some("worker"), ..call(7, "process_vm_readv") };
        let said = |events: &[Event<'_>]| {
            let (mut tally, mut said) = (Tally::default(), Vec::new());
            events.iter().for_each(|event| tally.note(event));
            all(&mut said, &tally, 9);
            said
        };
        let first = Event { remote_regions: Some(Regions::Known(&heap)), ..read };
        let known =
            "dumper[7] read 16 B of worker[1] in 2 reads through process_vm_readv, including [heap] and [stack].";
        assert_eq!(said(&[first, read]), [known]);
        let second = Event { remote_regions: Some(Regions::Known(&files)), ..read };
        let more = "including [heap], [stack], libc.so.6 and others.";
        assert!(said(&[first, second])[0].ends_with(more), "{:?}", said(&[first, second]));
        assert!(!said(&[second])[0].contains('\u{1b}'));
    }

    #[test]
    fn pages_are_filled_and_poisoned() {
        let copy =
            Event { comm: "filler", target_comm: Some("worker"), direction: Some("out"), ..call(7, "uffd_copy") };
        let poison = Event { direction: None, ..Event { event: "uffd_poison", ..copy } };
        let (mut tally, mut said) = (Tally::default(), Vec::new());
        let again = Event { errno: Some("EEXIST"), bytes: Some(0), ..copy };
        let alone = Event { target_pid: None, target_comm: None, ..copy };
        [copy, poison, again, alone].iter().for_each(|event| tally.note(event));
        all(&mut said, &tally, 9);
        let filled =
            "filler[7] filled 8 B of the memory of worker[1] in 1 call through uffd_copy; 1 call failed (EEXIST).";
        let of_nobody = "filler[7] filled 8 B of the memory of an unknown process in 1 call through uffd_copy.";
        let poisoned = "filler[7] poisoned 8 B of the memory of worker[1] in 1 call through uffd_poison.";
        assert_eq!(said, [filled, of_nobody, poisoned]);
    }

    #[test]
    fn calls_that_are_in_no_pair_or_in_no_sentence_are_counted() {
        let mut tally = Tally::default();
        let events = ["pread", "preadv", "read", "readv", "process_vm_readv"];
        for pid in 0..LIMIT {
            events.iter().for_each(|event| tally.note(&call(pid, event)));
        }
        let without = "16,384 calls of these pairs are in no sentence, since there are more kinds of calls than can be \
                       distinguished.";
        assert_eq!(beyond(&tally), [without]);
        tally.note(&Event { errno: Some("EIO"), ..call(LIMIT, "pread") });
        let pairs = "1 call is in no pair here, since there are more pairs or longer keys than can be distinguished: 8 B \
                     in, 0 B out, 1 failed.";
        assert_eq!(beyond(&tally), [pairs, without]);
        assert_eq!(beyond(&Tally::default()), [""; 0]);
    }
}
