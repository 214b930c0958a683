//! Which sentences of the recorder stay: those that cannot name a process, a file or a user.
//!
//! An allow-list of forms. In a form `#` is a number that counts something.

use std::io;

use crate::schema::events::{EVENTS, FAMILIES};
use crate::schema::families::{FUNCTIONS_REFUSED, SELF_TEST_FAILED};
use crate::schema::names::errno_names;

/// What stands in the place of a sentence that is not kept.
pub const HIDDEN: &str = "left out by redaction: it may name what is hidden";

const FORMS: &[&str] = &[
    HIDDEN,
    "calls that had not returned when recording ended are not in the capture",
    "bytes moved by splice, tee and sendfile are not captured: they pass no user memory",
    "x32 calls are not seen, where the kernel has them",
    "CAP_SYS_PTRACE is missing: executables and command lines of other users' processes are not known",
    "iovec arrays are read from user memory when the call returns, so that a racing thread can forge them (iov_verdict)",
    "iovec arrays are read from user memory when the call returns, so that a racing thread can forge them, and the call's \
     own bytes can have replaced them (iov_verdict)",
    "there are no function hooks for it",
    "its tracepoints are not in this kernel",
    "not in this kernel",
    "/proc/PID/mem files could not be recognised: @mem events are not seen",
    "the file behind a descriptor is looked up when the call returns, of processes known to have such a file open also when \
     it begins: where another thread replaces it in between, the row says so (iov_verdict = conflict), or the call is \
     counted as unknown; one swapped and swapped back is not noticed, nor a file that came by recvmmsg or io_uring before \
     its first call",
    "the same holds for calls of # more processes",
    "the mappings that calls reach are not named (region_source none)",
    "the kernel has no room to note which mappings some calls reach: those are not named (region_source none)",
    "this kernel does not count changes of mappings (Linux 6.4, CONFIG_PER_VMA_LOCK)",
    "address spaces have no numbers in this kernel",
    "this kernel has no tracepoint mmap_lock_released",
    "names of unix sockets could not be read: this kernel has them in a module whose types it does not describe (BTF)",
    "# memory file was opened by processes that the kernel had no room to note: reads and writes of a descriptor that is \
     closed or replaced under way may be missing",
    "# memory files were opened by processes that the kernel had no room to note: reads and writes of a descriptor that is \
     closed or replaced under way may be missing",
    "# child process could not be followed",
    "# child processes could not be followed",
    "# pipe was read before the first recorded call that fed them returned: pipe_read rows of # bytes are missing",
    "# pipes were read before the first recorded call that fed them returned: pipe_read rows of # bytes are missing",
    "# pipes that recorded calls had used were forgotten, since # are remembered at a time: later reads and writes of them \
     are missing until a recorded call uses them again",
    "# recorded call used a pipe that the kernel had no room to note: later pipe_read and pipe_write rows may be missing",
    "# recorded calls used a pipe that the kernel had no room to note: later pipe_read and pipe_write rows may be missing",
    "the journal does not continue where the file ends: its content is omitted",
    "the recorder was killed while it finished: the capture was recovered",
    "# event that is not selected",
    "# events that are not selected",
    "# event that none of the files holds",
    "# events that none of the files holds",
];

/// Whether a sentence of a gap, a hook or a family stays.
pub fn kept(text: &str) -> bool {
    let text = behind_name(text);
    let is_two = |(at, _): (usize, &str)| {
        let (front, rest) = (text.get(..at).unwrap_or_default(), text.get(at + 2..).unwrap_or_default());
        is_form(front) && kept(rest)
    };
    is_form(text) || text.match_indices("; ").any(is_two)
}

/// A sentence without the family or event that stands before it.
fn behind_name(text: &str) -> &str {
    let is_name = |name: &str| FAMILIES.iter().any(|f| f.name == name) || EVENTS.iter().any(|e| e.name == name);
    text.split_once(": ").filter(|(name, _)| is_name(name)).map_or(text, |(_, rest)| rest)
}

fn is_form(text: &str) -> bool {
    let reason =
        [FUNCTIONS_REFUSED, SELF_TEST_FAILED].iter().find_map(|front| text.strip_prefix(front)?.strip_prefix(": "));
    let unseen = || FAMILIES.iter().flat_map(|family| family.unseen).any(|(_, sentence)| behind_name(sentence) == text);
    is_error(reason.unwrap_or(text)) || FORMS.iter().any(|form| fits(form, text)) || unseen()
}

/// The name of an error, or what the system calls it.
fn is_error(text: &str) -> bool {
    let number = text.strip_suffix(')').and_then(|text| text.rsplit_once("(os error "));
    let number = number.and_then(|(_, number)| number.parse().ok());
    errno_names().any(|name| name == text)
        || number.is_some_and(|number| io::Error::from_raw_os_error(number).to_string() == text)
}

fn fits(form: &str, text: &str) -> bool {
    let mut parts = form.split('#');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    for part in parts {
        let behind = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ',');
        let Some(next) = Some(behind).filter(|b| b.len() < rest.len()).and_then(|b| b.strip_prefix(part)) else {
            return false;
        };
        rest = next;
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_name_nobody_stays() {
        let refused = "the kernel refuses to load function hooks: Operation not permitted (os error 1)";
        let iovecs = FORMS[5];
        for text in [
            FORMS[1].to_string(),
            refused.to_string(),
            format!("mem: {refused}"),
            format!("vm: {iovecs}; {refused}"),
            format!("vmsplice: {}; there are no function hooks for it", FORMS[6]),
            format!("mem: {}", FORMS[11]),
            "tee: EPERM".to_string(),
            "3 child processes could not be followed".to_string(),
            "12,345 events that are not selected".to_string(),
            "1 event that none of the files holds".to_string(),
            "1,234 pipes were read before the first recorded call that fed them returned: pipe_read rows of 7 bytes are missing"
                .to_string(),
            FAMILIES.iter().find_map(|family| family.unseen.first()).unwrap().1.to_string(),
        ] {
            assert!(kept(&text), "{text}");
        }
    }

    #[test]
    fn what_may_name_somebody_does_not() {
        for text in [
            "mem: 3 reads or writes of victim (pid 7) may have been of /proc/PID/mem",
            "1 recorded process outlives COMMAND, and what happens from here on is not recorded: victim (pid 7)",
            "recording ended early: /home/joe/x: No space left on device (os error 28)",
            "/home/joe (os error 28)",
            "victim (os error 1)",
            " child processes could not be followed",
            "joe: EPERM",
            "EPERM; joe",
            "",
        ] {
            assert!(!kept(text), "{text}");
        }
    }
}
