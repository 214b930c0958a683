//! What of a capture must not stand in what is made of it, and whether it does: in columns, in the manifest, in the bytes of the file.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use vmtrace::derive::redact::{self, known, rows, rules::Rule};
use vmtrace::schema::columns::COLUMNS;
use vmtrace::schema::reader::Capture;
use vmtrace::schema::{Cell, Event, Manifest};

use super::made::{self, Place};

/// Bytes of a payload that are looked for.
pub const WINDOW: usize = 8;
/// Distinct bytes that they must have: zeros stand anywhere.
const DISTINCT: usize = 5;
/// Bytes of the shortest text that is looked for.
const SHORTEST: usize = 4;

/// What must not stand in a redacted file.
#[derive(Debug, Default)]
pub struct Originals {
    pub texts: BTreeSet<String>,
    /// By rule.
    pub numbers: Vec<(Rule, HashSet<i128>)>,
    pub addresses: HashSet<u64>,
    pub windows: HashSet<[u8; WINDOW]>,
    /// Texts that stay: kernel release, names of hooks, sentences that name nobody.
    pub kept: Vec<Vec<u8>>,
}

/// Whether a text says nothing of its machine: it stays by rule.
fn stays(text: &str) -> bool {
    let lists =
        [known::OF_A_PROCESS, known::CGROUPS, known::ENDINGS, known::ANONYMOUS, known::NUMBERED, known::NETWORK];
    known::is_known(text)
        || lists.iter().any(|list| list.contains(&text))
        || ["(deleted)", "memfd", "ffff"].contains(&text)
}

/// The parts of a text that can be told apart: words, and the components of paths.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '/', '=', '[', ']', ':', ',']).filter(|part| part.len() >= SHORTEST)
}

impl Originals {
    pub fn of(path: &Path) -> Self {
        let mut all = Originals::default();
        made::each(path, |event| all.take(event));
        let manifest = Capture::open(path).unwrap().manifest().clone();
        let host = &manifest.host;
        let texts = [Some(&host.hostname), Some(&host.boot_id), host.machine_id.as_ref(), host.container.as_ref()];
        let texts = texts.into_iter().flatten().chain(&manifest.filters.command).chain([&manifest.capture_id]);
        texts.for_each(|text| all.text(text));
        // What stays at the level share, and programs may have in their memory, too.
        let hooks = manifest.hooks.iter().flat_map(|hook| [&hook.program, &hook.target, &hook.serves]);
        let probes = manifest.families.iter().flat_map(|family| &family.probes);
        let families = manifest.families.iter().flat_map(|family| family.untested.iter().chain(&family.gap));
        let sentences = families.chain(&manifest.gaps).filter(|text| redact::sentences::kept(text));
        all.kept =
            hooks.chain(probes).chain(sentences).chain([&host.release]).map(|text| text.clone().into_bytes()).collect();
        all
    }

    fn text(&mut self, text: &str) {
        self.texts.extend(parts(text).filter(|part| !stays(part)).map(str::to_string));
    }

    fn number(&mut self, rule: Rule, number: i128) {
        match self.numbers.iter_mut().find(|(of, _)| *of == rule) {
            Some((_, all)) => drop(all.insert(number)),
            None => self.numbers.push((rule, [number].into())),
        }
    }

    fn take(&mut self, event: &Event<'_>) {
        event.cells(|name, cell| {
            let rule = rule_of(name);
            match (rule, cell) {
                (Rule::Keep | Rule::PayloadStatus | Rule::Entropy | Rule::Digest, _) => {}
                (_, Cell::Text(text)) => self.text(text),
                (Rule::Pid, Cell::Int(pid)) if pid > 1 => self.number(rule, pid.into()),
                (Rule::Inode, Cell::Uint(inode)) if inode > 0 => self.number(rule, inode.into()),
                (Rule::Uid, Cell::Uint(uid)) if !known::USERS.iter().any(|known| u64::from(*known) == uid) => {
                    self.number(rule, uid.into());
                }
                (_, Cell::Iovecs(ranges)) => self.addresses.extend(ranges.iter().map(|range| range.base)),
                (_, Cell::Regions(regions)) => regions.iter().for_each(|region| {
                    [region.path, region.build_id].into_iter().for_each(|text| self.text(text));
                    self.addresses.extend([region.start, region.end]);
                }),
                (Rule::Data, Cell::Uint(data)) => drop(self.addresses.insert(data)),
                (_, Cell::Bytes(bytes)) => self.windows.extend(windows(bytes)),
                _ => {}
            }
        });
        self.addresses.retain(|address| *address >= 1 << 24);
    }
}

