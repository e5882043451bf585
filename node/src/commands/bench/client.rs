//! The measuring end.

use std::time::Duration;

use super::load::{Load, Measured};
use super::report::Report;
use crate::cli::{BenchClientArgs, BenchMode};
use crate::commands::{note, print_line};
use crate::failure::{Exit, Failure};
use crate::signals::Shutdown;
use crate::stack::{Dialled, Keys, Wire, connect, ended};
use crate::trace::Traces;

/// How long after its end a measurement may wait for the server.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs one measurement and prints what it found.
pub(super) async fn run(
    args: BenchClientArgs,
    traces: Traces,
    shutdown: Shutdown,
) -> Result<(), Failure> {
    let keys = if args.lab.plain {
        Keys::throwaway()
    } else {
        Keys::load(&args.keys)?
    }
    .with_traces(traces);
    let stopped = || shutdown.interrupted("stopped before the measurement was complete");
    let wire = Wire {
        lab: args.lab,
        carriers: args.carrier.into(),
        controller: args.controller,
        shards: 1,
        measured: true,
    };
    let dialled = tokio::select! {
        dialled = connect(&keys, &args.to, wire, note) => dialled?,
        () = shutdown.requested() => return Err(stopped()),
    };
    let measuring = tokio::time::timeout(args.seconds + PATIENCE, measure(&args, &keys, &dialled));
    let result = tokio::select! {
        result = measuring => result,
        () = shutdown.requested() => Ok(Err(stopped())),
    };
    let result = result.unwrap_or_else(|_| Err(overloaded(&args)));
    let told = result.and_then(|measured| {
        tell(&measured.report, args.json)?;
        Ok(measured.idle)
    });
    if told.as_ref().is_ok_and(|idle| !idle.is_empty()) {
        tokio::select! {
            () = tokio::time::sleep(args.seconds) => {}
            () = shutdown.requested() => {}
        }
    }
    dialled.connection.abort(0, "done");
    dialled.endpoint.shutdown(Duration::from_millis(300)).await;
    told.map(drop)
}

fn overloaded(args: &BenchClientArgs) -> Failure {
    Failure::new(
        Exit::Unreachable,
        format!(
            "{} did not answer any more; is its server overloaded?",
            args.to.place()
        ),
    )
}

fn tell(report: &Report, json: bool) -> Result<(), Failure> {
    if json {
        let json = serde_json::to_string(report).map_err(|error| {
            Failure::new(Exit::Failed, format!("the report is no JSON ({error})"))
        })?;
        print_line(&json)
    } else {
        print_line(&report.sentence())
    }
}

async fn measure(
    args: &BenchClientArgs,
    keys: &Keys,
    dialled: &Dialled,
) -> Result<Measured, Failure> {
    let lost = |error: std::io::Error| match dialled.connection.close_reason() {
        Some(reason) => ended(args.to.place(), &reason),
        None => Failure::new(
            Exit::Unreachable,
            format!(
                "the measurement with {} failed: {error}; try again",
                args.to.place()
            ),
        ),
    };
    let load = Load {
        args,
        keys,
        dialled,
    };
    match args.mode {
        BenchMode::Bulk => load.bulk().await.map_err(lost),
        BenchMode::Rr => load.requests().await.map_err(lost),
        BenchMode::Messages => load.messages().await.map_err(lost),
        BenchMode::Handshake => load.handshakes().await,
        BenchMode::Idle => load.idle().await,
    }
}
