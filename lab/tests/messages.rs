//! What an application may ask of one message or stream: how urgent, how reliable, how long.

use std::time::Duration;

use dunlin_lab::link::Element;
use dunlin_lab::net::{Application, Net};
use dunlin_lab::profile::Profile;
use dunlin_lab::rng::{Ppm, Rng};
use dunlin_lab::violation::Violation;
use dunlin_transport::{
    Connection, ConnectionHandle, Delivery, Endpoint, EndpointConfig, Event, Instant, MessageId,
    Priority, SendOptions, StreamDirection, StreamId,
};

const DELAY: Duration = Duration::from_millis(20);
const MEGABIT: u64 = 1_000_000;

/// One end: it reads what comes and notes when.
#[derive(Default)]
struct End {
    connection: Option<ConnectionHandle>,
    messages: Vec<(Instant, Vec<u8>)>,
    datagrams: Vec<(Instant, Vec<u8>)>,
    /// Bytes read of each stream, and when the last ones were.
    streams: Vec<(StreamId, u64, Instant)>,
    delivered: Vec<MessageId>,
    expired: Vec<MessageId>,
    reads_messages: bool,
}

impl End {
    fn read(&mut self, now: Instant, connection: &mut Connection, id: StreamId) {
        let mut buffer = vec![0; 65_536];
        while let Ok(count @ 1..) = connection.read(id, &mut buffer) {
            if !self.streams.iter().any(|it| it.0 == id) {
                self.streams.push((id, 0, now));
            }
            let entry = self.streams.iter_mut().find(|it| it.0 == id);
            if let Some((_, read, at)) = entry {
                (*read, *at) = (*read + count as u64, now);
            }
        }
    }
}

impl Application for End {
    fn on_progress(&mut self, now: Instant, endpoint: &mut Endpoint) -> Result<(), Violation> {
        while let Some((handle, event)) = endpoint.poll_event() {
            let connection = endpoint.connection_mut(handle).expect("it has an event");
            match event {
                Event::Connected { .. } => self.connection = Some(handle),
                Event::StreamsOpened(direction) => {
                    while let Some(id) = connection.accept_stream(direction) {
                        self.read(now, connection, id);
                    }
                }
                Event::StreamReadable(id) => self.read(now, connection, id),
                Event::MessageReceived if self.reads_messages => {
                    let messages = std::iter::from_fn(|| connection.receive_message());
                    self.messages.extend(messages.map(|it| (now, it.data)));
                }
                Event::DatagramReceived => {
                    let datagrams = std::iter::from_fn(|| connection.receive_datagram());
                    self.datagrams.extend(datagrams.map(|it| (now, it.data)));
                }
                Event::MessageDelivered(id) => self.delivered.push(id),
                Event::MessageExpired(id) => self.expired.push(id),
                _ => {}
            }
        }
        Ok(())
    }
}

struct Scene {
    net: Net<End>,
    lossy: Ppm,
}

impl Scene {
    /// Two connected ends; the path from 0 to 1 carries `bits_per_second`.
    fn new(config: &EndpointConfig, bits_per_second: u64, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut net = Net::new(rng.split(2));
        for node in 0..2 {
            let endpoint = Profile::Plain.endpoint(node, config, node == 1, &mut rng.split(0));
            let end = End {
                reads_messages: true,
                ..End::default()
            };
            net.add(endpoint, end);
        }
        let rate = Element::Rate {
            bits_per_second,
            queue_bytes: 60_000,
        };
        net.link(0, 1, &[rate, Element::delay(DELAY)]);
        net.link(1, 0, &[Element::delay(DELAY)]);
        let initiator = Profile::Plain.initiator(0, 1, &mut rng);
        let remote = Net::<End>::address_of(1);
        net.with(0, |now, endpoint, _| {
            endpoint
                .connect(now, remote, initiator)
                .expect("one connection");
        })
        .expect("no failure");
        let mut scene = Self { net, lossy: Ppm(0) };
        scene.run(Duration::from_millis(200));
        scene
    }

    /// From now on packets to 1 are lost like this, and nothing limits their rate.
    fn lose(&mut self, share: Ppm) {
        self.lossy = share;
        let path = [Element::Loss(share), Element::delay(DELAY)];
        self.net.replace_link_at(self.net.now(), 0, 1, &path);
        self.run(Duration::from_millis(1));
    }

    fn run(&mut self, time: Duration) {
        let until = self.net.now() + time;
        while self.net.next_time().is_some_and(|next| next <= until) {
            self.net.step().expect("no failure");
        }
    }

    fn call<R>(&mut self, node: usize, call: impl FnOnce(&mut Connection) -> R) -> R {
        let called = self.net.with(node, |_, endpoint, end| {
            let handle = end.connection.expect("connected");
            call(endpoint.connection_mut(handle).expect("alive"))
        });
        called.expect("no failure").expect("a living node")
    }

    fn send(&mut self, data: Vec<u8>, options: SendOptions) -> MessageId {
        self.call(0, |connection| connection.send_message(data, options))
            .expect("there is room")
    }

