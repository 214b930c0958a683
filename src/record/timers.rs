//! When the main thread has something to do.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::books::KernelBooks;

/// Between two looks at the kernel's books.
const BOOKS: Duration = Duration::from_secs(1);
/// Between two looks at how much room the disk has.
const ROOM: Duration = Duration::from_millis(250);

/// Instants at which something is due.
#[derive(Debug)]
pub struct Timers {
    books: Instant,
    room: Instant,
    /// `-G`, and the span of the wall clock that we are in.
    file: Option<(u64, u64)>,
    /// The books that were noted last.
    pub noted: Option<KernelBooks>,
}

impl Timers {
    /// Of a recording that began at `start_ns` of the wall clock. `file_seconds` is `-G`.
    pub fn new(file_seconds: Option<u64>, start_ns: i64) -> Self {
        let start = u64::try_from(start_ns).unwrap_or(0) / 1_000_000_000;
        let file = file_seconds.map(|every| (every, start / every.max(1)));
        Timers { books: Instant::now(), room: Instant::now(), file, noted: None }
    }

    /// Whether to look at the books.
    pub fn books_are_due(&mut self) -> bool {
        is_due(&mut self.books, BOOKS)
    }

    /// Whether to look at the disk.
    pub fn room_is_due(&mut self) -> bool {
        is_due(&mut self.room, ROOM)
    }

    /// Whether the wall clock has come to the next multiple of `-G`. A clock that is set begins a new file, too.
    pub fn file_is_due(&mut self) -> bool {
        let Some((every, since)) = &mut self.file else { return false };
        let now = span(*every);
        std::mem::replace(since, now) != now
    }
}

fn span(every: u64) -> u64 {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    seconds / every.max(1)
}

fn is_due(last: &mut Instant, every: Duration) -> bool {
    let due = last.elapsed() >= every;
    if due {
        *last = Instant::now();
    }
    due
}
