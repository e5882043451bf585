//! The sending half: bytes not yet acknowledged ([`buffer`]), packets in flight ([`in_flight`]),
//! how long they take ([`rtt`]), which are lost ([`loss`]), and how fast to go ([`pacer`]).

pub mod buffer;
pub mod in_flight;
pub mod loss;
pub mod pacer;
pub mod rtt;
pub(crate) mod skipped;
