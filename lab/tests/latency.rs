//! How long small messages take when packets are lost: 64 bytes every 10 ms over a round trip of
//! 50 ms with 5 % loss in both directions. The least that repeating what was lost can do is one way
//! and a round trip, and what it takes to notice: 83 ms.

use std::time::Duration;

use dunlin_lab::link::Element;
use dunlin_lab::net::{Application, Net};
use dunlin_lab::profile::Profile;
use dunlin_lab::rng::{Ppm, Rng};
use dunlin_lab::violation::Violation;
use dunlin_transport::{ConnectionHandle, Delivery, Endpoint, EndpointConfig, Event, Instant};

const MS: Duration = Duration::from_millis(1);
const MESSAGES: usize = 6_000;
const EVERY: Duration = Duration::from_millis(10);

/// Sends a message with the time in it every ten milliseconds, or notes how old what comes is.
#[derive(Default)]
struct Ticker {
    sends: bool,
    connection: Option<ConnectionHandle>,
    connected: bool,
    next: Instant,
    sent: usize,
    /// Nanoseconds that each message took.
    took: Vec<u64>,
}

impl Application for Ticker {
    fn on_progress(&mut self, now: Instant, endpoint: &mut Endpoint) -> Result<(), Violation> {
        while let Some((handle, event)) = endpoint.poll_event() {
            self.connection = Some(handle);
            if matches!(event, Event::Connected { .. }) {
                self.connected = true;
                self.next = now;
            }
        }
        let Some(connection) = self
            .connection
            .and_then(|handle| endpoint.connection_mut(handle))
        else {
            return Ok(());
        };
        while self.sends && self.connected && self.sent < MESSAGES && self.next <= now {
            let mut data = vec![0; 64];
            data[..8].copy_from_slice(&now.as_nanos().to_be_bytes());
            connection
                .send_message(data, Delivery::Reliable)
                .expect("a message every ten milliseconds fits the buffer");
            self.sent += 1;
            self.next = self.next + EVERY;
        }
        while let Some(message) = connection.receive_message() {
            let sent = message.data.first_chunk().expect("64 bytes");
            self.took.push(now.as_nanos() - u64::from_be_bytes(*sent));
        }
        Ok(())
    }

    fn wake_time(&self) -> Option<Instant> {
        (self.sends && self.connected && self.sent < MESSAGES).then_some(self.next)
    }
}

/// The times of all messages in ascending order.
fn run(loss_percent: u32, seed: u64) -> Vec<u64> {
    let mut rng = Rng::new(seed);
    let mut net = Net::new(rng.split(2));
    let (profile, config) = (Profile::Plain, EndpointConfig::default());
    for node in 0..2 {
        let endpoint = profile.endpoint(node, &config, node == 1, &mut rng);
        let sends = node == 0;
        net.add(
            endpoint,
            Ticker {
                sends,
                ..Ticker::default()
            },
        );
    }
    net.link_all(&[
        Element::delay(25 * MS),
        Element::Loss(Ppm::percent(loss_percent)),
    ]);
    let initiator = profile.initiator(0, 1, &mut rng);
    let remote = Net::<Ticker>::address_of(1);
    net.with(0, |now, endpoint, app| {
        let handle = endpoint.connect(now, remote, initiator);
        app.connection = Some(handle.expect("the endpoint is new"));
    })
    .expect("nothing has happened yet");
    let end = Instant::ZERO + Duration::from_secs(80);
    while net.next_time().is_some_and(|next| next <= end) {
        net.step().expect("nobody breaks a promise");
    }
    let mut took = net.app(1).expect("it was added").took.clone();
    took.sort_unstable();
    took
}

fn percentile(took: &[u64], per_mille: usize) -> Duration {
    Duration::from_nanos(took[(took.len() - 1) * per_mille / 1_000])
}

#[test]
fn without_loss_a_message_takes_one_way() {
    let took = run(0, 1);
    assert_eq!(took.len(), MESSAGES);
    assert_eq!(percentile(&took, 1_000), 25 * MS);
}

#[test]
fn with_loss_all_arrive_and_all_but_one_in_a_hundred_within_90_ms() {
    let mut all = Vec::new();
    for seed in 0..5 {
        let took = run(5, seed);
        assert_eq!(took.len(), MESSAGES, "seed {seed}");
        all.extend(took);
    }
    all.sort_unstable();
    let [half, most, nearly_all] = [500, 990, 999].map(|share| percentile(&all, share));
    println!("p50 {half:?}, p99 {most:?}, p99.9 {nearly_all:?}");
    assert_eq!(half, 25 * MS);
    assert!(most <= 90 * MS, "p99 {most:?}, p99.9 {nearly_all:?}");
    assert!(nearly_all <= 200 * MS, "p99.9 {nearly_all:?}");
}
