//! What every fuzz target shares: libFuzzer's entry point under `cargo fuzz`, a replay of files
//! under plain cargo.
//!
//! The bodies live in the crates they test (`fuzzing.rs`), where they also run as unit tests on
//! stable; a target only names one. See `README.md` beside this folder's `Cargo.toml`.

/// Makes a binary out of a fuzz body `fn(&[u8])`.
///
/// Under `cargo fuzz` (which sets `--cfg fuzzing`) it is libFuzzer's target; the binary then needs
/// `#![cfg_attr(fuzzing, no_main)]`. Otherwise it is a `main` that calls [`replay`].
#[macro_export]
macro_rules! target {
    ($body:path) => {
        #[cfg(fuzzing)]
        ::libfuzzer_sys::fuzz_target!(|data: &[u8]| $body(data));

        #[cfg(not(fuzzing))]
        fn main() -> ::std::process::ExitCode {
            $crate::replay($body, ::std::env::args_os().skip(1).map(Into::into))
        }
    };
}

#[cfg(not(fuzzing))]
pub use replay::replay;

#[cfg(not(fuzzing))]
mod replay;
