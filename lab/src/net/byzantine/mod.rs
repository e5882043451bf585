//! Programs that break the rules: on the path ([`Replayer`], [`BitFlipper`], [`Truncator`],
//! [`OptimisticAcker`]) and at its end ([`Reflector`], [`Prober`] with its [`Sink`]).
//!
//! All are honest about what they did: they count. They work in any [`crate::net::Net`], with its
//! links, faults and other nodes, and know nothing of the connections that pass: blind faults, by
//! chance or by count. Who needs to choose the moment and the answer packet by packet is a
//! [`crate::meddled_pair::Meddler`], between two endpoints and nothing else; who makes packets under
//! keys of its own is an [`crate::adversary`].

mod ends;
mod path;

pub use ends::{Prober, Reflector, Sink, first_flight};
pub use path::{BitFlipper, OptimisticAcker, Replayer, Truncator};
