//! Where peers are, by a database that the operator supplies (`docs/dashboard.md`, ADR 0432).
//!
//! A database is a file in the MaxMind DB format, version 2, with the fields of GeoLite2-City or
//! GeoLite2-Country. It is asked for the addresses of connected peers when somebody looks at them, never on
//! the way of a packet, and nothing is asked of anybody else. What it says is what its maker holds for
//! likely; no decision of the node depends on it.
//!
//! | module | what it is |
//! |---|---|
//! | `database` | a file that was read, and what it says of an address |
//! | `places` | the database of a node, and what it has said |

mod database;
pub mod limits;
mod places;

pub use database::{Database, DatabaseError};
pub use places::Places;

#[cfg(test)]
#[path = "../../tests/program/mmdb.rs"]
mod mmdb;
#[cfg(test)]
mod tests;
