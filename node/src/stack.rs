//! The protocol stack on real sockets: identity, endpoints, connections; and what a person is told
//! when one of them fails.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dunlin_session::keyfile::{self, KeyFileError, Passphrase, Sealing, load_or_create};
use dunlin_session::{
    CryptoProvider, DenyList, Identity, KeyExchange, NodeId, PeerInfo, Randomness, Refusal,
    SessionAcceptor, SessionConfig, SessionInitiator, provider,
};
use dunlin_transport::driver::{
    Carrier, CarrierChoice, Connection, ConnectionError, Endpoint, EndpointOptions, OsRandom,
};
use dunlin_transport::plain::{PlainAcceptor, PlainInitiator};
use dunlin_transport::protect::{Acceptor, Initiator};
use dunlin_transport::{CloseReason, EndpointConfig, TransportConfig};

use crate::access::{Guard, read_denied, refusals};
use crate::cli::LabArgs;
use crate::cli::address::{HostPort, PeerAddress};
use crate::cli::controller::Controllers;
use crate::cli::id::{KeyArgs, KeyFileArgs};
use crate::data_dir::DataDir;
use crate::failure::{Exit, Failure, plain_reason};
use crate::known_peers::{Known, KnownPeers};
use crate::trace::Traces;

/// How long an address may stay silent before the next one is tried, or none is left.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to look who answers instead of the peer that was asked for.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// A peer that is killed is noticed after this long; keep-alives keep a slow one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const KEEP_ALIVE: Duration = Duration::from_secs(8);
/// Longest passphrase file in bytes.
const PASSPHRASE_LEN_MAX: usize = 4_096;

/// Who this node is, and with what it encrypts.
#[derive(Clone)]
pub struct Keys {
    identity: Arc<Identity>,
    provider: Arc<dyn CryptoProvider>,
    data_dir: Option<DataDir>,
    traces: Traces,
    network: Option<String>,
    post_quantum: dunlin_session::PostQuantum,
    key_exchange: KeyExchange,
    denied: DenyList,
}

impl Keys {
    /// The identity of the data folder, made at first use.
    ///
    /// # Errors
    /// When the folder or the key file cannot be used.
    pub fn load(args: &KeyArgs) -> Result<Self, Failure> {
        let (identity, data_dir) = load_identity(&args.file)?;
        let denied = DenyList::default();
        denied.replace(read_denied(&data_dir.denied_peers_file())?);
        Ok(Self {
            identity: Arc::new(identity),
            provider: provider::aws_lc(),
            data_dir: Some(data_dir),
            traces: Traces::default(),
            network: args.network.clone(),
            post_quantum: args.post_quantum.unwrap_or_default().into(),
            key_exchange: args.key_exchange.unwrap_or_default().into(),
            denied,
        })
    }

    /// A fresh identity that nobody will meet again.
    #[must_use]
    pub fn throwaway() -> Self {
        Self {
            identity: Arc::new(Identity::generate(&mut OsRandom)),
            provider: provider::aws_lc(),
            data_dir: None,
            traces: Traces::default(),
            network: None,
            post_quantum: dunlin_session::PostQuantum::default(),
            key_exchange: KeyExchange::default(),
            denied: DenyList::default(),
        }
    }

    /// Somebody in the same network whom nobody knows.
    fn stranger(&self) -> Self {
        Self {
            network: self.network.clone(),
            key_exchange: self.key_exchange,
            ..Self::throwaway()
        }
    }

    /// Keeps the denied peers of `endpoint` as their file says, as long as the guard lives; `None`
    /// when there is no data folder.
    #[must_use]
    pub fn guard(&self, endpoint: &Endpoint) -> Option<Guard> {
        let path = self.data_dir.as_ref()?.denied_peers_file();
        Some(Guard::start(endpoint.clone(), self.denied.clone(), path))
    }

    /// The same keys; connections made with them write these traces.
    #[must_use]
    pub fn with_traces(mut self, traces: Traces) -> Self {
        self.traces = traces;
        self
    }

