//! How the allocator gives back what a huge record needed.
//!
//! glibc maps large blocks by themselves and unmaps them when they are freed, which is what the
//! bound on memory relies on (`docs/PERFORMANCE.md`, "Memory"). But by default every mapped block
//! that is freed raises the size from which blocks are mapped, up to 32 MiB, and with it what each
//! thread's heap keeps, up to 64 MiB: after records of 6, 20 and 30 MiB one of 63 MiB took 429 MiB
//! on its way to SQLite. Both are fixed here, above all that ordinary records need. Other C
//! libraries are left as they are.

#![allow(unsafe_code, reason = "a C function is declared; calling it is safe")]

/// Fixes from which size on blocks are mapped, and how much a heap keeps. To be called first.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) fn fix_thresholds() {
    use std::ffi::c_int;

    // SAFETY: this is its declaration in glibc's malloc.h, where it says that it may be called at
    // any time and by any thread. It takes two numbers, and all it changes are settings.
    unsafe extern "C" {
        safe fn mallopt(parameter: c_int, value: c_int) -> c_int;
    }
    const M_TRIM_THRESHOLD: c_int = -1;
    const M_MMAP_THRESHOLD: c_int = -3;
    /// Above all buffers of ordinary records, a chunk's text and its JSON. With 1 MiB, which is
    /// not, the kernel was asked for pages four times as often.
    const LARGE: c_int = 2 << 20;
    /// What a heap keeps when more than that is free at its end. With 2 MiB a releases dump took
    /// twice as many page faults as without any of this, and 2.5 % more time; now it takes fewer.
    const KEPT: c_int = 16 << 20;
    // Where one is refused, memory is as it would be without it.
    mallopt(M_MMAP_THRESHOLD, LARGE);
    mallopt(M_TRIM_THRESHOLD, KEPT);
}

/// Nothing is known of other allocators.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn fix_thresholds() {}
