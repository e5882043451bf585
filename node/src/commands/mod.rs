//! What each command does. A command gets its typed arguments and the wish to stop, and returns
//! when it is done.

mod bench;
mod config;
mod control;
mod event_log;
mod generate_config;
mod id;
mod lab;
mod recv;
mod relay;
mod send;
mod simulate;
mod start;
mod stopwatch;
mod trace;
mod version;

use std::io::Write;

use crate::cli::trace::TraceArgs;
use crate::cli::{Cli, Command};
use crate::failure::{Exit, Failure, plain_reason};
use crate::signals::Shutdown;
use crate::trace::Traces;

/// Runs the command of `cli` until it is done or a signal stops it.
///
/// # Errors
/// The failure to report and exit with.
pub async fn dispatch(cli: Cli) -> Result<(), Failure> {
    let shutdown = Shutdown::listen()?;
    match cli.command {
        Command::Start(args) => {
            traced(args.traces.clone(), |traces| {
                start::run(args, cli.verbose, traces, shutdown)
            })
            .await
        }
        Command::Node(command) => control::run(command, shutdown).await,
        Command::GenerateConfig(args) => generate_config::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Simulate(args) => simulate::run(args, cli.verbose, shutdown).await,
        Command::Relay(args) => relay::run(args, shutdown).await,
        Command::Recv(args) => {
            traced(args.traces.clone(), |traces| {
                recv::run(args, traces, shutdown)
            })
            .await
        }
        Command::Send(args) => {
            traced(args.traces.clone(), |traces| {
                send::run(args, traces, shutdown)
            })
            .await
        }
        Command::Bench(args) => bench::run(args, shutdown).await,
        Command::Lab(args) => lab::run(args.action, shutdown).await,
        Command::Trace(args) => trace::run(&args),
        Command::Id(args) => id::run(&args),
        Command::Completions(args) => control::completions(&args),
        Command::Man(args) => control::man(&args),
        Command::Version => version::run(),
    }
}

/// Runs a command that writes the traces of `args`, and writes them to their end afterwards.
async fn traced<F: Future<Output = Result<(), Failure>>>(
    args: TraceArgs,
    run: impl FnOnce(Traces) -> F,
) -> Result<(), Failure> {
    let traces = Traces::open(&args)?;
    let result = run(traces.clone()).await;
    traces.finish().await;
    result
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
