//! Captures of several hosts: whose rows they are, in which order, and that nothing of two hosts is taken for one thing.

use serde_json::json;
use vmtrace::schema::manifest::{ClockState, Clocks, Host};
use vmtrace::schema::{Event, Manifest};

use super::captures::*;
use super::*;

/// A machine that recorded.
#[derive(Clone, Copy)]
struct Machine {
    name: &'static str,
    boot: &'static str,
    /// µs of wall clock between the start of [`START`] and its own.
    later_us: i64,
    /// CLOCK_MONOTONIC at its start.
    mono_ns: i64,
}

const WEB1: Machine = Machine { name: "web1", boot: "11111111-aaaa", later_us: 0, mono_ns: MONO };
/// Its clock says less, though it began 1 ms later.
const WEB2: Machine = Machine { name: "web2", boot: "22222222-bbbb", later_us: 1_000, mono_ns: 7_000_000_000 };
/// web1 after a reboot.
const AGAIN: Machine = Machine { boot: "33333333-cccc", later_us: 60_000_000, mono_ns: 9_000_000_000, ..WEB1 };

impl Machine {
    fn clocks(self, us: i64) -> Clocks {
        Clocks {
            realtime_ns: START + (self.later_us + us) * 1_000,
            monotonic_ns: self.mono_ns + us * 1_000,
            boottime_ns: self.mono_ns + us * 1_000,
            uncertainty_ns: 100,
        }
    }

