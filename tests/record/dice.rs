//! Random choices that can be made again: the seed is printed.

/// A stream of random numbers.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Begins with `VMTRACE_TEST_SEED`, or with the time of day.
    pub fn new() -> Self {
        let now =
            || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("clock").as_millis() as u64;
        let seed = std::env::var("VMTRACE_TEST_SEED").map_or_else(|_| now(), |s| s.parse().expect("VMTRACE_TEST_SEED"));
        println!("VMTRACE_TEST_SEED={seed}");
        Dice(seed)
    }

    /// Any number.
    pub fn roll(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    /// A number of `range`.
    pub fn within(&mut self, range: std::ops::Range<u64>) -> u64 {
        range.start + self.roll() % (range.end - range.start)
    }

    /// One of `choices`.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.within(0..choices.len() as u64) as usize]
    }
}
