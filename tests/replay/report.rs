//! `vmtrace report`: what the page is made of, what is refused, and that nothing is written then. What the page does in a
//! browser is tested in tests/page.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use vmtrace::schema::Event;

use super::captures::{Made, everything, make, make_with, manifest, readv};
use super::{command, ran, vmtrace};

fn out(made: &Made) -> PathBuf {
    made.dir.path().join("report.html")
}

/// The page of a capture.
fn page(made: &Made, options: &[&str]) -> String {
    let out = out(made);
    let ran = vmtrace(&[&["report", made.path(), "--force", "-o", out.to_str().unwrap()], options].concat());
    assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (0, "", ""));
    std::fs::read_to_string(out).unwrap()
}

/// The bytes of a stream in a page, unpacked.
fn stream(page: &str, name: &str) -> Vec<u8> {
    let mut packed = Vec::new();
    for element in page.split("<script type=\"application/octet-stream\" ").skip(1) {
        let (head, rest) = element.split_once('>').unwrap();
        let (text, _) = rest.split_once("</script>").unwrap();
        if head.starts_with(&format!("data-stream=\"{name}\"")) {
            packed.extend(base64(text));
        }
    }
    let mut bytes = Vec::new();
    GzDecoder::new(packed.as_slice()).read_to_end(&mut bytes).unwrap();
    bytes
}

fn base64(text: &str) -> Vec<u8> {
    let value =
        |c: u8| b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".iter().position(|d| *d == c);
    let bits: Vec<usize> = text.bytes().filter_map(value).collect();
    let bytes = bits.chunks(4).flat_map(|four| {
        let all = four.iter().fold(0, |all, bits| all << 6 | bits) << (6 * (4 - four.len()));
        [all >> 16, all >> 8, all].map(|byte| byte as u8).into_iter().take(four.len() - 1)
    });
    bytes.collect()
}

fn facts(page: &str) -> serde_json::Value {
    serde_json::from_slice(&stream(page, "facts")).unwrap()
}

#[test]
fn a_page_has_the_summary_the_facts_and_the_events() {
    let made = make(&everything());
    let page = page(&made, &[]);
    let summary: serde_json::Value =
        serde_json::from_str(&vmtrace(&["summary", "-T", "json", made.path()]).out).unwrap();
    assert_eq!(facts(&page)["summary"]["pairs"], summary["pairs"]);
    assert_eq!(facts(&page)["rows"], summary["rows"]);
    assert!(page.contains("<dt>Host</dt><dd>dev</dd>") && page.contains("<dd>Linux 6.18.44 x86_64</dd>"), "{page}");
    let payloads: Vec<u8> = everything().iter().filter_map(|event| event.payload).flatten().copied().collect();
    assert_eq!(stream(&page, "payload"), payloads);
    let mode = out(&made).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "what was captured is nobody else's");
}

#[test]
fn the_policy_allows_the_scripts_and_styles_of_the_page_alone() {
    let page = page(&make(&[readv(1)]), &[]);
    let policy = page.split_once("Content-Security-Policy\" content=\"").unwrap().1.split_once('"').unwrap().0;
    let [default, script, style, base, form] = policy.split("; ").collect::<Vec<_>>()[..] else { panic!("{policy}") };
    assert_eq!((default, base, form), ("default-src 'none'", "base-uri 'none'", "form-action 'none'"));
    assert!(script.starts_with("script-src 'sha256-") && style.starts_with("style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe") && !page.contains("http://") && !page.contains("https://"), "{policy}");
    // One script, one style, and data.
    assert_eq!(page.matches("<style").count() + page.matches("<script type=\"module\"").count(), 2);
}

#[test]
fn captured_text_is_no_markup() {
    let evil = "<img src=x onerror=alert(1)></script>\"'&";
    let mut manifest = manifest();
    manifest.host.hostname = evil.into();
    manifest.comment = Some(evil.into());
    manifest.gaps = vec![evil.into()];
    let mut made = make_with(&manifest, &[&[Event { comm: "<b>&'\"", ..readv(1) }]]);
    let named = made.dir.path().join("<b onload=x>'\".parquet");
    std::fs::rename(&made.path, &named).unwrap();
    made.path = named;
    let page = page(&made, &[]);
    assert!(!page.contains("<img") && !page.contains("<b>") && !page.contains("<b "));
    assert!(page.contains("<title>vmtrace report: &lt;b onload=x&gt;&#39;&quot;.parquet</title>"));
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;&lt;/script&gt;&quot;&#39;&amp;"));
}

#[test]
fn an_empty_capture_has_a_page() {
    let made = make(&[]);
    assert_eq!(facts(&page(&made, &[]))["rows"], 0);
}