    /// The traces that connections write.
    #[must_use]
    pub const fn traces(&self) -> &Traces {
        &self.traces
    }

    /// The ID of this node.
    pub fn node_id(&self) -> NodeId {
        self.identity.node_id()
    }

    /// The identity of this node.
    #[must_use]
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// Answers handshakes as this node; `allow` empty: from anybody.
    #[must_use]
    pub fn acceptor(&self, allow: &[NodeId]) -> Box<dyn Acceptor> {
        let mut config = self.session();
        if !allow.is_empty() {
            config.allow_list = Some(allow.iter().copied().collect::<BTreeSet<_>>());
        }
        let (identity, provider) = (Arc::clone(&self.identity), Arc::clone(&self.provider));
        Box::new(SessionAcceptor::new(
            identity,
            config,
            provider,
            &mut OsRandom,
        ))
    }

    fn session(&self) -> SessionConfig {
        let mut config = SessionConfig {
            key_log: self.traces.key_log(),
            post_quantum: self.post_quantum,
            key_exchange: self.key_exchange,
            deny_list: self.denied.clone(),
            refusals: Some(refusals()),
            randomness: Some(Randomness::new(|| Box::new(OsRandom))),
            ..SessionConfig::default()
        };
        if let Some(network) = &self.network {
            config.network.clone_from(network);
        }
        config
    }

    /// Opens a handshake as this node, with `expected` or with whoever answers.
    #[must_use]
    pub fn initiator(&self, expected: Option<NodeId>) -> Box<dyn Initiator> {
        let (identity, provider) = (Arc::clone(&self.identity), Arc::clone(&self.provider));
        let config = self.session();
        Box::new(SessionInitiator::new(
            identity,
            config,
            provider,
            expected,
            &mut OsRandom,
        ))
    }
}

/// The identity of the data folder, made at first use, and the folder.
///
/// # Errors
/// When the folder, the key file or the passphrase cannot be used.
pub fn load_identity(args: &KeyFileArgs) -> Result<(Identity, DataDir), Failure> {
    let data_dir = DataDir::open(args.data_dir.as_deref())?;
    let passphrase = read_passphrase(args)?;
    let mut sealing = Sealing {
        passphrase: passphrase.as_ref(),
        random: &mut OsRandom,
        provider: &*provider::aws_lc(),
    };
    let identity = load_or_create(&data_dir.identity_file(), &mut sealing)
        .map_err(|error| Failure::new(Exit::Local, error.to_string()))?;
    Ok((identity, data_dir))
}

/// What the key file is sealed with, if a file with a passphrase was named.
///
/// # Errors
/// When that file cannot be read, is open to others, or is empty.
pub fn read_passphrase(args: &KeyFileArgs) -> Result<Option<Passphrase>, Failure> {
    let Some(path) = &args.passphrase_file else {
        return Ok(None);
    };
    let unusable = |why: &str| {
        let path = path.display();
        Failure::new(
            Exit::Local,
            format!("cannot use the passphrase file {path}: {why}"),
        )
    };
    let read = |path| keyfile::read_private(path, PASSPHRASE_LEN_MAX);
    let bytes = read(path).map_err(|error| match error {
        KeyFileError::NotFound { .. } => unusable("there is no such file; check its path"),
        other => unusable(&other.to_string()),
    })?;
    Passphrase::from_file(bytes)
        .map(Some)
        .ok_or_else(|| unusable("it is empty; write the passphrase into it"))
}

/// Answers handshakes of the plain profile.
#[must_use]
pub fn plain_acceptor() -> Box<dyn Acceptor> {
    Box::new(PlainAcceptor::new())
}

/// What packets look like, what carries them, and what decides how fast they leave.
#[derive(Clone, Copy, Default, Debug)]
pub struct Wire {
    /// Settings of a measurement.
    pub lab: LabArgs,
    /// UDP, TCP or both.
    pub carriers: CarrierChoice,
    /// The congestion controller.
    pub controller: Controllers,
    /// Cores of the UDP port; zero is one.
    pub shards: u32,
    /// For a measurement: idle connections are silent, and one peer may have all that there are.
    pub measured: bool,
}

