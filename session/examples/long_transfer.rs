//! A long transfer through a path that loses packets, with a key update every 2^16 packets: what arrives has
//! the hash of what was sent (`docs/threats.md`, "A long transfer under loss").
//!
//! ```text
//! cargo run --release -p dunlin-session --example long_transfer -- 10000000000 5
//! ```
//!
//! Arguments: bytes, and per cent of the packets that are lost in each direction. Two endpoints with the real handshake
//! and cipher, a path of 5 ms each way, simulated time.

use std::collections::VecDeque;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dunlin_session::fuzzing::SeededRandom;
use dunlin_session::{
    Identity, KeyLog, KeyLogEntry, KeyLogger, SessionAcceptor, SessionConfig, SessionInitiator,
    provider,
};
use dunlin_transport::protect::Random;
use dunlin_transport::{
    ConnectionHandle, Endpoint, EndpointConfig, Event, Instant, ReadError, Side, StreamDirection,
    StreamId, WriteError,
};
use sha2::{Digest, Sha256};

const DELAY: Duration = Duration::from_millis(5);
const UPDATE_PACKETS: u64 = 1 << 16;
const CHUNK: usize = 1 << 16;

/// Counts the keys that each direction has had.
#[derive(Default)]
struct Keys(Mutex<[u64; 2]>);

impl KeyLog for Keys {
    fn log(&self, entry: &KeyLogEntry<'_>) {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = match entry.sender {
            Side::Initiator => &mut latest[0],
            Side::Responder => &mut latest[1],
        };
        *slot = entry.generation.max(*slot);
    }
}

struct End {
    endpoint: Endpoint,
    address: SocketAddr,
    handle: Option<ConnectionHandle>,
    /// What is on its way to the other end, with the time it arrives.
    flying: VecDeque<(Instant, Vec<u8>)>,
    packets: u64,
    lost: u64,
}

impl End {
    fn new(endpoint: Endpoint, last: u8) -> Self {
        Self {
            endpoint,
            address: ([10, 0, 0, last], 1_000).into(),
            handle: None,
            flying: VecDeque::new(),
            packets: 0,
            lost: 0,
        }
    }

