//! What the measuring end does in each mode.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dunlin_session::NodeId;
use dunlin_transport::driver::Connection;
use dunlin_transport::plain::PlainInitiator;
use dunlin_transport::protect::Initiator;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use super::report::Report;
use super::{WRITE_LEN, kind, message, parse};
use crate::cli::BenchClientArgs;
use crate::cli::address::HostPort;
use crate::commands::stopwatch::Stopwatch;
use crate::failure::{Exit, Failure};
use crate::stack::{Dialled, Keys, connect_failure, ended, peer_id};

/// Handshakes under way while idle connections are opened.
const OPENING_AT_ONCE: u16 = 32;

/// A measurement that is to be made.
pub(super) struct Load<'a> {
    /// What the user asked for.
    pub(super) args: &'a BenchClientArgs,
    /// Who we are.
    pub(super) keys: &'a Keys,
    /// A connection that is open already.
    pub(super) dialled: &'a Dialled,
}

/// A measurement that was made.
pub(super) struct Measured {
    /// What it found.
    pub(super) report: Report,
    /// Connections that are to be kept for a while.
    pub(super) idle: Vec<Connection>,
}

impl From<Report> for Measured {
    fn from(report: Report) -> Self {
        Self {
            report,
            idle: Vec::new(),
        }
    }
}

impl Load<'_> {
    fn report(&self, stopwatch: &Stopwatch) -> Report {
        Report::new(self.args.mode, self.args.lab.plain, stopwatch)
    }

    /// Streams to the server, until it has confirmed their last byte.
    pub(super) async fn bulk(&self) -> std::io::Result<Measured> {
        let connection = &self.dialled.connection;
        let stopwatch = Stopwatch::start();
        let mut streams = JoinSet::new();
        for _ in 0..self.args.at_once {
            streams.spawn(fill_stream(
                connection.clone(),
                stopwatch,
                self.args.seconds,
            ));
        }
        let mut confirmed = 0;
        while let Some(stream) = streams.join_next().await {
            confirmed += stream??;
        }
        let report = self.report(&stopwatch);
        Ok(report.with_bytes(confirmed, connection.stats()).into())
    }

    /// Requests, always as many under way.
    pub(super) async fn requests(&self) -> std::io::Result<Measured> {
        let connection = &self.dialled.connection;
        request(connection).await?;
        let stopwatch = Stopwatch::start();
        let outstanding = usize::from(self.args.at_once);
        let mut began = vec![Duration::ZERO; outstanding];
        let mut times = Vec::new();
        for (tag, began) in (0..).zip(&mut began) {
            *began = stopwatch.elapsed();
            connection.send_message(message(kind::REQUEST, tag)).await?;
        }
        let mut under_way = outstanding;
        while under_way > 0 {
            let answer = connection.receive_message().await?;
            let now = stopwatch.elapsed();
            let tag = parse(&answer.data).map_or(u64::MAX, |(_, tag)| tag);
            let began = usize::try_from(tag)
                .ok()
                .and_then(|tag| began.get_mut(tag))
                .ok_or_else(|| std::io::Error::other("an answer belongs to no request"))?;
            times.push(now.saturating_sub(*began));
            if now < self.args.seconds {
                *began = now;
                connection.send_message(answer.data).await?;
            } else {
                under_way -= 1;
            }
        }
        Ok(self.report(&stopwatch).with_times(times).into())
    }

    /// Messages one way, until the server has confirmed the last of them.
    pub(super) async fn messages(&self) -> std::io::Result<Measured> {
        let connection = &self.dialled.connection;
        let stopwatch = Stopwatch::start();
        let mut sent = 0;
        while stopwatch.elapsed() < self.args.seconds {
            connection
                .send_message(message(kind::COUNTED, sent))
                .await?;
            sent += 1;
        }
        connection
            .send_message(message(kind::COMPLETE, sent))
            .await?;
        let answer = connection.receive_message().await?;
        if parse(&answer.data) != Some((kind::COMPLETE, sent)) {
            return Err(std::io::Error::other(
                "the server counted another number of messages",
            ));
        }
        Ok(self.report(&stopwatch).with_messages(sent).into())
    }

    /// Handshakes, always as many under way.
    pub(super) async fn handshakes(&self) -> Result<Measured, Failure> {
        let stopwatch = Stopwatch::start();
        let mut openers = JoinSet::new();
        for _ in 0..self.args.at_once {
            let (opener, seconds) = (self.opener(), self.args.seconds);
            openers.spawn(async move {
                let mut times = Vec::new();
                while stopwatch.elapsed() < seconds {
                    let before = stopwatch.elapsed();
                    opener.open().await?.abort(0, "done");
                    times.push(stopwatch.elapsed() - before);
                }
                Ok(times)
            });
        }
        let times = all(openers).await?;
        Ok(self.report(&stopwatch).with_times(times).into())
    }

    /// Connections that nothing is done with; the one that is open already counts.
    pub(super) async fn idle(&self) -> Result<Measured, Failure> {
        let stopwatch = Stopwatch::start();
        let missing = Arc::new(AtomicU16::new(self.args.at_once - 1));
        let mut openers = JoinSet::new();
        for _ in 0..OPENING_AT_ONCE {
            let (opener, missing) = (self.opener(), Arc::clone(&missing));
            openers.spawn(async move {
                let mut open = Vec::new();
                let next = |left: u16| left.checked_sub(1);
                while missing
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
                    .is_ok()
                {
                    open.push(opener.open().await?);
                }
                Ok(open)
            });
        }
        let mut idle = all(openers).await?;
        idle.push(self.dialled.connection.clone());
        let report = self.report(&stopwatch).with_connections(idle.len());
        Ok(Measured { report, idle })
    }

    fn opener(&self) -> Opener {
        Opener {
            place: self.args.to.place().clone(),
            plain: self.args.lab.plain,
            keys: self.keys.clone(),
            endpoint: self.dialled.endpoint.clone(),
            address: self.dialled.address,
            // The ID that the first connection met; there is one handshake, not two, to measure.
            expected: peer_id(&self.dialled.connection),
        }
    }
}

