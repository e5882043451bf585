//! What we know of other nodes: the state machine, the table of known peers, the state of a link.

pub(crate) mod backoff;
pub(crate) mod live;
mod places;
pub(crate) mod state;
pub(crate) mod table;
