//! The protocol stack on real sockets: identity, endpoints, connections; and what a person is told
//! when one of them fails.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dunlin_session::keyfile::load_or_create;
use dunlin_session::{
    CryptoProvider, Identity, NodeId, PeerInfo, Refusal, SessionAcceptor, SessionConfig,
    SessionInitiator, provider,
};
use dunlin_transport::driver::{Connection, ConnectionError, Endpoint, EndpointOptions, OsRandom};
use dunlin_transport::plain::{PlainAcceptor, PlainInitiator};
use dunlin_transport::protect::{Acceptor, Initiator};
use dunlin_transport::{CloseReason, EndpointConfig, TransportConfig};

use crate::cli::address::{HostPort, PeerAddress};
use crate::cli::{KeyArgs, LabArgs};
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

/// Who this node is, and with what it encrypts.
#[derive(Clone)]
pub struct Keys {
    identity: Arc<Identity>,
    provider: Arc<dyn CryptoProvider>,
    data_dir: Option<DataDir>,
    traces: Traces,
}

impl Keys {
    /// The identity of the data folder, made at first use.
    ///
    /// # Errors
    /// When the folder or the key file cannot be used.
    pub fn load(args: &KeyArgs) -> Result<Self, Failure> {
        let data_dir = DataDir::open(args.data_dir.as_deref())?;
        let identity = load_or_create(&data_dir.identity_file(), &mut OsRandom)
            .map_err(|error| Failure::new(Exit::Local, error.to_string()))?;
        Ok(Self {
            identity: Arc::new(identity),
            provider: provider::aws_lc(),
            data_dir: Some(data_dir),
            traces: Traces::default(),
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
        }
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
        SessionConfig {
            key_log: self.traces.key_log(),
            ..SessionConfig::default()
        }
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

/// Answers handshakes of the plain profile.
#[must_use]
pub fn plain_acceptor() -> Box<dyn Acceptor> {
    Box::new(PlainAcceptor::new())
}

/// Binds an endpoint that answers with `acceptor` and writes `traces`.
///
/// # Errors
/// When the address cannot be had; the sentence says what to choose instead.
pub fn listen(
    address: SocketAddr,
    acceptor: Box<dyn Acceptor>,
    lab: LabArgs,
    traces: &Traces,
) -> Result<Endpoint, Failure> {
    let options = options(lab, HANDSHAKE_TIMEOUT, traces).with_acceptor(acceptor);
    Endpoint::bind(address, options).map_err(|error| bind_failure(address, &error))
}

/// Binds an endpoint that only connects, to addresses of the family of `remote`, and writes
/// `traces`.
///
/// # Errors
/// When the system gives no socket.
pub fn dialler(
    remote: SocketAddr,
    lab: LabArgs,
    handshake: Duration,
    traces: &Traces,
) -> Result<Endpoint, Failure> {
    let any: SocketAddr = match remote {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    Endpoint::bind(any, options(lab, handshake, traces)).map_err(|error| bind_failure(any, &error))
}

fn options(lab: LabArgs, handshake: Duration, traces: &Traces) -> EndpointOptions {
    let mut transport = TransportConfig::default();
    transport.idle_timeout = IDLE_TIMEOUT;
    transport.keep_alive = Some(KEEP_ALIVE);
    transport.handshake_timeout = handshake;
    if let Some(mtu) = lab.mtu {
        transport.mtu = usize::from(mtu);
        transport.mtu_max = transport.mtu;
    }
    let mut config = EndpointConfig::default();
    config.transport = transport;
    let mut options = EndpointOptions::default().with_config(config);
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
    lab: LabArgs,
    tell: impl Fn(&str),
) -> Result<Dialled, Failure> {
    let addresses = to.place().resolve().await?;
    let mut failure = unreachable(to.place());
    for address in addresses {
        let endpoint = dialler(address, lab, HANDSHAKE_TIMEOUT, &keys.traces)?;
        let dialled: Box<dyn Initiator> = if lab.plain {
            Box::new(PlainInitiator::new())
        } else {
            keys.initiator(to.id())
        };
        match endpoint.connect(address, dialled).await {
            Ok(connection) => {
                if !lab.plain {
                    check_peer(keys, to, &connection, &tell)?;
                }
                return Ok(Dialled {
                    endpoint,
                    connection,
                    address,
                });
            }
            Err(ConnectionError::Closed(CloseReason::HandshakeTimeout { .. }))
                if to.id().is_some() && !lab.plain =>
            {
                // A node keeps silent towards who asks for another one. Look who it is, as nobody
                // in particular, so as to tell a wrong ID from a wrong address.
                if let Some(other) = who_answers(address, lab).await {
                    failure = wrong_peer(to, other);
                }
            }
            Err(error) => failure = connect_failure(to.place(), &error),
        }
    }
    Err(failure)
}

async fn who_answers(address: SocketAddr, lab: LabArgs) -> Option<NodeId> {
    let endpoint = dialler(address, lab, PROBE_TIMEOUT, &Traces::default()).ok()?;
    let connection = endpoint
        .connect(address, Keys::throwaway().initiator(None))
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
            "nobody answers at {place}; check the address and the port, that the other end is running, and that no firewall drops UDP"
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
            format!(
                "the connection to {place} was lost ({}); try again",
                reason.to_string().escape_debug()
            ),
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
        assert!(!failure.to_string().contains('\u{1b}'));
    }
}
