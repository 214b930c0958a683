//! What a recording cannot see, as sentences.

use super::Programs;
use crate::count::Count;
use crate::record::wire::VMT_PIPES;
use crate::schema::events::{EventSet, Family, Group};
use crate::schema::vocabulary::Tier;

/// What a recording cannot see, as the capture reports it.
pub fn gaps(programs: &Programs, events: &EventSet) -> Vec<String> {
    let mut gaps: Vec<String> = FIXED.map(String::from).to_vec();
    for state in programs.families() {
        let (spec, reason) = (state.family.spec(), state.reason.as_deref());
        if state.tier == Tier::Tracepoint && spec.reads_user_iovecs {
            gaps.push(format!(
                "{}: iovec arrays are read from user memory when the call returns, so that a racing thread can \
                 forge them, and the call's own bytes can have replaced them (iov_verdict); {}",
                spec.name,
                reason.unwrap_or("there are no function hooks for it")
            ));
        } else {
            gaps.extend(reason.map(|reason| format!("{}: {reason}", spec.name)));
        }
        gaps.extend(spec.unseen.iter().filter(|(tier, _)| *tier == state.tier).map(|(_, what)| what.to_string()));
    }
    if Family::Mem.spec().is_wanted(events) && !programs.knows_mem_files() {
        gaps.push(format!("/proc/PID/mem files could not be recognised: {} events are not seen", Group::Mem.set()));
    }
    gaps.extend(super::holders::gaps(programs));
    let skips = programs.skips();
    for hook in programs.hooks().filter(|hook| skips.of(&hook.program) > 0) {
        gaps.push(format!(
            "{}: the kernel did not run this hook {}, since another thread had been preempted in it on that CPU: as \
             many calls were not looked at by it",
            hook.target,
            Count(skips.of(&hook.program), "time", "times")
        ));
    }
    gaps.extend(of_pipes(programs));
    if let Some(reason) = programs.regions_obstacle() {
        gaps.push(format!("the mappings that calls reach are not named (region_source none); {reason}"));
    }
    if programs.knows_no_unix_names() {
        gaps.push(
            "names of unix sockets could not be read: this kernel has them in a module whose types it does not describe (BTF)"
                .to_string(),
        );
    }
    if programs.refused_holders() > 0 {
        gaps.push(format!(
            "{} by processes that the kernel had no room to note: reads and writes of a descriptor that is closed or \
             replaced under way may be missing",
            Count(programs.refused_holders(), "memory file was opened", "memory files were opened")
        ));
    }
    if programs.calls_unrecorded() > 0 {
        let calls = Count(programs.calls_unrecorded(), "call was", "calls were");
        gaps.push(format!("{calls} not recorded: no BPF program records calls of that kind (please report this)"));
    }
    if programs.misses_notes() {
        let gap =
            "the kernel has no room to note which mappings some calls reach: those are not named (region_source none)";
        gaps.push(gap.into());
    }
    if programs.untracked() > 0 {
        let untracked = Count(programs.untracked(), "child process", "child processes");
        gaps.push(format!("{untracked} could not be followed"));
    }
    gaps
}

/// Which reads and writes of pipes are missing.
fn of_pipes(programs: &Programs) -> Vec<String> {
    let mut gaps = Vec::new();
    let (pipes, bytes) = programs.read_before();
    if pipes > 0 {
        gaps.push(format!(
            "{} read before the first recorded call that fed them returned: pipe_read rows of {bytes} bytes are missing",
            if pipes == 1 { "1 pipe was".to_string() } else { format!("{pipes} pipes were") },
        ));
    }
    let forgotten = programs.forgotten_pipes();
    if forgotten > 0 {
        gaps.push(format!(
            "{forgotten} pipes that recorded calls had used were forgotten, since {VMT_PIPES} are remembered at a time: \
             later reads and writes of them are missing until a recorded call uses them again"
        ));
    }
    let refused = programs.refused_pipes();
    if refused > 0 {
        gaps.push(format!(
            "{} used a pipe that the kernel had no room to note: later pipe_read and pipe_write rows may be missing",
            Count(refused, "recorded call", "recorded calls")
        ));
    }
    gaps
}

/// True of every recording.
const FIXED: [&str; 3] = [
    "calls that had not returned when recording ended are not in the capture",
    "bytes moved by splice, tee and sendfile are not captured: they pass no user memory",
    "x32 calls are not seen, where the kernel has them",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::events::EVENTS;

    #[test]
    fn calls_whose_bytes_pass_no_memory_are_named() {
        let named = |event: &str| FIXED[1].split([' ', ',']).any(|word| word == event);
        EVENTS.iter().for_each(|event| assert_eq!(event.is_between_files(), named(event.name), "{}", event.name));
    }
}
