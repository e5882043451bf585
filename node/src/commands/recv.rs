//! `dunlin recv`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dunlin_session::NodeId;
use dunlin_transport::driver::{CarrierChoice, Connection, Endpoint, RecvStream, SendStream};
use tokio::sync::{Semaphore, mpsc};

use crate::cli::RecvArgs;
use crate::commands::{note, print_line, stopwatch::Stopwatch};
use crate::failure::{Exit, Failure, plain_reason};
use crate::progress_bar::{Bar, plural, rate};
use crate::signals::Shutdown;
use crate::stack::{Keys, Wire, listen, peer_id, reachable_address};
use crate::trace::Traces;
use crate::transfer::active::ActiveTransfers;
use crate::transfer::limits::CONCURRENT_TRANSFERS_MAX;
use crate::transfer::sentences::{End, failure, problems};
use crate::transfer::{AbortCode, Incoming, Outcome, TransferError};

/// How long a connection may take to begin its transfer: the list of a million files included.
const LIST_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the sender may take to close after the outcome.
const CLOSING: Duration = Duration::from_secs(3);

/// Receives until a signal comes, or, with `--once`, until a transfer has run to its end.
pub(super) async fn run(args: RecvArgs, traces: Traces, shutdown: Shutdown) -> Result<(), Failure> {
    let keys = Keys::load(&args.keys)?.with_traces(traces.clone());
    prepare(&args.out)?;
    let acceptor = keys.acceptor(&args.allow);
    let wire = Wire::from(CarrierChoice::from(args.carrier)).with_controller(args.controller);
    let endpoint = listen(args.listen, acceptor, wire, &traces)?;
    let _guard = keys.guard(&endpoint);
    let address = reachable_address(endpoint.local_addr());
    print_line(&format!("{}@{address}", keys.node_id()))?;
    note(&format!(
        "receiving into {}; stop with Ctrl-C",
        args.out.display()
    ));

    let (finished, mut results) = mpsc::channel(1);
    let room = Arc::new(Room {
        folder: args.out.clone(),
        active: ActiveTransfers::default(),
        places: Semaphore::new(CONCURRENT_TRANSFERS_MAX),
        shutdown: shutdown.clone(),
        finished,
    });
    let result = tokio::select! {
        () = accept_all(&endpoint, &room) => Err(shutdown.interrupted("the endpoint ended")),
        result = first_result(&mut results, args.once) => result,
        // Ctrl-C is how a receiver is meant to end, unless it waits for its one transfer.
        () = shutdown.requested() => if args.once {
            Err(shutdown.interrupted("stopped before a transfer was complete"))
        } else {
            Ok(())
        },
    };
    if shutdown.is_requested() {
        room.active.stop_all(AbortCode::Stopped).await;
    }
    endpoint.shutdown(Duration::from_millis(700)).await;
    result
}

/// A folder that cannot be written to is told at once, not when the first file comes.
fn prepare(folder: &std::path::Path) -> Result<(), Failure> {
    let checked =
        std::fs::create_dir_all(folder).and_then(|()| std::fs::read_dir(folder).map(drop));
    checked.map_err(|error| {
        Failure::new(
            Exit::Local,
            format!(
                "cannot receive into {}: {}; name a folder of yours with --out",
                folder.display(),
                plain_reason(&error)
            ),
        )
    })
}

async fn first_result(
    results: &mut mpsc::Receiver<Result<(), Failure>>,
    once: bool,
) -> Result<(), Failure> {
    loop {
        match results.recv().await {
            Some(result) if once => return result,
            Some(Err(failure)) => failure.report(),
            Some(Ok(())) => {}
            None => std::future::pending().await,
        }
    }
}

/// What all connections share.
struct Room {
    folder: PathBuf,
    active: ActiveTransfers<(Option<NodeId>, String)>,
    places: Semaphore,
    shutdown: Shutdown,
    finished: mpsc::Sender<Result<(), Failure>>,
}

async fn accept_all(endpoint: &Endpoint, room: &Arc<Room>) {
    while let Some(connection) = endpoint.accept().await {
        tokio::spawn(serve(connection, Arc::clone(room)));
    }
}

/// Serves one connection: a stream is a transfer.
async fn serve(connection: Connection, room: Arc<Room>) {
    let peer = peer_id(&connection);
    loop {
        let Ok(Ok((writer, reader))) =
            tokio::time::timeout(LIST_TIMEOUT, connection.accept_stream()).await
        else {
            break;
        };
        receive_one(&room, peer, reader, writer).await;
        // One transfer a connection is the custom; a second one may follow at once.
        if tokio::time::timeout(CLOSING, connection.closed())
            .await
            .is_ok()
        {
            return;
        }
    }
    connection.close(0, "nothing was sent").await;
}

async fn receive_one(room: &Room, peer: Option<NodeId>, reader: RecvStream, writer: SendStream) {
    // The list of files is the first thing that takes memory.
    let Ok(_place) = room.places.acquire().await else {
        return;
    };
    let accepting = tokio::time::timeout(LIST_TIMEOUT, Incoming::accept(reader, writer));
    let incoming = match accepting.await {
        Ok(Ok(incoming)) => incoming,
        Ok(Err(error)) => {
            failure(&error, End::Receiver).report();
            return;
        }
        Err(_) => {
            note("a peer connected and sent nothing; it was let go");
            return;
        }
    };
    let offered = incoming.offered().clone();
    let name = offered.name().to_owned();
    let shown = name.escape_debug().to_string();
    let from = peer.map_or_else(|| "a peer without identity".into(), |id| id.to_string());
    note(&format!("{shown} from {from}"));
    // Somebody who starts again is not kept out by his own dead connection.
    let (claim, stopper) = room.active.claim((peer, name)).await;
    if room.shutdown.is_requested() {
        incoming.decline(AbortCode::Stopped).await;
        return;
    }
    let (bar, stopwatch) = (Arc::new(Bar::default()), Stopwatch::start());
    let progress = Arc::clone(&bar);
    let received = incoming
        .receive(room.folder.clone(), progress, stopper)
        .await;
    bar.finish();
    drop(claim);
    let result = match received {
        Ok(outcome) => {
            note(&summary(&shown, &outcome, stopwatch.elapsed()));
            problems(&outcome, offered.entries()).map_or(Ok(()), Err)
        }
        // The sender may come back and continue: not the end, even with --once.
        Err(
            error @ (TransferError::Connection(_)
            | TransferError::Aborted(_)
            | TransferError::GaveUp(_)
            | TransferError::Violation(_)),
        ) => {
            failure(&error, End::Receiver).report();
            return;
        }
        Err(error) => Err(failure(&error, End::Receiver)),
    };
    // The receiver of results lives as long as the command.
    let _ = room.finished.send(result).await;
}

fn summary(name: &str, outcome: &Outcome, elapsed: Duration) -> String {
    format!(
        "{name}: {} {} written ({} bytes) in {:.2} s, {}; {} there already, {} not received",
        outcome.written,
        plural(outcome.written, "file", "files"),
        outcome.written_bytes,
        elapsed.as_secs_f64(),
        rate(outcome.written_bytes, elapsed),
        outcome.same,
        outcome.problem_count,
    )
}
