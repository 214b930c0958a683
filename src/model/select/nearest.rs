//! What comes nearest to an option that selects nothing: one sentence for each option that no event of the captures
//! fits, whatever the other options are.
//!
//! Owns the sentences, and what is kept for them, which is bounded. The caller reads the events.

use std::collections::HashSet;

use globset::GlobMatcher;

use super::address::Span;
use super::{Filter, View};
use crate::count::Count;
use crate::schema::Event;
use crate::schema::types::Iovec;
use crate::terminal::escape::Safe;

/// Names that are remembered, so that each is compared once.
const REMEMBERED: usize = 4_096;
/// Names in a sentence.
const NAMED: usize = 3;
/// Bytes of the longest name that is compared: the kernel's have at most 15.
const LONGEST: usize = 64;

/// Collects what comes nearest to the options of a filter.
#[derive(Debug)]
pub struct Nearest<'f> {
    filter: &'f Filter,
    names: Option<Names<'f>>,
    pids: Option<Numbers>,
    peers: Option<Numbers>,
    pipes: Option<Numbers>,
    range: Option<Range>,
}

impl Filter {
    /// A collector for the options that may be mistaken; `None` where there is none.
    pub fn nearest(&self) -> Option<Nearest<'_>> {
        let wanted = |given: &[u64]| (!given.is_empty()).then(|| Numbers { wanted: given.to_vec(), near: None });
        let numbers = |pids: &[i32]| -> Vec<u64> { pids.iter().filter_map(|pid| u64::try_from(*pid).ok()).collect() };
        let nearest = Nearest {
            filter: self,
            names: self.comm.as_ref().map(Names::new),
            pids: wanted(&numbers(&self.pids)),
            peers: wanted(&numbers(&self.peers)),
            pipes: wanted(&self.pipes),
            range: self.address.map(|span| Range { span, near: None }),
        };
        (!nearest.columns().is_empty()).then_some(nearest)
    }
}

impl Nearest<'_> {
    /// The columns that it looks at, which need to be read.
    pub fn columns(&self) -> Vec<&'static str> {
        let sides = |given: bool, columns: [&'static str; 2]| columns.into_iter().filter(move |_| given);
        let pids =
            self.pids.is_some() || self.peers.is_some() || (self.range.is_some() && !self.filter.pids.is_empty());
        let names = sides(self.names.is_some(), ["comm", "target_comm"]);
        let pipes = sides(self.pipes.is_some(), ["pipe_in", "pipe_out"]);
        let ranges = sides(self.range.is_some(), ["local_iov", "remote_iov"]);
        names.chain(sides(pids, ["pid", "target_pid"])).chain(pipes).chain(ranges).collect()
    }

    /// Compares an event of the captures, whether it is selected or not.
    pub fn note(&mut self, event: &Event<'_>) {
        if let Some(names) = &mut self.names {
            [Some(event.comm), event.target_comm].into_iter().flatten().for_each(|name| names.note(name));
        }
        for pids in [&mut self.pids, &mut self.peers].into_iter().flatten() {
            let both = [Some(event.pid), event.target_pid].into_iter().flatten();
            both.filter_map(|pid| u64::try_from(pid).ok().filter(|pid| *pid > 0)).for_each(|pid| pids.note(pid));
        }
        if let Some(pipes) = &mut self.pipes {
            [event.pipe_in, event.pipe_out].into_iter().flatten().for_each(|pipe| pipes.note(pipe));
        }
        if let Some(range) = &mut self.range {
            let local = event.local_iov.filter(|_| self.filter.owns_memory(event, View::Caller));
            let remote = event.remote_iov.filter(|_| self.filter.owns_memory(event, View::Target));
            local.into_iter().chain(remote).flat_map(|ranges| ranges.iter()).for_each(|iov| range.note(iov));
        }
    }

    /// One sentence for each option that no event fits.
    pub fn sentences(&self) -> Vec<String> {
        let names = self.names.as_ref().and_then(Names::sentence);
        let pids = self.pids.as_ref().and_then(|pids| pids.sentence("-p", "process", "processes"));
        let peers = self.peers.as_ref().and_then(|peers| peers.sentence("--peer", "process", "processes"));
        let pipes = self.pipes.as_ref().and_then(|pipes| pipes.sentence("--pipe", "pipe", "pipes"));
        let range = self.range.as_ref().and_then(|range| range.sentence(!self.filter.pids.is_empty()));
        [names, pids, peers, pipes, range].into_iter().flatten().collect()
    }
}

