//! Identity of a process that survives pid reuse.

/// Kernel start times are compared and hashed in ticks of USER_HZ (100 per second), as field 22 of
/// proc_pid_stat(5) shows them, so that anyone can compute a key from /proc.
pub const TICK_NS: u64 = 10_000_000;

/// `process_key`: the first 64 bits, in hexadecimal, of BLAKE3 over `boot_id`, a newline, the pid in decimal,
/// a newline, and the start time in ticks in decimal.
///
/// `boot_id` is the text of /proc/sys/kernel/random/boot_id; `pid` the thread-group id in the initial pid
/// namespace; `start_ns` nanoseconds of CLOCK_BOOTTIME. A pid cannot come round within one tick.
pub fn process_key(boot_id: &str, pid: i32, start_ns: u64) -> String {
    let text = format!("{}\n{pid}\n{}", boot_id.trim(), start_ns / TICK_NS);
    let hash = blake3::hash(text.as_bytes());
    hash.as_bytes().iter().take(8).map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::process_key;

    #[test]
    fn same_tick_same_key() {
        let key = process_key("b00t\n", 42, 1_230_000_000);
        assert_eq!(key.len(), 16);
        assert_eq!(key, process_key("b00t", 42, 1_239_999_999));
        assert_ne!(key, process_key("b00t", 42, 1_240_000_000));
        assert_ne!(key, process_key("b00t", 43, 1_230_000_000));
        assert_ne!(key, process_key("b01t", 42, 1_230_000_000));
    }
}
