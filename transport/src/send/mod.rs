//! The sending half: bytes not yet acknowledged ([`buffer`]), packets in flight ([`in_flight`]),
//! how long they take ([`rtt`]), how fast they are delivered ([`rate`]), which are lost ([`loss`]),
//! how fast to go ([`pacer`]) and how to slow down ([`prr`]), how large they may be ([`mtu`]), whether
//! congestion marks pass ([`ecn`]), and how often to be told of all that ([`ack_frequency`]).

pub mod ack_frequency;
pub mod buffer;
pub mod ecn;
pub mod in_flight;
pub mod loss;
pub mod mtu;
pub(crate) mod named;
pub mod pacer;
pub mod prr;
pub mod rate;
mod rope;
pub mod rtt;
pub(crate) mod skipped;
