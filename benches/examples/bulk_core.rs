//! Where the time of a bulk transfer goes, without kernel and runtime: two cores in one process, one stream
//! from one to the other, batches handed over in memory.
//!
//! ```text
//! cargo run --release -p dunlin-benches --example bulk_core -- 512 1452 sealed
//! valgrind --tool=callgrind target/release/examples/bulk_core 64
//! ```
//!
//! Arguments: MB to send, bytes of a packet, `sealed` or `plain`. Printed are nanoseconds a byte of each
//! part: the median over rounds of about half a megabyte, so that other work of the machine does
//! not show. Time of the connection itself is simulated: 20 µs for each way.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dunlin_session::fuzzing::SeededRandom;
use dunlin_session::{Identity, SessionAcceptor, SessionConfig, SessionInitiator, provider};
use dunlin_transport::plain::{PlainAcceptor, PlainInitiator};
use dunlin_transport::protect::{Acceptor, Initiator};
use dunlin_transport::{
    ConnectionHandle, EcnMark, Endpoint, EndpointConfig, Event, Instant, ReadError,
    StreamDirection, StreamId, WriteError,
};

/// Batches that one end sends before the other has its turn, as in the driver.
const BATCHES: usize = 8;
/// Bytes of a write.
const WRITE_LEN: usize = 64 * 1024;
/// Bytes of a read, at most.
const READ_LEN: usize = 256 * 1024;
/// Time from one end to the other.
const WAY: Duration = Duration::from_micros(20);

/// What is measured apart.
const PARTS: [&str; 6] = [
    "write: bytes of the application into the send buffer",
    "transmit: packets made and sealed",
    "receive: packets opened and placed",
    "read: bytes to the application",
    "acknowledge: acknowledgements made",
    "acknowledged: acknowledgements taken in",
];

struct End {
    core: Endpoint,
    connection: Option<ConnectionHandle>,
    address: SocketAddr,
}

impl End {
    fn new(port: u16, mtu: usize, acceptor: Option<Box<dyn Acceptor>>) -> Self {
        let mut config = EndpointConfig::default();
        (config.transport.mtu, config.transport.mtu_max) = (mtu, mtu);
        let random = SeededRandom::new(u64::from(port));
        Self {
            core: Endpoint::new(config, Box::new(random), acceptor),
            connection: None,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        }
    }

    /// The batches that may leave now: datagrams of each, and their size.
    fn transmit(&mut self, now: Instant, batches: &mut Vec<(Vec<u8>, usize)>) -> usize {
        let mut filled = 0;
        while filled < BATCHES {
            if batches.len() == filled {
                batches.push((Vec::new(), 0));
            }
            let (buffer, segment) = &mut batches[filled];
            let Some(sent) = self.core.poll_transmit(now, 64, buffer) else {
                break;
            };
            *segment = sent.segment_size.unwrap_or(sent.size).max(1);
            filled += 1;
        }
        filled
    }

    fn receive(&mut self, now: Instant, from: SocketAddr, batches: &mut [(Vec<u8>, usize)]) {
        for (buffer, segment) in batches {
            for datagram in buffer.chunks_mut(*segment) {
                self.core
                    .handle_datagram(now, from, Some(EcnMark::Ect0), datagram);
            }
        }
        while let Some((connection, event)) = self.core.poll_event() {
            if matches!(event, Event::Connected { .. }) {
                self.connection = Some(connection);
            }
        }
    }

    fn due(&mut self, now: Instant) {
        if self
            .core
            .poll_timeout()
            .is_some_and(|deadline| deadline <= now)
        {
            self.core.handle_timeout(now);
        }
    }

