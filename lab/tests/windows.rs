//! Flow-control windows that follow the path, without a setting: a long fat path is filled, and a
//! slow reader costs little.

use std::time::Duration;

use dunlin_lab::goodput::probe;
use dunlin_lab::link::{Element, HEADER_BYTES};
use dunlin_lab::net::{Application, Net};
use dunlin_lab::profile::Profile;
use dunlin_lab::rng::Rng;
use dunlin_lab::violation::Violation;
use dunlin_transport::congestion::ControllerChoice;
use dunlin_transport::{
    ConnectionHandle, Endpoint, EndpointConfig, Event, Instant, Stats, StreamDirection, StreamId,
    limits,
};

const GIGABIT: u64 = 1_000_000_000;
const RTT: Duration = Duration::from_millis(150);
/// Bytes that are in flight when the path is full: 18.75 MB.
const BDP: u64 = GIGABIT / 8 * 150 / 1_000;

/// Bits of the application per second that a path of `GIGABIT` can carry.
fn limit() -> f64 {
    let mtu = EndpointConfig::default().transport.mtu_max as u64;
    let share = (mtu - 36) as f64 / (mtu + HEADER_BYTES) as f64;
    GIGABIT as f64 * share
}

fn fills_the_path(controller: ControllerChoice) {
    let mut config = EndpointConfig::default();
    config.transport.controller = controller;
    let rate = Element::Rate {
        bits_per_second: GIGABIT,
        queue_bytes: BDP,
    };
    let path: (&[Element], &[Element]) =
        (&[rate, Element::delay(RTT / 2)], &[Element::delay(RTT / 2)]);
    // The end of slow start and what it loses are over by then.
    let times = (Duration::from_secs(8), Duration::from_secs(3));
    let result = probe(&config, path, times, 1).expect("a connection");
    let share = result.bits_per_second as f64 / limit();
    assert!(share >= 0.9, "{share} of the limit: {result:?}");
}

#[test]
fn a_gigabit_over_150_ms_is_filled_by_cubic_without_a_setting() {
    fills_the_path(ControllerChoice::Cubic);
}

#[test]
fn a_gigabit_over_150_ms_is_filled_by_bbr_without_a_setting() {
    fills_the_path(ControllerChoice::Bbr);
}

/// An endless writer on one node; on the other one who reads 100 kB every tenth of a second: 1 MB/s
/// where 125 could come.
#[derive(Default)]
struct Slow {
    connection: Option<ConnectionHandle>,
    stream: Option<StreamId>,
    read: u64,
    /// When the reader reads next; None: it writes.
    next: Option<Instant>,
}

impl Slow {
    fn read(&mut self, endpoint: &mut Endpoint, bytes: usize) {
        let connection = self.connection.and_then(|it| endpoint.connection_mut(it));
        if let (Some(connection), Some(id)) = (connection, self.stream) {
            let read = connection.read(id, &mut vec![0; bytes]);
            self.read += read.unwrap_or(0) as u64;
        }
    }

    fn stats(&self, endpoint: Option<&Endpoint>) -> Stats {
        let connection = self.connection.and_then(|it| endpoint?.connection(it));
        connection.expect("connected").stats()
    }
}

impl Application for Slow {
    fn on_progress(&mut self, now: Instant, endpoint: &mut Endpoint) -> Result<(), Violation> {
        while let Some((handle, event)) = endpoint.poll_event() {
            let connection = endpoint.connection_mut(handle).expect("it has an event");
            match event {
                Event::Connected { incoming, .. } => {
                    self.connection = Some(handle);
                    if !incoming {
                        self.stream = connection.open_stream(StreamDirection::Unidirectional);
                    }
                }
                Event::StreamsOpened(direction) => {
                    self.stream = connection.accept_stream(direction);
                    continue;
                }
                Event::StreamWritable(_) => {}
                _ => continue,
            }
            if let Some(id) = self.stream {
                while connection.write(id, &[7; 65_536]).is_ok() {}
            }
        }
        if self.next.is_some_and(|next| next <= now) {
            self.read(endpoint, 100_000);
            self.next = Some(now + Duration::from_millis(100));
        }
        Ok(())
    }

    fn wake_time(&self) -> Option<Instant> {
        self.next
    }
}

#[test]
fn a_slow_reader_costs_both_ends_the_first_window_and_buffer_only() {
    let config = EndpointConfig::default();
    let mut rng = Rng::new(1);
    let mut net = Net::new(rng.split(2));
    for node in 0..2 {
        let endpoint = Profile::Plain.endpoint(node, &config, node == 1, &mut rng.split(0));
        let next = (node == 1).then_some(Instant::ZERO);
        let slow = Slow {
            next,
            ..Slow::default()
        };
        net.add(endpoint, slow);
    }
    let path = [
        Element::Rate {
            bits_per_second: GIGABIT,
            queue_bytes: BDP,
        },
        Element::delay(RTT / 2),
    ];
    net.link(0, 1, &path);
    net.link(1, 0, &path);
    let initiator = Profile::Plain.initiator(0, 1, &mut rng);
    let remote = Net::<Slow>::address_of(1);
    net.with(0, |now, endpoint, _| {
        endpoint
            .connect(now, remote, initiator)
            .expect("one connection");
    })
    .expect("no failure");
    let until = Instant::ZERO + Duration::from_secs(30);
    while net.next_time().is_some_and(|next| next <= until) {
        net.step().expect("no failure");
    }
    let [sender, receiver] = [0, 1].map(|node| {
        let slow = net.app(node).expect("added");
        slow.stats(net.endpoint(node))
    });
    let read = net.app(1).expect("added").read;
    assert!(read > 20_000_000, "{read}: the reader is what limits");
    let first = config.transport.initial_receive_window;
    assert!(receiver.bytes_unread <= first, "{receiver:?}");
    let buffer = limits::SEND_BUFFER_MIN.max(2 * sender.congestion_window);
    assert!(sender.bytes_buffered <= buffer, "{sender:?}");
    assert!(sender.bytes_buffered <= 4 * first, "{sender:?}");
}
