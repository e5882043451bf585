//! Which inbound peer makes room for a newcomer when a node is full.
//!
//! The idea is Bitcoin Core's (`SelectNodeToEvict`, 2015): an attacker can have any number of young
//! connections, but hardly at the same time addresses in networks it cannot choose, the shortest
//! ways, the first deliveries and the longest past. So a few peers are protected for each of these,
//! and of the others the youngest from the largest network goes. The numbers are fewer here because
//! there are fewer places, and the newcomer must not make the networks less diverse; ADR 0340.

use core::cmp::Reverse;
use core::time::Duration;

use dunlin_session::NodeId;

use crate::Instant;
use crate::prefix::IpPrefix;

/// Peers protected for each merit at least.
const PROTECTED_MIN: usize = 4;
/// … and one in so many of the candidates.
const PROTECTED_SHARE: usize = 8;

/// An inbound peer that may be evicted.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) id: NodeId,
    /// The network that it comes from.
    pub(crate) network: IpPrefix,
    pub(crate) connected_at: Instant,
    /// Smoothed; `None`: not measured yet.
    pub(crate) rtt: Option<Duration>,
    /// Broadcasts of others that it brought first.
    pub(crate) useful: u64,
    /// It does not answer as it should: nothing protects it.
    pub(crate) is_unhealthy: bool,
}

/// Who has to go for a newcomer from `network`; `None`: nobody, the newcomer is refused. `key` is
/// secret and decides which networks are protected: an attacker cannot choose his for it.
///
/// With `diverse`, the newcomer must not make its network larger than that of who goes: fresh
/// connections from one network then push out nobody of a smaller one, and where all peers are of
/// one network, as on loopback, nobody goes.
pub(crate) fn choose(
    mut candidates: Vec<Candidate>,
    network: IpPrefix,
    diverse: bool,
    key: &[u8; 32],
) -> Option<NodeId> {
    let of_newcomer = candidates.iter().filter(|c| c.network == network).count();
    let sizes: Vec<(NodeId, usize)> = candidates
        .iter()
        .map(|c| {
            let same = |other: &&Candidate| other.network == c.network;
            (c.id, candidates.iter().filter(same).count())
        })
        .collect();
    let size_of = |id: NodeId| sizes.iter().find(|(of, _)| *of == id).map_or(0, |of| of.1);
    protect(&mut candidates, key);
    let victim = candidates
        .iter()
        .max_by_key(|c| (size_of(c.id), c.connected_at, Reverse(c.id)))?;
    (!diverse || of_newcomer < size_of(victim.id)).then_some(victim.id)
}

/// Leaves in `candidates` those that nothing protects.
fn protect(candidates: &mut Vec<Candidate>, key: &[u8; 32]) {
    let few = PROTECTED_MIN.max(candidates.len() / PROTECTED_SHARE);
    // One of each network first, by the keyed hash, so that one network has not all the places.
    let rank = |c: &Candidate| *blake3::keyed_hash(key, &c.network.to_bytes()).as_bytes();
    candidates.sort_by_key(|c| (c.is_unhealthy, rank(c), c.connected_at, c.id));
    let mut networks: Vec<IpPrefix> = Vec::new();
    candidates.retain(|c| {
        let is_kept = !c.is_unhealthy && networks.len() < few && !networks.contains(&c.network);
        if is_kept {
            networks.push(c.network);
        }
        !is_kept
    });
    candidates.sort_by_key(|c| (c.is_unhealthy, c.rtt.unwrap_or(Duration::MAX), c.id));
    remove_first(candidates, few, |c| c.rtt.is_some());
    candidates.sort_by_key(|c| (c.is_unhealthy, Reverse(c.useful), c.id));
    remove_first(candidates, few, |c| c.useful > 0);
    candidates.sort_by_key(|c| (c.is_unhealthy, c.connected_at, c.id));
    let half = candidates.len() / 2;
    remove_first(candidates, half, |_| true);
}

/// Removes up to `count` of the first that are healthy and have `merit`.
fn remove_first(candidates: &mut Vec<Candidate>, count: usize, merit: impl Fn(&Candidate) -> bool) {
    let mut left = count;
    candidates.retain(|c| {
        let is_protected = left > 0 && !c.is_unhealthy && merit(c);
        left -= usize::from(is_protected);
        !is_protected
    });
}

#[cfg(test)]
mod tests;
