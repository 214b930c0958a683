//! The manifest of what is written. Every field is named here: one that is added to the format must be, too.

use super::clocks;
use super::kinds::Kind;
use super::redactor::Redactor;
use super::sentences::{HIDDEN, kept};
use crate::schema::Manifest;
use crate::schema::derived::{Derivation, Redaction, Source};
use crate::schema::hosts::{self, HostPart};
use crate::schema::manifest::{FamilyReport, Filters, Hook, Host, Segment};
use crate::schema::vocabulary::RedactionLevel as Level;

/// Hexadecimal digits of a pseudonym of an id.
const DIGITS: usize = 10;
/// Those of a capture's id, as a recorder makes it.
const CAPTURE_DIGITS: usize = 32;

/// Options of `vmtrace record` that say nothing of what they are followed by. What is not here becomes a pseudonym.
const RECORDER_WORDS: &[&str] = &[
    "vmtrace",
    "record",
    "recover",
    "--",
    "--all",
    "--buffer-size",
    "--cgroup",
    "--comm",
    "--comment",
    "--count",
    "--duration",
    "--events",
    "--fail-on-loss",
    "--file-seconds",
    "--file-size",
    "--files",
    "--flight-recorder",
    "--force",
    "--format",
    "--ignore-interrupts",
    "--journal-window",
    "--max-size",
    "--memory-limit",
    "--no-follow",
    "--no-regions",
    "--no-self-test",
    "--on-file",
    "--on-full",
    "--on-trigger",
    "--output",
    "--payload",
    "--pid",
    "--print",
    "--quiet",
    "--ready-fd",
    "--sign-key",
    "--snaplen",
    "--target-comm",
    "--target-pid",
    "--tree",
    "--trigger",
    "--uid",
    "--verbose",
    "-o",
    "-p",
    "-a",
    "-e",
    "-s",
    "-u",
    "-c",
    "-C",
    "-G",
    "-W",
    "-T",
    "-I",
    "-q",
    "-v",
    "@vm",
    "@pipe",
    "@ptrace",
    "@mem",
    "@pidfd",
    "@madvise",
    "@uffd",
    "@process",
    "@all",
    "none",
];

/// What a capture says of itself when `redactor` has done its work. Steps that led to it stay, and none is added.
pub fn redacted(redactor: &mut Redactor, manifest: &Manifest) -> Manifest {
    let Manifest {
        capture_id,
        tool,
        argv,
        comment,
        filters,
        host,
        start,
        end,
        start_clock,
        end_clock,
        segment,
        hooks,
        families,
        gaps,
        end_reason,
        ledger,
        ledger_from_rows,
        regions,
        derived_from,
        hosts,
    } = manifest;
    let hosts = of_hosts(redactor, hosts);
    let capture_id = capture(redactor, capture_id);
    let segment = segment.as_ref().map(|segment| of_segment(redactor, segment));
    let hides = redactor.hides();
    let shift = redactor.shift;
    let clocks = |of| if hides { shift.clocks(of) } else { *of };
    let mut redacted = Manifest {
        capture_id,
        tool: tool.clone(),
        argv: recorder_argv(redactor, argv),
        comment: comment.clone().filter(|_| !hides),
        filters: of_filters(redactor, filters),
        host: of_host(redactor, host),
        start: clocks(start),
        end: clocks(end),
        start_clock: start_clock.as_ref().map(|state| if hides { clocks::state(state) } else { state.clone() }),
        end_clock: end_clock.as_ref().map(|state| if hides { clocks::state(state) } else { state.clone() }),
        segment,
        hooks: hooks.iter().map(|hook| of_hook(hides, hook)).collect(),
        families: families.iter().map(|family| of_family(hides, family)).collect(),
        gaps: sentences(hides, gaps),
        end_reason: end_reason.clone(),
        ledger: ledger.clone(),
        ledger_from_rows: *ledger_from_rows,
        regions: regions.clone(),
        derived_from: derived_from.iter().map(|step| of_step(redactor, step)).collect(),
        hosts,
    };
    if hides {
        // What is said of several hosts as one has their names in it.
        redacted.join_hosts();
    }
    redacted
}