/// Thread names, against a pattern.
#[derive(Debug)]
struct Names<'f> {
    glob: &'f GlobMatcher,
    /// The pattern's letters.
    wanted: String,
    found: bool,
    last: String,
    seen: HashSet<String>,
    /// How alike, and the name; best first.
    near: Vec<(f64, String)>,
}

impl<'f> Names<'f> {
    fn new(glob: &'f GlobMatcher) -> Self {
        let letters = glob.glob().glob().chars().filter(|c| !"*?[]{}\\".contains(*c));
        let wanted = letters.flat_map(char::to_lowercase).collect();
        Names { glob, wanted, found: false, last: String::new(), seen: HashSet::new(), near: Vec::new() }
    }

    fn note(&mut self, name: &str) {
        // Most events have the names of the event before.
        if self.found || name.is_empty() || name == self.last {
            return;
        }
        self.found = self.glob.is_match(name);
        if self.found || name.len() > LONGEST || self.seen.contains(name) {
            return;
        }
        name.clone_into(&mut self.last);
        if self.seen.len() >= REMEMBERED {
            self.seen.clear();
        }
        self.seen.insert(name.to_string());
        if self.near.iter().any(|(_, near)| near == name) {
            return;
        }
        let likeness = strsim::jaro_winkler(&self.wanted, &name.to_lowercase());
        self.near.push((likeness, name.to_string()));
        self.near.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        self.near.truncate(NAMED);
    }

    fn sentence(&self) -> Option<String> {
        if self.found {
            return None;
        }
        let names: Vec<String> = self.near.iter().map(|(_, name)| Safe(name).to_string()).collect();
        let near = match names.as_slice() {
            [] => "no thread has a name".to_string(),
            [name] => format!("the only name is {name}"),
            names => format!("the closest are {}", names.join(", ")),
        };
        Some(format!("--comm: no thread name matches {:?}; {near}", self.glob.glob().glob()))
    }
}

/// Numbers, against those that are wanted.
#[derive(Debug)]
struct Numbers {
    wanted: Vec<u64>,
    /// How far, and the number.
    near: Option<(u64, u64)>,
}

impl Numbers {
    fn note(&mut self, number: u64) {
        let distance = self.wanted.iter().map(|wanted| wanted.abs_diff(number)).min().unwrap_or(0);
        self.near = Some(self.near.map_or((distance, number), |near| near.min((distance, number))));
    }

    fn sentence(&self, option: &str, one: &str, many: &str) -> Option<String> {
        let near = match self.near {
            Some((0, _)) => return None,
            Some((_, number)) => format!("the nearest is {number}"),
            None => format!("there are no {many}"),
        };
        let wanted: Vec<String> = self.wanted.iter().map(u64::to_string).collect();
        let word = if wanted.len() == 1 { one } else { many };
        Some(format!("{option}: no event has {word} {}; {near}", wanted.join(", ")))
    }
}

/// Ranges, against the one that is wanted.
#[derive(Debug)]
struct Range {
    span: Span,
    /// How far, and the range.
    near: Option<(u64, Iovec)>,
}

impl Range {
    fn note(&mut self, iov: Iovec) {
        if let Some(distance) = self.span.distance(iov)
            && self.near.is_none_or(|(nearest, _)| distance < nearest)
        {
            self.near = Some((distance, iov));
        }
    }

