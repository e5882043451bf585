//! Peers: list, look at, add, remove, import, export, and their stories.

use std::net::SocketAddr;
use std::time::Duration;

use dunlin_overlay::saved::BanSubject;
use dunlin_overlay::{AddedPeer as Added, PeerPriority as Wanted, PeerState, PeerView};
use dunlin_session::NodeId;
use dunlin_transport::driver::{Carrier, Connection};

use super::Operations;
use crate::cli::address::PeerAddress;
use crate::control::limits::{BAN_DEFAULT, IMPORT_MAX, WAIT_MAX};
use crate::control::model::{
    AddPeer, AddedPeer, Changed, Code, Imported, Path, PeerDetail, PeerFile, PeerFileEntry,
    PeerFilter, PeerList, PeerPriority, Problem, Story,
};
use crate::control::snapshot::{Snapshot, begins_with, millis, whole_id};
use crate::control::trail::Trail;

/// The version of [`PeerFile`].
const FILE_VERSION: u32 = 1;

/// An address that was read and looked up.
#[derive(Clone, Copy)]
struct Place {
    id: Option<NodeId>,
    address: SocketAddr,
}

impl Operations {
    /// The known peers.
    ///
    /// # Errors
    /// When the node has ended.
    pub async fn peers(&self, filter: PeerFilter) -> Result<PeerList, Problem> {
        let snapshot = Snapshot::take(&self.node).await?;
        Ok(PeerList {
            peers: snapshot.list(filter),
            summary: snapshot.summary(),
        })
    }

    /// The connected peers that are trusted most; of equals those with the higher score, then those
    /// with the lower latency.
    ///
    /// # Errors
    /// When the node has ended.
    pub async fn top_peers(&self, count: usize) -> Result<PeerList, Problem> {
        let snapshot = Snapshot::take(&self.node).await?;
        let is_connected = |peer: &&PeerView| peer.state == PeerState::Connected;
        let mut best: Vec<&PeerView> = snapshot.peers.iter().filter(is_connected).collect();
        let latency = |peer: &PeerView| snapshot.latency(peer).unwrap_or(Duration::MAX);
        best.sort_by(|one, other| {
            let by_trust = other.trust.total_cmp(&one.trust);
            by_trust
                .then(other.reputation.cmp(&one.reputation))
                .then(latency(one).cmp(&latency(other)))
        });
        Ok(PeerList {
            peers: best
                .into_iter()
                .take(count)
                .map(|peer| snapshot.show(peer))
                .collect(),
            summary: snapshot.summary(),
        })
    }

    /// All that is known of one peer.
    ///
    /// # Errors
    /// No such peer, or several.
    pub async fn peer(&self, text: &str) -> Result<PeerDetail, Problem> {
        let snapshot = Snapshot::take(&self.node).await?;
        let peer = snapshot.find(text)?;
        let connections = self.node.connections().await;
        // The newest link is the one that stays when there are two.
        let linked = connections.iter().rev().find(|(id, _)| *id == peer.id);
        let path = linked.and_then(|(_, connection)| path_of(connection));
        Ok(PeerDetail {
            place: self.place_of(peer),
            ..snapshot.detail(peer, path)
        })
    }

    /// What happened to one peer.
    ///
    /// # Errors
    /// No such peer, or several.
    pub async fn story(&self, text: &str) -> Result<Story, Problem> {
        let snapshot = Snapshot::take(&self.node).await?;
        let peer = match snapshot.find(text) {
            Ok(peer) => peer.id,
            // Forgotten by the overlay, but not by its story.
            Err(problem) => self.remembered(text).ok_or(problem)?,
        };
        let (recent, forgotten) = self.hub.with_trail(|trail| trail.story(&peer));
        let mut entries = self.before(&recent, Some(peer)).await;
        // What memory has forgotten, the store has.
        let forgotten = if entries.is_empty() { forgotten } else { 0 };
        entries.extend(recent);
        Ok(Story {
            peer: peer.to_string(),
            entries,
            forgotten,
        })
    }

    /// The only peer with a story whose ID begins with `text`, or a whole ID.
    fn remembered(&self, text: &str) -> Option<NodeId> {
        whole_id(text).or_else(|| {
            let ids = |trail: &mut Trail| {
                let mut found = trail
                    .peers()
                    .filter(|id| begins_with(&id.to_string(), text));
                found.next().copied().filter(|_| found.next().is_none())
            };
            self.hub.with_trail(ids)
        })
    }

