//! The workloads over a transport that carries one stream of bytes: requests, answers and messages
//! are coalesced into it, as programs over TCP do. The first byte of a connection names the mode.
//! Blocks of `bulk` and messages begin with a byte that is 1, or 0 in the last one.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::spawn_local;

use crate::cli::{Client, Mode, Role, Setup};
use crate::multiplexed::{confirmed, on_one_thread};
use crate::report::{Measurement, Report};
use crate::{OPENING_AT_ONCE, REQUEST_SIZE, Result, WRITE_SIZE};

/// Requests that are read at once: no more than are under way, for an idle connection has the memory.
const FRAMES: usize = 64;

/// A connection that is being made.
pub type Handshake<S> = Pin<Box<dyn Future<Output = Result<S>>>>;

/// One end of a transport.
#[expect(async_fn_in_trait, reason = "all runs on one thread")]
pub trait Endpoint: Sized + 'static {
    /// Name in the results.
    const NAME: &'static str;
    /// Its connections.
    type Stream: AsyncRead + AsyncWrite + Unpin + 'static;

    /// Listens.
    ///
    /// # Errors
    /// When the system or the transport refuses.
    async fn server(listen: SocketAddr, setup: &Setup) -> Result<Self>;

    /// Is ready to connect.
    ///
    /// # Errors
    /// As [`Self::server`].
    fn client(mode: Mode, setup: &Setup) -> Result<Self>;

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not tell.
    fn local_addr(&self) -> Result<SocketAddr>;

    /// A new connection.
    ///
    /// # Errors
    /// When it cannot be made.
    async fn connect(&self, server: SocketAddr) -> Result<Self::Stream>;

    /// The next connection that a client makes.
    ///
    /// # Errors
    /// When the endpoint is closed.
    async fn accept(&mut self) -> Result<Handshake<Self::Stream>>;
}

/// Either end of a measurement of `E`, on one thread.
///
/// # Errors
/// When the endpoint cannot be had or the measurement fails.
pub fn main<E: Endpoint>(role: Role) -> Result<()> {
    on_one_thread(async {
        match role {
            Role::Server { listen, setup } => serve(E::server(listen, &setup).await?).await,
            Role::Client(arguments) => measure::<E>(&arguments).await,
        }
    })
}

async fn serve<E: Endpoint>(mut endpoint: E) -> Result<()> {
    println!("{}@{}", E::NAME, endpoint.local_addr()?);
    loop {
        let handshake = endpoint.accept().await?;
        spawn_local(async move {
            let served = match handshake.await {
                Ok(stream) => serve_connection(stream).await,
                Err(error) => Err(error),
            };
            if let Err(error) = served {
                eprintln!("connection failed: {error}");
            }
        });
    }
}

async fn serve_connection(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<()> {
    let mode = Mode::ALL.get(usize::from(stream.read_u8().await?));
    match mode.ok_or("the client names no mode")? {
        Mode::Bulk => count(&mut stream, WRITE_SIZE).await,
        Mode::Messages => count(&mut stream, REQUEST_SIZE).await,
        Mode::Rr | Mode::Handshake | Mode::Idle => answer(&mut stream).await,
    }
}

/// Counts bytes in units of `unit` up to the end of the last one, and tells the client.
async fn count(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), unit: usize) -> Result<()> {
    let mut buffer = vec![0; WRITE_SIZE];
    let mut total = 0;
    // Of the unit that is being read.
    let (mut missing, mut last) = (0, false);
    while !last || missing > 0 {
        let length = stream.read(&mut buffer).await?;
        let mut rest = buffer.get(..length).filter(|read| !read.is_empty());
        if rest.is_none() {
            return Err("the client ended in the middle".into());
        }
        total += length as u64;
        while let Some([first, ..]) = rest {
            if missing == 0 {
                (missing, last) = (unit, *first == 0);
            }
            let taken = missing.min(rest.map_or(0, <[u8]>::len));
            missing -= taken;
            rest = rest.and_then(|rest| rest.get(taken..));
        }
    }
    stream.write_all(&total.to_be_bytes()).await?;
    stream.flush().await?;
    // The client ends the connection.
    let _ = stream.read(&mut buffer).await;
    Ok(())
}

