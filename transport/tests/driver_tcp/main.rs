//! The driver's tests over TCP: the same ones.
#![cfg(feature = "tokio")]

#[path = "../driver/suite.rs"]
mod suite;

use dunlin_transport::driver::CarrierChoice;

/// What the endpoints of the tests use.
const CARRIERS: CarrierChoice = CarrierChoice::TcpOnly;
