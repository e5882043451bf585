//! What every fuzz target shares: the list of them, libFuzzer's entry point under `cargo fuzz`, a
//! replay of files under plain cargo, and the check of memory.
//!
//! The bodies live in the crates they test (`fuzzing.rs`, `fuzzing/`), where they also run as unit
//! tests on stable; [`targets`] names them. See `README.md` beside this folder's `Cargo.toml`.

pub mod memory;
pub mod targets;

/// Makes a binary out of the target with this name.
///
/// Under `cargo fuzz` (which sets `--cfg fuzzing`) it is libFuzzer's target; the binary then needs
/// `#![cfg_attr(fuzzing, no_main)]`. Otherwise it is a `main` that runs it on the files it is given.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        #[cfg(fuzzing)]
        static TARGET: ::std::sync::LazyLock<&$crate::targets::Target> =
            ::std::sync::LazyLock::new(|| {
                $crate::targets::find(stringify!($name)).expect("the target is listed")
            });

        #[cfg(fuzzing)]
        ::libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET.run(data));

        #[cfg(not(fuzzing))]
        fn main() -> ::std::process::ExitCode {
            $crate::main(stringify!($name))
        }
    };
}

#[cfg(not(fuzzing))]
pub use replay::main;

#[cfg(not(fuzzing))]
mod replay;
