//! What a connection costs that does nothing: memory of the server, and processor time of both ends.
//!
//! ```text
//! cargo run --release -p dunlin-benches --example idle_connections -- 10000 10 1
//! ```
//!
//! Arguments: sealed connections, seconds of idleness, and requests of 64 bytes that each connection
//! has had answered before it falls idle. Server and client are processes of their own, one thread
//! each. Connections have default settings, except that they have neither an idle timeout nor a
//! keep-alive, so that nothing has to happen, and that one peer may open all of them.
//!
//! Memory is what the server has in memory (Linux: resident set) before and after, divided by the
//! connections; 64 connections are opened and closed first, so that what the program needs anyway is
//! there before.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dunlin_session::fuzzing::SeededRandom;
use dunlin_session::{Identity, SessionAcceptor, SessionConfig, SessionInitiator, provider};
use dunlin_transport::driver::{CarrierChoice, Connection, Endpoint, EndpointOptions};
use dunlin_transport::{EndpointConfig, TransportConfig};

/// Handshakes at once.
const AT_ONCE: usize = 16;
/// Connections before the measurement.
const WARM_UP: usize = 64;
/// How long acknowledgements, the search for larger packets and lingering connections take at most.
const SETTLING: Duration = Duration::from_secs(4);
/// Bytes of a request and of its answer.
const REQUEST_LEN: usize = 64;

type Failure = Box<dyn Error + Send + Sync>;

fn options() -> EndpointOptions {
    let mut transport = TransportConfig::default();
    transport.idle_timeout = Duration::ZERO;
    transport.keep_alive = None;
    let mut config = EndpointConfig::default();
    config.transport = transport;
    config.max_connections_per_prefix = config.max_connections;
    config.max_connections_per_peer = config.max_connections;
    EndpointOptions::default()
        .with_config(config)
        .with_carriers(CarrierChoice::UdpOnly)
}

/// The other process: answers every message, keeps every connection, and ends with its input.
async fn serve() -> Result<(), Failure> {
    let mut random = SeededRandom::new(1);
    let identity = Arc::new(Identity::generate(&mut random));
    let config = SessionConfig::default();
    let acceptor = SessionAcceptor::new(identity, config, provider::aws_lc(), &mut random);
    let options = options().with_acceptor(Box::new(acceptor));
    let server = Endpoint::bind("127.0.0.1:0".parse()?, options)?;
    println!("{}", server.local_addr());
    while let Some(connection) = server.accept().await {
        tokio::spawn(async move {
            while let Ok(message) = connection.receive_message().await {
                // Apart, so that a task that waits for a request has no room for an answer.
                let answer = Box::pin(connection.send_message(message.data));
                if answer.await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(())
}

/// Opens `count` connections of which each has had `requests` answered.
async fn open(
    client: &Arc<Endpoint>,
    (target, identity): (SocketAddr, &Arc<Identity>),
    (count, requests): (usize, usize),
) -> Result<Vec<Connection>, Failure> {
    let mut tasks = tokio::task::JoinSet::new();
    let mut open = Vec::with_capacity(count);
    let mut random = SeededRandom::new(2);
    for _ in 0..count {
        if tasks.len() == AT_ONCE
            && let Some(connection) = tasks.join_next().await
        {
            open.push(connection??);
        }
        let config = SessionConfig::default();
        let identity = Arc::clone(identity);
        let keys = SessionInitiator::new(identity, config, provider::aws_lc(), None, &mut random);
        let client = Arc::clone(client);
        tasks.spawn(async move {
            let connection = client.connect(target, Box::new(keys)).await?;
            for _ in 0..requests {
                connection.send_message([0x5a; REQUEST_LEN]).await?;
                connection.receive_message().await?;
            }
            Ok::<_, Failure>(connection)
        });
    }
    while let Some(connection) = tasks.join_next().await {
        open.push(connection??);
    }
    Ok(open)
}

/// Bytes of a process in memory.
fn resident(process: &str) -> Result<u64, Failure> {
    let text = std::fs::read_to_string(format!("/proc/{process}/statm"))?;
    let pages = text.split(' ').nth(1).ok_or("Linux says how many pages")?;
    Ok(pages.parse::<u64>()? * 4_096)
}

/// Processor time of all threads of a process, in nanoseconds.
fn processor_time(process: &str) -> Result<u64, Failure> {
    let mut total = 0;
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        let time = text.split(' ').next().ok_or("Linux says how long")?;
        total += time.parse::<u64>()?;
    }
    Ok(total)
}

fn server() -> Result<(Child, SocketAddr), Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("server")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("a pipe")?).read_line(&mut line)?;
    Ok((child, line.trim().parse()?))
}

async fn measure(
    (process, target): (&str, SocketAddr),
    (count, seconds, requests): (usize, u64, usize),
) -> Result<(), Failure> {
    let identity = Arc::new(Identity::generate(&mut SeededRandom::new(3)));
    let client = Arc::new(Endpoint::bind("127.0.0.1:0".parse()?, options())?);
    let peer = (target, &identity);
    drop(open(&client, peer, (WARM_UP, requests.min(1))).await?);
    tokio::time::sleep(SETTLING).await;
    let (ours, theirs) = (resident("self")?, resident(process)?);
    let connections = open(&client, peer, (count, requests)).await?;
    tokio::time::sleep(SETTLING).await;
    let each = |before: u64, after: u64| after.saturating_sub(before) as f64 / count as f64;
    println!(
        "{count} connections, {requests} requests on each before: {:.0} bytes each at the server, {:.0} at the client",
        each(theirs, resident(process)?),
        each(ours, resident("self")?),
    );
    let (ours, theirs) = (processor_time("self")?, processor_time(process)?);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    println!(
        "idle for {seconds} s: {:.3} ms of processor time at the server, {:.3} at the client",
        (processor_time(process)? - theirs) as f64 / 1e6,
        (processor_time("self")? - ours) as f64 / 1e6,
    );
    drop(connections);
    Ok(())
}

fn main() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [only] if only == "server" => {
            // The measuring process ends: this one has nothing left to do.
            std::thread::spawn(|| {
                let _ = std::io::stdin().lines().count();
                std::process::exit(0);
            });
            runtime.block_on(serve())
        }
        [count, seconds, requests] => {
            let (mut child, target) = server()?;
            let measured = runtime.block_on(measure(
                (&child.id().to_string(), target),
                (count.parse()?, seconds.parse()?, requests.parse()?),
            ));
            drop(child.stdin.take());
            child.wait()?;
            measured
        }
        _ => Err("arguments: CONNECTIONS SECONDS REQUESTS".into()),
    }
}