#[test]
fn what_there_is_too_much_of_is_left_out_and_named() {
    let bytes: Vec<Vec<u8>> = (0..400u64).map(|row| random(row).take(2_000).collect()).collect();
    let events: Vec<Event<'_>> = bytes
        .iter()
        .zip(0..)
        .map(|(payload, us)| Event { payload: Some(payload), payload_len: 2_000, ..readv(us) })
        .collect();
    let made = make(&events);
    let whole = page(&made, &[]);
    assert!(stream(&whole, "payload").len() == 800_000 && !whole.contains("are left out.</p>"));
    let some = page(&made, &["--max-size", "400K"]);
    assert!(some.len() <= 400 << 10 && stream(&some, "payload").is_empty());
    assert!(some.contains("<p>The payloads of 400 events (781.2 KiB) are left out.</p>"));
    assert_eq!((facts(&some)["rows"].as_u64(), facts(&some)["folded"].as_bool()), (Some(400), Some(false)));
}

#[test]
fn the_rows_of_a_small_page_stand_for_all_events() {
    let events: Vec<Event<'_>> = (0..20_000).map(|us| readv(us * 7)).collect();
    let made = make(&events);
    let bare = smallest(&made);
    let some = page(&made, &["--max-size", &(bare + 20_000).to_string()]);
    assert!(some.len() as u64 <= bare + 20_000);
    assert!(some.contains("Alike events within ") && some.contains(" stand for 20,000 events."));
    assert_eq!(facts(&some)["folded"], true);
}

/// What a page takes without any event, as the refusal of a smaller one says.
fn smallest(made: &Made) -> u64 {
    let ran = vmtrace(&["report", made.path(), "-o", out(made).to_str().unwrap(), "--max-size", "1K"]);
    assert_eq!(ran.status, 2);
    let (_, rest) = ran.err.split_once("without any event this page has ").unwrap_or_else(|| panic!("{}", ran.err));
    let kib: f64 = rest.split(' ').next().unwrap().parse().unwrap();
    (kib * 1024.0) as u64 + 103
}

/// Bytes that no compression makes shorter.
fn random(seed: u64) -> impl Iterator<Item = u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
}

#[test]
fn nothing_is_written_where_something_is_wrong() {
    let made = make(&[readv(1)]);
    let out = out(&made);
    let to = out.to_str().unwrap();
    let damaged = made.dir.path().join("damaged.parquet");
    let whole = std::fs::read(&made.path).unwrap();
    std::fs::write(&damaged, &whole[..whole.len() - 20]).unwrap();
    let missing = made.dir.path().join("missing.parquet");
    let none = made.dir.path().join("none/report.html");
    let cases: [(&[&str], &str); 7] = [
        (&["-o", to, missing.to_str().unwrap()], "cannot open"),
        (&["-o", to, damaged.to_str().unwrap()], "Parquet footer"),
        (&["-o", to, made.path(), "--max-size", "50K"], "--max-size: without any event this page has "),
        (&["-o", to, made.path(), "--max-size", "2T"], "--max-size: no browser opens such a page; give at most 1024M"),
        (&["-o", to, made.path(), "--max-size", "ten"], "is not a size"),
        (&["-o", none.to_str().unwrap(), made.path()], "none"),
        (&["-o", made.dir.path().to_str().unwrap(), made.path()], "is a directory"),
    ];
    for (args, wanted) in cases {
        let ran = vmtrace(&[&["report"], args].concat());
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{args:?}");
        assert!(ran.err.contains(wanted), "{args:?}: {}", ran.err);
        assert!(!out.exists() && files(made.dir.path()) == 2, "{args:?}");
    }
    std::fs::write(&out, "mine").unwrap();
    let ran = vmtrace(&["report", "-o", to, made.path()]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("exists: choose another -o, or replace it with --force"), "{}", ran.err);
    assert_eq!(std::fs::read(&out).unwrap(), b"mine");
    assert_eq!(vmtrace(&["report", "-o", to, made.path(), "--force"]).status, 0);
    assert!(std::fs::read(&out).unwrap().starts_with(b"<!doctype html>"));
}

fn files(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

#[test]
fn a_capture_on_standard_input_has_a_page() {
    let made = make(&[readv(1)]);
    let out = out(&made);
    let mut report = command(&["report", "-", "-o", out.to_str().unwrap()]);
    report.stdin(std::fs::File::open(&made.path).unwrap());
    let ran = ran(&report.output().unwrap());
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    assert_eq!(facts(&std::fs::read_to_string(out).unwrap())["rows"], 1);
}
