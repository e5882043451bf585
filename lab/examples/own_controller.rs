//! A congestion controller of one's own: it grows while the round trip is at most 10 ms above the
//! least, gives way above that, and halves on congestion.
//!
//! `cargo run --release -p dunlin-lab --example own_controller`

use std::time::Duration;

use dunlin_lab::goodput::probe;
use dunlin_lab::link::Element;
use dunlin_transport::EndpointConfig;
use dunlin_transport::congestion::{
    Acked, Congestion, Controller, ControllerChoice, Recovery, Setup,
};

#[derive(Debug)]
struct Gentle {
    window: u64,
    mtu: u64,
    recovery: Recovery<()>,
}

impl Controller for Gentle {
    fn name(&self) -> &'static str {
        "gentle"
    }

    fn on_acked(&mut self, acked: &Acked<'_>) {
        let queueing = acked.rtt.smoothed() - acked.rtt.minimum().min(acked.rtt.smoothed());
        let step = self.mtu * acked.bytes / self.window.max(1);
        if queueing > Duration::from_millis(10) {
            self.window = self.window.saturating_sub(step).max(2 * self.mtu);
        } else if acked.allows_growth(self.window, true) {
            self.window += 4 * step;
        }
    }

    fn on_congestion(&mut self, congestion: &Congestion) {
        if self.recovery.begin(congestion, ()) {
            self.window = (self.window / 2).max(2 * self.mtu);
        }
    }

    fn on_mtu_change(&mut self, mtu: usize) {
        self.mtu = mtu as u64;
    }

    fn window(&self) -> u64 {
        self.window
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = EndpointConfig::default();
    config.transport.controller = ControllerChoice::custom(|setup: &Setup| {
        let (window, mtu, recovery) = (setup.initial_window, setup.mtu as u64, Recovery::default());
        Box::new(Gentle {
            window,
            mtu,
            recovery,
        }) as Box<dyn Controller>
    });
    let rate = Element::Rate {
        bits_per_second: 20_000_000,
        queue_bytes: 1_000_000,
    };
    let delay = Element::delay(Duration::from_millis(20));
    let times = (Duration::from_secs(10), Duration::from_secs(20));
    let result = probe(&config, (&[rate, delay.clone()], &[delay]), times, 1)?;
    println!(
        "{} kbit/s, {:?} of 40 ms",
        result.bits_per_second / 1_000,
        result.sender.rtt
    );
    Ok(())
}
