//! What the engine may use of a machine, this one's or an executor's: threads, memory, and room for reading captures.

use crate::schema::limits;

/// Least memory that anything can be done with.
const MIN_MEMORY: usize = 16 << 20;
/// Address space for the stack of each thread: long expressions are worked on recursively.
pub const STACK: usize = 256 << 20;
/// From it on there is much: queries run in two partitions for each processor.
pub const MUCH_MEMORY: usize = 1 << 30;
/// Bytes for reading captures beside the memory limit.
const READING: usize = 128 << 20;

/// Bytes for reading captures, all threads together: the engine does not count them as its own. More where there is much.
pub fn reading(memory: usize) -> u64 {
    (READING + if memory >= MUCH_MEMORY { memory / 8 } else { 0 }) as u64
}

/// Processors to be used.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Half of this machine's memory, in bytes.
pub fn half_of_memory() -> usize {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<usize>().ok());
    kib.map_or(1 << 30, |kib| kib.saturating_mul(512)).max(MIN_MEMORY)
}

/// Reads a size in bytes: `64M`, `2G`, `1GiB`.
///
/// # Errors
/// Says what it may look like.
pub fn parse_size(text: &str) -> Result<usize, String> {
    let size = usize::try_from(limits::parse_size(text)?).unwrap_or(usize::MAX);
    if size < MIN_MEMORY { Err(format!("{text} is too small: give at least 16M")) } else { Ok(size) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("64M"), Ok(64 << 20));
        assert_eq!(parse_size("2GiB"), Ok(2 << 30));
        assert_eq!(parse_size("20000000"), Ok(20_000_000));
        for bad in ["", "M", "1X", "-1", "99999999999999999999G", "99999999999T"] {
            assert!(parse_size(bad).unwrap_err().contains("is not a size"), "{bad}");
        }
        assert!(parse_size("1M").unwrap_err().contains("too small"));
    }
}
