//! See `fuzz_targets/`.