    /// A capture of `events`, which are at µs after its start, in `dir`.
    fn record(self, dir: &Dir, file: &str, state: &str, events: &[Event<'_>]) -> String {
        self.record_from(dir, file, state, 0, events)
    }

    /// The same of a recording that began some µs later.
    fn record_from(self, dir: &Dir, file: &str, state: &str, from_us: i64, events: &[Event<'_>]) -> String {
        let path = dir.path(file);
        let events: Vec<Event<'_>> = events
            .iter()
            .map(|event| {
                let at = self.clocks(from_us + (event.mono_ns - MONO) / 1_000);
                let (ts_ns, mono_ns) = (at.realtime_ns, at.monotonic_ns);
                Event { ts: ts_ns / 1_000, ts_ns, mono_ns, ..*event }
            })
            .collect();
        let state = ClockState { state: state.into(), max_error_us: 1_500, ..ClockState::default() };
        let manifest = Manifest {
            capture_id: blake3::hash(file.as_bytes()).to_hex()[..32].to_string(),
            host: Host { hostname: self.name.into(), boot_id: self.boot.into(), ..manifest().host },
            start: self.clocks(from_us),
            end: self.clocks(from_us + 2_410_000),
            start_clock: Some(state.clone()),
            end_clock: Some(state),
            ledger: ledger(&events),
            ..manifest()
        };
        write(Path::new(&path), &manifest, &[&events]);
        path
    }
}

/// A capture of web1 and web2, whose processes, pipes and addresses have the same numbers; and the two it is made of.
pub fn both(dir: &Dir) -> (String, [String; 2]) {
    let events = everything();
    let a = WEB1.record(dir, "a.parquet", "TIME_OK", &events);
    let b = WEB2.record(dir, "b.parquet", "TIME_ERROR", &events);
    let out = dir.path("both.parquet");
    let ran = vmtrace(&["merge", &b, &a, "-o", &out]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    (out, [a, b])
}

/// The rows of a capture as they were before it was merged.
fn original(row: &str) -> Value {
    let mut row = parsed(row);
    let fields = row.as_object_mut().unwrap();
    let seq = fields.remove("host_seq").unwrap();
    fields.remove("host");
    fields.insert("seq".into(), seq);
    row
}

fn parsed(text: &str) -> Value {
    super::json(text)
}

fn without_mono(mut row: Value) -> Value {
    row.as_object_mut().unwrap().remove("mono_ns");
    row
}

#[test]
fn rows_keep_their_host_and_come_in_the_order_of_wall_clocks() {
    let dir = Dir::new();
    let (out, of) = both(&dir);
    check_whole(&out, verdict(&of[0]).0);
    let texts = rows(&out, &[]);
    let all: Vec<Value> = texts.iter().map(|row| parsed(row)).collect();
    assert_eq!(all.len(), 2 * everything().len());
    assert!(all.iter().enumerate().all(|(seq, row)| row["seq"] == seq), "numbered anew");
    let times: Vec<i64> = all.iter().map(|row| row["ts_ns"].as_i64().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let hosts: Vec<&str> = all.iter().map(|row| row["host"].as_str().unwrap()).collect();
    assert!(hosts.contains(&"web1") && hosts.contains(&"web2") && !hosts.is_sorted(), "they take turns: {hosts:?}");
    for (host, capture) in ["web1", "web2"].iter().zip(&of) {
        let mine: Vec<Value> =
            texts.iter().filter(|row| parsed(row)["host"] == *host).map(|row| original(row)).collect();
        let wanted: Vec<Value> = rows(capture, &[]).iter().map(|row| parsed(row)).collect();
        let shift = mine[0]["mono_ns"].as_i64().unwrap() - wanted[0]["mono_ns"].as_i64().unwrap();
        assert!(
            mine.iter()
                .zip(&wanted)
                .all(|(a, b)| { a["mono_ns"].as_i64().unwrap() - b["mono_ns"].as_i64().unwrap() == shift })
        );
        let strip = |rows: Vec<Value>| rows.into_iter().map(without_mono).collect::<Vec<_>>();
        assert_eq!(strip(mine), strip(wanted), "{host}");
    }
}

#[test]
fn the_manifest_states_each_host_with_its_clock_and_its_ledger() {
    let dir = Dir::new();
    let (out, of) = both(&dir);
    let manifest = info(&out)["manifest"].clone();
    let hosts = manifest["hosts"].as_array().unwrap();
    for (part, capture) in hosts.iter().zip(&of) {
        let own = info(capture)["manifest"].clone();
        assert_eq!(part["manifest"]["host"], own["host"]);
        assert_eq!(part["manifest"]["start"], own["start"]);
        let counts = |manifest: &Value| -> Vec<Value> {
            let rows = manifest["ledger"].as_array().unwrap().iter();
            rows.map(|row| json!([row["event"], row["seen"], row["written"], row["bytes"]])).collect()
        };
        assert_eq!(counts(&part["manifest"]), counts(&own));
        assert_eq!(part["captures"][0], own["capture_id"]);
    }
    let clocks: Vec<&Value> = hosts.iter().map(|part| &part["clock_uncertainty_ns"]).collect();
    assert_eq!(clocks, [&parsed("1500100"), &Value::Null]);
    assert_eq!(hosts[1]["mono_shift_ns"], WEB1.clocks(1_000).monotonic_ns - WEB2.mono_ns);
    assert_eq!(
        (&manifest["host"]["hostname"], &manifest["host"]["boot_id"]),
        (&parsed("\"web1, web2\""), &parsed("\"\""))
    );
    assert_eq!(manifest["derived_from"][0]["sources"][0]["file"], "b.parquet", "as they were given");
    let again = dir.path("again.parquet");
    assert_eq!(vmtrace(&["merge", &of[0], &of[1], "-o", &again]).status, 0);
    assert_eq!(rows(&again, &[]), rows(&out, &[]), "whatever the order in which they are given");
    assert_eq!(info(&again)["manifest"]["capture_id"], manifest["capture_id"]);
}

#[test]
fn slices_by_host_are_the_rows_of_that_host_and_merge_into_the_capture() {
    let dir = Dir::new();
    let (out, of) = both(&dir);
    let status = verdict(&of[0]).0;
    let mut slices = Vec::new();
    for (host, capture) in ["web1", "web2"].iter().zip(&of) {
        let slice = dir.path(&format!("{host}.parquet"));
        made(&["slice", &out, "--where", &format!("host = {host}"), "-o", &slice]);
        check_whole(&slice, status);
        let strip = |rows: Vec<Value>| rows.into_iter().map(without_mono).collect::<Vec<_>>();
        let mine = rows(&slice, &[]).iter().map(|row| original(row)).collect();
        let wanted = rows(capture, &[]).iter().map(|row| parsed(row)).collect();
        assert_eq!(strip(mine), strip(wanted), "{host}");
        let facts = info(&slice);
        assert_eq!(facts["manifest"]["host"], info(capture)["manifest"]["host"], "a capture of one host");
        slices.push(slice);
    }
    let merged = dir.path("merged.parquet");
    made(&["merge", &slices[1], &slices[0], "-o", &merged]);
    check_whole(&merged, status);
    assert_eq!(rows(&merged, &[]), rows(&out, &[]));
    for field in ["ledger", "hosts", "host", "families", "gaps", "filters"] {
        assert_eq!(info(&merged)["manifest"][field], info(&out)["manifest"][field], "{field}");
    }
}

#[test]
fn what_a_process_needs_is_of_its_host_alone() {
    let dir = Dir::new();
    let (out, _) = both(&dir);
    let slice = dir.path("slice.parquet");
    made(&["slice", &out, "--where", "host = web2 and event = process_vm_writev", "-o", &slice]);
    let taken = rows(&slice, &[]);
    assert!(taken.len() > 1 && taken.iter().all(|row| parsed(row)["host"] == "web2"), "{taken:?}");
}

#[test]
fn a_reboot_makes_another_host_and_captures_of_one_boot_are_one() {
    let dir = Dir::new();
    let events = everything();
    let first = WEB1.record(&dir, "a.parquet", "TIME_OK", &events);
    let later = WEB1.record_from(&dir, "c.parquet", "TIME_OK", 10_000_000, &events);
    let again = AGAIN.record(&dir, "r.parquet", "TIME_OK", &events);
    let out = dir.path("boots.parquet");
    assert_eq!(vmtrace(&["merge", &again, &later, &first, "-o", &out]).status, 0);
    check_whole(&out, verdict(&first).0);
    let hosts: Vec<Value> = rows(&out, &[]).iter().map(|row| parsed(row)["host"].clone()).collect();
    let count = |host: &str| hosts.iter().filter(|of| **of == host).count();
    assert_eq!([count("web1@11111111"), count("web1@33333333")], [2 * events.len(), events.len()]);
    let parts = info(&out)["manifest"]["hosts"].clone();
    assert_eq!(parts[0]["captures"].as_array().unwrap().len(), 2);
    assert_eq!(parts[0]["mono_shift_ns"], 0);
    // Of one boot alone.
    let boot = dir.path("boot.parquet");
    assert_eq!(vmtrace(&["merge", &later, &first, "-o", &boot]).status, 0);
    check_whole(&boot, verdict(&first).0);
    let facts = info(&boot);
    assert_eq!(
        (&facts["manifest"]["host"]["boot_id"], &facts["rows"]),
        (&parsed("\"11111111-aaaa\""), &parsed(&(2 * events.len()).to_string()))
    );
    // What was merged merges with more.
    let (more, web2) = (dir.path("more.parquet"), WEB2.record(&dir, "b.parquet", "TIME_OK", &events));
    assert_eq!(vmtrace(&["merge", &boot, &web2, &again, "-o", &more]).status, 0);
    check_whole(&more, verdict(&first).0);
    let (all, at_once) = (rows(&more, &[]), dir.path("at-once.parquet"));
    assert_eq!(vmtrace(&["merge", &first, &later, &web2, &again, "-o", &at_once]).status, 0);
    assert_eq!(all, rows(&at_once, &[]));
}

#[test]
fn what_would_count_twice_is_refused() {
    let dir = Dir::new();
    let events = everything();
    let (out, [a, _]) = both(&dir);
    let overlapping = WEB1.record_from(&dir, "o.parquet", "TIME_OK", 1_000_000, &events);
    for other in [&overlapping, &out] {
        let ran = vmtrace(&["merge", &a, other, "-o", &dir.path("no.parquet")]);
        assert_eq!((ran.status, ran.err.lines().count()), (2, 1), "{}", ran.err);
        assert!(ran.err.contains("recordings of the same time on the host web1"), "{}", ran.err);
    }
    assert!(!Path::new(&dir.path("no.parquet")).exists());
}

#[test]
fn verify_compares_the_rows_with_what_is_stated_of_each_host() {
    let dir = Dir::new();
    let (out, _) = both(&dir);
    let capture = vmtrace::schema::reader::Capture::open(Path::new(&out)).unwrap();
    let honest = capture.manifest().clone();
    let events = [Event { host: Some("web1"), ..readv(1) }, Event { host: Some("web3"), ..readv(2) }, readv(3)];
    let forged = |manifest: &Manifest| {
        let path = dir.path("forged.parquet");
        write(Path::new(&path), &Manifest { ledger: ledger(&events), ..manifest.clone() }, &[&events]);
        verdict(&path).1
    };
    let found = forged(&honest);
    assert!(found.iter().any(|text| text.contains("2 rows are of hosts that the manifest does not name")), "{found:?}");
    assert!(found.iter().any(|text| text.contains("in the ledgers of the hosts, 3 in the one of all")), "{found:?}");
    assert!(found.iter().any(|text| text.contains("host web1: process_vm_readv: 1 row in the file")), "{found:?}");
    let mut unbalanced = honest;
    unbalanced.hosts[0].manifest.ledger[0].seen += 1;
    let found = forged(&unbalanced);
    assert!(found.iter().any(|text| text.starts_with("contradiction: host web1: ")), "{found:?}");
}

/// A call at the pipe with inode 77, which both machines have, by a process with one pid on both.
fn at_pipe(us: i64, event: &'static str, payload: &'static [u8]) -> Event<'static> {
    let bytes = i64::try_from(payload.len()).unwrap();
    let call = Event {
        ret: Some(bytes),
        bytes: Some(bytes),
        bytes_requested: Some(bytes),
        payload: Some(payload),
        payload_len: u32::try_from(payload.len()).unwrap(),
        payload_total: bytes,
        payload_status: Some("ok"),
        dur_ns: Some(1_000),
        ..at(us, event, SPY)
    };
    match event {
        "pipe_write" => Event { direction: Some("out"), pipe_out: Some(77), fd_out_kind: Some("pipe"), ..call },
        _ => Event { direction: Some("in"), pipe_in: Some(77), fd_in_kind: Some("pipe"), ..call },
    }
}

/// One machine puts bytes into a pipe and reads memory of a process, the other one takes as many out of a pipe with that inode and writes into
/// memory with that address, of a process with that pid.
pub fn colliding(dir: &Dir) -> String {
    let written = Event { event: "process_vm_writev", direction: Some("out"), ..readv(3_000) };
    let a = [
        at_pipe(1_000, "pipe_write", b"of web1"),
        Event {
            payload: Some(&[0x11; 64]),
            payload_len: 64,
            payload_total: 64,
            payload_status: Some("ok"),
            ..readv(2_000)
        },
    ];
    let b = [
        at_pipe(1_500, "pipe_read", b"of web2"),
        Event { payload: Some(&[0x22; 64]), payload_len: 64, payload_total: 64, payload_status: Some("ok"), ..written },
    ];
    let a = WEB1.record(dir, "ca.parquet", "TIME_OK", &a);
    let b = WEB2.record(dir, "cb.parquet", "TIME_OK", &b);
    let out = dir.path("colliding.parquet");
    assert_eq!(vmtrace(&["merge", &a, &b, "-o", &out]).status, 0);
    out
}

pub fn lines(args: &[&str]) -> Vec<Value> {
    let ran = vmtrace(args);
    assert_eq!(ran.status, 0, "{args:?}: {}", ran.err);
    ran.out.lines().map(parsed).collect()
}

#[test]
fn no_flow_goes_from_host_to_host() {
    let dir = Dir::new();
    let out = colliding(&dir);
    let flows = lines(&["flows", "-T", "json", &out]);
    assert!(!flows.is_empty());
    let hosts: Vec<Value> = rows(&out, &[]).iter().map(|row| parsed(row)["host"].clone()).collect();
    let mut seen = Vec::new();
    for flow in &flows {
        for end in ["source", "sink"] {
            if let Some(seq) = flow[end]["seq"].as_u64() {
                assert_eq!(flow["host"], hosts[seq as usize], "{flow}");
                seen.push(flow["host"].as_str().unwrap());
            }
        }
        let ends = [&flow["source"]["seq"], &flow["sink"]["seq"]];
        assert!(ends.contains(&&Value::Null), "what goes in on one host does not come out on the other: {flow}");
    }
    assert!(seen.contains(&"web1") && seen.contains(&"web2"), "{seen:?}");
    // A redaction of all rows holds for those of each host: there are no addresses then.
    let metadata = dir.path("metadata.parquet");
    assert_eq!(vmtrace(&["redact", &out, "--level", "metadata", "-o", &metadata]).status, 0);
    for flow in lines(&["flows", "-T", "json", &metadata]) {
        assert_eq!([&flow["source"]["address"], &flow["sink"]["address"]], [&Value::Null; 2], "{flow}");
    }
    let text = vmtrace(&["flows", &out]).out;
    assert!(text.contains("web1:py-spy[4211]") && text.contains("web2:py-spy[4211]"), "{text}");
}

#[test]
fn memory_is_of_one_host() {
    let dir = Dir::new();
    let out = colliding(&dir);
    let pid = PYTHON.to_string();
    let ran = vmtrace(&["memory", &out, "-p", &pid]);
    assert_eq!((ran.status, ran.err.lines().count()), (2, 1), "{}", ran.err);
    assert!(ran.err.contains("on several hosts: say on which with --host; they are web1, web2"), "{}", ran.err);
    for (host, byte, other) in [("web1", "11", "22"), ("web2", "22", "11")] {
        let ran = vmtrace(&["memory", &out, "-p", &pid, "--host", host, "-T", "json"]);
        assert_eq!(ran.status, 0, "{}", ran.err);
        assert!(ran.out.contains(&byte.repeat(4)) && !ran.out.contains(&other.repeat(4)), "{}", ran.out);
        let text = vmtrace(&["memory", &out, "-p", &pid, "--host", host]).out;
        assert!(text.contains(&format!("{host}:python3[42]")), "{text}");
    }
    let ran = vmtrace(&["memory", &out, "-p", &pid, "--host", "web3"]);
    assert!(ran.status == 2 && ran.err.contains("--host: no event is of the host web3"), "{}", ran.err);
    let slice = dir.path("slice.parquet");
    made(&["slice", &out, "--where", "host = web2", "-o", &slice]);
    let ran = vmtrace(&["memory", &slice, "-p", &pid, "-T", "json"]);
    assert!(ran.status == 0 && ran.out.contains("22222222"), "{}", ran.out);
}

#[test]
fn pairs_and_pipes_are_of_one_host() {
    let dir = Dir::new();
    let out = colliding(&dir);
    let summary = &lines(&["summary", "-T", "json", &out])[0];
    let of = |pair: &Value| {
        let host = &pair["caller"]["host"];
        assert_eq!(pair["target"]["host"], *host, "{pair}");
        (host.as_str().unwrap().to_string(), pair["calls"].as_u64().unwrap())
    };
    let mut pairs: Vec<_> = summary["pairs"].as_array().unwrap().iter().map(of).collect();
    pairs.sort();
    assert_eq!(pairs, [("web1".to_string(), 1), ("web2".to_string(), 1)]);
    let pipes = summary["pipes"].as_array().unwrap();
    let pipes: Vec<_> = pipes.iter().map(|pipe| (&pipe["host"], &pipe["bytes_in"], &pipe["bytes_out"])).collect();
    assert_eq!(pipes.len(), 2, "{pipes:?}");
    assert!(pipes.contains(&(&json!("web1"), &json!(7), &Value::Null)), "{pipes:?}");
    assert!(pipes.contains(&(&json!("web2"), &Value::Null, &json!(7))), "{pipes:?}");
    let text = vmtrace(&["summary", &out]).out;
    assert!(text.contains("Rows of 2 hosts are in the order of their wall clocks"), "{text}");
    for words in
        ["web1:py-spy[4211] read 64 B of web1:python3[42]", "web2:py-spy[4211] wrote 64 B into web2:python3[42]"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    let csv = vmtrace(&["summary", "-T", "csv", &out]).out;
    assert!(
        csv.lines().next().unwrap().ends_with(",host") && csv.contains(",web1\n") && csv.contains(",web2\n"),
        "{csv}"
    );
}

#[test]
fn replay_names_the_host_of_each_process() {
    let dir = Dir::new();
    let (out, of) = both(&dir);
    let text = vmtrace(&["replay", &out]).out;
    let headings = |text: &str, host: &str| text.lines().filter(|line| line.starts_with(host)).count();
    assert!(headings(&text, "web1:") > 0 && headings(&text, "web2:") > 0, "{text}");
    assert!(!text.lines().any(|line| line.starts_with("py-spy[") || line.contains(" from python3[")), "{text}");
    assert!(text.contains("from web1:python3[42]") && text.contains("from web2:python3[42]"), "{text}");
    let timelines = |path: &str| vmtrace(&["replay", "--by", "process", path]).out;
    let one = timelines(&of[0]).lines().filter(|line| line.contains("py-spy[4211]  /usr")).count();
    let two = timelines(&out).lines().filter(|line| line.contains("py-spy[4211]  /usr")).count();
    assert_eq!((one, two), (1, 2));
    let some = rows(&out, &["-p", &SPY.to_string(), "--where", "host = web2"]);
    // Gaps are always shown.
    let some: Vec<Value> = some.iter().map(|row| parsed(row)).filter(|row| row["event"] != "lost").collect();
    assert!(!some.is_empty() && some.iter().all(|row| row["host"] == "web2"), "{some:?}");
    assert!(vmtrace(&["info", &out]).out.contains("clock within 1.5ms of UTC"));
}

#[test]
fn exports_carry_the_host_of_each_row() {
    let dir = Dir::new();
    let (out, _) = both(&dir);
    let hosts: Vec<Value> = rows(&out, &[]).iter().map(|row| parsed(row)["host"].clone()).collect();
    let ecs = lines(&["export", "-T", "ecs", &out]);
    assert_eq!(ecs.iter().map(|line| line["host"]["name"].clone()).collect::<Vec<_>>(), hosts);
    let boots: Vec<&Value> = ecs.iter().map(|line| &line["host"]["boot"]["id"]).collect();
    assert!(boots.iter().zip(&hosts).all(|(boot, host)| (**boot == WEB1.boot) == (*host == "web1")), "{boots:?}");
    assert!(ecs.iter().all(|line| line["message"].as_str().unwrap().starts_with("web")));
    let timesketch = lines(&["export", "-T", "timesketch", &out]);
    assert_eq!(timesketch.iter().map(|line| line["hostname"].clone()).collect::<Vec<_>>(), hosts);
    let ocsf = lines(&["export", "-T", "ocsf", &out]);
    let devices: Vec<&Value> = ocsf.iter().map(|line| &line["device"]["hostname"]).collect();
    assert!(devices.iter().any(|name| **name == "web1") && devices.iter().any(|name| **name == "web2"));
    for format in ["perfetto", "pcapng"] {
        let file = dir.path(format);
        assert_eq!(vmtrace(&["export", "-T", format, &out, "-o", &file]).status, 0);
        let bytes = std::fs::read(&file).unwrap();
        let has = |word: &str| bytes.windows(word.len()).any(|part| part == word.as_bytes());
        assert!(has("web1:py-spy[4211]") && has("web2:py-spy[4211]"), "{format}");
    }
    let ran = vmtrace(&["export", "-T", "strace", &out]);
    assert_eq!((ran.status, ran.err.lines().count()), (2, 1), "{}", ran.err);
    assert!(ran.err.contains("is of several hosts, which lines of strace do not name: slice one first"), "{}", ran.err);
}

#[test]
fn redaction_gives_rows_and_manifest_one_pseudonym_of_a_host() {
    let dir = Dir::new();
    let (out, _) = both(&dir);
    let (redacted, kept) = (dir.path("redacted.parquet"), dir.path("kept.parquet"));
    assert_eq!(vmtrace(&["redact", &out, "-o", &redacted]).status, 0);
    let manifest = info(&redacted)["manifest"].clone();
    let names: Vec<&Value> = manifest["hosts"].as_array().unwrap().iter().map(|part| &part["host"]).collect();
    assert!(names.iter().all(|name| name.as_str().unwrap().starts_with("host-")), "{names:?}");
    let (before, after) = (rows(&out, &[]), rows(&redacted, &[]));
    for (before, after) in before.iter().zip(&after) {
        let which = usize::from(parsed(before)["host"] == "web2");
        assert_eq!(parsed(after)["host"], *names[which]);
        assert_eq!(parsed(after)["host_seq"], parsed(before)["host_seq"]);
    }
    let bytes = std::fs::read(&redacted).unwrap();
    assert!(
        !["web1", "web2", "11111111-aaaa"].iter().any(|word| bytes.windows(word.len()).any(|p| p == word.as_bytes()))
    );
    check_whole(&redacted, verdict(&out).0);
    assert_eq!(vmtrace(&["redact", &out, "-o", &kept, "--keep", "host=web1"]).status, 0);
    let hosts: Vec<Value> = rows(&kept, &[]).iter().map(|row| parsed(row)["host"].clone()).collect();
    assert!(hosts.iter().any(|host| host == "web1") && !hosts.iter().any(|host| host == "web2"), "{hosts:?}");
}

#[test]
fn the_samples_merge_into_one_capture() {
    let dir = Dir::new();
    let out = dir.path("all.parquet");
    let samples: Vec<String> = samples().iter().map(|path| path.to_str().unwrap().to_string()).collect();
    let mut args = vec!["merge", "-o", &out];
    args.extend(samples.iter().map(String::as_str));
    assert_eq!(vmtrace(&args).status, 0);
    check_whole(&out, samples.iter().map(|sample| verdict(sample).0).max().unwrap());
    let text = |row: Value| without_mono(row).to_string();
    let mut merged: Vec<String> = rows(&out, &[]).iter().map(|row| text(original(row))).collect();
    let mut wanted: Vec<String> = Vec::new();
    for sample in &samples {
        wanted.extend(rows(sample, &[]).iter().map(|row| text(parsed(row))));
    }
    merged.sort();
    wanted.sort();
    assert_eq!(merged, wanted);
    let parts = info(&out)["manifest"]["hosts"].clone();
    let boots: Vec<&Value> =
        parts.as_array().unwrap().iter().map(|part| &part["manifest"]["host"]["boot_id"]).collect();
    assert!(boots.len() >= 3, "recorded on several boots: {boots:?}");
}
