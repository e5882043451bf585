//! What each command does. A command gets its typed arguments and the wish to stop, and returns
//! when it is done.

mod bench;
mod id;
mod lab;
mod recv;
mod relay;
mod send;
mod simulate;
mod start;
mod stopwatch;
mod version;

use std::io::Write;

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
        Command::Start(args) => start::run(args, shutdown).await,
        Command::Simulate(args) => simulate::run(args, shutdown).await,
        Command::Relay(args) => relay::run(args, shutdown).await,
        Command::Recv(args) => recv::run(args, shutdown).await,
        Command::Send(args) => send::run(args, shutdown).await,
        Command::Bench(args) => bench::run(args, shutdown).await,
        Command::Lab(args) => lab::run(args.action, shutdown).await,
        Command::Id(args) => id::run(&args),
        Command::Version => version::run(),
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
