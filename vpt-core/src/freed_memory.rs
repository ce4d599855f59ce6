//! [`FreedMemory`]: memory that loading has freed goes back to the system while it goes on.
#![allow(unsafe_code)]

/// Freed bytes that are worth a look through the allocator's free blocks.
const AT_ONCE: usize = 32 << 20;

/// Counts what loading frees, and gives it back to the system from time to time.
///
/// Weights are read, transposed and joined tensor by tensor. Each step frees a block where a larger one may be needed
/// next, and an allocator that keeps freed blocks (glibc's, as the program sets it) then holds both. Blocks themselves
/// stay where they are, so this costs page faults and nothing else.
#[derive(Default)]
pub(crate) struct FreedMemory {
    bytes: usize,
}

impl FreedMemory {
    /// That many values of 32 bits are not needed any more.
    pub(crate) fn add_floats(&mut self, count: usize) {
        self.bytes = self.bytes.saturating_add(count.saturating_mul(4));
        if self.bytes >= AT_ONCE {
            self.bytes = 0;
            give_back();
        }
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn give_back() {
    // SAFETY: `malloc_trim` takes an integer by value, locks what it looks at, and touches free blocks only.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn give_back() {}
