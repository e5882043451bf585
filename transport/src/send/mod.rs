//! The sending half: bytes not yet acknowledged ([`buffer`]), packets in flight ([`in_flight`]),
//! how long they take ([`rtt`]), how fast they are delivered ([`rate`]), which are lost ([`loss`]),
//! and how fast to go ([`pacer`]).

pub mod buffer;
pub mod in_flight;
pub mod loss;
pub mod pacer;
pub mod rate;
pub mod rtt;