impl From<CarrierChoice> for Wire {
    fn from(carriers: CarrierChoice) -> Self {
        Self {
            carriers,
            ..Self::default()
        }
    }
}

impl Wire {
    /// The same with this congestion controller.
    #[must_use]
    pub const fn with_controller(mut self, controller: Controllers) -> Self {
        self.controller = controller;
        self
    }
}

/// Binds an endpoint that answers with `acceptor` and writes `traces`.
///
/// # Errors
/// When the address cannot be had; the sentence says what to choose instead.
pub fn listen(
    address: SocketAddr,
    acceptor: Box<dyn Acceptor>,
    wire: Wire,
    traces: &Traces,
) -> Result<Endpoint, Failure> {
    let options = options(wire, HANDSHAKE_TIMEOUT, traces).with_acceptor(acceptor);
    Endpoint::bind(address, options).map_err(|error| bind_failure(address, &error))
}

/// Binds an endpoint that only connects, to addresses of the family of `remote`, and writes
/// `traces`.
///
/// # Errors
/// When the system gives no socket.
pub fn dialler(
    remote: SocketAddr,
    wire: Wire,
    handshake: Duration,
    traces: &Traces,
) -> Result<Endpoint, Failure> {
    let any: SocketAddr = match remote {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    Endpoint::bind(any, options(wire, handshake, traces)).map_err(|error| bind_failure(any, &error))
}

fn options(wire: Wire, handshake: Duration, traces: &Traces) -> EndpointOptions {
    let mut transport = TransportConfig::default();
    transport.idle_timeout = IDLE_TIMEOUT;
    transport.keep_alive = Some(KEEP_ALIVE).filter(|_| !wire.measured);
    transport.handshake_timeout = handshake;
    transport.controller = wire.controller.into();
    if let Some(mtu) = wire.lab.mtu {
        transport.mtu = usize::from(mtu);
        transport.mtu_max = transport.mtu;
    }
    let mut config = EndpointConfig::default();
    config.transport = transport;
    if wire.measured {
        config.max_connections_per_peer = config.max_connections;
    }
    let mut options = EndpointOptions::default()
        .with_config(config)
        .with_carriers(wire.carriers);
    options.gso = !wire.lab.no_gso;
    options.shards = wire.shards;
    options.observer = traces.observer();
    options.tap = traces.tap();
    options
}

/// A connection and the endpoint that carries it.
#[derive(Debug)]
pub struct Dialled {
    /// The endpoint; it has no other connection.
    pub endpoint: Endpoint,
    /// The connection.
    pub connection: Connection,
    /// Where the peer is.
    pub address: SocketAddr,
}

/// Connects to `to` and makes sure that the peer is who it should be: the one whose ID was given,
/// or the one that was met at that place before, or, at first use, anybody, who is then remembered
/// and shown through `tell`.
///
/// # Errors
/// When nobody answers, the peer refuses, or it is not who it should be.
pub async fn connect(
    keys: &Keys,
    to: &PeerAddress,
    wire: Wire,
    tell: impl Fn(&str),
) -> Result<Dialled, Failure> {
    let addresses = to.place().resolve().await?;
    let mut failure = unreachable(to.place());
    for address in addresses {
        let endpoint = dialler(address, wire, HANDSHAKE_TIMEOUT, &keys.traces)?;
        let dialled: Box<dyn Initiator> = if wire.lab.plain {
            Box::new(PlainInitiator::new())
        } else {
            keys.initiator(to.id())
        };
        match endpoint.connect(address, dialled).await {
            Ok(connection) => {
                if wire.carriers == CarrierChoice::Race && connection.carrier() == Carrier::Tcp {
                    tell(&format!("UDP got no answer from {}; using TCP", to.place()));
                }
                if !wire.lab.plain {
                    check_peer(keys, to, &connection, &tell)?;
                }
                return Ok(Dialled {
                    endpoint,
                    connection,
                    address,
                });
            }
            Err(ConnectionError::Closed(CloseReason::HandshakeTimeout { .. }))
                if to.id().is_some() && !wire.lab.plain =>
            {
                // A node keeps silent towards who asks for another one. Look who it is, as nobody
                // in particular, so as to tell a wrong ID from a wrong address.
                if let Some(other) = who_answers(keys, address, wire).await {
                    failure = wrong_peer(to, other);
                }
            }
            Err(error) => failure = connect_failure(to.place(), &error),
        }
    }
    Err(failure)
}

async fn who_answers(keys: &Keys, address: SocketAddr, wire: Wire) -> Option<NodeId> {
    let endpoint = dialler(address, wire, PROBE_TIMEOUT, &Traces::default()).ok()?;
    let connection = endpoint
        .connect(address, keys.stranger().initiator(None))
        .await
        .ok()?;
    let id = peer_id(&connection);
    endpoint.shutdown(Duration::from_millis(200)).await;
    id
}

fn check_peer(
    keys: &Keys,
    to: &PeerAddress,
    connection: &Connection,
    tell: &impl Fn(&str),
) -> Result<(), Failure> {
    let id = peer_id(connection).ok_or_else(|| {
        Failure::new(
            Exit::Refused,
            format!("the peer at {} did not prove who it is", to.place()),
        )
    })?;
    match (to.id(), &keys.data_dir) {
        (Some(expected), _) if expected == id => Ok(()),
        (Some(_), _) => Err(wrong_peer(to, id)),
        (None, Some(data_dir)) => {
            let mut known = KnownPeers::load(&data_dir.known_peers_file())?;
            if known.check(to.place(), &id.to_string())? == Known::New {
                known.remember(to.place(), &id.to_string())?;
                tell(&format!("{} is {id}; remembered at first use", to.place()));
            }
            Ok(())
        }
        (None, None) => Ok(()),
    }
}

/// The ID that the peer has proved; `None` in the plain profile.
#[must_use]
pub fn peer_id(connection: &Connection) -> Option<NodeId> {
    let peer = connection.peer()?;
    PeerInfo::from_identity(&peer).map(|info| info.node_id)
}

fn wrong_peer(to: &PeerAddress, other: NodeId) -> Failure {
    let asked = to.id().map(|id| id.to_string()).unwrap_or_default();
    Failure::new(
        Exit::Refused,
        format!(
            "the peer at {} is {other}, not {asked}; paste the line that the receiver prints now",
            to.place()
        ),
    )
}

fn unreachable(place: &HostPort) -> Failure {
    Failure::new(
        Exit::Unreachable,
        format!(
            "nobody answers at {place}; check the address and the port, that the other end is running with the same --network, and that no firewall drops UDP"
        ),
    )
}

/// The failure for a connection that did not come about.
#[must_use]
pub fn connect_failure(place: &HostPort, error: &ConnectionError) -> Failure {
    match error {
        ConnectionError::Closed(CloseReason::HandshakeTimeout {
            peer_speaks_other_version: true,
        }) => Failure::new(
            Exit::Refused,
            format!(
                "the node at {place} speaks another version; use the same version of dunlin at both ends"
            ),
        ),
        ConnectionError::Closed(CloseReason::HandshakeTimeout { .. } | CloseReason::TimedOut) => {
            unreachable(place)
        }
        ConnectionError::Closed(reason) => ended(place, reason),
        ConnectionError::Tcp(kind) => Failure::new(
            Exit::Unreachable,
            format!(
                "nobody answers at {place} over TCP ({kind}); check the address and the port, and that the other end is running and takes TCP"
            ),
        ),
        ConnectionError::Refused(reason) => Failure::new(
            Exit::Unreachable,
            format!("cannot connect to {place}: {reason}; check the address and the port"),
        ),
        other => Failure::new(
            Exit::Unreachable,
            format!("cannot connect to {place}: {other}"),
        ),
    }
}

/// The failure for a connection that ended when it should not have.
#[must_use]
pub fn ended(place: &HostPort, reason: &CloseReason) -> Failure {
    match reason {
        CloseReason::Reset { code, .. } | CloseReason::Peer { code, .. }
            if Refusal::from_code(*code).is_some() =>
        {
            let why = Refusal::from_code(*code).map_or("", Refusal::reason);
            Failure::new(Exit::Refused, format!("the node at {place} refused: {why}"))
        }
        CloseReason::Handshake(why) => Failure::new(
            Exit::Refused,
            format!("the handshake with {place} failed: {why}; check whom you are talking to"),
        ),
        reason => Failure::new(
            Exit::Unreachable,
            format!("the connection to {place} was lost ({reason}); try again"),
        ),
    }
}

/// The failure for a listening address that cannot be had.
#[must_use]
pub fn bind_failure(address: SocketAddr, error: &std::io::Error) -> Failure {
    let advice = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "another program has that port; choose another one, or 0 for any"
        }
        std::io::ErrorKind::AddrNotAvailable => "choose an address of this machine",
        std::io::ErrorKind::PermissionDenied => "choose a port above 1023",
        _ => "choose another address",
    };
    Failure::new(
        Exit::Local,
        format!(
            "cannot listen on {address}: {}; {advice}",
            plain_reason(error)
        ),
    )
}