    fn connection(&mut self) -> Result<&mut dunlin_transport::Connection, Box<dyn Error>> {
        let handle = self.connection.ok_or("the handshake is not complete")?;
        Ok(self
            .core
            .connection_mut(handle)
            .ok_or("the connection is gone")?)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| -> Result<usize, Box<dyn Error>> {
        Ok(arguments.next().map_or(Ok(default), |it| it.parse())?)
    };
    let (megabytes, mtu) = (number(256)?, number(1_452)?);
    let sealed = arguments.next().is_none_or(|it| it == "sealed");
    let (mut one, mut two, initiator) = ends(mtu, sealed);
    let mut now = Instant::from_nanos(1_000_000_000);
    one.core.connect(now, two.address, initiator)?;
    let mut batches = Vec::new();
    for _ in 0..8 {
        exchange(&mut one, &mut two, &mut now, &mut batches);
        exchange(&mut two, &mut one, &mut now, &mut batches);
    }
    let stream = one
        .connection()?
        .open_stream(StreamDirection::Unidirectional)
        .ok_or("no stream may be opened")?;
    let goal = megabytes as u64 * 1_000_000;
    let parts = transfer((&mut one, &mut two), stream, goal, &mut now)?;
    print(&parts);
    let stats = one.connection()?.stats();
    println!(
        "packets sent {}, lost {}; acknowledgements {}",
        stats.packets_sent,
        stats.packets_lost,
        two.connection()?.stats().acks_sent
    );
    Ok(())
}

fn ends(mtu: usize, sealed: bool) -> (End, End, Box<dyn Initiator>) {
    if !sealed {
        let acceptor = Box::new(PlainAcceptor::new());
        let (one, two) = (End::new(1, mtu, None), End::new(2, mtu, Some(acceptor)));
        return (one, two, Box::new(PlainInitiator::new()));
    }
    let mut random = SeededRandom::new(7);
    let config = SessionConfig::default();
    let provider = provider::aws_lc();
    let (ours, theirs) = (
        Arc::new(Identity::generate(&mut random)),
        Arc::new(Identity::generate(&mut random)),
    );
    let expected = Some(theirs.node_id());
    let acceptor = SessionAcceptor::new(theirs, config.clone(), provider.clone(), &mut random);
    let initiator = SessionInitiator::new(ours, config, provider, expected, &mut random);
    (
        End::new(1, mtu, None),
        End::new(2, mtu, Some(Box::new(acceptor))),
        Box::new(initiator),
    )
}

fn exchange(from: &mut End, to: &mut End, now: &mut Instant, batches: &mut Vec<(Vec<u8>, usize)>) {
    from.due(*now);
    let filled = from.transmit(*now, batches);
    *now = *now + WAY;
    to.receive(*now, from.address, &mut batches[..filled]);
}

/// A round: nanoseconds of each part, and bytes.
type Round = ([u64; PARTS.len()], u64);

/// Sends `goal` bytes: nanoseconds of each part and bytes, by round.
fn transfer(
    (one, two): (&mut End, &mut End),
    stream: StreamId,
    goal: u64,
    now: &mut Instant,
) -> Result<Vec<Round>, Box<dyn Error>> {
    let data = vec![0x5a; WRITE_LEN];
    let mut out = vec![0; READ_LEN];
    let (mut batches, mut answers) = (Vec::new(), Vec::new());
    let (mut rounds, mut total, mut incoming) = (Vec::new(), 0, None);
    while total < goal {
        let mut times = [0; PARTS.len()];
        let mut part = Stopwatch::start();
        loop {
            match one.connection()?.write_short(stream, &data) {
                Ok(_) => {}
                Err(WriteError::Blocked) => break,
                Err(error) => return Err(error.into()),
            }
        }
        part.lap(&mut times[0]);
        one.due(*now);
        let filled = one.transmit(*now, &mut batches);
        part.lap(&mut times[1]);
        *now = *now + WAY;
        two.receive(*now, one.address, &mut batches[..filled]);
        part.lap(&mut times[2]);
        if incoming.is_none() {
            incoming = two
                .connection()?
                .accept_stream(StreamDirection::Unidirectional);
        }
        let mut read = 0;
        while let Some(id) = incoming {
            match two.connection()?.read(id, &mut out) {
                Ok(count) => read += count as u64,
                Err(ReadError::Blocked) => break,
                Err(error) => return Err(error.into()),
            }
        }
        part.lap(&mut times[3]);
        two.due(*now);
        let filled = two.transmit(*now, &mut answers);
        part.lap(&mut times[4]);
        *now = *now + WAY;
        one.receive(*now, two.address, &mut answers[..filled]);
        part.lap(&mut times[5]);
        total += read;
        rounds.push((times, read));
    }
    Ok(rounds)
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn print(rounds: &[([u64; PARTS.len()], u64)]) {
    let full: Vec<_> = rounds
        .iter()
        .filter(|(_, bytes)| *bytes > 100_000)
        .collect();
    let mut sum = 0.0;
    for (index, name) in PARTS.iter().enumerate() {
        let mut each: Vec<f64> = full
            .iter()
            .map(|(times, bytes)| times[index] as f64 / *bytes as f64)
            .collect();
        each.sort_by(f64::total_cmp);
        let median = each.get(each.len() / 2).copied().unwrap_or_default();
        sum += median;
        println!("{median:7.4} ns/byte  {name}");
    }
    println!("{sum:7.4} ns/byte  both ends, {} rounds", full.len());
}

struct Stopwatch(std::time::Instant);

impl Stopwatch {
    fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// Adds what passed since the last call.
    fn lap(&mut self, to: &mut u64) {
        let now = std::time::Instant::now();
        *to += u64::try_from((now - self.0).as_nanos()).unwrap_or(u64::MAX);
        self.0 = now;
    }
}