/// Sends whole requests back, as many as have come, until the client ends the connection.
async fn answer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<()> {
    let mut frames = Frames::new();
    while let Ok(requests) = frames.read(stream).await {
        stream.write_all(requests).await?;
        stream.flush().await?;
    }
    Ok(())
}

/// Reads what has come, and hands on what is whole.
struct Frames {
    buffer: Vec<u8>,
    whole: usize,
    filled: usize,
}

impl Frames {
    fn new() -> Self {
        Self {
            buffer: vec![0; FRAMES * REQUEST_SIZE],
            whole: 0,
            filled: 0,
        }
    }

    /// The next frames of [`REQUEST_SIZE`] bytes, at least one.
    async fn read(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<&[u8]> {
        self.buffer.copy_within(self.whole..self.filled, 0);
        self.filled -= self.whole;
        self.whole = 0;
        while self.whole == 0 {
            let free = self.buffer.get_mut(self.filled..).unwrap_or_default();
            match stream.read(free).await? {
                0 => return Err("the other end is gone".into()),
                length => self.filled += length,
            }
            self.whole = self.filled - self.filled % REQUEST_SIZE;
        }
        Ok(self.buffer.get(..self.whole).unwrap_or_default())
    }
}

async fn measure<E: Endpoint>(arguments: &Client) -> Result<()> {
    let run = Run {
        endpoint: &E::client(arguments.mode, &arguments.setup)?,
        server: arguments.socket_addr()?,
        mode: arguments.mode,
        seconds: arguments.seconds,
        at_once: arguments.at_once,
    };
    let json = arguments.json;
    match arguments.mode {
        Mode::Bulk => run.bulk().await?.print(json),
        Mode::Rr => run.requests().await?.print(json),
        Mode::Messages => run.messages().await?.print(json),
        Mode::Handshake => run.handshakes().await?.print(json),
        Mode::Idle => run.idle(json).await?,
    }
    Ok(())
}

struct Run<'a, E> {
    endpoint: &'a E,
    server: SocketAddr,
    mode: Mode,
    seconds: f64,
    at_once: usize,
}

impl<E: Endpoint> Run<'_, E> {
    fn begin(&self) -> Measurement {
        Measurement::begin(E::NAME, self.mode, self.seconds)
    }

    async fn connect(&self) -> Result<E::Stream> {
        let mut stream = self.endpoint.connect(self.server).await?;
        let code = Mode::ALL.iter().position(|mode| *mode == self.mode);
        let code = u8::try_from(code.unwrap_or_default())?;
        stream.write_u8(code).await?;
        Ok(stream)
    }

    /// As many connections as streams are asked for.
    async fn bulk(&self) -> Result<Report> {
        let opening = (0..self.at_once).map(|_| self.connect());
        let streams = try_join_all(opening).await?;
        let run = self.begin();
        let mut block = vec![0x5a; WRITE_SIZE];
        block[0] = 1;
        let filling = streams
            .into_iter()
            .map(|stream| fill(stream, &run, &block, WRITE_SIZE));
        let bytes = try_join_all(filling).await?;
        Ok(run.end_bulk(bytes.iter().sum()))
    }

    async fn messages(&self) -> Result<Report> {
        let stream = self.connect().await?;
        let mut message = [0x5a; REQUEST_SIZE];
        message[0] = 1;
        let run = self.begin();
        let block = message.repeat(WRITE_SIZE / REQUEST_SIZE);
        let bytes = fill(stream, &run, &block, REQUEST_SIZE).await?;
        Ok(run.end_messages(bytes / REQUEST_SIZE as u64))
    }

    async fn requests(&self) -> Result<Report> {
        let mut stream = self.connect().await?;
        request(&mut stream).await?;
        let run = self.begin();
        let times = pipeline(&mut stream, &run, self.at_once).await?;
        Ok(run.end_times(times))
    }

    async fn handshakes(&self) -> Result<Report> {
        let run = self.begin();
        let ends = (0..self.at_once).map(|_| async {
            let mut times = Vec::new();
            while !run.is_over() {
                let began = Instant::now();
                // Once the server has answered, it has accepted our proof.
                request(&mut self.connect().await?).await?;
                times.push(began.elapsed());
            }
            Result::Ok(times)
        });
        let times = try_join_all(ends).await?.concat();
        Ok(run.end_times(times))
    }

    /// Prints its report when all connections are open, and then keeps them.
    async fn idle(&self, json: bool) -> Result<()> {
        let run = self.begin();
        let openers = (0..OPENING_AT_ONCE).map(|opener| async move {
            let mut streams = Vec::new();
            for _ in (opener..self.at_once).step_by(OPENING_AT_ONCE) {
                let mut stream = self.connect().await?;
                request(&mut stream).await?;
                streams.push(stream);
            }
            Result::Ok(streams)
        });
        let streams = try_join_all(openers).await?;
        run.end_idle(self.at_once).print(json);
        tokio::time::sleep(Duration::from_secs_f64(self.seconds)).await;
        drop(streams);
        Ok(())
    }
}

