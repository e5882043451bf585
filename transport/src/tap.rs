//! A look at the datagrams that pass between an endpoint and the network: for captures.

use core::net::SocketAddr;

use crate::io::EcnMark;
use crate::protect::Flow;
use crate::time::Instant;

/// A datagram on its way.
#[derive(Clone, Copy, Debug)]
pub struct Tapped<'a> {
    /// Which way.
    pub flow: Flow,
    /// Our address; its IP may be unspecified when the socket is bound to all.
    pub local: SocketAddr,
    /// The other end's.
    pub remote: SocketAddr,
    /// Its congestion mark.
    pub ecn: Option<EcnMark>,
    /// The UDP payload as it is on the wire.
    pub bytes: &'a [u8],
}

/// Sees every datagram. Called between two system calls of the driver: it should not wait.
pub trait Tap: Send {
    /// A datagram came, or was given to the network (which may still refuse it).
    fn on_datagram(&mut self, now: Instant, datagram: &Tapped<'_>);
}
