//! What each command does. A command gets its typed arguments and the wish to stop, and returns
//! when it is done.

mod relay;
mod version;

use std::io::Write;
use std::net::SocketAddr;

use crate::cli::{Cli, Command};
use crate::failure::{Exit, Failure, plain_reason};
use crate::signals::Shutdown;

/// Runs the command of `cli` until it is done or a signal stops it.
///
/// # Errors
/// The failure to report and exit with.
pub async fn dispatch(cli: Cli) -> Result<(), Failure> {
    let shutdown = Shutdown::listen()?;
    match cli.command {
        Command::Relay(args) => relay::run(args, shutdown).await,
        Command::Version => version::run(),
        _ => Err(Failure::new(
            Exit::Failed,
            "this build has no socket driver yet",
        )),
    }
}

/// Prints one line on stdout.
fn print_line(line: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{line}").map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!(
                "cannot write to stdout ({}); is its reader still there?",
                plain_reason(&error)
            ),
        )
    })
}

/// Prints one line on stderr. A closed stderr stops nothing.
fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The failure for a listening address that cannot be had.
fn bind_failure(address: SocketAddr, error: &std::io::Error) -> Failure {
    let advice = match error.kind() {
        std::io::ErrorKind::AddrInUse => "choose another port with --listen, or 0 for any",
        std::io::ErrorKind::AddrNotAvailable => "choose an address of this machine",
        std::io::ErrorKind::PermissionDenied => "choose a port above 1023",
        _ => "choose another address",
    };
    Failure::new(
        Exit::Local,
        format!(
            "cannot listen on {address}: {}; {advice}",
            plain_reason(error)
        ),
    )
}