    fn end(&self, node: usize) -> &End {
        self.net.app(node).expect("added")
    }

    /// When the message that begins with `tag` arrived.
    fn arrival(&self, tag: u8) -> Option<Instant> {
        let messages = &self.end(1).messages;
        let found = messages.iter().find(|(_, data)| data.first() == Some(&tag));
        found.map(|(at, _)| *at)
    }
}

fn reliable(urgency: u8) -> SendOptions {
    SendOptions::new(Delivery::Reliable).with_priority(Priority::new(urgency))
}

#[test]
fn an_urgent_message_does_not_wait_for_a_bulk_stream_and_an_idle_one_does() {
    let mut scene = Scene::new(&EndpointConfig::default(), 10 * MEGABIT, 1);
    let bulk = scene.call(0, |connection| {
        let id = connection
            .open_stream(StreamDirection::Unidirectional)
            .expect("granted");
        assert_eq!(connection.write(id, &vec![7; 1_000_000]), Ok(1_000_000));
        id
    });
    scene.run(Duration::from_millis(200));
    let sent = scene.net.now();
    scene.send(vec![b'i'; 1_000], reliable(7));
    scene.send(vec![b'u'; 1_000], reliable(0));
    scene.run(Duration::from_secs(3));
    let (_, read, bulk_over) = scene.end(1).streams[0];
    assert_eq!((scene.end(1).streams[0].0, read), (bulk, 1_000_000));
    let urgent = scene
        .arrival(b'u')
        .expect("it arrived")
        .saturating_duration_since(sent);
    // The path and its full queue of 60 kB, no more.
    assert!(urgent < DELAY + Duration::from_millis(60), "{urgent:?}");
    let idle = scene.arrival(b'i').expect("it arrived too");
    assert!(idle >= bulk_over, "{idle:?} before {bulk_over:?}");
    assert!(
        bulk_over.saturating_duration_since(sent) > Duration::from_millis(500),
        "there was a wait"
    );
}

#[test]
fn streams_of_one_urgency_share_by_bytes_and_a_whole_one_goes_first() {
    let mut scene = Scene::new(&EndpointConfig::default(), 10 * MEGABIT, 2);
    let ids = scene.call(0, |connection| {
        [
            Priority::new(3).incremental(true),
            Priority::new(3).incremental(true),
            Priority::new(2),
            Priority::new(2),
        ]
        .map(|priority| {
            let id = connection
                .open_stream(StreamDirection::Unidirectional)
                .expect("granted");
            connection.set_priority(id, priority).expect("open");
            connection.write(id, &vec![7; 200_000]).expect("room");
            id
        })
    });
    scene.run(Duration::from_secs(3));
    let end = |index: usize| {
        let found = scene.end(1).streams.iter().find(|it| it.0 == ids[index]);
        let (_, read, at) = *found.expect("it came");
        assert_eq!(read, 200_000);
        at
    };
    assert!(end(2) < end(3), "one after the other");
    assert!(end(3) < end(0).min(end(1)), "the more urgent first");
    // They take turns of a packet: both end within a few packets' time.
    let apart = end(0)
        .max(end(1))
        .saturating_duration_since(end(0).min(end(1)));
    assert!(apart < Duration::from_millis(10), "{apart:?}");
}

#[test]
fn an_urgent_long_message_overtakes_a_begun_one_and_both_arrive_through_a_small_window() {
    let mut config = EndpointConfig::default();
    config.transport.receive_window = 65_536;
    config.transport.max_message_size = 65_536;
    let mut scene = Scene::new(&config, 10 * MEGABIT, 3);
    scene.send(vec![b'b'; 50_000], reliable(6));
    scene.run(Duration::from_millis(10));
    scene.send(vec![b'u'; 10_000], reliable(0));
    scene.send(vec![b'l'; 65_536], reliable(1));
    scene.send(vec![b's'; 100], reliable(2));
    scene.run(Duration::from_secs(3));
    let at = |tag| scene.arrival(tag).expect("it arrived");
    assert!(at(b'u') < at(b'b'), "there is room for both");
    // For the longest there is not: what has begun is finished first.
    assert!(at(b'b') < at(b'l') && at(b's') > at(b'u'));
}

#[test]
fn ordered_messages_are_delivered_in_order_and_others_do_not_wait_for_them() {
    for seed in 0..10 {
        let mut scene = Scene::new(&EndpointConfig::default(), 100 * MEGABIT, seed);
        scene.lose(Ppm(200_000));
        let mut rng = Rng::new(seed);
        for number in 0..100u8 {
            let length = 2 + usize::try_from(rng.below(4_000)).expect("small");
            let delivery = match number % 2 {
                0 => Delivery::Ordered,
                _ => Delivery::Reliable,
            };
            let urgency = u8::try_from(rng.below(8)).expect("small");
            let options = SendOptions::new(delivery).with_priority(Priority::new(urgency));
            scene.send(vec![number; length], options);
        }
        scene.run(Duration::from_secs(20));
        let messages = &scene.end(1).messages;
        assert_eq!(messages.len(), 100, "seed {seed}");
        let numbers: Vec<u8> = messages.iter().map(|(_, data)| data[0]).collect();
        let is_ordered = |number: &&u8| number.is_multiple_of(2);
        assert!(numbers.iter().filter(is_ordered).is_sorted(), "seed {seed}");
        assert!(!numbers.is_sorted(), "others came as they could");
        assert_eq!(scene.end(0).delivered.len(), 100);
    }
}

