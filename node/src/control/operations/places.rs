//! Where the connected peers are, by the database of the operator.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use dunlin_overlay::{PeerState, PeerView};

use super::Operations;
use crate::control::model::{Country, Geography, Place, PlacedPeer, Problem};
use crate::control::snapshot::{Snapshot, millis};
use crate::dashboard::limits::LINKS_MAX;

impl Operations {
    /// The connected peers by place.
    ///
    /// # Errors
    /// When the node has ended.
    pub async fn geography(&self) -> Result<Geography, Problem> {
        let snapshot = Snapshot::take(&self.node).await?;
        let Some(database) = self.about.places.database() else {
            return Ok(Geography::default());
        };
        let connected = snapshot.peers.iter();
        let connected = connected.filter(|peer| peer.state == PeerState::Connected);
        let mut peers: Vec<PlacedPeer> = connected
            .filter_map(|peer| {
                Some(PlacedPeer {
                    id: peer.id.to_string(),
                    address: peer.remote.map(|address| address.to_string()),
                    latency_ms: snapshot.latency(peer).map(millis),
                    place: self.place_of(peer)?,
                })
            })
            .collect();
        let (countries, without_country) = by_country(&peers);
        let left_out = peers.len().saturating_sub(LINKS_MAX);
        peers.truncate(LINKS_MAX);
        Ok(Geography {
            database: Some(database),
            peers,
            left_out,
            countries,
            without_country,
        })
    }

    /// Where a peer is: its address on the link, or else the first one to dial. `None`: there is no
    /// database.
    pub(super) fn place_of(&self, peer: &PeerView) -> Option<Place> {
        let address = peer.remote.or_else(|| peer.addresses.first().copied());
        self.about.places.of(address.as_ref().map(SocketAddr::ip))
    }
}

/// Countries with their peers, those with the most first, then by name; and how many peers have none.
fn by_country(peers: &[PlacedPeer]) -> (Vec<Country>, usize) {
    let mut latencies: BTreeMap<(&str, Option<&str>), Vec<Option<f64>>> = BTreeMap::new();
    for peer in peers {
        if let Some(country) = &peer.place.country {
            let key = (country.as_str(), peer.place.country_code.as_deref());
            latencies.entry(key).or_default().push(peer.latency_ms);
        }
    }
    let mut countries: Vec<Country> = latencies
        .into_iter()
        .map(|((name, code), latencies)| Country {
            code: code.map(str::to_owned),
            name: name.to_owned(),
            peers: latencies.len(),
            median_latency_ms: median(latencies.into_iter().flatten().collect()),
        })
        .collect();
    countries.sort_by_key(|country| std::cmp::Reverse(country.peers));
    let placed: usize = countries.iter().map(|country| country.peers).sum();
    (countries, peers.len() - placed)
}

/// The lower one of the two in the middle, where two are.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(country: Option<(&str, &str)>, latency_ms: Option<f64>) -> PlacedPeer {
        PlacedPeer {
            id: String::new(),
            address: None,
            latency_ms,
            place: Place {
                country_code: country.map(|(code, _)| code.to_owned()),
                country: country.map(|(_, name)| name.to_owned()),
                ..Place::default()
            },
        }
    }

    #[test]
    fn countries_are_counted_with_the_most_first_and_peers_without_one_as_well() {
        let (germany, chile) = (Some(("DE", "Germany")), Some(("CL", "Chile")));
        let peers = [
            peer(germany, Some(30.0)),
            peer(chile, None),
            peer(None, Some(1.0)),
            peer(germany, Some(10.0)),
            peer(germany, Some(20.0)),
        ];
        let (countries, without) = by_country(&peers);
        let told: Vec<_> = countries
            .iter()
            .map(|of| {
                (
                    &*of.name,
                    of.code.as_deref(),
                    of.peers,
                    of.median_latency_ms,
                )
            })
            .collect();
        let germany = ("Germany", Some("DE"), 3, Some(20.0));
        assert_eq!(told, [germany, ("Chile", Some("CL"), 1, None)]);
        assert_eq!(without, 1);
        assert_eq!(by_country(&[]), (Vec::new(), 0));
    }

    #[test]
    fn the_median_is_a_value_that_is_there() {
        assert_eq!(median(Vec::new()), None);
        assert_eq!(median(vec![2.0]), Some(2.0));
        assert_eq!(median(vec![3.0, 1.0]), Some(1.0));
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
    }
}
