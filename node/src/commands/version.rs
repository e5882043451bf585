//! `dunlin version`.

use crate::commands::print_line;
use crate::failure::Failure;

/// Prints the version of the program.
pub(super) fn run() -> Result<(), Failure> {
    print_line(&format!("dunlin {}", env!("CARGO_PKG_VERSION")))
}
