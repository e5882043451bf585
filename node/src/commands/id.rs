//! `dunlin id`.

use crate::cli::IdArgs;
use crate::commands::print_line;
use crate::failure::Failure;
use crate::stack::Keys;

/// Prints the ID of this node; its key is made at first use.
pub(super) fn run(args: &IdArgs) -> Result<(), Failure> {
    print_line(&Keys::load(&args.keys)?.node_id().to_string())
}
