//! wip
pub use dunlin_transport::Instant;
mod bucket; mod error; pub mod limits; mod rng; mod types; mod wire;