/// The hosts that the rows are of. What rows call them is noted for these.
fn of_hosts(redactor: &mut Redactor, parts: &[HostPart]) -> Vec<HostPart> {
    let mut made: Vec<HostPart> = Vec::new();
    for part in parts {
        let HostPart { host, captures, mono_shift_ns, clock_uncertainty_ns, manifest } = part;
        // There are no hosts in a host.
        let manifest = redacted(redactor, &Manifest { hosts: Vec::new(), ..manifest.clone() });
        made.push(HostPart {
            host: host.clone(),
            captures: captures.iter().map(|id| capture(redactor, id)).collect(),
            mono_shift_ns: *mono_shift_ns,
            clock_uncertainty_ns: *clock_uncertainty_ns,
            manifest,
        });
    }
    if redactor.hides() {
        let labels = hosts::labels(&made.iter().map(|part| &part.manifest.host).collect::<Vec<_>>());
        for (part, label) in made.iter_mut().zip(labels) {
            let original = std::mem::replace(&mut part.host, label.clone());
            if original != label {
                redactor.names.found.note(Kind::Host, &original, &label);
            }
            redactor.hosts.insert(original, label);
        }
    }
    made
}

/// The pseudonym of a capture's id. It is another one at every level: the result is another capture.
pub fn capture(redactor: &mut Redactor, id: &str) -> String {
    redactor.names.id("", id, CAPTURE_DIGITS)
}

/// The pseudonym of a file's name.
pub fn file(redactor: &mut Redactor, name: &str) -> String {
    if redactor.hides() { redactor.names.text(Kind::Path, name).to_string() } else { name.to_string() }
}

fn words(redactor: &mut Redactor, words: &[String]) -> Vec<String> {
    let names = &mut redactor.names;
    match names.level {
        Level::Payload => words.to_vec(),
        Level::Share => words
            .iter()
            .enumerate()
            .map(|(at, word)| if at == 0 { names.program(word) } else { names.word(word) })
            .collect(),
        Level::Metadata => Vec::new(),
    }
}

/// The recorder's own command line: its options stay, what they are given does not. Behind `--` is the COMMAND.
fn recorder_argv(redactor: &mut Redactor, argv: &[String]) -> Vec<String> {
    if redactor.names.level != Level::Share {
        return words(redactor, argv);
    }
    let end = argv.iter().position(|word| word == "--").map_or(argv.len(), |at| at + 1);
    let (own, command) = argv.split_at_checked(end).unwrap_or((argv, &[]));
    let is_own = |word: &str| RECORDER_WORDS.contains(&word) || word.split(',').all(|w| RECORDER_WORDS.contains(&w));
    let mut all: Vec<String> = Vec::new();
    for (at, word) in own.iter().enumerate() {
        all.push(match at {
            _ if is_own(word) => word.clone(),
            0 => redactor.names.program(word),
            _ => redactor.names.word(word),
        });
    }
    all.extend(words(redactor, command));
    all
}

fn of_filters(redactor: &mut Redactor, filters: &Filters) -> Filters {
    let Filters { all, pids, tree, comms, target_pids, target_comms, command, follow, regions, .. } = filters;
    let Filters { events, uids, cgroup, snaplen, count, duration_s, buffer_size, .. } = filters;
    let command = words(redactor, command);
    let (hides, names) = (redactor.hides(), &mut redactor.names);
    let mut pid = |pid: &i32| if hides { i32::try_from(names.pid((*pid).into())).unwrap_or(0) } else { *pid };
    let [pids, target_pids] = [pids, target_pids].map(|pids| pids.iter().map(&mut pid).collect());
    let names = &mut redactor.names;
    let mut comm = |comm: &String| if hides { names.text(Kind::Comm, comm).to_string() } else { comm.clone() };
    let [comms, target_comms] = [comms, target_comms].map(|comms| comms.iter().map(&mut comm).collect());
    let names = &mut redactor.names;
    let uid = |uid: &u32| match hides {
        true => u32::try_from(names.number(Kind::Uid, (*uid).into())).unwrap_or(u32::MAX),
        false => *uid,
    };
    let uids = uids.iter().map(uid).collect();
    let names = &mut redactor.names;
    let cgroup = cgroup.as_ref().map(|path| match hides {
        true => names.text(Kind::Cgroup, path).to_string(),
        false => path.clone(),
    });
    Filters {
        all: *all,
        pids,
        tree: *tree,
        comms,
        target_pids,
        target_comms,
        command,
        follow: *follow,
        regions: *regions,
        events: events.clone(),
        uids,
        cgroup,
        snaplen: *snaplen,
        count: *count,
        duration_s: *duration_s,
        buffer_size: *buffer_size,
    }
}

