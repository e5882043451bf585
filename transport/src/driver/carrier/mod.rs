//! What carries the packets of an endpoint: UDP, or TCP where a network lets nothing else pass
//! (`docs/wire.md`, chapter "TCP carrier"; ADR 0140).
//!
//! The core does not know. A TCP stream is driven by a core of its own, with one connection and one
//! peer address, whose datagrams travel one after the other with a length in front. Handshake,
//! sealing, streams, messages and closing are the same code; so are the handles that an application
//! holds. Peers of both carriers meet in the endpoint's one `accept`.
//!
//! | file | what it does |
//! |---|---|
//! | `framing` | datagrams in a stream of bytes |
//! | `stream` | a TCP stream as a link of a task |
//! | `side` | the TCP half of an endpoint: cores for its streams |
//! | `registry` | how many streams there are, and which have proved nothing yet |
//! | `listener` | the listening socket |
//! | `race` | both carriers at once, and the first one stays |
//! | `memory` | where TCP was needed last time |
//! | `controller` | congestion control: none above TCP's |
//! | `common` | parts that all cores of an endpoint use |

pub(super) mod common;
mod controller;
mod framing;
#[cfg(any(test, feature = "fuzzing"))]
mod fuzzing;
pub(super) mod listener;
pub(super) mod memory;
pub(super) mod race;
pub(super) mod registry;
pub(super) mod side;
mod stream;

#[cfg(any(test, feature = "fuzzing"))]
pub use fuzzing::carrier_framing;

use std::fmt;

/// What carries the packets of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Carrier {
    /// UDP datagrams.
    Udp,
    /// A TCP stream of its own.
    Tcp,
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        })
    }
}

/// Which carriers an endpoint uses, to connect and to be reached.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum CarrierChoice {
    /// Both: it answers on either, at the same port; `connect` begins with UDP, lets TCP join after
    /// a head start, and keeps whichever completes the handshake first.
    #[default]
    Race,
    /// UDP alone.
    UdpOnly,
    /// TCP alone. The UDP socket only keeps the port, and answers nothing.
    TcpOnly,
}

impl CarrierChoice {
    /// Whether connections may use `carrier`.
    #[must_use]
    pub const fn allows(self, carrier: Carrier) -> bool {
        !matches!(
            (self, carrier),
            (Self::UdpOnly, Carrier::Tcp) | (Self::TcpOnly, Carrier::Udp)
        )
    }
}
