//! Edge cases by name. Each makes a handful of calls and reports every one of them in full.

mod arrays;
mod compat;
mod descriptors;
mod dying;
mod fed;
mod kill;
mod life;
mod open;
mod overwrite;
mod pidfd;
mod pipe;
mod race;
mod regions;
mod sockets;
mod trace;
mod uffd;
mod uring;
mod vm;

use anyhow::{Context, Result};

use super::drive::Plan;
use super::report::Report;

type Case = (&'static str, fn(&mut Report) -> Result<()>);

const CASES: &[Case] = &[
    ("esrch", vm::esrch),
    ("eperm", vm::eperm),
    ("efault-array", arrays::efault_array),
    ("adjacent-arrays", arrays::adjacent_arrays),
    ("efault-local", vm::efault_local),
    ("efault-remote", vm::efault_remote),
    ("einval-flags", vm::einval_flags),
    ("einval-count", vm::einval_count),
    ("partial", vm::partial),
    ("no-segments", vm::no_segments),
    ("decoy", vm::decoy),
    ("big-first", vm::big_first),
    ("segments-1024", vm::segments_1024),
    ("untouched", vm::untouched),
    ("thread-target", vm::thread_target),
    ("self-target", vm::self_target),
    ("flip", race::flip),
    ("flip-vmsplice", race::flip_vmsplice),
    ("flip-mem", race::flip_mem),
    ("vanish", race::vanish),
    ("regions", regions::kinds),
    ("regions-race", regions::race),
    ("regions-between", regions::between),
    ("regions-leftover", regions::leftover),
    ("self-overwrite", race::self_overwrite),
    ("mem-overwrite", race::mem_overwrite),
    ("overwrites", overwrite::overwrites),
    ("pipe-errors", pipe::errors),
    ("pipe-full", pipe::full),
    ("interrupted", pipe::interrupted),
    ("blocked", pipe::blocked),
    ("vmsplice-partial", pipe::vmsplice_partial),
    ("splice-to-file", pipe::splice_to_file),
    ("splice-fifo", pipe::splice_fifo),
    ("splice-socket", pipe::splice_socket),
    ("pipe-spin", fed::spin),
    ("pipe-many", fed::many),
    ("pipe-outsiders", fed::outsiders),
    ("pipe-writes", fed::writes),
    ("ptrace-requests", trace::requests),
    ("ptrace-errors", trace::errors),
    ("mem-errors", trace::mem_errors),
    ("mem-vectors", trace::mem_vectors),
    ("mem-task", trace::mem_task),
    ("mem-self", trace::mem_self),
    ("mem-open", open::opened),
    ("mem-open-errors", open::errors),
    ("mem-open-int80", open::int80),
    ("mem-open-flip", open::flip),
    ("pidfd-getfd", pidfd::getfd_of_a_peer),
    ("pidfd-errors", pidfd::errors),
    ("madvise", pidfd::madvise),
    ("uffd-own", uffd::own),
    ("uffd-peer", uffd::of_a_peer),
    ("uffd-errors", uffd::errors),
    ("uffd-int80", uffd::int80),
    ("uffd-flip", uffd::flip),
    ("killed-target", kill::target),
    ("killed-caller", kill::caller),
    ("dying-vm", dying::vm),
    ("dying-mem", dying::mem),
    ("dying-mem-task", dying::mem_task),
    ("dead-pairs-mem", dying::mem_pairs),
    ("shared-memory", dying::shared_memory),
    ("swapped-descriptors", descriptors::swapped),
    ("swapped-received", descriptors::received),
    ("mem-holders", descriptors::holders),
    ("exec-target", life::exec_target),
    ("exec-caller", life::exec_caller),
    ("exec-thread", life::exec_thread),
    ("exit-threads", life::exit_threads),
    ("exit-leader", life::exit_leader),
    ("exit-after-call", life::exit_after_call),
    ("exit-signal", life::exit_signal),
    ("int80", compat::int80),
    ("int80-mem", compat::int80_mem),
    ("uring-splice", uring::splice),
    ("uring-tee", uring::tee),
    ("uring-sqpoll", uring::sqpoll),
    ("uring-skip-success", uring::skip_success),
    ("uring-mem", uring::mem),
    ("sockets-inet", sockets::inet),
    ("sockets-unix", sockets::unix_names),
    ("sockets-getfd", sockets::getfd_of_sockets),
    ("sockets-uring", sockets::by_uring),
    ("sockets-registered", sockets::registered),
];

/// Runs the case of that name; `list` prints all names instead.
pub fn run(plan: &Plan, name: &str, report: &mut Report) -> Result<()> {
    if name == "list" {
        report.fact("names", CASES.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        return Ok(());
    }
    let (_, case) = CASES.iter().find(|(known, _)| *known == name).context("no such edge case; see `edge list`")?;
    super::drive::wait_for_start(plan)?;
    case(report)?;
    super::drive::wait_for_end(plan)
}
