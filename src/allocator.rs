//! How the C library's allocator treats the large blocks of tensors.

/// Keeps freed memory in the process.
///
/// By default glibc maps each block above a threshold anew and unmaps it when it is freed, so that every tensor of every
/// step costs a page fault per 4 KiB: full fine-tuning of the built-in backbone at 64 × 64 ran at 67 instead of 117
/// images/s (`vpt bench --method full --img-size 64 -b 64`, two cores).
///
/// All threads share one arena: a tensor that one thread frees is room for the next one, whichever thread asks.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::set(&[
        (libc::M_ARENA_MAX, 1),
        (libc::M_MMAP_MAX, 0),
        (libc::M_TRIM_THRESHOLD, i32::MAX),
        (libc::M_TOP_PAD, 64 << 20),
    ]);
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    /// Sets parameters of `malloc`; one that is refused keeps its default.
    #[allow(unsafe_code)]
    pub fn set(parameters: &[(libc::c_int, libc::c_int)]) {
        for &(parameter, value) in parameters {
            // SAFETY: `mallopt` takes two integers by value, may be called at any time, and returns 0 for what it refuses.
            unsafe { libc::mallopt(parameter, value) };
        }
    }
}
