//! A flood of SYNs on a real endpoint, while a transfer runs over it (`docs/threats.md`, T4).
//!
//! ```text
//! cargo run --release -p dunlin-benches --example syn_flood -- 7 10 5000
//! ```
//!
//! Arguments: rounds, the MB that the transfer offers each second, and the SYNs a second of the flood
//! (0: as many as it can send). A round measures the transfer for two seconds without and two with a flood
//! from another process: SYNs that are all different and have a right first check. Printed are
//! medians over the rounds.

#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock, and drives sockets"
)]

use std::error::Error;
use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dunlin_session::fuzzing::SeededRandom;
use dunlin_session::{Identity, SessionAcceptor, SessionConfig, SessionInitiator, provider};
use dunlin_transport::driver::{Endpoint, EndpointOptions};
use dunlin_transport::{EndpointConfig, protect::Random};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long one measurement takes.
const SPAN: Duration = Duration::from_secs(2);
/// Different SYNs. More than an endpoint holds half-open handshakes, so that nearly all are answered
/// by a RETRY.
const SYNS: u64 = 8_192;
/// A SYN_ACK is longer, a RETRY shorter.
const RETRY_MAX: usize = 200;
/// Pieces of the offered load in a second.
const PIECES: u32 = 200;

fn initiator(random: &mut SeededRandom) -> SessionInitiator {
    let identity = Arc::new(Identity::generate(random));
    let config = SessionConfig::default();
    SessionInitiator::new(identity, config, provider::aws_lc(), None, random)
}

