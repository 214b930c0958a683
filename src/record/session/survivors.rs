//! Recorded processes that are still alive when COMMAND has ended: usually daemons.

use crate::count::Count;
use crate::record::identity::proc::is_gone;
use crate::terminal::escape::Safe;

/// Names shown of them.
const SHOWN: usize = 8;

/// A process that lives on.
#[derive(Debug)]
pub struct Survivor {
    pid: i32,
    /// Empty where it is not known.
    comm: String,
}

/// Those of `tracked` that live, but for those that were selected before.
pub fn among(tracked: Vec<i32>, before: &[i32]) -> Vec<Survivor> {
    let living = tracked.into_iter().filter(|pid| !before.contains(pid) && !is_gone(*pid));
    let mut left: Vec<Survivor> = living.map(|pid| Survivor { pid, comm: comm(pid) }).collect();
    left.sort_by_key(|survivor| survivor.pid);
    left
}

fn comm(pid: i32) -> String {
    let comm = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    String::from_utf8_lossy(&comm).trim_end_matches('\n').to_string()
}

/// What is said of them, on stderr and in the capture.
pub fn gap(left: &[Survivor]) -> Option<String> {
    let names = left.iter().take(SHOWN).map(|survivor| format!("{} (pid {})", Safe(&survivor.comm), survivor.pid));
    let mut names: Vec<String> = names.collect();
    if left.len() > SHOWN {
        names.push(format!("and {} more", left.len() - SHOWN));
    }
    let live = Count(left.len() as u64, "recorded process outlives", "recorded processes outlive");
    let gap = format!("{live} COMMAND, and what happens from here on is not recorded: {}", names.join(", "));
    (!left.is_empty()).then_some(gap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_left_is_named() {
        assert_eq!(gap(&[]), None);
        let one = Survivor { pid: 7, comm: "evil\x1b[2J".into() };
        let said = gap(&[one]).unwrap();
        assert!(said.starts_with("1 recorded process outlives COMMAND") && said.ends_with("(pid 7)"), "{said}");
        assert!(!said.contains('\x1b'), "{said}");
        let many = gap(&(0..10).map(|pid| Survivor { pid, comm: "d".into() }).collect::<Vec<_>>()).unwrap();
        assert!(many.starts_with("10 recorded processes outlive") && many.ends_with("and 2 more"), "{many}");
    }

    #[test]
    fn the_living_are_found_among_the_tracked() {
        let own = std::process::id() as i32;
        let left = among(vec![i32::MAX, own], &[]);
        assert_eq!(left.iter().map(|survivor| survivor.pid).collect::<Vec<_>>(), [own]);
        assert!(among(vec![own], &[own]).is_empty());
    }
}
