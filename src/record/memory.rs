//! How the allocator treats memory that is freed.

/// Parts of this many bytes and more go back to the system as soon as they are freed: columns of rows, most of all.
///
/// Else glibc raises its own bound to the largest part it has seen freed (mallopt(3), M_MMAP_THRESHOLD), and keeps what is
/// below it in the arena of the writing thread.
#[cfg(target_env = "gnu")]
const RETURNED: libc::c_int = 256 << 10;

/// Has freed memory of columns and row groups returned to the system.
pub fn return_what_is_freed() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it sets a number, before other threads run. A refusal leaves everything as it was.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, RETURNED);
    }
}
