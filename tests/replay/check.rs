//! `vmtrace check` in a build that only replays.

use super::vmtrace;

#[test]
fn a_build_that_cannot_record_says_so() {
    let ran = vmtrace(&["check"]);
    assert_eq!((ran.status, ran.err.as_str()), (2, ""));
    assert!(ran.out.contains("Recording is impossible: this build of vmtrace only replays"), "{}", ran.out);
    let report: serde_json::Value = serde_json::from_str(&vmtrace(&["check", "-T", "json"]).out).unwrap();
    assert_eq!((&report["status"], &report["families"]), (&2.into(), &serde_json::json!([])));
    assert!(report["kernel"].as_str().is_some_and(|release| release.contains('.')));
}
