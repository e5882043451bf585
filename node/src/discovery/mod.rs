//! Finding the first peers without knowing one: DNS seeds, and the local network.
//!
//! Whatever comes from here is a hint: an address that a running node dials when it wants peers, or a
//! record that its node signed. Neither a name server nor a neighbour in the local network can make a
//! node believe anything but "somebody may be there"; the handshake proves who is. How much of the
//! address book one source can fill is bounded by the overlay (`docs/overlay.md`, "Discovery").

mod dns;
mod lan;
mod record_text;

use std::net::SocketAddr;

use dunlin_overlay::{HintSource, Overlay};
use dunlin_session::NodeId;
use tokio::task::JoinHandle;

pub use self::dns::DnsSeed;
pub use self::record_text::{dns_record_line, strings_of};
use crate::network::Handle;

/// DNS seeds of one node; more are left out.
pub const DNS_SEEDS_MAX: usize = 16;

/// Where to look.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DiscoveryOptions {
    /// Names that resolve to nodes, at most [`DNS_SEEDS_MAX`].
    pub dns_seeds: Vec<DnsSeed>,
    /// Whom to ask; when empty, the name servers of the system.
    pub name_servers: Vec<SocketAddr>,
    /// Whether to announce the node in the local network (mDNS) and to look for others there.
    pub lan: bool,
}

/// Who looks, on whose behalf.
#[derive(Clone, Debug)]
struct Seeker {
    node: Handle,
    id: NodeId,
    listen: SocketAddr,
}

/// What was found somewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Found {
    /// An address at which there may be a node.
    Address(SocketAddr),
    /// A record, signed by its node.
    Record(Vec<u8>),
}

impl Seeker {
    /// Tells the overlay; false when the node has ended.
    async fn tell(&self, found: Vec<Found>, source: HintSource) -> bool {
        let tell = move |overlay: &mut Overlay, now| {
            let taken = found.iter().filter(|found| match found {
                Found::Address(address) => overlay.add_hint(now, *address, source),
                Found::Record(bytes) => {
                    matches!(overlay.add_record(now, bytes, source), Ok((_, true)))
                }
            });
            taken.count()
        };
        match self.node.with_overlay(tell).await {
            Some(taken) => {
                tracing::debug!(taken, ?source, "hints");
                true
            }
            None => false,
        }
    }
}

/// The search for peers of a running node; ends when dropped.
#[derive(Debug)]
pub struct Discovery {
    tasks: Vec<JoinHandle<()>>,
}

impl Discovery {
    /// Starts looking on behalf of a node, whose ID and address these are. What cannot be had (no
    /// name server, no multicast) is logged; the node runs without. Must be called inside the runtime.
    #[must_use]
    pub fn start(options: DiscoveryOptions, node: Handle, id: NodeId, listen: SocketAddr) -> Self {
        let seeker = Seeker { node, id, listen };
        let mut tasks = Vec::new();
        if !options.dns_seeds.is_empty() {
            let search = dns::search(seeker.clone(), options.dns_seeds, options.name_servers);
            tasks.push(tokio::spawn(search));
        }
        if options.lan {
            tasks.push(tokio::spawn(lan::search(seeker, lan::PORT)));
        }
        Self { tasks }
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests;