fn of_host(redactor: &mut Redactor, host: &Host) -> Host {
    let Host {
        hostname,
        sysname,
        release,
        version: _,
        machine,
        boot_id,
        machine_id,
        cpus,
        lockdown,
        container,
        initial_pid_namespace,
    } = host;
    if !redactor.hides() {
        return host.clone();
    }
    let names = &mut redactor.names;
    let is_number = |c: &char| c.is_ascii_digit() || *c == '.';
    Host {
        hostname: match names.keep.keeps(Kind::Host, hostname) {
            true => hostname.clone(),
            false => names.id("host-", hostname, DIGITS),
        },
        sysname: sysname.clone(),
        release: match names.level {
            Level::Metadata => release.chars().take_while(is_number).collect(),
            Level::Payload | Level::Share => release.clone(),
        },
        // It has the date of the build, and often who built it where.
        version: String::new(),
        machine: machine.clone(),
        boot_id: names.id("boot-", boot_id, DIGITS),
        machine_id: machine_id.as_ref().map(|id| names.id("machine-", id, DIGITS)),
        cpus: *cpus,
        lockdown: lockdown.clone().filter(|text| is_lockdown(text)),
        container: container.as_ref().map(|id| names.text(Kind::Container, id).to_string()),
        initial_pid_namespace: *initial_pid_namespace,
    }
}

/// The file has three words, one of them in brackets.
fn is_lockdown(text: &str) -> bool {
    let mut words = text.split_whitespace().map(|word| word.trim_matches(['[', ']']));
    words.all(|word| ["none", "integrity", "confidentiality"].contains(&word))
}

fn of_segment(redactor: &Redactor, segment: &Segment) -> Segment {
    // The file before is another one when it is redacted.
    let Segment { index, begin, first_seq, previous_root: _, previous_file: _, last } = segment;
    let begin = if redactor.hides() { redactor.shift.clocks(begin) } else { *begin };
    Segment { index: *index, begin, first_seq: *first_seq, previous_root: None, previous_file: None, last: *last }
}

fn of_hook(hides: bool, hook: &Hook) -> Hook {
    let Hook { program, target, serves, attached, reason, skipped } = hook;
    Hook {
        program: program.clone(),
        target: target.clone(),
        serves: serves.clone(),
        attached: *attached,
        reason: reason.as_ref().map(|reason| sentence(hides, reason)),
        skipped: *skipped,
    }
}

fn of_family(hides: bool, report: &FamilyReport) -> FamilyReport {
    let FamilyReport { family, events, tier, best, probes, self_test, untested, gap } = report;
    FamilyReport {
        family: family.clone(),
        events: events.clone(),
        tier: tier.clone(),
        best: *best,
        probes: probes.clone(),
        self_test: self_test.clone(),
        untested: sentences(hides, untested),
        gap: gap.as_ref().map(|gap| sentence(hides, gap)),
    }
}

fn sentence(hides: bool, text: &str) -> String {
    if hides && !kept(text) { HIDDEN.into() } else { text.into() }
}

/// All of them; those that are hidden become one.
fn sentences(hides: bool, texts: &[String]) -> Vec<String> {
    let mut all: Vec<String> = texts.iter().map(|text| sentence(hides, text)).collect();
    let hidden = all.iter().position(|text| text == HIDDEN);
    let mut at = 0;
    all.retain(|text| {
        at += 1;
        text != HIDDEN || hidden == Some(at - 1)
    });
    all
}

/// An earlier step.
fn of_step(redactor: &mut Redactor, step: &Derivation) -> Derivation {
    let Derivation { command, argv, tool, sources, left_out, redaction } = step;
    let hides = redactor.hides();
    let redaction = redaction.as_ref().map(|redaction| {
        let Redaction { level, rules, options, values } = redaction;
        // What was kept then is hidden now.
        let options = options.iter().filter(|option| !hides || !option.starts_with("--keep")).cloned().collect();
        Redaction { level: level.clone(), rules: *rules, options, values: values.clone() }
    });
    Derivation {
        command: command.clone(),
        argv: if hides { vec!["vmtrace".into(), command.clone()] } else { argv.clone() },
        tool: tool.clone(),
        sources: sources.iter().map(|source| of_source(redactor, source)).collect(),
        left_out: sentences(hides, left_out),
        redaction,
    }
}

fn of_source(redactor: &mut Redactor, source: &Source) -> Source {
    let Source { file: name, root, capture_id, rows, taken } = source;
    Source {
        file: file(redactor, name),
        root: root.clone(),
        capture_id: capture(redactor, capture_id),
        rows: *rows,
        taken: *taken,
    }
}

#[cfg(test)]
mod tests;
