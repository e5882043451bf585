//! Several cores behind one port, with real sockets and the real handshake: each connection stays with the
//! core that its IDs name, whatever the system does with the addresses (A17).
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dunlin_session::{
    Identity, NodeId, SessionAcceptor, SessionConfig, SessionInitiator, provider,
};
use dunlin_transport::driver::{CarrierChoice, Connection, Endpoint, EndpointOptions, OsRandom};
use dunlin_transport::tap::{Tap, Tapped};
use dunlin_transport::{Instant, protect::Flow};

type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const SHARDS: u32 = 3;

/// Which core the connection IDs of packets name that came in.
type Named = Arc<Mutex<BTreeSet<u32>>>;

struct Watcher(Named);

impl Tap for Watcher {
    fn on_datagram(&mut self, _: Instant, datagram: &Tapped<'_>) {
        let id = datagram.bytes.get(28..32).and_then(|id| id.try_into().ok());
        let id = id.map_or(0, u32::from_be_bytes);
        if id != 0 && datagram.flow == Flow::Incoming {
            self.0.lock().expect("no panic").insert(id % SHARDS);
        }
    }
}

fn options(shards: u32) -> (EndpointOptions, Named) {
    let named = Named::default();
    let mut options = EndpointOptions::default().with_carriers(CarrierChoice::UdpOnly);
    options.shards = shards;
    options.tap = Some(Box::new(Watcher(Arc::clone(&named))));
    (options, named)
}

fn server(options: EndpointOptions) -> Result<(Endpoint, NodeId)> {
    let node = Arc::new(Identity::from_seed([2; 32]));
    let name = node.node_id();
    let config = SessionConfig::default();
    let acceptor = SessionAcceptor::new(node, config, provider::aws_lc(), &mut OsRandom);
    let options = options.with_acceptor(Box::new(acceptor));
    Ok((Endpoint::bind(LOOPBACK, options)?, name))
}

async fn connect(client: &Endpoint, server: &(Endpoint, NodeId)) -> Result<[Connection; 2]> {
    let initiator = SessionInitiator::new(
        Arc::new(Identity::from_seed([3; 32])),
        SessionConfig::default(),
        provider::aws_lc(),
        Some(server.1),
        &mut OsRandom,
    );
    let dialling = client.connect(server.0.local_addr(), Box::new(initiator));
    let (dialled, accepted) = tokio::join!(dialling, server.0.accept());
    Ok([dialled?, accepted.ok_or("stopped")?])
}

/// A long message in each direction.
async fn talk([one, other]: &[Connection; 2]) -> Result {
    for (from, to) in [(one, other), (other, one)] {
        from.send_message(vec![7; 50_000]).await?;
        let message = to.receive_message().await?;
        assert!(message.data == vec![7; 50_000]);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_at_many_addresses_meet_every_core() -> Result {
    let (wanted, named) = options(SHARDS);
    let server = server(wanted)?;
    let mut pairs = Vec::new();
    let mut clients = Vec::new();
    // By chance one core is met by none of them once in 10^10 runs.
    for _ in 0..64 {
        let client = Endpoint::bind(LOOPBACK, options(1).0)?;
        pairs.push(connect(&client, &server).await?);
        clients.push(client);
    }
    for pair in &pairs {
        talk(pair).await?;
    }
    assert_eq!(named.lock().expect("no panic").len(), SHARDS as usize);
    assert_eq!(server.0.connection_count(), 64);
    server.0.shutdown(Duration::from_secs(5)).await;
    assert!(pairs.iter().all(|[_, end]| end.close_reason().is_some()));
    Ok(())
}

/// All that comes to it has the same addresses and ports: only the connection ID tells whose it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_one_client_to_one_server_use_every_core() -> Result {
    let (wanted, named) = options(SHARDS);
    let client = Endpoint::bind(LOOPBACK, wanted)?;
    let server = server(options(1).0)?;
    let mut pairs = Vec::new();
    for _ in 0..2 * SHARDS {
        pairs.push(connect(&client, &server).await?);
    }
    for pair in &pairs {
        talk(pair).await?;
    }
    assert_eq!(named.lock().expect("no panic").len(), SHARDS as usize);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_moves_stays_with_its_core() -> Result {
    let server = server(options(SHARDS).0)?;
    let client = Endpoint::bind(LOOPBACK, options(SHARDS).0)?;
    let mut pairs = Vec::new();
    for _ in 0..SHARDS {
        pairs.push(connect(&client, &server).await?);
    }
    for _ in 0..3 {
        client.rebind(LOOPBACK)?;
        server.0.rebind(LOOPBACK)?;
        for pair in &pairs {
            talk_until_both_moved(pair, client.local_addr(), server.0.local_addr()).await?;
        }
    }
    Ok(())
}

async fn talk_until_both_moved(
    pair: &[Connection; 2],
    client: SocketAddr,
    server: SocketAddr,
) -> Result {
    let moved = async {
        while pair[0].remote_address() != Some(server) || pair[1].remote_address() != Some(client) {
            talk(pair).await?;
        }
        talk(pair).await
    };
    tokio::time::timeout(Duration::from_secs(20), moved).await?
}

#[tokio::test]
async fn the_address_of_another_is_refused_however_many_cores_there_are() -> Result {
    let first = Endpoint::bind(LOOPBACK, options(2).0)?;
    let second = Endpoint::bind(first.local_addr(), options(2).0);
    let kind = second.err().map(|error| error.kind());
    assert_eq!(kind, Some(std::io::ErrorKind::AddrInUse));
    Ok(())
}
