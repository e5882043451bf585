//! Nodes of the same network on the same link: DNS-SD (RFC 6763) over multicast DNS (RFC 6762).
//!
//! A node announces the service `_dunlin._udp` with the address at which it listens, its ID and the
//! name of its network, and takes what others announce for hints. Everybody on the link can
//! announce anything: nothing but the address is used, and only if the network fits. The announcement
//! shows everybody on the link that the node is there, so this is off unless asked for.

use std::net::{IpAddr, SocketAddr};

use dunlin_overlay::HintSource;
use mdns_sd::{ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};

use super::{Found, Seeker};

/// The port of multicast DNS (RFC 6762 §5).
pub(super) const PORT: u16 = 5353;
/// Type and domain of the service.
const SERVICE: &str = "_dunlin._udp.local.";
/// Property with the ID of the node.
const ID: &str = "id";
/// Property with the name of the network.
const NETWORK: &str = "network";
/// Addresses of one announcement that are looked at.
const ADDRESSES_MAX: usize = 4;
/// Longest instance name (RFC 1035 §2.3.1).
const INSTANCE_LEN_MAX: usize = 63;

/// Ends the daemon's thread when the search is over.
struct Daemon(ServiceDaemon);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It ends with the process anyway.
        let _ = self.0.shutdown();
    }
}

/// Announces the node and looks for others until the node ends.
pub(super) async fn search(seeker: Seeker, port: u16) {
    if let Err(error) = try_search(&seeker, port).await {
        tracing::warn!(%error, "the local network is not searched: multicast DNS does not work here");
    }
}

async fn try_search(seeker: &Seeker, port: u16) -> Result<(), mdns_sd::Error> {
    let network = seeker
        .node
        .with_overlay(|overlay, _| overlay.network().to_owned());
    let Some(network) = network.await else {
        return Ok(());
    };
    let daemon = Daemon(ServiceDaemon::new_with_port(port)?);
    // Who listens on this machine alone neither asks nor tells anybody beyond it.
    if seeker.listen.ip().is_loopback() {
        daemon.0.disable_interface(mdns_sd::IfKind::All)?;
        daemon.0.enable_interface(mdns_sd::IfKind::LoopbackV4)?;
    }
    daemon.0.register(announcement(seeker, &network)?)?;
    let events = daemon.0.browse(SERVICE)?;
    while let Ok(event) = events.recv_async().await {
        let ServiceEvent::ServiceResolved(service) = event else {
            continue;
        };
        let found = found_in(seeker, &network, &service);
        if !found.is_empty() && !seeker.tell(found, HintSource::Lan).await {
            return Ok(());
        }
    }
    Ok(())
}

/// What a node tells of itself.
fn announcement(seeker: &Seeker, network: &str) -> Result<ServiceInfo, mdns_sd::Error> {
    let id = seeker.id.to_string();
    let instance = id.get(..INSTANCE_LEN_MAX.min(id.len())).unwrap_or("dunlin");
    let host = format!("{instance}.local.");
    let properties = [(ID, id.as_str()), (NETWORK, network)];
    let (ip, port) = (seeker.listen.ip(), seeker.listen.port());
    let info = ServiceInfo::new(SERVICE, instance, &host, ip, port, &properties[..])?;
    Ok(match ip.is_unspecified() {
        true => info.enable_addr_auto(),
        false => info,
    })
}

/// The addresses of another node of the same network.
fn found_in(seeker: &Seeker, network: &str, service: &ResolvedService) -> Vec<Found> {
    let is_ours = service.get_property_val_str(ID) == Some(seeker.id.to_string().as_str());
    let is_foreign = service.get_property_val_str(NETWORK) != Some(network);
    if is_ours || is_foreign {
        return Vec::new();
    }
    let mut ips: Vec<IpAddr> = service.addresses.iter().map(|ip| ip.to_ip_addr()).collect();
    ips.sort_unstable();
    // A link-local IPv6 address is of no use without its interface.
    ips.retain(|ip| !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local()));
    let port = service.get_port();
    let places = ips.into_iter().map(|ip| SocketAddr::new(ip, port));
    places.take(ADDRESSES_MAX).map(Found::Address).collect()
}

#[cfg(test)]
mod tests;
