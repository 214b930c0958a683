//! `struct vmt_switches` of bpf/wire.h: one value that the programs and the recorder share while recording.

use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use anyhow::{Context, Result};
use libbpf_rs::MapHandle;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use crate::record::wire::{VMT_KINDS, vmt_switches};

/// The value, mapped into our memory.
#[derive(Debug)]
pub struct Switches(NonNull<vmt_switches>);

// SAFETY: the mapping belongs to no thread, and its fields are changed by volatile or atomic accesses alone.
unsafe impl Send for Switches {}

/// Size of the mapping: the value fits in one page.
const PAGE: std::num::NonZeroUsize = std::num::NonZeroUsize::new(4096).expect("not zero");
const _: () = assert!(size_of::<vmt_switches>() <= PAGE.get());

impl Switches {
    /// Maps the array of one value.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn map(map: &MapHandle) -> Result<Self> {
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh mapping of a descriptor that is open; nobody else knows its address.
        let address = unsafe { mmap(None, PAGE, access, MapFlags::MAP_SHARED, map.as_fd(), 0) };
        Ok(Switches(address.context("the switches cannot be mapped")?.cast()))
    }

    /// The value as it is now.
    pub fn get(&self) -> vmt_switches {
        // SAFETY: the mapping lives as long as we; the programs write only whole fields, and every bit pattern is valid.
        unsafe { self.0.read_volatile() }
    }

    /// Counts a process that has memory open, as the programs do.
    pub fn count_holder(&self) {
        // SAFETY: an aligned field of the live mapping, which everybody changes atomically.
        let count = unsafe { AtomicU64::from_ptr(&raw mut (*self.0.as_ptr()).mem_holders) };
        count.fetch_add(1, Ordering::Release);
    }

    /// Counts a process that was taken out of `tracked`, as the programs do when one ends.
    pub fn count_untracking(&self) {
        // SAFETY: an aligned field of the live mapping, which everybody changes atomically.
        let count = unsafe { AtomicU32::from_ptr(&raw mut (*self.0.as_ptr()).untrackings) };
        count.fetch_add(1, Ordering::Release);
    }
}

macro_rules! setters {
    ($($(#[$doc:meta])+ $name:ident($value:ty) => $field:ident;)+) => {
        /// Each changes one field. Programs see the new value at once.
        impl Switches {
            $($(#[$doc])+
            pub fn $name(&self, value: $value) {
                // SAFETY: an aligned field of the live mapping; a volatile write keeps the compiler from moving it across the
                // system calls that the programs watch.
                unsafe { (&raw mut (*self.0.as_ptr()).$field).write_volatile(value.into()) };
            })+
        }
    };
}

setters! {
    /// The descriptor that shows the programs how files of /proc/PID/mem look, or -1.
    set_learn_fd(i32) => learn_fd;
    /// Whether the next process that we start is COMMAND.
    set_arm_spawn(bool) => arm_spawn;
    /// Whether the recorder tests itself.
    set_self_test(bool) => self_test;
    /// Whether the next record wakes whoever empties the rings.
    set_wake_at_once(bool) => wake_at_once;
    /// Whether some pipe was fed.
    set_pipes_fed(bool) => pipes_fed;
    /// Children that could not be tracked.
    set_untracked(u64) => untracked;
    /// Calls under way on the memory of processes that have ended.
    set_calls_on_ended(i64) => calls_on_ended;
}

impl Switches {
    /// Whether function hooks serve the events whose number on the wire is `kind`; of one past the last there are none.
    pub fn set_by_function(&self, kind: u32, served: bool) {
        if kind < VMT_KINDS {
            // SAFETY: an element of an array in the live mapping, as was just compared; volatile as in the setters above.
            unsafe {
                let first = (&raw mut (*self.0.as_ptr()).by_function).cast::<u8>();
                first.add(kind as usize).write_volatile(served.into());
            }
        }
    }
}

impl Drop for Switches {
    fn drop(&mut self) {
        // SAFETY: our own mapping, which nothing refers to any more.
        let _ = unsafe { munmap(self.0.cast(), PAGE.get()) };
    }
}
