//! How the main thread sleeps: until a tick is over, a signal arrives, the bell rings, or a process that it waits for
//! ends.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::record::identity::proc::is_gone;
use crate::record::session::bell::Bell;

/// What the bell is called among the processes.
const BELL: u64 = u64::MAX;

/// The `-p` processes that have not ended.
#[derive(Debug)]
pub struct Waiter {
    epoll: Epoll,
    /// Where the kernel gives no descriptor of a process (pidfd_open(2): a seccomp filter, a thread), /proc is asked.
    living: Vec<(i32, Option<OwnedFd>)>,
}

impl Waiter {
    /// Waits for the processes `pids` and the `bell`.
    ///
    /// # Errors
    /// When the kernel gives no epoll descriptor.
    pub fn new(pids: &[i32], bell: &Bell) -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("no epoll")?;
        if let Some(descriptor) = bell.descriptor() {
            // Edge-triggered: it need not be read.
            let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, BELL);
            epoll.add(descriptor, event).context("the bell cannot be watched")?;
        }
        let living = pids.iter().zip(0..).map(|(pid, index)| (*pid, watch(&epoll, *pid, index))).collect();
        Ok(Waiter { epoll, living })
    }

    /// Sleeps for a tick, or less when a process ends, a signal comes or the bell is rung.
    pub fn pause(&mut self, tick: Duration) {
        let mut events = [EpollEvent::empty(); 16];
        let timeout = EpollTimeout::try_from(tick).unwrap_or(EpollTimeout::ZERO);
        let ended = self.epoll.wait(&mut events, timeout).unwrap_or(0);
        for event in events.iter().take(ended) {
            let index = usize::try_from(event.data()).unwrap_or(usize::MAX);
            if let Some((pid, descriptor)) = self.living.get_mut(index) {
                // Readable for good: closed, it leaves the epoll.
                *descriptor = None;
                *pid = 0;
            }
        }
    }

    /// Also wakes when a descriptor becomes readable, each time it does.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn heed(&self, descriptor: BorrowedFd<'_>) -> Result<()> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, u64::MAX);
        self.epoll.add(descriptor, event).context("a descriptor cannot be watched")
    }

    /// Whether all have ended.
    pub fn all_gone(&self) -> bool {
        self.living.iter().all(|(pid, descriptor)| *pid == 0 || (descriptor.is_none() && is_gone(*pid)))
    }
}

/// A descriptor that becomes readable when all threads of the process have ended.
fn watch(epoll: &Epoll, pid: i32, index: u64) -> Option<OwnedFd> {
    let descriptor = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    epoll.add(descriptor.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, index)).ok()?;
    Some(descriptor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_ends_cuts_the_pause_short() {
        let mut children = [1, 2].map(|_| std::process::Command::new("sleep").arg("1000").spawn().unwrap());
        let pids = [0, 1].map(|i: usize| children[i].id() as i32);
        let mut waiter = Waiter::new(&pids, &Bell::default()).unwrap();
        for (child, ended) in children.iter_mut().zip(1..) {
            assert!(!waiter.all_gone());
            child.kill().unwrap();
            // Not collected yet: a zombie has ended. Signals of other tests cut pauses short as well.
            while waiter.living.iter().filter(|(pid, _)| *pid == 0).count() < ended {
                waiter.pause(Duration::from_secs(1000));
            }
        }
        assert!(waiter.all_gone());
        for child in &mut children {
            child.wait().unwrap();
        }
    }

    #[test]
    fn the_bell_cuts_a_pause_short_each_time_it_is_rung() {
        let bell = Bell::new().unwrap();
        let mut waiter = Waiter::new(&[], &bell).unwrap();
        for _ in 0..2 {
            bell.ring();
            waiter.pause(Duration::from_secs(1000));
        }
        let mut events = [EpollEvent::empty()];
        assert_eq!(waiter.epoll.wait(&mut events, EpollTimeout::ZERO), Ok(0), "and not again");
    }

    #[test]
    fn who_is_not_there_has_ended() {
        assert!(Waiter::new(&[i32::MAX], &Bell::default()).unwrap().all_gone());
    }
}
