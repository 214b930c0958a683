//! How far the iovec arrays of a row can be trusted.

use super::values::{Array, Read, Source};
use crate::schema::types::Iovec;
use crate::schema::vocabulary::{IovSource, IovVerdict};

/// The columns iov_source, iov_verdict and toctou.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    pub source: Option<IovSource>,
    pub verdict: Option<IovVerdict>,
    pub toctou: Option<bool>,
}

impl Provenance {
    /// Of what the kernel used.
    pub fn by_kernel(toctou: Option<bool>) -> Self {
        Provenance { source: Some(IovSource::Kernel), verdict: Some(IovVerdict::Kernel), toctou }
    }

    /// Of what was read as the call returned.
    pub fn by_user(verdict: IovVerdict, toctou: Option<bool>) -> Self {
        Provenance { source: Some(IovSource::User), verdict: Some(verdict), toctou }
    }

    /// Whether an array could not be read.
    pub fn is_unreadable(self) -> bool {
        self.verdict == Some(IovVerdict::Unreadable)
    }
}

/// An array as the kernel used it, and the same as the caller's memory had it at the exit.
pub type Compared<'a> = (&'a [Iovec], Array, &'a [Iovec]);

/// Judges arrays by whose copy they are. The kernel's are what was used; where the caller's memory says something else
/// by now, somebody changed it under way.
pub fn of_arrays(arrays: &[Array], compared: &[Compared<'_>], requested: Option<u64>, moved: i64) -> Provenance {
    let used = |a: &Array| a.read == Read::Ok && a.source == Source::Kernel;
    let by_kernel = arrays.iter().any(used) && arrays.iter().all(|a| used(a) || a.read == Read::Absent);
    if !by_kernel {
        return by_user_memory(arrays, requested, moved);
    }
    Provenance::by_kernel(disagreement(compared))
}

/// Judges the ranges of pages that the kernel took, joined where they meet, by the caller's array as its memory has it at
/// the exit: that should begin with the same bytes of memory.
pub fn of_pages(ranges: &[Iovec], array: Array, user: &[Iovec]) -> Provenance {
    let toctou = match array.read {
        Read::Ok => Some(joined(user, total(ranges)) != joined(ranges, u64::MAX)),
        Read::Absent | Read::Fault | Read::Refused => None,
    };
    Provenance::by_kernel(toctou)
}

fn total(ranges: &[Iovec]) -> u64 {
    ranges.iter().fold(0, |sum, range| sum.saturating_add(range.len))
}

/// The first `bytes` of an array, with ranges joined where they meet.
fn joined(array: &[Iovec], bytes: u64) -> Vec<Iovec> {
    let (mut joined, mut left): (Vec<Iovec>, u64) = (Vec::new(), bytes);
    for range in array {
        let len = range.len.min(left);
        left -= len;
        match joined.last_mut() {
            _ if len == 0 => {}
            Some(last) if last.base.checked_add(last.len) == Some(range.base) => {
                last.len = last.len.saturating_add(len)
            }
            _ => joined.push(Iovec { base: range.base, len }),
        }
    }
    joined
}

/// Judges a row without an iovec array in user memory: its values came from registers or from what the kernel used, or
/// some were looked up as the call returned, in the caller's memory or table of descriptors.
pub fn stated(exact: bool) -> Provenance {
    match exact {
        true => Provenance::by_kernel(Some(false)),
        false => Provenance::by_user(IovVerdict::Unverified, None),
    }
}

/// Judges a row whose descriptor led to one file when the call began and to another when it returned: to which of them
/// while the kernel looked is not known.
pub fn raced() -> Provenance {
    Provenance::by_user(IovVerdict::Conflict, Some(true))
}

/// Whether the ranges that a vectored call came to are the beginning of `array`; empty ones it passes over.
pub fn begins_with(array: &[Iovec], visited: &[Iovec]) -> bool {
    let mut filled = array.iter().filter(|range| range.len > 0);
    visited.iter().all(|range| filled.next() == Some(range))
}

/// Judges arrays that were read from user memory at the exit. `moved` beyond their total proves that they were changed
/// under way; short of that nothing is proven.
pub fn by_user_memory(arrays: &[Array], requested: Option<u64>, moved: i64) -> Provenance {
    let any = |read: Read| arrays.iter().any(|a| a.read == read);
    let exceeded = requested.is_some_and(|limit| u64::try_from(moved).is_ok_and(|moved| moved > limit));
    match () {
        () if any(Read::Fault) => Provenance::by_user(IovVerdict::Unreadable, None),
        () if !any(Read::Ok) => Provenance::default(),
        () if exceeded => Provenance::by_user(IovVerdict::Conflict, Some(true)),
        () => Provenance::by_user(IovVerdict::Unverified, None),
    }
}

/// Judges further what [`by_user_memory`] could not: whether the array can be the one that the kernel used, by the memory
/// that the call has `written` to if it can. That may be the array itself, which then is no longer what it was. And what
/// was written is there to be read: where it `vanished`, either the array or the memory was changed since.
pub fn by_written_memory(
    judged: Provenance,
    arrays: &[Array],
    written: &[Iovec],
    moved: i64,
    vanished: bool,
) -> Provenance {
    let in_memory = |a: &&Array| a.at != 0 && a.read == Read::Ok;
    let mut places = arrays.iter().filter(in_memory).map(|a| (a.at, a.size)).peekable();
    if judged.verdict != Some(IovVerdict::Unverified) || moved <= 0 || places.peek().is_none() {
        return judged;
    }
    if places.any(|place| covers(written, moved.unsigned_abs(), place)) {
        return Provenance { verdict: Some(IovVerdict::Conflict), toctou: Some(true), ..judged };
    }
    if vanished {
        return Provenance { verdict: Some(IovVerdict::Conflict), ..judged };
    }
    judged
}

/// Whether some of the first `bytes` of `ranges` lie in a place, which is an address and a length.
fn covers(ranges: &[Iovec], bytes: u64, (at, len): (u64, u64)) -> bool {
    joined(ranges, bytes).iter().any(|r| r.base < at.saturating_add(len) && at < r.base.saturating_add(r.len))
}

/// Whether any array differs; `None` where none does and not all could be compared.
fn disagreement(compared: &[Compared<'_>]) -> Option<bool> {
    let mut whole = true;
    for (kernel, array, user) in compared {
        match array.read {
            Read::Ok if kernel != user => return Some(true),
            Read::Ok | Read::Absent => {}
            Read::Fault | Read::Refused => whole = false,
        }
    }
    whole.then_some(false)
}

/// MAX_RW_COUNT (include/linux/fs.h): INT_MAX rounded down to whole pages.
const MAX_RW_COUNT: u64 = 0x7fff_f000;

/// Shortens an array as the kernel does when it takes the caller's side in (lib/iov_iter.c, import_iovec).
pub fn imported(array: &mut [Iovec]) {
    let mut left = MAX_RW_COUNT;
    for range in array {
        range.len = range.len.min(left);
        left -= range.len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(read: Read, source: Source) -> Array {
        Array { count: 1, at: 0, size: 0, read, source }
    }

    #[test]
    fn the_kernels_copy_is_the_truth_and_memory_is_compared_with_it() {
        let (kernel, user) = (array(Read::Ok, Source::Kernel), array(Read::Ok, Source::User));
        let (one, other) = ([Iovec { base: 1, len: 8 }], [Iovec { base: 2, len: 8 }]);
        let judge = |memory: &[Iovec], now: Array| of_arrays(&[kernel], &[(&one, now, memory)], Some(8), 8);
        assert_eq!(judge(&one, user), Provenance::by_kernel(Some(false)));
        assert_eq!(judge(&other, user), Provenance::by_kernel(Some(true)));
        assert_eq!(judge(&[], array(Read::Fault, Source::User)), Provenance::by_kernel(None));
    }

    #[test]
    fn user_memory_alone_proves_nothing_but_a_contradiction() {
        let user = array(Read::Ok, Source::User);
        let kernel = array(Read::Ok, Source::Kernel);
        assert_eq!(of_arrays(&[user, kernel], &[], Some(8), 8).verdict, Some(IovVerdict::Unverified));
        assert_eq!(by_user_memory(&[user], Some(8), 9).verdict, Some(IovVerdict::Conflict));
        assert_eq!(by_user_memory(&[array(Read::Fault, Source::User)], None, 0).verdict, Some(IovVerdict::Unreadable));
        assert_eq!(by_user_memory(&[array(Read::Absent, Source::User)], Some(0), 0), Provenance::default());
    }

    #[test]
    fn an_array_that_the_call_wrote_over_cannot_be_what_was_used() {
        let read = |at| Array { at, size: 32, ..array(Read::Ok, Source::User) };
        let range = |base, len| Iovec { base, len };
        let unverified = by_user_memory(&[read(0x1000)], None, 0);
        let judge = |iovs: Array, written: &[Iovec], moved, vanished| {
            let provenance = by_written_memory(unverified, &[iovs], written, moved, vanished);
            (provenance.verdict, provenance.toctou)
        };
        let (conflict, nothing) = ((Some(IovVerdict::Conflict), Some(true)), (Some(IovVerdict::Unverified), None));
        assert_eq!(judge(read(0x1000), &[range(0x101f, 1)], 1, false), conflict);
        assert_eq!(judge(read(0x1000), &[range(0x1020, 64)], 64, false), nothing, "behind the array");
        assert_eq!(judge(read(0x1000), &[range(0xfc0, 64)], 64, false), nothing, "in front of it");
        assert_eq!(judge(read(0x1000), &[range(0xfc0, 65)], 65, false), conflict);
        assert_eq!(judge(read(0x1000), &[range(0x10, 8), range(0x1000, 8)], 8, false), nothing, "not come so far");
        assert_eq!(judge(read(0x1000), &[range(0x10, 8), range(0x1000, 8)], 9, false), conflict);
        assert_eq!(judge(read(0x1000), &[range(0x10, 8)], 8, true), (Some(IovVerdict::Conflict), None));
        assert_eq!(judge(read(0), &[range(0, 64)], 64, true), nothing, "no array in memory");
        let kernel = Provenance { verdict: Some(IovVerdict::Kernel), ..unverified };
        assert_eq!(by_written_memory(kernel, &[read(8)], &[range(8, 8)], 8, true), kernel);
    }

    #[test]
    fn pages_agree_with_an_array_that_begins_with_them() {
        let range = |base, len| Iovec { base, len };
        let user = array(Read::Ok, Source::User);
        let pages = [range(0x1000, 0x1800), range(0x5000, 0x10)];
        let array = [range(0x1000, 0x1000), range(9, 0), range(0x2000, 0x800), range(0x5000, 0x20), range(1, 1)];
        assert_eq!(of_pages(&pages, user, &array).toctou, Some(false));
        assert_eq!(of_pages(&pages, user, &array[..3]).toctou, Some(true));
        assert_eq!(of_pages(&pages, user, &[range(0x1008, 0x1810)]).toctou, Some(true));
    }

    #[test]
    fn visited_ranges_are_compared_with_the_filled_ones() {
        let range = |base, len| Iovec { base, len };
        let array = [range(1, 0), range(2, 8), range(3, 0), range(4, 8), range(5, 8)];
        assert!(begins_with(&array, &[range(2, 8), range(4, 8)]));
        assert!(!begins_with(&array, &[range(2, 8), range(5, 8)]));
        assert!(!begins_with(&array[..2], &[range(2, 8), range(4, 8)]));
    }

    #[test]
    fn long_arrays_are_shortened_as_the_kernel_does() {
        let range = |len| Iovec { base: 0, len };
        let mut array = [range(0x7fff_0000), range(u64::MAX), range(5)];
        imported(&mut array);
        assert_eq!(array.map(|r| r.len), [0x7fff_0000, 0xf000, 0]);
    }
}
