//! `dunlin send`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dunlin_transport::driver::{CarrierChoice, Connection};

use crate::cli::SendArgs;
use crate::commands::{note, print_line, stopwatch::Stopwatch};
use crate::failure::{Exit, Failure};
use crate::progress_bar::{Bar, plural, rate};
use crate::signals::Shutdown;
use crate::stack::{Dialled, Keys, Wire, connect, ended};
use crate::trace::Traces;
use crate::transfer::progress::Progress;
use crate::transfer::sentences::{End, failure, problems};
use crate::transfer::{Manifest, Outcome, TransferError, send};

/// Code of the reset that tells the receiver that the user stopped.
const STOPPED: u64 = 1;
/// How long the last packets may take.
const CLOSING: Duration = Duration::from_secs(1);

/// Sends a file or folder; the exit code tells what the receiver says became of it.
pub(super) async fn run(args: SendArgs, traces: Traces, shutdown: Shutdown) -> Result<(), Failure> {
    let bar = Arc::new(Bar::default());
    let stopped = || shutdown.interrupted("stopped; run the same command again to continue");
    // What cannot be read is told before anybody is called.
    let manifest = tokio::select! {
        manifest = list(args.path.clone(), Arc::clone(&bar)) => manifest?,
        () = shutdown.requested() => return Err(stopped()),
    };
    let keys = Keys::load(&args.keys)?.with_traces(traces);
    let wire = Wire::from(CarrierChoice::from(args.carrier)).with_controller(args.controller);
    let Dialled {
        endpoint,
        connection,
        ..
    } = tokio::select! {
        dialled = connect(&keys, &args.to, wire, |line| bar.line(line)) => dialled?,
        () = shutdown.requested() => return Err(stopped()),
    };
    let stopwatch = Stopwatch::start();
    let sent = tokio::select! {
        sent = send_over(&connection, Arc::clone(&manifest), Arc::clone(&bar)) => sent,
        () = shutdown.requested() => {
            bar.finish();
            connection.abort(STOPPED, "stopped by its user");
            endpoint.shutdown(CLOSING / 2).await;
            return Err(stopped());
        }
    };
    bar.finish();
    let result = match sent {
        Ok(outcome) => tell(&outcome, &manifest, stopwatch.elapsed()),
        Err(error) => Err(explain(&args, &connection, &error)),
    };
    // A receiver that is gone does not acknowledge the end.
    let _ = tokio::time::timeout(CLOSING, connection.close(0, "done")).await;
    endpoint.shutdown(CLOSING).await;
    result
}

async fn list(path: std::path::PathBuf, bar: Arc<Bar>) -> Result<Arc<Manifest>, Failure> {
    let listing = tokio::task::spawn_blocking(move || {
        let progress: &dyn Progress = &*bar;
        readable(&path)?;
        Manifest::scan(&path, progress)
    });
    let listed = listing.await.map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("listing the files failed ({error}); try again"),
        )
    })?;
    listed
        .map(Arc::new)
        .map_err(|error| failure(&error, End::Sender))
}

/// A single file that cannot be opened is not worth a connection.
fn readable(path: &Path) -> Result<(), TransferError> {
    let unreadable = |source| TransferError::Local {
        doing: crate::transfer::error::Doing::Read,
        path: path.to_path_buf(),
        source,
    };
    if std::fs::metadata(path).map_err(unreadable)?.is_file() {
        std::fs::File::open(path).map_err(unreadable)?;
    }
    Ok(())
}

async fn send_over(
    connection: &Connection,
    manifest: Arc<Manifest>,
    bar: Arc<Bar>,
) -> Result<Outcome, TransferError> {
    let (writer, reader) = connection
        .open_stream()
        .await
        .map_err(|reason| TransferError::Connection(reason.into()))?;
    send(reader, writer, manifest, bar).await
}

/// A lost connection is explained by its own end where that says more.
fn explain(args: &SendArgs, connection: &Connection, error: &TransferError) -> Failure {
    match (error, connection.close_reason()) {
        (TransferError::Connection(_), Some(reason)) => {
            let closed = ended(args.to.place(), &reason);
            if closed.exit() == Exit::Refused {
                closed
            } else {
                failure(error, End::Sender)
            }
        }
        _ => failure(error, End::Sender),
    }
}

fn tell(outcome: &Outcome, manifest: &Manifest, elapsed: Duration) -> Result<(), Failure> {
    let bytes = outcome.written_bytes;
    let same = match outcome.same {
        0 => String::new(),
        count => format!(
            "; {count} {} there already",
            plural(count, "file was", "files were")
        ),
    };
    print_line(&format!(
        "sent {} {} of {} ({bytes} bytes) in {:.2} s, {}{same}; hashes verified",
        outcome.written,
        plural(outcome.written, "file", "files"),
        manifest.name().escape_debug(),
        elapsed.as_secs_f64(),
        rate(bytes, elapsed),
    ))?;
    match problems(outcome, manifest.entries()) {
        None => Ok(()),
        Some(failure) => {
            for (index, problem) in outcome.problems.iter().skip(1) {
                if let Some(entry) = manifest.entries().get(*index as usize) {
                    note(&format!(
                        "{}: {}",
                        entry.path,
                        crate::transfer::sentences::advice(*problem)
                    ));
                }
            }
            Err(failure)
        }
    }
}
