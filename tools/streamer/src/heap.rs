//! How the C library keeps the heap.

/// Has all threads share one arena of the heap. glibc gives threads arenas of their own, up to eight a processor, and what is freed in one
/// does not serve another: a streamer whose cameras come and go, each with a dozen threads, would grow for days. No frame is
/// allocated while a camera runs, so threads seldom wait for the arena. To be called before the first thread begins.
pub fn share() {
    // SAFETY: `mallopt` sets a number of the allocator, and takes any value. What it does not take it leaves alone.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}
