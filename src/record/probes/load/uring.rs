//! Which of the programs for io_uring this kernel can run: its tracepoints have changed over time.

use libbpf_rs::btf::types::{FuncProto, Ptr, Typedef};
use libbpf_rs::btf::{Btf, ReferencesType};

const SUBMIT_REQ: &str = "io_uring_submit_req";
/// Until 6.2.
const SUBMIT_SQE: &str = "io_uring_submit_sqe";
/// The forms of io_uring_complete that `uring.bpf.h` reads, by their numbers of arguments.
const COMPLETIONS: [usize; 3] = [3, 4, 7];
/// The forms of the tracepoint of submissions that `uring.bpf.h` reads, with their numbers of arguments.
const SUBMISSIONS: [(&str, usize); 3] = [(SUBMIT_REQ, 1), (SUBMIT_SQE, 2), (SUBMIT_SQE, 7)];

/// The programs for io_uring whose tracepoints this kernel has, in a form that they read.
pub(super) fn choose(btf: &Btf<'_>) -> Vec<&'static str> {
    let known = |(name, arguments): &(&str, usize)| tracepoint_arguments(btf, name) == Some(*arguments);
    let mut programs = Vec::new();
    if let Some((name, _)) = SUBMISSIONS.into_iter().find(known) {
        programs.push(if name == SUBMIT_SQE { "uring_submit_sqe" } else { "uring_submit" });
    }
    if tracepoint_arguments(btf, "io_uring_complete").is_some_and(|n| COMPLETIONS.contains(&n)) {
        programs.push("uring_complete");
    }
    programs
}

/// How many arguments a tracepoint has, by the type of its probes, which take one more; `None` if there is none.
fn tracepoint_arguments(btf: &Btf<'_>, name: &str) -> Option<usize> {
    let probe: Typedef<'_> = btf.type_by_name(&format!("btf_trace_{name}"))?;
    let pointer: Ptr<'_> = probe.referenced_type().try_into().ok()?;
    let prototype: FuncProto<'_> = pointer.referenced_type().try_into().ok()?;
    prototype.len().checked_sub(1)
}