/// What others type to reach a socket bound to `local`: for a socket on all addresses, the one
/// this machine would use towards the outside.
#[must_use]
pub fn reachable_address(local: SocketAddr) -> SocketAddr {
    if !local.ip().is_unspecified() {
        return local;
    }
    // Connecting a UDP socket sends nothing; it only asks the routing table. The addresses are
    // reserved for documentation (RFC 5737, RFC 3849).
    let outside = |bind: IpAddr, probe: &str| {
        let socket = std::net::UdpSocket::bind((bind, 0)).ok()?;
        socket.connect(probe).ok()?;
        socket
            .local_addr()
            .ok()
            .map(|found| found.ip())
            .filter(|ip| !ip.is_unspecified())
    };
    let v4 = || outside(Ipv4Addr::UNSPECIFIED.into(), "192.0.2.1:9");
    let v6 = || outside(Ipv6Addr::UNSPECIFIED.into(), "[2001:db8::1]:9");
    let ip = if local.is_ipv4() {
        v4()
    } else {
        v6().or_else(v4)
    };
    SocketAddr::new(ip.unwrap_or(Ipv4Addr::LOCALHOST.into()), local.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_on_all_addresses_is_reached_by_a_real_one() {
        let reached = reachable_address("0.0.0.0:4600".parse().unwrap());
        assert!(!reached.ip().is_unspecified());
        assert_eq!(reached.port(), 4600);
        let bound = "127.0.0.1:9".parse().unwrap();
        assert_eq!(reachable_address(bound), bound);
    }

    #[test]
    fn each_end_of_a_connection_has_its_exit_code() {
        let place: HostPort = "h:1".parse().unwrap();
        let closed = |reason| connect_failure(&place, &ConnectionError::Closed(reason)).exit();
        let timeout = |peer_speaks_other_version| CloseReason::HandshakeTimeout {
            peer_speaks_other_version,
        };
        assert_eq!(closed(timeout(false)), Exit::Unreachable);
        assert_eq!(closed(timeout(true)), Exit::Refused);
        let no_tcp = ConnectionError::Tcp(std::io::ErrorKind::ConnectionRefused);
        assert_eq!(connect_failure(&place, &no_tcp).exit(), Exit::Unreachable);
        assert_eq!(closed(CloseReason::TimedOut), Exit::Unreachable);
        assert_eq!(closed(CloseReason::Handshake("no")), Exit::Refused);
        let refused = CloseReason::Reset {
            code: Refusal::NotAllowed.code(),
            reason: String::new(),
        };
        assert_eq!(closed(refused), Exit::Refused);
        let other = CloseReason::Reset {
            code: 9,
            reason: "\u{1b}[2J".into(),
        };
        let failure = ended(&place, &other);
        assert_eq!(failure.exit(), Exit::Unreachable);
        let sentence = failure.to_string();
        assert!(
            sentence.contains(r"(code 9): \u{1b}[2J)"),
            "escaped once: {sentence}"
        );
    }
}