/// Messages that expire on a path that carries nothing: they neither come later nor cost credit.
#[test]
fn expired_messages_are_not_delivered_and_give_their_credit_back() {
    let mut config = EndpointConfig::default();
    config.transport.receive_window = 65_536;
    config.transport.max_message_size = 65_536;
    let mut scene = Scene::new(&config, 10 * MEGABIT, 4);
    // More than three windows in all.
    for _ in 0..20 {
        scene.lose(Ppm(1_000_000));
        let expires = scene.net.now() + Duration::from_millis(30);
        let options = SendOptions::new(Delivery::Until { expires });
        scene.send(vec![b'x'; 10_000], options);
        scene.run(Duration::from_millis(50));
        scene.lose(Ppm(0));
        scene.run(Duration::from_secs(3));
    }
    let end = scene.end(0);
    assert_eq!(end.expired.len() + end.delivered.len(), 20);
    assert!(end.expired.len() > 15, "{:?}", end.delivered);
    let came = scene.end(1).messages.len();
    assert_eq!(came, end.delivered.len());
    scene.send(vec![b'a'; 65_536], reliable(3));
    scene.run(Duration::from_secs(3));
    assert!(scene.arrival(b'a').is_some(), "the whole window is free");
    assert_eq!(scene.call(1, |it| it.stats().bytes_unread), 0);
}

#[test]
fn a_message_that_arrives_in_time_is_delivered_over_loss() {
    let mut scene = Scene::new(&EndpointConfig::default(), 10 * MEGABIT, 5);
    scene.lose(Ppm(100_000));
    let expires = scene.net.now() + Duration::from_secs(20);
    for number in 0..50u8 {
        scene.send(
            vec![number; 3_000],
            SendOptions::new(Delivery::Until { expires }),
        );
    }
    scene.run(Duration::from_secs(10));
    assert_eq!(scene.end(1).messages.len(), 50);
    assert_eq!(scene.end(0).delivered.len(), 50);
    scene.run(Duration::from_secs(15));
    assert_eq!(scene.end(0).expired, [], "delivered ones do not expire");
}

#[test]
fn a_connection_with_expired_messages_closes_gracefully() {
    let mut scene = Scene::new(&EndpointConfig::default(), 10 * MEGABIT, 6);
    scene.lose(Ppm(1_000_000));
    let expires = scene.net.now() + Duration::from_millis(30);
    scene.send(
        vec![b'x'; 10_000],
        SendOptions::new(Delivery::Until { expires }),
    );
    scene.send(vec![b'k'; 10_000], reliable(3));
    scene.call(0, |connection| connection.close(0, ""));
    scene.run(Duration::from_millis(100));
    scene.lose(Ppm(0));
    scene.run(Duration::from_secs(5));
    assert!(scene.arrival(b'k').is_some());
    assert_eq!(scene.arrival(b'x'), None);
    let reason = scene.call(0, |connection| connection.close_reason().cloned());
    assert_eq!(reason, Some(dunlin_transport::CloseReason::Local));
}

#[test]
fn an_unreliable_message_is_sent_once_or_never() {
    let mut scene = Scene::new(&EndpointConfig::default(), 10 * MEGABIT, 7);
    scene.lose(Ppm(500_000));
    for number in 0..100u8 {
        let options = SendOptions::new(Delivery::Unreliable { expires: None });
        scene.send(vec![number; 500], options);
        scene.run(Duration::from_millis(5));
    }
    scene.run(Duration::from_secs(5));
    let came = scene.end(1).datagrams.len();
    assert!((20..80).contains(&came), "{came}");
}

/// What a small message costs on the wire when many wait: its frame, and its share of a packet.
#[test]
fn small_messages_share_packets() {
    let mut scene = Scene::new(&EndpointConfig::default(), 100 * MEGABIT, 8);
    let before = scene.call(0, |it| it.stats());
    for number in 0..1_000u32 {
        let mut data = vec![7; 64];
        data[..4].copy_from_slice(&number.to_be_bytes());
        scene.send(data, reliable(3));
    }
    scene.run(Duration::from_secs(2));
    assert_eq!(scene.end(1).messages.len(), 1_000);
    let after = scene.call(0, |it| it.stats());
    let bytes = after.bytes_sent - before.bytes_sent;
    let packets = after.packets_sent - before.packets_sent;
    // Alone in its packet each would cost 64 bytes and 36 of header and trailer: 100,000 in all.
    assert!(
        bytes < 80_000 && packets < 200,
        "{bytes} bytes in {packets}"
    );
}
