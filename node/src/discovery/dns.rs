//! DNS seeds: names whose A and AAAA records are addresses of nodes, and whose TXT records may hold
//! signed peer records (`docs/overlay.md`, "Discovery").
//!
//! A seed is asked when the node starts, then whenever what it said has expired, between one minute
//! and one day later; after a failure in a minute, then in twice the time, up to an hour. Of what it
//! says a random choice is taken, so that not all nodes begin at the same ones.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use dunlin_overlay::HintSource;
use dunlin_overlay::address::{AddressError, Host, HostPort};
use dunlin_transport::driver::OsRandom;
use dunlin_transport::protect::Random;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use hickory_resolver::{Resolver, TokioResolver};

use super::record_text::record_in;
use super::{DNS_SEEDS_MAX, Found, Seeker};

/// Port of nodes whose address a seed tells without one.
const DEFAULT_PORT: u16 = 4600;
/// Resources of one answer that are looked at; of these, as many are taken.
const ANSWERS_MAX: usize = 256;
const TAKEN_MAX: usize = 32;
const REFRESH_MIN: Duration = Duration::from_secs(60);
const REFRESH_MAX: Duration = Duration::from_secs(24 * 3600);
const RETRY_MIN: Duration = Duration::from_secs(60);
const RETRY_MAX: Duration = Duration::from_secs(3600);

/// A name that resolves to nodes, and the port at which they listen: `seed.example` or
/// `seed.example:4600`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DnsSeed {
    name: String,
    port: u16,
}

impl FromStr for DnsSeed {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let place: HostPort = match text.contains(':') {
            true => text.parse()?,
            false => format!("{text}:{DEFAULT_PORT}").parse()?,
        };
        match place.host() {
            Host::Name(name) => Ok(Self {
                name: name.clone(),
                port: place.port(),
            }),
            Host::Ip(_) | Host::Onion(_) => Err(AddressError::Host(text.to_owned())),
        }
    }
}

impl fmt::Display for DnsSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}

/// Looks until the node ends. Without a resolver there is nothing to do.
pub(super) async fn search(seeker: Seeker, seeds: Vec<DnsSeed>, name_servers: Vec<SocketAddr>) {
    let resolver = match resolver(&name_servers) {
        Ok(resolver) => resolver,
        Err(error) => {
            tracing::warn!(%error, "DNS seeds are not asked: there is no name server to ask");
            return;
        }
    };
    let searches = seeds
        .into_iter()
        .take(DNS_SEEDS_MAX)
        .map(|seed| ask_for_ever(seeker.clone(), resolver.clone(), seed));
    let mut all = tokio::task::JoinSet::new();
    searches.for_each(|search| {
        all.spawn(search);
    });
    while all.join_next().await.is_some() {}
}

pub(super) fn resolver(name_servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    if name_servers.is_empty() {
        return Resolver::builder_tokio()?.build();
    }
    let servers = name_servers.iter().map(|server| {
        let connections =
            [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = server.port();
                connection
            });
        NameServerConfig::new(server.ip(), true, connections.into())
    });
    let config = ResolverConfig::from_name_servers(servers.collect());
    Resolver::builder_with_config(config, TokioRuntimeProvider::default()).build()
}

async fn ask_for_ever(seeker: Seeker, resolver: TokioResolver, seed: DnsSeed) {
    let mut patience = RETRY_MIN;
    loop {
        let answer = ask(&resolver, &seed).await;
        let wait = match answer.time_to_live {
            Some(time) => {
                patience = RETRY_MIN;
                time.clamp(REFRESH_MIN, REFRESH_MAX)
            }
            None => {
                let now = patience;
                patience = (patience * 2).min(RETRY_MAX);
                now
            }
        };
        if !answer.found.is_empty() && !seeker.tell(answer.found, HintSource::Dns).await {
            return;
        }
        tokio::time::sleep(wait).await;
    }
}

/// What a seed says.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) found: Vec<Found>,
    /// How long it may be relied on; `None`: there was no answer.
    time_to_live: Option<Duration>,
}

/// Asks for the three kinds of records. Each may be missing.
pub(super) async fn ask(resolver: &TokioResolver, seed: &DnsSeed) -> Answer {
    // Fully qualified: no search list of the system is to be tried.
    let name = format!("{}.", seed.name.trim_end_matches('.'));
    let mut answer = Answer::default();
    for kind in [RecordType::TXT, RecordType::A, RecordType::AAAA] {
        match resolver.lookup(name.as_str(), kind).await {
            Ok(lookup) => take(&mut answer, seed, lookup.answers()),
            Err(error) => tracing::debug!(%error, %seed, %kind, "a DNS seed says nothing"),
        }
    }
    choose(&mut answer.found);
    answer
}

fn take(answer: &mut Answer, seed: &DnsSeed, records: &[Record]) {
    for record in records.iter().take(ANSWERS_MAX) {
        let found = match &record.data {
            RData::A(ip) => Some(Found::Address(SocketAddr::new(ip.0.into(), seed.port))),
            RData::AAAA(ip) => Some(Found::Address(SocketAddr::new(ip.0.into(), seed.port))),
            RData::TXT(text) => {
                record_in(text.txt_data.iter().map(AsRef::as_ref)).map(Found::Record)
            }
            _ => None,
        };
        if let Some(found) = found {
            let time = Duration::from_secs(record.ttl.into());
            let least = answer.time_to_live.map_or(time, |known| known.min(time));
            answer.time_to_live = Some(least);
            answer.found.push(found);
        }
    }
}

/// Cuts a long answer to a random choice.
fn choose(found: &mut Vec<Found>) {
    let mut chosen = Vec::new();
    while chosen.len() < TAKEN_MAX && !found.is_empty() {
        let mut lot = [0; 8];
        OsRandom.fill(&mut lot);
        let len = u64::try_from(found.len()).unwrap_or(u64::MAX);
        let at = usize::try_from(u64::from_le_bytes(lot) % len).unwrap_or(0);
        chosen.push(found.swap_remove(at));
    }
    *found = chosen;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_name_with_or_without_a_port() {
        let seed = |text: &str| text.parse::<DnsSeed>().map(|seed| seed.to_string());
        assert_eq!(seed("seed.example"), Ok("seed.example:4600".into()));
        assert_eq!(seed("seed.example:1"), Ok("seed.example:1".into()));
        assert!(seed("192.0.2.1").is_err() && seed("a b").is_err() && seed("").is_err());
        assert!(seed("[::1]:1").is_err() && seed("h:0").is_err());
    }

    #[test]
    fn a_long_answer_is_cut_to_a_choice_without_repetition() {
        let all: Vec<_> = (1..=200u16)
            .map(|port| Found::Address(([127, 0, 0, 1], port).into()))
            .collect();
        let mut chosen = all.clone();
        choose(&mut chosen);
        assert_eq!(chosen.len(), TAKEN_MAX);
        assert!(chosen.iter().all(|found| all.contains(found)));
        assert_ne!(chosen, all[..TAKEN_MAX]);
        let mut ports: Vec<_> = chosen.iter().map(|found| format!("{found:?}")).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), TAKEN_MAX);
    }
}
