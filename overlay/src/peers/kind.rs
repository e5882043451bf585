//! What a connection is for.

use core::fmt;

/// The six connection types of the seeds. A link has the first that fits, in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ConnectionKind {
    /// Opened to look around, and given up for another one after a while (the rover).
    Temporary,
    /// To a peer that is configured or was given priority: kept and restored.
    Persistent,
    /// Opened to an address of the bootstrap list.
    Seed,
    /// The peer opened it.
    Inbound,
    /// We opened it.
    Outbound,
    /// There is no link; messages pass through a third node.
    Relay,
}

impl fmt::Display for ConnectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Temporary => "temporary",
            Self::Persistent => "persistent",
            Self::Seed => "seed",
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
            Self::Relay => "relay",
        })
    }
}
