//! Programs that break the rules: on the path ([`Replayer`], [`BitFlipper`], [`Truncator`],
//! [`OptimisticAcker`]) and at its end ([`Reflector`], [`Prober`] with its [`Sink`]).
//!
//! All are honest about what they did: they count.

mod ends;
mod path;

pub use ends::{Prober, Reflector, Sink, first_flight};
pub use path::{BitFlipper, OptimisticAcker, Replayer, Truncator};
