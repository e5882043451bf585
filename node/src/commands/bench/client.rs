//! The measuring end.

use std::time::Duration;

use dunlin_transport::driver::Connection;
use dunlin_transport::plain::PlainInitiator;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::report::Report;
use super::{REQUEST_LEN, WRITE_LEN};
use crate::cli::{BenchClientArgs, BenchMode};
use crate::commands::stopwatch::Stopwatch;
use crate::commands::{note, print_line};
use crate::failure::{Exit, Failure};
use crate::signals::Shutdown;
use crate::stack::{Dialled, Keys, Wire, connect, connect_failure, ended, peer_id};
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
    dialled.connection.abort(0, "done");
    dialled.endpoint.shutdown(Duration::from_millis(300)).await;
    let report = result.unwrap_or_else(|_| {
        Err(Failure::new(
            Exit::Unreachable,
            format!(
                "{} did not answer any more; is its server overloaded?",
                args.to.place()
            ),
        ))
    })?;
    if args.json {
        let json = serde_json::to_string(&report).map_err(|error| {
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
) -> Result<Report, Failure> {
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
    match args.mode {
        BenchMode::Bulk => bulk(args, &dialled.connection).await.map_err(lost),
        BenchMode::Rr => requests(args, &dialled.connection).await.map_err(lost),
        BenchMode::Handshake => handshakes(args, keys, dialled).await,
    }
}

async fn bulk(args: &BenchClientArgs, connection: &Connection) -> std::io::Result<Report> {
    let (mut writer, mut reader) = connection.open_stream().await?;
    let data = vec![0x5a; WRITE_LEN];
    let stopwatch = Stopwatch::start();
    let mut sent = 0_u64;
    while stopwatch.elapsed() < args.seconds {
        writer.write_all(&data).await?;
        sent += data.len() as u64;
    }
    writer.shutdown().await?;
    let confirmed = reader.read_u64().await?;
    if confirmed != sent {
        return Err(std::io::Error::other(
            "the server counted another number of bytes",
        ));
    }
    Ok(Report::bulk(
        args.lab.plain,
        &stopwatch,
        confirmed,
        connection.stats(),
    ))
}

async fn requests(args: &BenchClientArgs, connection: &Connection) -> std::io::Result<Report> {
    request(connection).await?;
    let mut times = Vec::new();
    let stopwatch = Stopwatch::start();
    while stopwatch.elapsed() < args.seconds {
        let before = stopwatch.elapsed();
        request(connection).await?;
        times.push(stopwatch.elapsed() - before);
    }
    Ok(Report::times(
        BenchMode::Rr,
        args.lab.plain,
        &stopwatch,
        times,
    ))
}

async fn request(connection: &Connection) -> std::io::Result<()> {
    connection.send_message([0x5a; REQUEST_LEN]).await?;
    connection.receive_message().await?;
    Ok(())
}

async fn handshakes(
    args: &BenchClientArgs,
    keys: &Keys,
    dialled: &Dialled,
) -> Result<Report, Failure> {
    // The ID that the first connection met; there is one handshake, not two, to measure.
    let expected = peer_id(&dialled.connection);
    let mut times = Vec::new();
    let stopwatch = Stopwatch::start();
    while stopwatch.elapsed() < args.seconds {
        let before = stopwatch.elapsed();
        let initiator: Box<dyn dunlin_transport::protect::Initiator> = if args.lab.plain {
            Box::new(PlainInitiator::new())
        } else {
            keys.initiator(expected)
        };
        let connection = dialled
            .endpoint
            .connect(dialled.address, initiator)
            .await
            .map_err(|error| connect_failure(args.to.place(), &error))?;
        request(&connection).await.map_err(|error| {
            let reason = connection.close_reason();
            reason.map_or_else(
                || {
                    Failure::new(
                        Exit::Unreachable,
                        format!("a handshake failed: {error}; try again"),
                    )
                },
                |reason| ended(args.to.place(), &reason),
            )
        })?;
        times.push(stopwatch.elapsed() - before);
        connection.abort(0, "done");
    }
    Ok(Report::times(
        BenchMode::Handshake,
        args.lab.plain,
        &stopwatch,
        times,
    ))
}