/// Opens further connections.
struct Opener {
    place: HostPort,
    plain: bool,
    keys: Keys,
    endpoint: dunlin_transport::driver::Endpoint,
    address: std::net::SocketAddr,
    expected: Option<NodeId>,
}

impl Opener {
    /// A connection that the server has accepted, too: it has answered.
    async fn open(&self) -> Result<Connection, Failure> {
        let initiator: Box<dyn Initiator> = if self.plain {
            Box::new(PlainInitiator::new())
        } else {
            self.keys.initiator(self.expected)
        };
        let place = &self.place;
        let connection = self
            .endpoint
            .connect(self.address, initiator)
            .await
            .map_err(|error| connect_failure(place, &error))?;
        match (request(&connection).await, connection.close_reason()) {
            (Ok(()), _) => Ok(connection),
            (Err(_), Some(reason)) => Err(ended(place, &reason)),
            (Err(error), None) => Err(Failure::new(
                Exit::Unreachable,
                format!("a handshake failed: {error}; try again"),
            )),
        }
    }
}

/// Writes on a stream of its own until the time is over; how many bytes the server confirmed.
async fn fill_stream(
    connection: Connection,
    stopwatch: Stopwatch,
    seconds: Duration,
) -> std::io::Result<u64> {
    let (mut writer, mut reader) = connection.open_stream().await?;
    let data = Bytes::from(vec![0x5a; WRITE_LEN]);
    let mut sent = 0_u64;
    while stopwatch.elapsed() < seconds {
        writer.write_shared(data.clone()).await?;
        sent += data.len() as u64;
    }
    writer.shutdown().await?;
    let confirmed = reader.read_u64().await?;
    if confirmed != sent {
        return Err(std::io::Error::other(
            "the server counted another number of bytes",
        ));
    }
    Ok(confirmed)
}

async fn request(connection: &Connection) -> std::io::Result<()> {
    connection.send_message(message(kind::REQUEST, 0)).await?;
    connection.receive_message().await?;
    Ok(())
}

/// What all of them made, one after the other, or why the first failed.
async fn all<T: 'static>(mut tasks: JoinSet<Result<Vec<T>, Failure>>) -> Result<Vec<T>, Failure> {
    let mut made = Vec::new();
    while let Some(task) = tasks.join_next().await {
        let task = task.map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("a task ended early: {error}; try again"),
            )
        })?;
        made.append(&mut task?);
    }
    Ok(made)
}