fn rule_of(column: &str) -> Rule {
    rows::COLUMNS.iter().find(|(name, _)| *name == column).unwrap().1
}

pub fn windows(bytes: &[u8]) -> impl Iterator<Item = [u8; WINDOW]> {
    let all = bytes.windows(WINDOW).map(|window| <[u8; WINDOW]>::try_from(window).unwrap());
    all.filter(|window| window.iter().collect::<HashSet<_>>().len() >= DISTINCT)
}

/// The bytes of a file, and what they are when they are unpacked: pages of columns, and descriptions of row groups.
pub fn bytes_of(path: &Path) -> Vec<Vec<u8>> {
    let file = std::fs::read(path).unwrap();
    let magic = [0x28, 0xb5, 0x2f, 0xfd];
    let frames = file.windows(4).enumerate().filter(|(_, window)| *window == magic).map(|(at, _)| at);
    let unpack = |at: usize| {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(&file[at..]).unwrap().single_frame();
        let mut out = Vec::new();
        std::io::Read::read_to_end(&mut decoder, &mut out).ok().map(|_| out)
    };
    let unpacked: Vec<_> = frames.filter_map(unpack).collect();
    [vec![file.clone()], unpacked].concat()
}

/// What every capture has: names of columns, what they mean, words of the format.
pub fn of_every_capture() -> &'static [Vec<u8>] {
    static BYTES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    BYTES.get_or_init(made_of_words)
}

fn made_of_words() -> Vec<Vec<u8>> {
    let place = Place::new();
    let path = place.path("empty.parquet");
    use vmtrace::schema::{events::EVENTS, vocabulary::VOCABULARIES};
    let columns = COLUMNS.iter().map(|column| column.name);
    let words = VOCABULARIES.iter().flat_map(|vocabulary| vocabulary.words).map(|(word, _)| *word);
    let all = columns.chain(words).chain(EVENTS.iter().map(|event| event.name)).map(str::to_string);
    let mut manifest = Manifest { gaps: all.collect(), ..Manifest::default() };
    manifest.argv = ["vmtrace", "record", "redact", "share", "metadata"].map(str::to_string).into();
    made::write(&path, &manifest, |builder| builder.push(&Event::default()));
    bytes_of(&path)
}

pub fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(haystack, needle).is_some()
}

/// Which of the needles, of at least four bytes each, are in any of the haystacks. Each haystack is read once.
fn search(haystacks: &[Vec<u8>], needles: &[(String, Vec<u8>)]) -> BTreeSet<usize> {
    let mut by_front: HashMap<[u8; SHORTEST], Vec<usize>> = HashMap::new();
    let mut begins = vec![false; 1 << 16];
    for (at, (_, needle)) in needles.iter().enumerate() {
        let front: [u8; SHORTEST] = needle[..SHORTEST].try_into().unwrap();
        begins[usize::from(u16::from_le_bytes([front[0], front[1]]))] = true;
        by_front.entry(front).or_default().push(at);
    }
    let mut hits = BTreeSet::new();
    for bytes in haystacks {
        for (at, front) in bytes.windows(SHORTEST).enumerate() {
            if begins[usize::from(u16::from_le_bytes([front[0], front[1]]))] {
                let candidates = by_front.get(front).map(Vec::as_slice).unwrap_or_default();
                hits.extend(candidates.iter().filter(|of| bytes[at..].starts_with(&needles[**of].1)));
            }
        }
    }
    hits
}