/// Writes `block`, made of units of `unit` bytes, until the time is over, then a last unit; how
/// many bytes the server confirmed.
async fn fill(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    run: &Measurement,
    block: &[u8],
    unit: usize,
) -> Result<u64> {
    let mut sent = 0;
    while !run.is_over() {
        stream.write_all(block).await?;
        sent += block.len() as u64;
    }
    stream.write_all(&vec![0; unit]).await?;
    stream.flush().await?;
    confirmed(sent + unit as u64, stream.read_u64().await?)
}

async fn request(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<()> {
    let mut buffer = [0x5a; REQUEST_SIZE];
    stream.write_all(&buffer).await?;
    stream.flush().await?;
    stream.read_exact(&mut buffer).await?;
    Ok(())
}

/// Keeps `outstanding` requests under way, each with its number in its first bytes. Requests that
/// follow answers which came together leave together. How long each took.
async fn pipeline(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    run: &Measurement,
    outstanding: usize,
) -> Result<Vec<Duration>> {
    let mut began = vec![Instant::now(); outstanding];
    let mut out = Vec::with_capacity(outstanding * REQUEST_SIZE);
    for tag in 0..outstanding {
        put_request(&mut out, tag);
    }
    let mut frames = Frames::new();
    let mut times = Vec::new();
    let mut under_way = outstanding;
    while under_way > 0 {
        stream.write_all(&out).await?;
        stream.flush().await?;
        out.clear();
        let over = run.is_over();
        for answer in frames.read(stream).await?.chunks_exact(REQUEST_SIZE) {
            let tag = answer.first_chunk().copied().map(u64::from_be_bytes);
            let tag = usize::try_from(tag.unwrap_or(u64::MAX))?;
            let sent = began.get_mut(tag).ok_or("an answer has an unknown tag")?;
            times.push(sent.elapsed());
            if over {
                under_way -= 1;
            } else {
                *sent = Instant::now();
                put_request(&mut out, tag);
            }
        }
    }
    Ok(times)
}

fn put_request(out: &mut Vec<u8>, tag: usize) {
    out.extend_from_slice(&(tag as u64).to_be_bytes());
    out.extend_from_slice(&[0x5a; REQUEST_SIZE - 8]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn counts_units_to_the_end_of_the_last_one() {
        let (mut client, mut server) = tokio::io::duplex(100);
        let counting = async { count(&mut server, REQUEST_SIZE).await.unwrap() };
        let writing = async {
            let mut message = [9; REQUEST_SIZE];
            for first in [1, 1, 0] {
                message[0] = first;
                client.write_all(&message).await.unwrap();
            }
            let counted = client.read_u64().await.unwrap();
            drop(client);
            counted
        };
        let ((), counted) = tokio::join!(counting, writing);
        assert_eq!(counted, 3 * 64);
    }

    #[tokio::test]
    async fn hands_on_whole_frames_and_keeps_the_rest() {
        let (mut client, mut server) = tokio::io::duplex(1_000);
        client.write_all(&[1; 100]).await.unwrap();
        let mut frames = Frames::new();
        assert_eq!(frames.read(&mut server).await.unwrap(), [1; 64]);
        client.write_all(&[2; 92]).await.unwrap();
        let second = frames.read(&mut server).await.unwrap();
        assert_eq!((second.len(), second[35], second[36]), (128, 1, 2));
    }
}
