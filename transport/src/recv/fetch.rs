//! Fetching memory into the processor's caches before it is written to, where there is an instruction for that (ADR 0630).
//!
//! The instruction is a hint: it changes nothing, and fails for nothing.

/// Bytes of a line of a cache.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// Fetches `bytes`, which will soon be written to.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) fn to_write(bytes: &[u8]) {
    for byte in bytes.iter().step_by(LINE) {
        safe_arch::prefetch_et0(byte);
    }
}

/// Nothing on this processor.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn to_write(_: &[u8]) {}
