//! Parts of broadcasting: what was seen, what is held, who is pushed what, what is asked for.
//!
//! Each file is one structure that knows neither messages nor peers' links; `overlay/` joins them:
//! [`seen`] decides what is new, [`store`] holds what neighbours may lack, [`origins`] is a tree for
//! each recent origin, [`neighbours`] what is known of each peer as a neighbour, [`wants`] what was
//! announced and has not come, [`shares`] is who comes first on a link, [`declined`] what is not asked
//! for again so soon, [`audits`] asks again to see who brings it, [`conduct`] counts how
//! neighbours serve, [`reconcile`] compares two sets by ranges of time, [`validations`] wait
//! for the application.

pub(crate) mod audits;
pub(crate) mod conduct;
pub(crate) mod declined;
pub(crate) mod mask;
pub(crate) mod neighbours;
pub(crate) mod origins;
pub(crate) mod reconcile;
pub(crate) mod seen;
pub(crate) mod shares;
pub(crate) mod store;
pub(crate) mod validations;
pub(crate) mod wants;

use self::audits::Audits;
use self::declined::Declined;
use self::neighbours::Neighbours;
use self::origins::Origins;
use self::shares::OriginRates;
use self::store::Store;
use self::validations::Validations;
use self::wants::Wants;
use crate::Instant;
use crate::bucket::TokenBucket;
use crate::config::OverlayConfig;

/// All that an overlay keeps for broadcasts, but for the set of those seen.
pub(crate) struct Gossip {
    pub(crate) neighbours: Neighbours,
    pub(crate) origins: Origins,
    pub(crate) store: Store,
    pub(crate) wants: Wants,
    pub(crate) declined: Declined,
    pub(crate) validations: Validations,
    pub(crate) audits: Audits,
    /// Origins without a tree whose first broadcast may be flooded.
    pub(crate) explorations: TokenBucket,
    /// When announcements that wait are sent.
    pub(crate) flush_at: Option<Instant>,
    /// When the next neighbour is asked to compare sets.
    pub(crate) next_round: Instant,
}

impl Gossip {
    /// Nothing yet.
    pub(crate) fn new(now: Instant, config: &OverlayConfig) -> Self {
        Self {
            neighbours: Neighbours::default(),
            origins: Origins::new(OriginRates {
                taken: config.origin_rate,
                share: config.origin_share,
            }),
            store: Store::new(config.store_messages, config.store_bytes),
            wants: Wants::default(),
            declined: Declined::default(),
            validations: Validations::default(),
            audits: Audits::default(),
            explorations: config.explorations.bucket(now),
            flush_at: None,
            next_round: now,
        }
    }
}
