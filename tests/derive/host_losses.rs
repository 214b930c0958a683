//! What several hosts lost: each has its own ledger in the capture that they are merged into, and every reader says whose a loss is.

use serde_json::json;
use vmtrace::schema::Manifest;
use vmtrace::schema::manifest::Host;

use super::captures::{ledger, lost, manifest, readv, write};
use super::*;

/// A capture of a host that lost 1,234 reads, as a `lost` row says, and `write_error` others, which none does.
fn of(dir: &Dir, name: &str, write_error: u64) -> String {
    let events = [readv(1), lost(2), readv(3)];
    let mut ledger = ledger(&events);
    let row = ledger.iter_mut().find(|row| row.event == "process_vm_readv").unwrap();
    (row.lost_ring_full, row.lost_write_error) = (1234, write_error);
    row.seen += 1234 + write_error;
    let host = Host { hostname: name.into(), boot_id: name.into(), ..manifest().host };
    let path = dir.path(&format!("{name}.parquet"));
    let capture_id = blake3::hash(name.as_bytes()).to_hex()[..32].to_string();
    write(Path::new(&path), &Manifest { capture_id, host, ledger, ..manifest() }, &[&events]);
    path
}

/// web1, which lost 1,234 reads, and web2, which lost 1,239, in one capture.
fn both(dir: &Dir) -> String {
    let out = dir.path("both.parquet");
    made(&["merge", &of(dir, "web1", 0), &of(dir, "web2", 5), "-o", &out]);
    out
}

#[test]
fn readers_say_on_which_host_events_were_lost() {
    let dir = Dir::new();
    let out = both(&dir);
    let text = vmtrace(&["summary", "--brief", &out]).out;
    let said = "2,473 events were LOST: 1,234 process_vm_readv on web1 (ring full), 1,234 process_vm_readv on web2 (";
    assert!(text.contains(said), "{text}");
    assert!(text.contains(") and 5 process_vm_readv on web2 ("), "{text}");
    let summary = json(vmtrace(&["summary", "-T", "json", &out]).out.trim());
    let losses: Vec<_> = summary["losses"].as_array().unwrap().iter().map(|of| (&of["host"], &of["count"])).collect();
    let (web1, web2) = (json!("web1"), json!("web2"));
    assert_eq!(losses, [(&web1, &json!(1234)), (&web2, &json!(1234)), (&web2, &json!(5))]);
    let replay = vmtrace(&["replay", &out]).out;
    assert!(replay.contains(" · 2473 LOST (web2 1,239, web1 1,234)"), "{replay}");
    let info = vmtrace(&["info", &out]).out;
    let by_cause: Vec<&str> = info.lines().filter(|line| line.starts_with("Lost ")).collect();
    assert_eq!(by_cause.len(), 2, "{info}");
    let both = ["Lost         2,468 by ring full", "web1 1,234", "web2 1,234"];
    assert!(both.iter().all(|words| by_cause[0].contains(words)), "{info}");
    assert!(by_cause[1].starts_with("Lost         5 by ") && by_cause[1].ends_with(" (web2 5)"), "{info}");
    let (status, found) = verdict(&out);
    assert_eq!(status, 3, "{found:?}");
    assert!(
        found.iter().any(|text| text.starts_with("loss: 5 events lost: ") && text.ends_with(" (web2 5)")),
        "{found:?}"
    );
    let page = dir.path("report.html");
    assert_eq!(vmtrace(&["report", &out, "-o", &page]).status, 0);
    let page = std::fs::read_to_string(&page).unwrap();
    for words in ["2,473 lost (web2 1,239, web1 1,234)", "1,234 process_vm_readv on web1 ("] {
        assert!(page.contains(words), "{words}");
    }
}

#[test]
fn a_slice_keeps_what_each_host_lost() {
    let dir = Dir::new();
    let (out, slice) = (both(&dir), dir.path("slice.parquet"));
    made(&["slice", &out, "--where", "host = web1", "-o", &slice]);
    let of = |capture: &str| json(vmtrace(&["summary", "-T", "json", capture]).out.trim())["losses"].clone();
    let counts = |losses: Value| {
        let counts = losses.as_array().unwrap().iter().map(|of| (of["host"].clone(), of["count"].clone()));
        counts.collect::<Vec<_>>()
    };
    assert_eq!(counts(of(&slice)), counts(of(&out)));
}

#[test]
fn verify_compares_what_is_lost_by_host() {
    let dir = Dir::new();
    let out = both(&dir);
    let capture = vmtrace::schema::reader::Capture::open(Path::new(&out)).unwrap();
    let honest = capture.manifest().clone();
    let events: Vec<_> = ["web1", "web2"]
        .iter()
        .flat_map(|host| {
            [readv(1), lost(2), readv(3)].map(|event| vmtrace::schema::Event { host: Some(host), ..event })
        })
        .collect();
    let path = dir.path("forged.parquet");
    let forged = |change: &dyn Fn(&mut Manifest)| {
        let mut manifest = honest.clone();
        change(&mut manifest);
        write(Path::new(&path), &manifest, &[&events]);
        verdict(&path).1
    };
    assert!(!forged(&|_| ()).iter().any(|text| text.starts_with("contradiction: host")), "as it is, it fits");
    // One host's losses, said to be the other's.
    let moved = forged(&|manifest| {
        let reads = |manifest: &mut Manifest, host: &str, lost| {
            let part = manifest.hosts.iter_mut().find(|part| part.host == host).unwrap();
            let ledger = &mut part.manifest.ledger;
            let row = ledger.iter_mut().find(|row| row.event == "process_vm_readv").unwrap();
            row.seen = row.seen - row.lost_ring_full + lost;
            row.lost_ring_full = lost;
        };
        reads(manifest, "web1", 0);
        reads(manifest, "web2", 2468);
    });
    let wanted = "contradiction: host web1: process_vm_readv: `lost` rows report 1234 (ring_full), the ledger 0";
    assert!(moved.contains(&wanted.to_string()), "{moved:?}");
    // Losses that no host has any more.
    let hidden = forged(&|manifest| {
        manifest.hosts.iter_mut().for_each(|part| part.manifest.ledger.retain(|row| row.lost() == 0))
    });
    let wanted = "contradiction: process_vm_readv: 0 losses in the ledgers of the hosts, 2473 in the one of all";
    assert!(hidden.contains(&wanted.to_string()), "{hidden:?}");
}
