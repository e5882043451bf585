//! An endpoint that moves to another local address, with real sockets and the real handshake: what it
//! carries goes on, and who sees both of its addresses cannot tell that they belong together (A9).

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dunlin_session::{Identity, SessionAcceptor, SessionConfig, SessionInitiator, provider};
use dunlin_transport::driver::{CarrierChoice, Connection, Endpoint, EndpointOptions, OsRandom};
use dunlin_transport::tap::{Tap, Tapped};
use dunlin_transport::{Instant, protect::Flow};

type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Connection IDs on the wire, by the client's port and by direction.
type Seen = Arc<Mutex<BTreeMap<(u16, bool), Vec<[u8; 4]>>>>;

/// Sits where the server's packets pass.
struct Watcher(Seen);

impl Tap for Watcher {
    fn on_datagram(&mut self, _: Instant, datagram: &Tapped<'_>) {
        let id = datagram.bytes.get(28..32).and_then(|id| id.try_into().ok());
        if let (Ok(mut seen), Some(id)) = (self.0.lock(), id) {
            let to_client = datagram.flow == Flow::Outgoing;
            let ids = seen.entry((datagram.remote.port(), to_client)).or_default();
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
    }
}

struct Scene {
    client: Endpoint,
    server: Endpoint,
    dialled: Connection,
    accepted: Connection,
    seen: Seen,
}

impl Scene {
    async fn new() -> Result<Self> {
        Self::with_offload(true).await
    }

    /// Without segmentation offload a long transfer takes a connected socket, beside the one that is moved.
    async fn with_offload(gso: bool) -> Result<Self> {
        let node = Arc::new(Identity::from_seed([2; 32]));
        let name = node.node_id();
        let seen = Seen::default();
        let acceptor = SessionAcceptor::new(
            node,
            SessionConfig::default(),
            provider::aws_lc(),
            &mut OsRandom,
        );
        let mut options = EndpointOptions::default()
            .with_carriers(CarrierChoice::UdpOnly)
            .with_acceptor(Box::new(acceptor));
        options.tap = Some(Box::new(Watcher(Arc::clone(&seen))));
        options.gso = gso;
        let server = Endpoint::bind(LOOPBACK, options)?;
        let mut options = EndpointOptions::default().with_carriers(CarrierChoice::UdpOnly);
        options.gso = gso;
        let client = Endpoint::bind(LOOPBACK, options)?;
        let initiator = SessionInitiator::new(
            Arc::new(Identity::from_seed([3; 32])),
            SessionConfig::default(),
            provider::aws_lc(),
            Some(name),
            &mut OsRandom,
        );
        let dialling = client.connect(server.local_addr(), Box::new(initiator));
        let (dialled, accepted) = tokio::join!(dialling, server.accept());
        Ok(Self {
            dialled: dialled?,
            accepted: accepted.ok_or("stopped")?,
            client,
            server,
            seen,
        })
    }

    /// A long message in each direction.
    async fn talk(&self) -> Result {
        for (from, to) in [
            (&self.dialled, &self.accepted),
            (&self.accepted, &self.dialled),
        ] {
            from.send_message(vec![7; 50_000]).await?;
            let message = to.receive_message().await?;
            assert!(message.data == vec![7; 50_000]);
        }
        Ok(())
    }

    /// Talks until `end` sends to `address`.
    async fn talk_until(&self, end: &Connection, address: SocketAddr) -> Result {
        let moved = async {
            while end.remote_address() != Some(address) {
                self.talk().await?;
            }
            self.talk().await
        };
        tokio::time::timeout(Duration::from_secs(20), moved).await?
    }

    fn ids(&self, port: u16, to_client: bool) -> Vec<[u8; 4]> {
        let seen = self.seen.lock().expect("no panic");
        seen.get(&(port, to_client)).cloned().unwrap_or_default()
    }

    fn assert_nothing_in_common(&self, before: u16, after: u16) {
        for to_client in [false, true] {
            let (old, new) = (self.ids(before, to_client), self.ids(after, to_client));
            assert!(!old.is_empty() && !new.is_empty(), "both were used");
            assert!(new.iter().all(|id| !old.contains(id)), "{old:?} {new:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_moves_goes_on_and_its_addresses_have_no_id_in_common() -> Result {
    let scene = Scene::new().await?;
    scene.talk().await?;
    let mut ports = vec![scene.client.local_addr().port()];
    for _ in 0..3 {
        scene.client.rebind(LOOPBACK)?;
        let moved = scene.client.local_addr();
        scene.talk_until(&scene.accepted, moved).await?;
        ports.push(moved.port());
    }
    for pair in ports.windows(2) {
        scene.assert_nothing_in_common(pair[0], pair[1]);
    }
    let stats = scene.accepted.stats().ok_or("it is open")?;
    assert_eq!(stats.path_changes, 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_moves_goes_on_too() -> Result {
    let scene = Scene::new().await?;
    scene.talk().await?;
    scene.server.rebind(LOOPBACK)?;
    let moved = scene.server.local_addr();
    scene.talk_until(&scene.dialled, moved).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_its_way_when_an_endpoint_moves_arrives() -> Result {
    for gso in [true, false] {
        let scene = Scene::with_offload(gso).await?;
        move_during_a_transfer(&scene).await?;
        scene.server.rebind(LOOPBACK)?;
        let moved = scene.server.local_addr();
        scene.talk_until(&scene.dialled, moved).await?;
    }
    Ok(())
}

async fn move_during_a_transfer(scene: &Scene) -> Result {
    let data: Vec<u8> = (0..8u32 << 20)
        .map(|at| (at % 251).to_le_bytes()[0])
        .collect();
    let (sent, dialled) = (data.clone(), scene.dialled.clone());
    let sending = tokio::spawn(async move {
        let mut send = dialled.open_uni().await?;
        tokio::io::AsyncWriteExt::write_all(&mut send, &sent).await?;
        send.finish().await?;
        Result::Ok(())
    });
    let mut receive = scene.accepted.accept_uni().await?;
    let mut got = vec![0; data.len()];
    let (first, rest) = got.split_at_mut(1 << 20);
    tokio::io::AsyncReadExt::read_exact(&mut receive, first).await?;
    scene.client.rebind(LOOPBACK)?;
    tokio::io::AsyncReadExt::read_exact(&mut receive, rest).await?;
    assert!(got == data);
    sending.await?
}

#[tokio::test]
async fn an_address_that_cannot_be_had_leaves_the_endpoint_where_it_is() -> Result {
    let scene = Scene::new().await?;
    let kind = |address: &str| -> Result<Option<io::ErrorKind>> {
        let rebound = scene.client.rebind(address.parse()?);
        Ok(rebound.err().map(|error| error.kind()))
    };
    let taken = scene.server.local_addr().to_string();
    assert_eq!(kind(&taken)?, Some(io::ErrorKind::AddrInUse));
    assert_eq!(kind("[::1]:0")?, Some(io::ErrorKind::InvalidInput));
    scene.talk().await?;
    let client = scene.client.local_addr();
    assert_eq!(scene.accepted.remote_address(), Some(client));
    scene.client.shutdown(Duration::from_secs(5)).await;
    assert_eq!(kind("127.0.0.1:0")?, Some(io::ErrorKind::NotConnected));
    Ok(())
}
