//! The driver's tests over UDP.
#![cfg(feature = "tokio")]

mod suite;

use dunlin_transport::driver::CarrierChoice;

/// What the endpoints of the tests use.
const CARRIERS: CarrierChoice = CarrierChoice::UdpOnly;
