//! What is known of the conduct of peers, and what follows from it.
//!
//! Five components, each a Beta posterior over evidence for and against (Jøsang and Ismail, *The
//! Beta Reputation System*, 2002), give a score of 0 to 100; a *trust* of 0 to 1 stands beside it, as the
//! seeds of this project have it. [`evidence`] says what was observed and what it weighs, [`tally`]
//! counts it, [`policy`] holds weights and thresholds, [`standing`] is one peer, [`trust`] what third
//! parties may add, [`table`] holds all standings and is bounded.
//!
//! Three rules hold throughout. Evidence counts against a peer only for what it did itself, over its own
//! link or under its own signature. What third parties say moves trust by at most
//! [`crate::limits::HEARSAY_MAX_PERMILLE`], whatever it is and however many say it, and moves no score. And no link,
//! however often it is made anew, changes what is remembered of its peer.
//!
//! Numbers are `f64` under addition, subtraction, multiplication and division only, which IEEE 754
//! defines to the last bit: every machine computes the same.

pub(crate) mod evidence;
pub(crate) mod policy;
pub(crate) mod standing;
pub(crate) mod table;
pub(crate) mod tally;
pub(crate) mod trust;
mod words;

pub use self::evidence::{Component, Evidence, Interaction};
pub use self::policy::{ReputationConfig, Weights, WeightsError};
pub use self::standing::Reputation;
