//! The `dunlin` program as a library: command line, commands, file transfer, lossy relay.
//!
//! This crate is the driver of the stack: here, and only here, are clocks, files, sockets, signals
//! and the random numbers of the operating system. It knows every other crate and is known by
//! none. `main.rs` calls [`run`]; tests call the modules.
//!
//! | module | what it does |
//! |---|---|
//! | [`cli`] | the typed command line |
//! | [`commands`] | what each command does |
//! | [`control`] | how a running node is watched and steered: HTTP over a Unix socket (`docs/api.md`) |
//! | [`dashboard`] | a page that shows a running node (`docs/dashboard.md`) |
//! | [`geo`] | where peers are, by a database of the operator |
//! | [`recording`] | simulated networks in files, for the dashboard |
//! | [`metrics`] | metrics for Prometheus |
//! | [`config`] | the settings of a node, from file, environment and command line (`docs/config.md`) |
//! | [`network`] | a node of the gossip network: the overlay on real connections |
//! | [`transfer`] | the file-transfer protocol, over any pair of byte streams (`docs/transfer.md`) |
//! | [`relay`] | a UDP relay that loses, delays, reorders, duplicates and corrupts, from a seed |
//! | [`stack`] | identity, endpoints, connections |
//! | [`trace`] | qlog files, captures and key logs of live connections; reading them |
//! | [`access`] | who is denied, and what is told about refusals |
//! | [`store`] | what outlives the process: SQLite (`docs/operations.md`) |
//! | [`known_peers`] | trust on first use |
//! | [`supervisor`] | what a service manager is told (`sd_notify`) |
//! | [`failure`] | the one error type a person sees, and the exit codes (`docs/cli.md`) |

pub mod access;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod control;
pub mod dashboard;
pub mod data_dir;
pub mod discovery;
pub mod failure;
pub mod fuzzing;
pub mod geo;
pub mod known_peers;
pub mod metrics;
pub mod network;
pub mod open_files;
pub mod progress_bar;
pub mod recording;
pub mod relay;
pub mod signals;
pub mod stack;
pub mod store;
pub mod supervisor;
pub mod telemetry;
pub mod trace;
pub mod transfer;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::FromArgMatches;

use cli::Cli;
use failure::{Exit, Failure};

/// A program with mistakes to choose from is not built (ADR 0720).
const _: () = assert!(
    !dunlin_transport::planted::ENABLED,
    "the feature `planted-bugs` is for tests of dunlin-lab alone"
);

/// How long the runtime waits for blocking file work when a command has ended.
const RUNTIME_GRACE: Duration = Duration::from_millis(300);

/// Runs the program with `args` (the first is the program's own name) and returns its exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut command = cli::command();
    let read = command.try_get_matches_from_mut(args);
    let read = read.and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match read.map_err(|error| error.format(&mut command)) {
        Ok(cli) => cli,
        Err(refused) => {
            // clap's own text: help and version go to stdout, mistakes to stderr.
            let code = if refused.use_stderr() {
                Exit::Usage
            } else {
                Exit::Success
            };
            return match refused.print() {
                Ok(()) => code.into(),
                Err(_) => Exit::Failed.into(),
            };
        }
    };
    // A node reads from its configuration what is logged, and a simulated network keeps it.
    if !matches!(
        cli.command,
        cli::Command::Start(_) | cli::Command::Simulate(_)
    ) {
        telemetry::start(cli.verbose);
    }
    match in_runtime(cli) {
        Ok(()) => Exit::Success.into(),
        Err(failure) => {
            failure.report();
            failure.exit().into()
        }
    }
}

fn in_runtime(cli: Cli) -> Result<(), Failure> {
    // What `bench` tells is of one core for each end: no hand-over between threads in between.
    let mut builder = match &cli.command {
        cli::Command::Bench(args) if args.has_one_core() => {
            tokio::runtime::Builder::new_current_thread()
        }
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder
        .enable_all()
        .thread_name("dunlin")
        .build()
        .map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("the system gave no threads or timers ({error}); free some memory or raise `ulimit -u`, then try again"),
            )
        })?;
    // In a task: to wake the future that a runtime blocks on takes a system call.
    let running = runtime.spawn(commands::dispatch(cli));
    let result = runtime.block_on(running);
    runtime.shutdown_timeout(RUNTIME_GRACE);
    result.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Err(Failure::new(
            Exit::Failed,
            "the program was stopped".to_owned(),
        )),
    })
}
