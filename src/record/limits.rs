//! Resource limits (setrlimit(2)). They are compared with what a recording needs at the start, when a missing resource
//! can be named, and not while COMMAND runs.

use anyhow::{Result, bail};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

use super::options::{MIN_FILE, Options};

/// Descriptors but for those of rings and processes: maps, files, and two for each program, of which the function tier has
/// some eighty.
const DESCRIPTORS: u64 = 512;
/// Descriptors of a ring: itself, its copy for the thread that empties it, and both their epolls'.
const PER_RING: u64 = 4;
/// Bytes of address space but for vmtrace itself, rings and rows: BPF programs, stacks, the heaps of threads, the kernel's types.
const ADDRESS_SPACE: u64 = 256 << 20;
/// Of these, bytes of private memory.
const DATA: u64 = 64 << 20;
/// Rows are in memory as they arrived, as a batch, encoded, and twice while a buffer grows.
const COPIES: u64 = 4;
/// Bytes of the main thread's stack.
const STACK: u64 = 1 << 20;

/// A limit that is too low for a recording below `least`.
struct Need {
    resource: Resource,
    /// In words, with a unit of which `ulimit` counts `unit` bytes, or things.
    what: &'static str,
    ulimit: char,
    unit: u64,
    least: u64,
    remedy: &'static str,
}

/// Takes the soft limits up to the hard ones, as far as a recording is concerned. COMMAND gets them as they were
/// ([`crate::record::session::inherited`]).
///
/// # Errors
/// When a limit does not suffice for what `options` ask for.
pub fn prepare(options: &Options) -> Result<()> {
    // The kernel kills a process that exceeds RLIMIT_CPU, even if it is not finished.
    raise(Resource::RLIMIT_CPU);
    for need in needs(options, program()) {
        let allowed = raise(need.resource);
        let Need { what, ulimit, unit, least, remedy, .. } = need;
        if allowed != RLIM_INFINITY && allowed < least {
            bail!(
                "a recording takes {} {what}, and ulimit -{ulimit} allows {}: raise it{remedy}",
                least.div_ceil(unit),
                allowed / unit
            );
        }
    }
    Ok(())
}

/// Bytes of address space that the program takes, of which the query engine is most where it is built in: the size of its file,
/// which never changes while it runs.
fn program() -> u64 {
    std::fs::metadata("/proc/self/exe").map_or(0, |file| file.len())
}

/// What a recording needs that is done by a program of `program` bytes.
fn needs(options: &Options, program: u64) -> [Need; 5] {
    let rings = libbpf_rs::num_possible_cpus().map_or(1, |cpus| crate::record::probes::load::ring_count(cpus) as u64);
    let kept = options.flight_recorder.map_or(0, |limit| limit.bytes);
    let rows = (options.memory_limit as u64).saturating_mul(COPIES).saturating_add(kept);
    // The kernel maps the data of a ring twice in a row (kernel/bpf/ringbuf.c).
    let mapped = options.buffer_size.saturating_mul(2);
    let need = |resource, what, ulimit, unit, least, remedy| Need { resource, what, ulimit, unit, least, remedy };
    let descriptors = DESCRIPTORS + PER_RING * rings + options.named_pids().len() as u64;
    let smaller = ", or choose a smaller --buffer-size, --memory-limit or --flight-recorder";
    [
        need(Resource::RLIMIT_NOFILE, "open files", 'n', 1, descriptors, ""),
        need(
            Resource::RLIMIT_AS,
            "KiB of address space",
            'v',
            1024,
            ADDRESS_SPACE.saturating_add(program).saturating_add(mapped).saturating_add(rows),
            smaller,
        ),
        need(
            Resource::RLIMIT_DATA,
            "KiB of memory",
            'd',
            1024,
            DATA.saturating_add(rows),
            ", or choose a smaller --memory-limit or --flight-recorder",
        ),
        need(Resource::RLIMIT_STACK, "KiB of stack", 's', 1024, STACK, ""),
        need(Resource::RLIMIT_FSIZE, "KiB of a file", 'f', 1024, MIN_FILE, ""),
    ]
}

/// Takes a soft limit up to the hard one; what is allowed then.
fn raise(resource: Resource) -> u64 {
    match getrlimit(resource) {
        Ok((soft, hard)) if soft < hard && setrlimit(resource, hard, hard).is_ok() => hard,
        Ok((soft, _)) => soft,
        Err(_) => RLIM_INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_grows_with_what_is_asked_for() {
        let program = 100 << 20;
        let least = |options: &Options| needs(options, program).map(|need| need.least);
        let usual = least(&Options::for_check());
        let large = Options { buffer_size: 16 << 30, memory_limit: 1 << 30, pids: vec![1, 2], ..Options::for_check() };
        assert!(usual.iter().zip(least(&large)).take(3).all(|(usual, large)| *usual < large));
        assert_eq!(usual[1], ADDRESS_SPACE + program + (128 << 20) + (256 << 20));
        let whole = Options { memory_limit: usize::MAX, ..Options::for_check() };
        assert_eq!(least(&whole)[1], u64::MAX);
    }

    #[test]
    fn the_program_is_counted() {
        assert!(program() > 1 << 20);
    }
}