    /// Connects to a peer, and keeps trying.
    ///
    /// # Errors
    /// An address that is none or not found, no room, or, when it was to be waited for, nobody who
    /// answers in time.
    pub async fn add_peer(&self, wish: AddPeer) -> Result<AddedPeer, Problem> {
        let place = look_up(&wish.address).await?;
        // Before the peer is added, so that its coming is not missed.
        let mut events = self.hub.subscribe();
        let priority = overlay_priority(wish.priority);
        let added = self.node.with_overlay(move |overlay, now| {
            overlay.add_peer(now, place.address, place.id, priority)
        });
        let added = added.await.ok_or_else(Problem::stopping)??;
        if added == Added::NoRoom {
            return Err(Problem::new(
                Code::TooMany,
                "there is no room for one more peer of that part of the network; remove one with `dunlin peer remove`",
            ));
        }
        let address = place.address.to_string();
        let mut peer = self.connected_at(place).await?;
        let wait = Duration::from_millis(wish.wait_ms).min(WAIT_MAX);
        if peer.is_none() && !wait.is_zero() {
            let coming = async {
                loop {
                    let happened = events.recv().await;
                    if happened.is_ok_and(|event| event.kind != "peer_up") {
                        continue;
                    }
                    if let Some(peer) = self.connected_at(place).await? {
                        return Ok::<_, Problem>(peer);
                    }
                }
            };
            let Ok(came) = tokio::time::timeout(wait, coming).await else {
                return Err(Problem::new(
                    Code::Unreachable,
                    format!(
                        "nobody has answered at {address} so far; the address is kept, and with --priority high it is tried again and again: check it and the port, and that the other end is running with the same --network"
                    ),
                ));
            };
            peer = Some(came?);
        }
        Ok(AddedPeer { address, peer })
    }

    async fn connected_at(
        &self,
        place: Place,
    ) -> Result<Option<crate::control::model::Peer>, Problem> {
        let snapshot = Snapshot::take(&self.node).await?;
        let is_it = |peer: &&PeerView| {
            let at = peer.remote == Some(place.address) || peer.addresses.contains(&place.address);
            peer.state == PeerState::Connected && place.id.map_or(at, |id| id == peer.id)
        };
        let found = snapshot.peers.iter().find(is_it);
        Ok(found.map(|peer| snapshot.show(peer)))
    }

    /// Says goodbye to a peer and forgets where it is; with `ban` it is banned, too. An address at which
    /// nobody was met yet is taken back.
    ///
    /// # Errors
    /// No such peer, or several.
    pub async fn remove_peer(&self, text: &str, ban: bool) -> Result<Changed, Problem> {
        let snapshot = Snapshot::take(&self.node).await?;
        let id = match snapshot.find(text) {
            Ok(peer) => peer.id,
            Err(problem) => return self.remove_address(text, problem).await,
        };
        let removed = self.node.with_overlay(move |overlay, now| {
            let removed = overlay.remove_peer(now, id);
            if ban {
                let reason = "the operator removed and banned it";
                return overlay.ban(now, BanSubject::Peer(id), BAN_DEFAULT, reason);
            }
            removed
        });
        let removed = removed.await.ok_or_else(Problem::stopping)?;
        Ok(Changed {
            subject: id.to_string(),
            changed: removed,
            is_only_in_memory: !self.settle().await,
        })
    }

    /// Takes back an address at which nobody was met; `problem` when it is none.
    async fn remove_address(&self, text: &str, problem: Problem) -> Result<Changed, Problem> {
        let Ok(address) = text.parse() else {
            return Err(problem);
        };
        let removed = self
            .node
            .with_overlay(move |overlay, _| overlay.remove_address(address));
        match removed.await {
            Some(true) => Ok(Changed {
                subject: text.to_owned(),
                changed: true,
                is_only_in_memory: false,
            }),
            Some(false) => Err(problem),
            None => Err(Problem::stopping()),
        }
    }

