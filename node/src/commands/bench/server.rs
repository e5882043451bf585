//! The answering end.

use std::time::Duration;

use dunlin_transport::driver::{Connection, Endpoint, RecvStream, SendStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{kind, message, parse};
use crate::cli::BenchServerArgs;
use crate::commands::{note, print_line};
use crate::failure::Failure;
use crate::signals::Shutdown;
use crate::stack::{Keys, Wire, listen, plain_acceptor, reachable_address};
use crate::trace::Traces;

/// Answers measurements until a signal comes.
pub(super) async fn run(
    args: BenchServerArgs,
    traces: Traces,
    shutdown: Shutdown,
) -> Result<(), Failure> {
    let wire = Wire {
        lab: args.lab,
        carriers: args.carrier.into(),
        controller: args.controller,
        measured: true,
    };
    let endpoint = if args.lab.plain {
        let endpoint = listen(args.listen, plain_acceptor(), wire, &traces)?;
        print_line(&reachable_address(endpoint.local_addr()).to_string())?;
        note("plain profile: a checksum and no secrecy; the client needs --plain too");
        endpoint
    } else {
        let keys = Keys::load(&args.keys)?.with_traces(traces.clone());
        let endpoint = listen(args.listen, keys.acceptor(&[]), wire, &traces)?;
        let address = reachable_address(endpoint.local_addr());
        print_line(&format!("{}@{address}", keys.node_id()))?;
        endpoint
    };
    tokio::select! {
        () = accept_all(&endpoint) => {}
        // Ctrl-C is how a server is meant to end.
        () = shutdown.requested() => {}
    }
    endpoint.shutdown(Duration::from_millis(500)).await;
    Ok(())
}

async fn accept_all(endpoint: &Endpoint) {
    while let Some(connection) = endpoint.accept().await {
        tokio::spawn(serve(connection));
    }
}

async fn serve(connection: Connection) {
    let streams = async {
        while let Ok((writer, reader)) = connection.accept_stream().await {
            tokio::spawn(async move {
                if let Err(error) = count(writer, reader).await {
                    tracing::debug!(%error, "a bulk run ended early");
                }
            });
        }
    };
    let messages = async {
        let mut counted = 0_u64;
        // Reliable messages may overtake each other: the question may come before the last of them.
        let mut expected = None;
        while let Ok(received) = connection.receive_message().await {
            match parse(&received.data) {
                Some((kind::REQUEST, _)) => {
                    // Apart, so that a task that waits for a request has no room for an answer.
                    let answer = Box::pin(connection.send_message(received.data));
                    if answer.await.is_err() {
                        return;
                    }
                }
                Some((kind::COUNTED, _)) => counted += 1,
                Some((kind::COMPLETE, number)) => expected = Some(number),
                _ => return,
            }
            if expected.is_some_and(|expected| counted >= expected) {
                expected = None;
                let answer = message(kind::COMPLETE, counted);
                counted = 0;
                if Box::pin(connection.send_message(answer)).await.is_err() {
                    return;
                }
            }
        }
    };
    tokio::join!(streams, messages);
}

async fn count(mut writer: SendStream, mut reader: RecvStream) -> std::io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    let mut total = 0_u64;
    loop {
        match reader.read(&mut buffer).await? {
            0 => break,
            read => total += read as u64,
        }
    }
    writer.write_all(&total.to_be_bytes()).await?;
    writer.finish().await?;
    Ok(())
}