/// The other process: sends until its time is over, and says what it sent and heard.
fn flood(target: SocketAddr, rate: f64) -> Result<(), Box<dyn Error>> {
    let syns = (0..SYNS)
        .map(|seed| syn(seed + 10, target))
        .collect::<Result<Vec<_>, _>>()?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(target)?;
    socket.set_nonblocking(true)?;
    println!("ready");
    let (mut sent, mut retries, mut others) = (0_u64, 0_u64, 0_u64);
    let mut buffer = [0; 2_048];
    let start = Instant::now();
    for syn in syns.iter().cycle() {
        while rate > 0.0 && sent as f64 >= start.elapsed().as_secs_f64() * rate {
            if start.elapsed() >= SPAN {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        match socket.send(syn) {
            Ok(_) => sent += 1,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        while let Ok(length) = socket.recv(&mut buffer) {
            *if length <= RETRY_MAX {
                &mut retries
            } else {
                &mut others
            } += 1;
        }
        if sent.is_multiple_of(64) && start.elapsed() >= SPAN {
            break;
        }
    }
    println!("{sent} {retries} {others}");
    Ok(())
}

/// A valid SYN.
fn syn(seed: u64, target: SocketAddr) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut random = SeededRandom::new(seed);
    let initiator = Box::new(initiator(&mut random));
    let endpoint = EndpointConfig::default();
    let mut endpoint = dunlin_transport::Endpoint::new(endpoint, Box::new(random), None);
    let now = dunlin_transport::Instant::ZERO;
    endpoint.connect(now, target, initiator)?;
    let mut packet = Vec::new();
    endpoint.poll_transmit(now, 1, &mut packet).ok_or("a SYN")?;
    Ok(packet)
}

/// What a measurement found: MB/s of the transfer, SYNs and RETRYs a second, bytes of memory for a SYN.
struct Found {
    rate: f64,
    syns: f64,
    retries: f64,
    memory: f64,
}

/// Bytes of this process in memory (Linux).
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or(0.0) * 4_096.0
}

fn measure(
    received: &AtomicU64,
    target: Option<(SocketAddr, &str)>,
) -> Result<Found, Box<dyn Error>> {
    let flood = match target {
        None => None,
        Some((target, rate)) => {
            let program = std::env::current_exe()?;
            let mut command = Command::new(program);
            command.args(["flood", &target.to_string(), rate]);
            let mut child = command.stdout(Stdio::piped()).spawn()?;
            let mut said = BufReader::new(child.stdout.take().ok_or("a pipe")?);
            let mut line = String::new();
            said.read_line(&mut line)?;
            Some((child, said))
        }
    };
    let (start, before, memory) = (Instant::now(), received.load(Ordering::Relaxed), resident());
    std::thread::sleep(SPAN);
    let bytes = received.load(Ordering::Relaxed) - before;
    let rate = bytes as f64 / start.elapsed().as_secs_f64() / 1e6;
    let mut found = Found {
        rate,
        syns: 0.0,
        retries: 0.0,
        memory: resident() - memory,
    };
    if let Some((mut child, mut said)) = flood {
        let mut line = String::new();
        said.read_line(&mut line)?;
        child.wait()?;
        let mut counts = line.split_whitespace().map(str::parse::<f64>);
        let mut next = || counts.next().unwrap_or(Ok(0.0));
        let (sent, retries) = (next()?, next()?);
        found.syns = sent / SPAN.as_secs_f64();
        found.retries = retries / SPAN.as_secs_f64();
        found.memory /= sent;
    }
    Ok(found)
}

/// An endpoint that takes what is sent to it, and another one that sends as much a second as is asked.
async fn transfer(rate: f64, received: Arc<AtomicU64>) -> Result<SocketAddr, Box<dyn Error>> {
    let mut random = SeededRandom::new(1);
    let identity = Arc::new(Identity::generate(&mut random));
    let config = SessionConfig::default();
    let acceptor = SessionAcceptor::new(identity, config, provider::aws_lc(), &mut random);
    let options = EndpointOptions::default().with_acceptor(Box::new(acceptor));
    let server = Endpoint::bind("127.0.0.1:0".parse()?, options)?;
    let target = server.local_addr();
    tokio::spawn(async move {
        while let Some(connection) = server.accept().await {
            let Ok(mut stream) = connection.accept_uni().await else {
                continue;
            };
            let mut buffer = vec![0; 1 << 16];
            while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                received.fetch_add(length as u64, Ordering::Relaxed);
            }
        }
    });
    let client = Endpoint::bind("127.0.0.1:0".parse()?, EndpointOptions::default())?;
    let initiator = Box::new(initiator(&mut random));
    let connection = client.connect(target, initiator).await?;
    let mut stream = connection.open_uni().await?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few megabytes"
    )]
    let piece = vec![random.next_u32() as u8; (rate * 1e6 / f64::from(PIECES)) as usize];
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / PIECES);
        // What could not be sent in its time is not offered again.
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            if stream.write_all(&piece).await.is_err() {
                // The endpoint and its connection end with the program.
                drop((client, connection));
                return;
            }
        }
    });
    Ok(target)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [first, second, rate] = &arguments[..] else {
        return Err("arguments: ROUNDS MB_A_SECOND SYNS_A_SECOND".into());
    };
    if first == "flood" {
        return flood(second.parse()?, rate.parse()?);
    }
    let rounds: usize = first.parse()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let received = Arc::new(AtomicU64::new(0));
    let target = runtime.block_on(transfer(second.parse()?, Arc::clone(&received)))?;
    measure(&received, Some((target, rate)))?;
    let mut found = Vec::new();
    for _ in 0..rounds {
        let alone = measure(&received, None)?;
        found.push((alone.rate, measure(&received, Some((target, rate)))?));
    }
    let of = |pick: fn(&(f64, Found)) -> f64| median(found.iter().map(pick));
    println!("transfer alone: {:.1} MB/s", of(|(alone, _)| *alone));
    println!(
        "transfer in the flood: {:.1} MB/s",
        of(|(_, flood)| flood.rate)
    );
    println!("share kept: {:.2}", of(|(alone, flood)| flood.rate / alone));
    println!("SYNs sent: {:.0} a second", of(|(_, flood)| flood.syns));
    println!(
        "RETRYs that came back: {:.0} a second",
        of(|(_, flood)| flood.retries)
    );
    println!(
        "memory: {:.2} bytes more for each SYN",
        of(|(_, flood)| flood.memory)
    );
    Ok(())
}
