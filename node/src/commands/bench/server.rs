//! The answering end.

use std::time::Duration;

use dunlin_transport::driver::{Arrival, Connection, Endpoint, RecvStream, SendStream};
use tokio::io::AsyncWriteExt;

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
        shards: args.shards,
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

/// What came of messages that are only counted.
#[derive(Default)]
struct Tally {
    counted: u64,
    /// Reliable messages may overtake each other: the question may come before the last of them.
    expected: Option<u64>,
}

impl Tally {
    /// The answer to a message, if it gets one; an error ends the connection.
    fn answer(&mut self, message: Vec<u8>) -> Result<Option<Vec<u8>>, Malformed> {
        match parse(&message) {
            Some((kind::REQUEST, _)) => return Ok(Some(message)),
            Some((kind::COUNTED, _)) => self.counted += 1,
            Some((kind::COMPLETE, number)) => self.expected = Some(number),
            _ => return Err(Malformed),
        }
        let done = self
            .expected
            .take_if(|expected| self.counted >= *expected)
            .map(|_| std::mem::take(&mut self.counted));
        Ok(done.map(|counted| self::message(kind::COMPLETE, counted).to_vec()))
    }
}

/// Not a message of a measurement.
struct Malformed;

/// A task for each connection, most of which wait: it has room for nothing else.
async fn serve(connection: Connection) {
    let mut tally = Tally::default();
    while let Ok(arrival) = connection.next_arrival().await {
        let answer = match arrival {
            Arrival::Stream(writer, reader) => {
                serve_stream(writer, reader);
                continue;
            }
            Arrival::Message(message) => tally.answer(message.data),
        };
        match answer {
            Ok(None) => {}
            Ok(Some(answer)) => {
                if Box::pin(connection.send_message(answer)).await.is_err() {
                    return;
                }
            }
            Err(Malformed) => return,
        }
    }
}

fn serve_stream(writer: SendStream, reader: RecvStream) {
    tokio::spawn(async move {
        if let Err(error) = count(writer, reader).await {
            tracing::debug!(%error, "a bulk run ended early");
        }
    });
}

async fn count(mut writer: SendStream, mut reader: RecvStream) -> std::io::Result<()> {
    let mut total = 0_u64;
    loop {
        let count = reader.fill_some().await?.len();
        if count == 0 {
            break;
        }
        reader.consume(count);
        total += count as u64;
    }
    writer.write_all(&total.to_be_bytes()).await?;
    writer.finish().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_task<F: Future>(_: impl FnOnce(Connection) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_waiting_connection_takes_little_room() {
        let bytes = size_of_task(serve);
        assert!(bytes <= 300, "{bytes} bytes");
    }

    #[test]
    fn the_sum_is_told_when_the_last_message_has_come() {
        let mut tally = Tally::default();
        let counted = || message(kind::COUNTED, 0).to_vec();
        assert!(matches!(tally.answer(counted()), Ok(None)));
        assert!(matches!(
            tally.answer(message(kind::COMPLETE, 2).to_vec()),
            Ok(None)
        ));
        let told = tally.answer(counted()).ok().flatten().unwrap();
        assert_eq!(parse(&told), Some((kind::COMPLETE, 2)));
        let request = message(kind::REQUEST, 7).to_vec();
        let answer = tally.answer(request.clone());
        assert!(matches!(answer, Ok(Some(answer)) if answer == request));
        assert!(tally.answer(vec![99]).is_err());
    }
}