    /// The peers with an address, for another node or a later one.
    ///
    /// # Errors
    /// When the node has ended.
    pub async fn export(&self) -> Result<PeerFile, Problem> {
        let snapshot = Snapshot::take(&self.node).await?;
        let named = snapshot.peers.iter();
        let peers = named
            .filter(|peer| !peer.addresses.is_empty() && peer.state != PeerState::Banned)
            .map(|peer| PeerFileEntry {
                id: peer.id.to_string(),
                addresses: peer.addresses.iter().map(ToString::to_string).collect(),
            })
            .collect();
        Ok(PeerFile {
            version: FILE_VERSION,
            peers,
        })
    }

    /// Takes in the peers of a file: all of them, or none when one is not understood.
    ///
    /// # Errors
    /// Another version, too many, or an ID or address that is none.
    pub async fn import(&self, file: PeerFile) -> Result<Imported, Problem> {
        let places = read_file(&file)?;
        let me = self.node.id();
        let taken = self.node.with_overlay(move |overlay, now| {
            let mut taken = 0;
            for (id, addresses) in &places {
                let mut added = false;
                for address in addresses.iter().filter(|_| *id != me) {
                    let result = overlay.add_peer(now, *address, Some(*id), Wanted::Low);
                    added |= result.is_ok_and(|added| added != Added::NoRoom);
                }
                taken += usize::from(added);
            }
            (taken, places.len())
        });
        let (taken, all) = taken.await.ok_or_else(Problem::stopping)?;
        Ok(Imported {
            taken,
            left: all - taken,
        })
    }
}

fn read_file(file: &PeerFile) -> Result<Vec<(NodeId, Vec<SocketAddr>)>, Problem> {
    let refused = |detail: String| Problem::new(Code::BadRequest, detail);
    if file.version != FILE_VERSION {
        let version = file.version;
        return Err(refused(format!(
            "the file is of version {version}, this program reads version {FILE_VERSION}; use the program that wrote it"
        )));
    }
    if file.peers.len() > IMPORT_MAX {
        return Err(Problem::new(
            Code::TooLarge,
            format!("the file has more than {IMPORT_MAX} peers; divide it"),
        ));
    }
    let entries = file.peers.iter().enumerate();
    entries
        .map(|(index, entry)| {
            let number = index + 1;
            let id = entry
                .id
                .parse()
                .map_err(|error| refused(format!("peer {number} of the file: {error}")))?;
            let read = |text: &String| {
                text.parse().map_err(|_| {
                    refused(format!(
                        "peer {number} of the file: \"{}\" is not an address; write for example 192.0.2.7:4600",
                        text.escape_debug()
                    ))
                })
            };
            let addresses: Result<_, Problem> = entry.addresses.iter().map(read).collect();
            Ok((id, addresses?))
        })
        .collect()
}

const fn overlay_priority(priority: PeerPriority) -> Wanted {
    match priority {
        PeerPriority::High => Wanted::High,
        PeerPriority::Normal => Wanted::Normal,
        PeerPriority::Low => Wanted::Low,
    }
}

async fn look_up(text: &str) -> Result<Place, Problem> {
    let refused = |detail: String| Problem::new(Code::BadRequest, detail);
    let peer: PeerAddress = text
        .parse()
        .map_err(|error| refused(format!("cannot use \"{}\": {error}", text.escape_debug())))?;
    let found = peer.place().resolve().await;
    let found = found.map_err(|failure| Problem::new(Code::Unreachable, failure.to_string()))?;
    let first = found.first().copied();
    let address = first.ok_or_else(|| refused(format!("{} has no address", peer.place())))?;
    Ok(Place {
        id: peer.id(),
        address,
    })
}

/// What a connection knows of its path; `None` when it has ended.
pub(crate) fn path_of(connection: &Connection) -> Option<Path> {
    let path = connection.path_stats()?;
    let carrier = match connection.carrier() {
        Carrier::Tcp => "tcp",
        _ => "udp",
    };
    Some(Path {
        carrier: carrier.to_owned(),
        rtt_ms: millis(path.rtt),
        rtt_min_ms: millis(path.rtt_min),
        congestion_window: path.congestion_window,
        bytes_in_flight: path.bytes_in_flight,
        delivery_rate: path.delivery_rate,
        packets_sent: path.packets_sent,
        packets_lost: path.packets_lost,
        mtu: path.mtu,
        bytes_sent: path.bytes_sent,
        bytes_received: path.bytes_received,
    })
}