    fn settle(&mut self) -> Result<(), Box<dyn Error>> {
        while let Some((handle, event)) = self.endpoint.poll_event() {
            match event {
                Event::Connected { .. } => self.handle = Some(handle),
                Event::Closed(reason) => return Err(reason.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Everything that may leave now, but for what is lost.
    fn transmit(&mut self, now: Instant, percent: u32, random: &mut SeededRandom) {
        let mut buf = Vec::new();
        while let Some(sent) = self.endpoint.poll_transmit(now, 64, &mut buf) {
            for datagram in buf.chunks(sent.segment_size.unwrap_or(sent.size)) {
                self.packets += 1;
                if random.next_u32() % 100 < percent {
                    self.lost += 1;
                } else {
                    self.flying.push_back((now + DELAY, datagram.to_vec()));
                }
            }
        }
    }
}

struct Transfer {
    now: Instant,
    ends: [End; 2],
    random: SeededRandom,
    percent: u32,
    /// Bytes that are not written yet.
    left: u64,
    stream: Option<StreamId>,
    written: Sha256,
    read: Sha256,
    finished: bool,
}

impl Transfer {
    fn new(bytes: u64, percent: u32, keys: &Arc<Keys>) -> Result<Self, Box<dyn Error>> {
        let mut random = SeededRandom::new(1);
        let config = |key_log| SessionConfig {
            key_update_packets: UPDATE_PACKETS,
            key_log,
            ..SessionConfig::default()
        };
        let identity = |seed| Arc::new(Identity::from_seed([seed; 32]));
        let server =
            SessionAcceptor::new(identity(2), config(None), provider::aws_lc(), &mut random);
        let log = KeyLogger::new(Arc::clone(keys) as _);
        let client = SessionInitiator::new(
            identity(1),
            config(Some(log)),
            provider::aws_lc(),
            None,
            &mut random,
        );
        let endpoint = |seed, acceptor| {
            let random = Box::new(SeededRandom::new(seed));
            Endpoint::new(EndpointConfig::default(), random, acceptor)
        };
        let mut one = End::new(endpoint(2, None), 1);
        let two = End::new(endpoint(3, Some(Box::new(server))), 2);
        let now = Instant::ZERO;
        one.endpoint.connect(now, two.address, Box::new(client))?;
        Ok(Self {
            now,
            ends: [one, two],
            random,
            percent,
            left: bytes,
            stream: None,
            written: Sha256::new(),
            read: Sha256::new(),
            finished: false,
        })
    }

    /// Hands the next bytes to the connection, as many as it takes.
    fn write(&mut self) -> Result<(), Box<dyn Error>> {
        let end = &mut self.ends[0];
        let Some(handle) = end.handle else {
            return Ok(());
        };
        let connection = end.endpoint.connection_mut(handle).ok_or("it is open")?;
        let direction = StreamDirection::Unidirectional;
        let stream = match self.stream {
            Some(stream) => stream,
            None => *self
                .stream
                .insert(connection.open_stream(direction).ok_or("a stream")?),
        };
        let mut chunk = [0; CHUNK];
        while self.left > 0 {
            // Different in every chunk, and so in every place of the stream.
            for (at, bytes) in chunk.chunks_mut(8).enumerate() {
                let word = (self.left ^ at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                bytes.copy_from_slice(&word.to_be_bytes());
            }
            let length = usize::try_from(self.left).unwrap_or(CHUNK).min(CHUNK);
            match connection.write(stream, &chunk[..length]) {
                Ok(taken) => {
                    self.written.update(&chunk[..taken]);
                    self.left -= taken as u64;
                    if self.left == 0 {
                        connection.finish(stream)?;
                    }
                }
                Err(WriteError::Blocked) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), Box<dyn Error>> {
        let end = &mut self.ends[1];
        let (Some(handle), Some(stream)) = (end.handle, self.stream) else {
            return Ok(());
        };
        let connection = end.endpoint.connection_mut(handle).ok_or("it is open")?;
        connection.accept_stream(StreamDirection::Unidirectional);
        let mut chunk = [0; CHUNK];
        loop {
            match connection.read(stream, &mut chunk) {
                Ok(0) => {
                    self.finished = true;
                    return Ok(());
                }
                Ok(length) => self.read.update(&chunk[..length]),
                // The first piece has not come.
                Err(ReadError::Blocked | ReadError::Misuse(_)) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Goes on to the next time at which something happens.
    fn step(&mut self) -> Result<(), Box<dyn Error>> {
        let times = self.ends.iter_mut().flat_map(|end| {
            let arrives = end.flying.front().map(|(at, _)| *at);
            [arrives, end.endpoint.poll_timeout()]
        });
        let next = times.flatten().min().ok_or("nothing will ever happen")?;
        self.now = self.now.max(next);
        let now = self.now;
        for to in 0..2 {
            let from = self.ends[1 - to].address;
            while let Some((_, mut datagram)) =
                self.ends[1 - to].flying.pop_front_if(|(at, _)| *at <= now)
            {
                let endpoint = &mut self.ends[to].endpoint;
                endpoint.handle_datagram(now, from, None, &mut datagram);
            }
            self.ends[to].endpoint.handle_timeout(now);
            self.ends[to].settle()?;
        }
        self.read()?;
        self.write()?;
        for end in &mut self.ends {
            end.transmit(now, self.percent, &mut self.random);
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let bytes: u64 = arguments.next().ok_or("BYTES is missing")?.parse()?;
    let percent: u32 = arguments.next().ok_or("PERCENT is missing")?.parse()?;
    let keys = Arc::new(Keys::default());
    let mut transfer = Transfer::new(bytes, percent, &keys)?;
    let now = transfer.now;
    for end in &mut transfer.ends {
        end.transmit(now, percent, &mut transfer.random);
    }
    while !transfer.finished {
        transfer.step()?;
    }
    let [sent, received] = [transfer.written, transfer.read].map(Digest::finalize);
    let updates = *keys.0.lock().unwrap_or_else(PoisonError::into_inner);
    for (end, name) in transfer.ends.iter().zip(["sender", "receiver"]) {
        println!(
            "{name}: {} packets, of which {} were lost",
            end.packets, end.lost
        );
    }
    // The key for packets to come is made one update ahead.
    let [sender, receiver] = [updates[0], updates[1].saturating_sub(1)];
    println!("key updates: {sender} of the sender, {receiver} of the receiver");
    println!(
        "simulated time: {} s",
        transfer.now.as_nanos() / 1_000_000_000
    );
    for (name, hash) in [("sent", &sent), ("received", &received)] {
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        println!("SHA-256 {name}: {hex}");
    }
    if sent != received {
        return Err("what arrived is not what was sent".into());
    }
    println!("{bytes} bytes arrived as they were sent");
    Ok(())
}
