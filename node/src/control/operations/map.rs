//! The network as this process sees it: one node sees its own links, a process of many sees all.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_overlay::PeerState;
use dunlin_session::NodeId;

use super::Operations;
use crate::control::model::{MapNode, NetworkMap, Problem};
use crate::network::Handle;

impl Operations {
    /// The nodes that this process sees, and the links between them.
    ///
    /// # Errors
    /// When the node has ended.
    pub async fn network(&self) -> Result<NetworkMap, Problem> {
        let own = connected(&self.node).await.ok_or_else(Problem::stopping)?;
        let mut seen = vec![(self.node.id(), Some(own))];
        for other in &self.about.others {
            // One that has ended has no links.
            seen.push((other.id(), connected(other).await));
        }
        Ok(map(&seen, !self.about.others.is_empty()))
    }
}

/// The peers with which messages flow.
async fn connected(node: &Handle) -> Option<Vec<NodeId>> {
    node.with_overlay(|overlay, _| {
        let peers = overlay.peers();
        let connected = peers.filter(|peer| peer.state == PeerState::Connected);
        connected.map(|peer| peer.id).collect()
    })
    .await
}

/// The map of nodes with their peers (`None`: the node has ended). Peers that are not among the nodes
/// follow them.
fn map(seen: &[(NodeId, Option<Vec<NodeId>>)], is_whole: bool) -> NetworkMap {
    let mut map = NetworkMap {
        is_whole,
        ..NetworkMap::default()
    };
    let mut places: BTreeMap<NodeId, u32> = BTreeMap::new();
    let mut place = |nodes: &mut Vec<MapNode>, id: NodeId, is_up: bool| {
        *places.entry(id).or_insert_with(|| {
            let next = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
            let id = id.to_string();
            nodes.push(MapNode { id, is_up });
            next
        })
    };
    for (id, peers) in seen {
        place(&mut map.nodes, *id, peers.is_some());
    }
    let mut links = BTreeSet::new();
    for (id, peers) in seen {
        let from = place(&mut map.nodes, *id, true);
        for peer in peers.iter().flatten() {
            let to = place(&mut map.nodes, *peer, true);
            // Both ends tell it.
            links.insert((from.min(to), from.max(to)));
        }
    }
    map.links = links.into_iter().collect();
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> NodeId {
        NodeId::from_bytes([number; 32])
    }

    #[test]
    fn a_link_that_both_ends_tell_is_on_the_map_once() {
        let seen = [
            (id(1), Some(vec![id(2), id(3)])),
            (id(2), Some(vec![id(1)])),
            (id(3), Some(vec![id(1), id(2)])),
            (id(4), None),
        ];
        let map = map(&seen, true);
        assert_eq!(map.links, [(0, 1), (0, 2), (1, 2)]);
        let up: Vec<_> = map.nodes.iter().map(|node| node.is_up).collect();
        assert_eq!(up, [true, true, true, false]);
        assert_eq!(map.nodes[0].id, id(1).to_string());
    }

    #[test]
    fn a_node_by_itself_sees_its_own_links() {
        let map = map(&[(id(1), Some(vec![id(7), id(8)]))], false);
        assert!(!map.is_whole);
        assert_eq!(map.nodes.len(), 3);
        assert_eq!(map.links, [(0, 1), (0, 2)]);
    }
}
