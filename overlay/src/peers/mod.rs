//! What we know of other nodes: the state machine, the table of known peers, the state of a link, who is
//! taken, who has to go and who is not wanted.

pub(crate) mod backoff;
pub(crate) mod bans;
pub(crate) mod entries;
pub(crate) mod eviction;
pub(crate) mod groups;
pub(crate) mod health;
pub(crate) mod kind;
pub(crate) mod live;
pub(crate) mod lives;
pub(crate) mod map;
mod places;
pub(crate) mod rates;
pub(crate) mod state;
pub(crate) mod table;
