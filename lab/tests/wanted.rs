//! Messages of several fragments that are wanted by a deadline: what the ways of delivery reach when
//! packets are lost (ADR 0113), and what is counted for streams on the way.

use std::time::Duration;

use dunlin_lab::link::Element;
use dunlin_lab::net::{Application, Net};
use dunlin_lab::profile::Profile;
use dunlin_lab::rng::{Ppm, Rng};
use dunlin_lab::violation::Violation;
use dunlin_transport::congestion::{Acked, Congestion, Controller, ControllerChoice, Setup};
use dunlin_transport::{
    Connection, ConnectionHandle, Delivery, Endpoint, EndpointConfig, Event, Instant,
    StreamDirection,
};

const MS: Duration = Duration::from_millis(1);
const ONE_WAY: Duration = Duration::from_millis(20);
/// Two round trips.
const DEADLINE: Duration = Duration::from_millis(80);
const MESSAGES: usize = 1_000;
/// Ten fragments.
const LENGTH: usize = 12_000;

/// A controller that never holds anything back: what is lost is to be seen, not what waits.
#[derive(Debug)]
struct Open;

impl Controller for Open {
    fn name(&self) -> &'static str {
        "open"
    }

    fn on_acked(&mut self, _: &Acked<'_>) {}

    fn on_congestion(&mut self, _: &Congestion) {}

    fn on_mtu_change(&mut self, _: usize) {}

    fn window(&self) -> u64 {
        60_000
    }

    fn pacing_rate(&self, _: Duration) -> Option<u64> {
        None
    }
}

/// One end: notes when whole messages came.
#[derive(Default)]
struct End {
    connection: Option<ConnectionHandle>,
    arrived: Vec<(Instant, Vec<u8>)>,
}

impl Application for End {
    fn on_progress(&mut self, now: Instant, endpoint: &mut Endpoint) -> Result<(), Violation> {
        while let Some((handle, event)) = endpoint.poll_event() {
            let connection = endpoint.connection_mut(handle).expect("it has an event");
            if matches!(event, Event::Connected { .. }) {
                self.connection = Some(handle);
            }
            while let Some(message) = connection
                .receive_message()
                .or_else(|| connection.receive_datagram())
            {
                self.arrived.push((now, message.data));
            }
        }
        Ok(())
    }
}

struct Scene(Net<End>);

impl Scene {
    /// Two connected ends; then a share of all packets is lost both ways.
    fn new(loss: Ppm, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut net = Net::new(rng.split(2));
        for node in 0..2 {
            let mut config = EndpointConfig::default();
            config.transport.controller = ControllerChoice::custom(|_: &Setup| {
                let open: Box<dyn Controller> = Box::new(Open);
                open
            });
            let endpoint = Profile::Plain.endpoint(node, &config, node == 1, &mut rng.split(0));
            net.add(endpoint, End::default());
            net.link(node, 1 - node, &[Element::delay(ONE_WAY)]);
        }
        let initiator = Profile::Plain.initiator(0, 1, &mut rng);
        let remote = Net::<End>::address_of(1);
        net.with(0, |now, endpoint, _| {
            endpoint
                .connect(now, remote, initiator)
                .expect("one connection");
        })
        .expect("no failure");
        let mut scene = Self(net);
        scene.run(500 * MS);
        for node in 0..2 {
            let path = [Element::Loss(loss), Element::delay(ONE_WAY)];
            let now = scene.0.now();
            scene.0.replace_link_at(now, node, 1 - node, &path);
        }
        scene.run(MS);
        scene
    }

    fn run(&mut self, time: Duration) {
        let until = self.0.now() + time;
        while self.0.next_time().is_some_and(|next| next <= until) {
            self.0.step().expect("no failure");
        }
    }

    fn call<R>(&mut self, node: usize, call: impl FnOnce(&mut Connection) -> R) -> R {
        let called = self.0.with(node, |_, endpoint, end| {
            let handle = end.connection.expect("connected");
            call(endpoint.connection_mut(handle).expect("alive"))
        });
        called.expect("no failure").expect("a living node")
    }

    /// How many of the messages that leave every 150 ms arrive by their deadline, and bytes sent.
    fn in_time(&mut self, delivery: impl Fn(Instant) -> Delivery) -> (usize, u64) {
        let before = self.call(0, |it| it.stats().bytes_sent);
        for _ in 0..MESSAGES {
            let now = self.0.now();
            let mut data = vec![0; LENGTH];
            data[..8].copy_from_slice(&now.as_nanos().to_be_bytes());
            self.call(0, |it| it.send_message(data, delivery(now + DEADLINE)))
                .expect("there is room");
            self.run(150 * MS);
        }
        let arrived = &self.0.app(1).expect("added").arrived;
        let in_time = arrived.iter().filter(|(at, data)| {
            let sent = u64::from_be_bytes(*data.first_chunk().expect("8 bytes"));
            at.as_nanos() - sent <= u64::try_from(DEADLINE.as_nanos()).expect("short")
        });
        let in_time = in_time.count();
        (in_time, self.call(0, |it| it.stats().bytes_sent) - before)
    }
}

#[test]
fn messages_with_a_deadline_arrive_in_time_where_datagrams_do_not() {
    let expires = |_| Delivery::Unreliable { expires: None };
    let (once, once_bytes) = Scene::new(Ppm::percent(5), 1).in_time(expires);
    let expires = |expires| Delivery::Until { expires };
    let (again, again_bytes) = Scene::new(Ppm::percent(5), 1).in_time(expires);
    // 0.95^10 = 0.6 of them lose nothing; 0.97 lose nothing twice.
    assert!((540..=660).contains(&once), "{once}");
    assert!(again >= 930, "{again}");
    assert!(again_bytes * 100 < once_bytes * 110, "{again_bytes}");
}

#[test]
fn a_stream_knows_what_it_sent_again_and_what_waits() {
    let mut scene = Scene::new(Ppm::percent(5), 1);
    let id = scene
        .call(0, |it| it.open_stream(StreamDirection::Unidirectional))
        .expect("granted");
    assert_eq!(scene.call(0, |it| it.write(id, &[7; 300_000])), Ok(300_000));
    let queued = scene.call(0, |it| it.stream_stats(id)).expect("open");
    // As much as the window holds has left.
    assert_eq!(queued.bytes_written, 300_000);
    assert!(queued.bytes_queued() >= 240_000, "{queued:?}");
    scene.run(60 * MS);
    let sending = scene.call(0, |it| it.stream_stats(id)).expect("open");
    assert!(sending.bytes_acknowledged > 0, "{sending:?}");
    assert!(
        sending.bytes_acknowledged < sending.bytes_sent,
        "{sending:?}"
    );
    scene.run(Duration::from_secs(20));
    let sent = scene.call(0, |it| it.stream_stats(id)).expect("open");
    assert_eq!((sent.bytes_acknowledged, sent.bytes_queued()), (300_000, 0));
    assert!(sent.bytes_sent_again > 0, "{sent:?}");
    assert!(sent.bytes_sent_again < 60_000, "{sent:?}");
    let received = scene.call(1, |it| it.stream_stats(id)).expect("open");
    assert_eq!((received.bytes_received, received.bytes_read), (300_000, 0));
    assert_eq!(received.bytes_missing, 0);
    let path = scene.call(0, |it| it.path_stats());
    let whole = scene.call(0, |it| it.stats());
    assert_eq!(path.packets_lost, whole.packets_lost);
    assert!(whole.congestion_events <= whole.congestion_signals);
    assert!(whole.window_reductions <= whole.congestion_events);
    assert!(whole.congestion_events > 0, "{whole:?}");
}
