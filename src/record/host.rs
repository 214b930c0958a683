//! Facts about the machine and its clocks, for the manifest.

use nix::sys::utsname::uname;
use nix::time::{ClockId, clock_gettime};

use crate::record::identity::container::container_id;
use crate::record::identity::proc::snapshot;
use crate::schema::manifest::{ClockState, Clocks, Host, Tool};
use crate::schema::vocabulary::ClockSync;

/// BLAKE3 of the BPF object that this recorder loads.
const BPF_DIGEST: &str = env!("VMTRACE_BPF_DIGEST");

/// A kind of namespace: our own, and the inode of the initial one (include/linux/proc_ns.h).
type Namespace = (&'static str, &'static str);
const PID: Namespace = ("/proc/self/ns/pid", "pid:[4026531836]");
/// Since Linux 5.6, with CONFIG_TIME_NS.
const TIME: Namespace = ("/proc/self/ns/time", "time:[4026531834]");

/// Whether we are in the initial one; `None` where the kernel has none of that kind, or /proc is not mounted.
fn is_initial((own, initial): Namespace) -> Option<bool> {
    Some(std::fs::read_link(own).ok()?.as_os_str() == initial)
}

fn read(clock: ClockId) -> i64 {
    // These three clocks exist on every supported kernel; 0 would be recognisable.
    clock_gettime(clock).map_or(0, |t| t.tv_sec().saturating_mul(1_000_000_000).saturating_add(t.tv_nsec()))
}

/// CLOCK_MONOTONIC in ns, which bpf_ktime_get_ns() reads too.
pub fn monotonic_ns() -> u64 {
    u64::try_from(read(ClockId::CLOCK_MONOTONIC)).unwrap_or(0)
}

/// The three clocks at one instant: of several tries the one that took the shortest.
pub fn clocks() -> Clocks {
    let attempt = |_| {
        let before = read(ClockId::CLOCK_MONOTONIC);
        let realtime_ns = read(ClockId::CLOCK_REALTIME);
        let boottime_ns = read(ClockId::CLOCK_BOOTTIME);
        let after = read(ClockId::CLOCK_MONOTONIC);
        let monotonic_ns = before + (after - before) / 2;
        Clocks { realtime_ns, monotonic_ns, boottime_ns, uncertainty_ns: after - before }
    };
    (0..5).map(attempt).min_by_key(|c| c.uncertainty_ns).unwrap_or_default()
}

/// What disciplines the wall clock.
pub fn clock_state() -> Option<ClockState> {
    // SAFETY: all zeros is a timex that asks for nothing to be changed.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: `timex` lives through the call, which writes only to it.
    let state = unsafe { libc::adjtimex(&mut timex) };
    let state = match state {
        libc::TIME_OK => ClockSync::Ok,
        libc::TIME_INS => ClockSync::Insert,
        libc::TIME_DEL => ClockSync::Delete,
        libc::TIME_OOP => ClockSync::InProgress,
        libc::TIME_WAIT => ClockSync::Happened,
        libc::TIME_ERROR => ClockSync::Error,
        _ => return None,
    };
    let nanoseconds = timex.status & libc::STA_NANO != 0;
    Some(ClockState {
        state: state.as_str().into(),
        status: timex.status,
        offset_ns: if nanoseconds { timex.offset } else { timex.offset.saturating_mul(1000) },
        // In units of 2^-16 ppm.
        frequency_ppm: timex.freq as f64 / 65_536.0,
        max_error_us: timex.maxerror,
        estimated_error_us: timex.esterror,
        tai_s: timex.tai,
    })
}

fn line(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_string())
}

/// The running boot's id.
pub fn boot_id() -> String {
    line("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// 128 random bits in hexadecimal.
///
/// # Errors
/// When the kernel's random source cannot be read.
pub fn capture_id() -> std::io::Result<String> {
    use std::io::Read;
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// Whether our processes have other numbers than in the initial pid namespace.
pub fn inside_pid_namespace() -> bool {
    is_initial(PID) == Some(false)
}

/// Whether CLOCK_MONOTONIC, CLOCK_BOOTTIME and the starts of processes in /proc may be other than those that the hooks read
/// (time_namespaces(7)).
pub fn inside_time_namespace() -> bool {
    is_initial(TIME) == Some(false)
}

/// This machine.
pub fn host() -> Host {
    let name = uname().ok();
    let part = |get: fn(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr| {
        name.as_ref().map(|n| get(n).to_string_lossy().into_owned()).unwrap_or_default()
    };
    Host {
        hostname: part(|n| n.nodename()),
        sysname: part(|n| n.sysname()),
        release: part(|n| n.release()),
        version: part(|n| n.version()),
        machine: part(|n| n.machine()),
        boot_id: boot_id(),
        machine_id: line("/etc/machine-id").filter(|id| !id.is_empty()),
        cpus: libbpf_rs::num_possible_cpus().unwrap_or(0) as u32,
        lockdown: line("/sys/kernel/security/lockdown"),
        container: snapshot("", std::process::id() as i32)
            .and_then(|own| container_id(own.cgroup.as_deref()?).map(str::to_string)),
        initial_pid_namespace: is_initial(PID) == Some(true),
    }
}

/// This recorder.
pub fn tool() -> Tool {
    Tool {
        name: "vmtrace".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        git: env!("VMTRACE_GIT").into(),
        bpf_digest: BPF_DIGEST.into(),
    }
}