/// Everything of `originals` that is in the capture at `path`, with where it is.
pub fn leaks(path: &Path, originals: &Originals) -> Vec<String> {
    let mut found = Vec::new();
    let numbers = |rule| originals.numbers.iter().find(|(of, _)| *of == rule).map(|(_, all)| all);
    let mut of_cell = |name: &str, cell: Cell<'_>| {
        let is_number = |number: i128| numbers(rule_of(name)).is_some_and(|all| all.contains(&number));
        let leaked = match cell {
            Cell::Text(text) => text_leaks(text, originals),
            Cell::Int(number) => is_number(number.into()).then(|| number.to_string()),
            Cell::Uint(number) if name == "data" => {
                originals.addresses.contains(&number).then(|| format!("{number:#x}"))
            }
            Cell::Uint(number) => is_number(number.into()).then(|| number.to_string()),
            Cell::Bytes(bytes) => windows(bytes).find(|w| originals.windows.contains(w)).map(|w| format!("{w:?}")),
            Cell::Iovecs(ranges) => {
                ranges.iter().find(|range| originals.addresses.contains(&range.base)).map(|range| format!("{range:x?}"))
            }
            Cell::Regions(regions) => regions.iter().find_map(|region| {
                let moved = |at: u64| originals.addresses.contains(&at).then(|| format!("{at:#x}"));
                let texts = [region.path, region.device, region.build_id];
                let text = texts.into_iter().find_map(|text| text_leaks(text, originals));
                text.or_else(|| moved(region.start)).or_else(|| moved(region.end))
            }),
            Cell::Null | Cell::Bool(_) | Cell::Micros(_) => None,
        };
        found.extend(leaked.map(|what| format!("column {name}: {what}")));
    };
    made::each(path, |event| event.cells(&mut of_cell));
    let capture = Capture::open(path).unwrap();
    let manifest = capture.manifest_json();
    let json: serde_json::Value = serde_json::from_str(manifest).unwrap();
    // Words of a sentence that names nobody are no leak, even if a program was given one.
    strings(&json, &mut |text| {
        let leaked = text_leaks(text, originals).filter(|_| !redact::sentences::kept(text));
        found.extend(leaked.map(|what| format!("manifest: {what}")));
    });
    // Numbers of a manifest that are those of processes and users.
    for (names, rule) in [(["pids", "target_pids"].as_slice(), Rule::Pid), (&["uids"], Rule::Uid)] {
        let leaked = numbers_of(&json, names).into_iter();
        let leaked = leaked.filter(|number| numbers(rule).is_some_and(|all| all.contains(number)));
        found.extend(leaked.map(|number| format!("manifest: {number}")));
    }
    found.extend(raw_leaks(path, originals));
    found
}

/// The numbers of the lists with these names, wherever they stand.
fn numbers_of(value: &serde_json::Value, names: &[&str]) -> Vec<i128> {
    let mut all = Vec::new();
    match value {
        serde_json::Value::Array(list) => all.extend(list.iter().flat_map(|value| numbers_of(value, names))),
        serde_json::Value::Object(object) => object.iter().for_each(|(name, value)| match value.as_array() {
            Some(list) if names.contains(&name.as_str()) => {
                all.extend(list.iter().filter_map(serde_json::Value::as_i64).map(i128::from));
            }
            _ => all.extend(numbers_of(value, names)),
        }),
        _ => {}
    }
    all
}

pub fn strings(value: &serde_json::Value, take: &mut impl FnMut(&str)) {
    match value {
        serde_json::Value::String(text) => take(text),
        serde_json::Value::Array(list) => list.iter().for_each(|value| strings(value, take)),
        serde_json::Value::Object(object) => object.values().for_each(|value| strings(value, take)),
        _ => {}
    }
}

/// An original text, or a number of a process or a pipe, among the parts of a text.
pub fn text_leaks(text: &str, originals: &Originals) -> Option<String> {
    // Words that the format itself has stay: events, words of columns, options of the recorder.
    let is_word = |part: &str| text == part && of_format(part);
    let part = parts(text).find(|part| originals.texts.contains(*part) && !is_word(part));
    let is_number = |word: &str| {
        let number = word.parse::<i128>().ok();
        number.is_some_and(|number| number > 999 && originals.numbers.iter().any(|(_, all)| all.contains(&number)))
    };
    let number = || text.split(|c: char| !c.is_ascii_alphanumeric()).find(|word| is_number(word));
    part.or_else(number).map(str::to_string)
}

pub fn of_format(word: &str) -> bool {
    use vmtrace::schema::vocabulary::VOCABULARIES;
    VOCABULARIES.iter().flat_map(|v| v.words).any(|(text, _)| *text == word)
        || vmtrace::schema::events::EVENTS.iter().any(|event| event.name == word)
}

/// The names of the fields of a manifest, which are those of the format.
fn names_of_fields(path: &Path) -> Vec<u8> {
    fn collect(value: &serde_json::Value, names: &mut String) {
        match value {
            serde_json::Value::Array(list) => list.iter().for_each(|value| collect(value, names)),
            serde_json::Value::Object(object) => object.iter().for_each(|(name, value)| {
                *names += &format!("{name:?}:");
                collect(value, names);
            }),
            _ => {}
        }
    }
    let mut names = String::new();
    // A file that is no capture has none.
    if let Ok(capture) = Capture::open(path) {
        collect(&serde_json::from_str(capture.manifest_json()).unwrap(), &mut names);
    }
    names.into_bytes()
}

