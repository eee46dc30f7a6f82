//! Copying a frame in bytes that others may write or read meanwhile: through foreign code alone, as in Rust that would be a
//! data race.
//!
//! A frame is larger than the caches near the core. A usual copy fetches every line of the target only to overwrite it,
//! and throws out of the caches what both sides would rather keep. So on x86-64 whoever reads a frame writes it past them,
//! and looks up the next page of the mapping in time: half to two thirds of the time, and less in sum even when the same
//! core looks at the copy next (`docs/performance.md`). Whoever writes a frame leaves it in the caches, for its readers.
//!
//! On arm64 whoever reads a frame moves whole lines through NEON's registers, whatever the C library's `memcpy` does there.
//! The stores are usual ones: nobody has measured hints on such a processor, many of which stop fetching the target by
//! themselves when they see a long row of stores.

use std::{ffi::c_void, hint::black_box};

/// Bytes from which on it pays. Less is probably looked at before it leaves the caches.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const BULK: usize = 256 << 10;
/// Bytes of a cache line.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const LINE: usize = 64;

/// Copies bytes to a mapping.
///
/// # Safety
/// Both sides have as many bytes, and do not overlap.
pub(super) unsafe fn write(from: *const u8, to: *mut u8, bytes: usize) {
    // SAFETY: the caller's.
    unsafe { memcpy(from, to, bytes) }
}

/// Copies bytes from a mapping.
///
/// # Safety
/// Both sides have as many bytes, and do not overlap.
pub(super) unsafe fn read(from: *const u8, to: *mut u8, bytes: usize) {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    if bytes >= BULK {
        let head = to.addr().wrapping_neg() % LINE;
        let lines = (bytes - head) / LINE;
        let tail = head + lines * LINE;
        // SAFETY: three parts of the same bytes, and there is more than a line of them.
        unsafe {
            memcpy(from, to, head);
            copy_lines(from.add(head), to.add(head), lines);
            memcpy(from.add(tail), to.add(tail), bytes - tail);
        }
        return;
    }
    // SAFETY: as above.
    unsafe { memcpy(from, to, bytes) }
}

unsafe fn memcpy(from: *const u8, to: *mut u8, bytes: usize) {
    // The compiler knows what memcpy does, and might do it itself.
    let memcpy = black_box(libc::memcpy as unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> *mut c_void);
    // SAFETY: the caller's.
    unsafe { memcpy(to.cast(), from.cast(), bytes) };
}

/// Copies whole lines, one or more, by non-temporal stores (Intel SDM volume 1, 10.4.6.2), and waits until they are
/// visible to other threads in the order of the program.
///
/// # Safety
/// Both sides have as many lines, do not overlap, and `to` begins at one.
#[cfg(target_arch = "x86_64")]
unsafe fn copy_lines(from: *const u8, to: *mut u8, lines: usize) {
    // SAFETY: reads and writes the lines and no more; SSE2 is part of x86-64. A prefetch past the end does nothing.
    unsafe {
        std::arch::asm!(
            "2:",
            "prefetcht0 [{from} + 4096]",
            "movdqu {a}, [{from}]",
            "movdqu {b}, [{from} + 16]",
            "movdqu {c}, [{from} + 32]",
            "movdqu {d}, [{from} + 48]",
            "movntdq [{to}], {a}",
            "movntdq [{to} + 16], {b}",
            "movntdq [{to} + 32], {c}",
            "movntdq [{to} + 48], {d}",
            "add {from}, 64",
            "add {to}, 64",
            "dec {lines}",
            "jnz 2b",
            "sfence",
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            lines = inout(reg) lines => _,
            a = out(xmm_reg) _,
            b = out(xmm_reg) _,
            c = out(xmm_reg) _,
            d = out(xmm_reg) _,
            options(nostack),
        );
    }
}

/// Copies whole lines, one or more.
///
/// # Safety
/// Both sides have as many lines, and do not overlap.
#[cfg(target_arch = "aarch64")]
unsafe fn copy_lines(from: *const u8, to: *mut u8, lines: usize) {
    // SAFETY: reads and writes the lines and no more; NEON is part of the target.
    unsafe {
        std::arch::asm!(
            "2:",
            "ldp {a:q}, {b:q}, [{from}]",
            "ldp {c:q}, {d:q}, [{from}, #32]",
            "add {from}, {from}, #64",
            "subs {lines}, {lines}, #1",
            "stp {a:q}, {b:q}, [{to}]",
            "stp {c:q}, {d:q}, [{to}, #32]",
            "add {to}, {to}, #64",
            "b.ne 2b",
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            lines = inout(reg) lines => _,
            a = out(vreg) _,
            b = out(vreg) _,
            c = out(vreg) _,
            d = out(vreg) _,
            options(nostack),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_copied_and_no_other() {
        for bytes in [0, 1, 4096, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, 640 * 360 * 3, 1_000_003] {
            for (skew_from, skew_to) in [(0, 0), (1, 0), (0, 1), (17, 63), (63, 17)] {
                let source = (0..bytes + 64).map(|at| (at * 31 + at / 251) as u8).collect::<Vec<_>>();
                let mut target = vec![0xA5; bytes + 128];
                // SAFETY: both have more bytes than that behind the skew.
                unsafe { read(source.as_ptr().add(skew_from), target.as_mut_ptr().add(skew_to), bytes) };
                assert!(target[skew_to..skew_to + bytes] == source[skew_from..skew_from + bytes]);
                let around = target[..skew_to].iter().chain(&target[skew_to + bytes..]);
                assert!(around.copied().all(|byte| byte == 0xA5), "{bytes} bytes at {skew_from} to {skew_to}");
            }
        }
    }
}