    fn sentence(&self, of_processes: bool) -> Option<String> {
        let near = match self.near {
            Some((0, _)) => return None,
            Some((_, Iovec { base, len })) => {
                format!("the nearest range is {base:#x}, {}", Count(len, "byte", "bytes"))
            }
            None => "no event names a range".to_string(),
        };
        let of = if of_processes { " in the selected processes" } else { "" };
        Some(format!("--address: no event touches {}{of}; {near}", self.span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::select::Select;
    use crate::schema::types::Iovecs;

    fn sentences(select: &Select, events: &[Event<'_>]) -> Vec<String> {
        let filter = Filter::new(select).unwrap();
        let mut nearest = filter.nearest().expect("an option that may be mistaken");
        events.iter().for_each(|event| nearest.note(event));
        nearest.sentences()
    }

    fn read() -> Event<'static> {
        const REMOTE: &[Iovec] = &[Iovec { base: 0x2000, len: 64 }];
        const LOCAL: &[Iovec] = &[Iovec { base: 0x9000, len: 1 }];
        Event {
            pid: 10,
            comm: "py-spy",
            target_pid: Some(20),
            target_comm: Some("python3"),
            local_iov: Some(Iovecs::Pairs(LOCAL)),
            remote_iov: Some(Iovecs::Pairs(REMOTE)),
            pipe_in: Some(771),
            ..Event::default()
        }
    }

    #[test]
    fn names_that_are_alike_are_named() {
        let comm = |glob: &str| Select { comm: Some(glob.into()), ..Select::default() };
        let events = [read(), Event { comm: "Xorg", ..read() }, Event { comm: "a\x1b", ..read() }];
        assert_eq!(
            sentences(&comm("Pythn*"), &events),
            ["--comm: no thread name matches \"Pythn*\"; the closest are python3, py-spy, Xorg"]
        );
        assert_eq!(sentences(&comm("x?rg"), &events[1..2]).len(), 1, "letters count");
        assert_eq!(sentences(&comm("X?rg"), &events), [""; 0]);
        let one = [Event { comm: "a\x1b", ..Event::default() }];
        assert!(sentences(&comm("b"), &one)[0].ends_with("; the only name is a\\x1b"));
        assert!(sentences(&comm("b"), &[])[0].ends_with("; no thread has a name"));
    }

    #[test]
    fn names_are_bounded() {
        let select = Select { comm: Some("worker-x".into()), ..Select::default() };
        let filter = Filter::new(&select).unwrap();
        let mut nearest = filter.nearest().unwrap();
        for number in 0..3 * REMEMBERED {
            nearest.note(&Event { comm: &format!("worker-{number}"), ..Event::default() });
        }
        nearest.note(&Event { comm: &"w".repeat(1 << 20), ..Event::default() });
        let names = nearest.names.as_ref().unwrap();
        assert!(names.seen.len() <= REMEMBERED && names.near.len() == NAMED, "{}", names.seen.len());
    }

    #[test]
    fn the_nearest_number_is_named() {
        let pipe = |pipes| Select { pipes, ..Select::default() };
        let events = [read(), Event { pipe_in: None, pipe_out: Some(900), ..read() }];
        assert_eq!(sentences(&pipe(vec![772]), &events), ["--pipe: no event has pipe 772; the nearest is 771"]);
        assert_eq!(sentences(&pipe(vec![1, 899]), &events), ["--pipe: no event has pipes 1, 899; the nearest is 900"]);
        assert_eq!(sentences(&pipe(vec![1, 900]), &events), [""; 0]);
        assert_eq!(sentences(&pipe(vec![1]), &[]), ["--pipe: no event has pipe 1; there are no pipes"]);
        let pid = Select { pids: vec![19], ..Select::default() };
        assert_eq!(sentences(&pid, &events), ["-p: no event has process 19; the nearest is 20"]);
        let peer = Select { peers: vec![19], ..Select::default() };
        assert_eq!(sentences(&peer, &events), ["--peer: no event has process 19; the nearest is 20"]);
    }

    #[test]
    fn the_nearest_range_is_of_a_selected_process() {
        let at = |text: &str, pids: Vec<i32>| Select { address: Span::parse(text).ok(), pids, ..Select::default() };
        let words = "--address: no event touches 0x8fff+1; the nearest range is 0x9000, 1 byte";
        assert_eq!(sentences(&at("0x8fff", vec![]), &[read()]), [words]);
        let of =
            "--address: no event touches 0x8fff+1 in the selected processes; the nearest range is 0x2000, 64 bytes";
        assert_eq!(sentences(&at("0x8fff", vec![20]), &[read()]), [of]);
        assert_eq!(sentences(&at("0x203f+2", vec![20]), &[read()]), [""; 0]);
        assert!(sentences(&at("0x203f+2", vec![30]), &[read()])[1].ends_with("; no event names a range"));
    }
}