/// Texts of columns in which no original stands, as Parquet has them: behind their length. Programs have well-known names in
/// their memory, too.
fn clean_texts(path: &Path, originals: &Originals) -> Vec<u8> {
    let mut texts = BTreeSet::new();
    if Capture::open(path).is_err() {
        return Vec::new();
    }
    made::each(path, |event| {
        event.cells(|_, cell| match cell {
            Cell::Text(text) if text_leaks(text, originals).is_none() => drop(texts.insert(text.to_string())),
            _ => {}
        });
    });
    let plain = |text: String| [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    texts.into_iter().flat_map(plain).collect()
}

/// Originals in the bytes of the file and of its unpacked parts, but for what every capture has.
pub fn raw_leaks(path: &Path, originals: &Originals) -> Vec<String> {
    let (all, every) = (bytes_of(path), of_every_capture());
    let (names, clean) = (names_of_fields(path), clean_texts(path, originals));
    let is_rare =
        |needle: &[u8]| !every.iter().chain([&names, &clean]).chain(&originals.kept).any(|bytes| holds(bytes, needle));
    let mut needles: Vec<(String, Vec<u8>)> = Vec::new();
    // Few hexadecimal digits stand in any digest.
    let by_chance = |text: &str| text.len() < 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let texts = originals.texts.iter().filter(|text| !of_format(text) && !by_chance(text));
    needles.extend(texts.map(|text| (text.clone(), text.clone().into_bytes())));
    let addresses = originals.addresses.iter().filter(|address| **address >= 1 << 32);
    needles.extend(addresses.map(|address| (format!("{address:#x}"), address.to_le_bytes().to_vec())));
    let hits = search(&all, &needles).into_iter().map(|at| &needles[at]);
    let mut found: Vec<String> =
        hits.filter(|(_, needle)| is_rare(needle)).map(|(what, _)| format!("bytes: {what}")).collect();
    for bytes in &all {
        let windows = bytes.windows(WINDOW).map(|window| <[u8; WINDOW]>::try_from(window).unwrap());
        let leaked = windows.filter(|window| originals.windows.contains(window)).find(|window| is_rare(window));
        found.extend(leaked.map(|window| format!("bytes of a payload: {window:?}")));
    }
    found
}

/// A capture with values that no sample has.
pub fn with_all_kinds(place: &Place) -> PathBuf {
    let path = place.path("made.parquet");
    let id = "4fd9a8c1e2b34fd9a8c1e2b34fd9a8c1e2b34fd9a8c1e2b34fd9a8c1e2b3abcd";
    let mut manifest = Manifest { capture_id: "c0ffee00c0ffee00".into(), ..Manifest::default() };
    manifest.host.hostname = "build-7.example".into();
    manifest.host.container = Some(id.into());
    manifest.filters.command = ["/opt/acme/agent", "--token=opensesame"].map(str::to_string).into();
    manifest.argv = ["/home/josephine/bin/vmtrace", "record", "--", "/opt/acme/agent"].map(str::to_string).into();
    manifest.filters.pids = vec![31_337];
    manifest.filters.target_pids = vec![31_339];
    manifest.filters.uids = vec![54_321];
    manifest.comment = Some("for josephine at acme".into());
    manifest.gaps = vec!["mem: 3 reads or writes of walletd (pid 31337) may have been of /proc/PID/mem".into()];
    let event = Event {
        event: "splice",
        pid: 31_337,
        tid: 31_338,
        uid: 54_321,
        comm: "walletd",
        exe: Some("/home/josephine/walletd (deleted)"),
        process_key: Some("0011223344556677"),
        cgroup: Some("/user.slice/acme-billing.service"),
        container: Some(id),
        target_pid: Some(31_339),
        target_exe: Some("/opt/acme/ledgerd"),
        target_cgroup: Some("/system.slice/docker-4fd9a8c1e2b34fd9.scope"),
        target_container: Some("acme-container"),
        fd_in_path: Some("/home/josephine/.ssh/id_acme"),
        fd_out_path: Some("/proc/31337/task/31338/mem"),
        fd_in_local_addr: Some("192.0.2.77"),
        fd_in_peer_addr: Some("2a00:1450:4001:830::2004"),
        fd_out_local_addr: Some("@acme-socket"),
        fd_out_peer_addr: Some("/run/acme/ledger.sock"),
        pipe_in: Some(40_660_200),
        argv: Some("/opt/acme/walletd --secret=opensesame 31337 /home/josephine/ledger.db"),
        payload: Some(b"josephine owes acme 12 coins"),
        payload_len: 28,
        payload_status: Some("ok"),
        ..Event::default()
    };
    made::write(&path, &manifest, |builder| builder.push(&event));
    path
}
