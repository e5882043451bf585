//! A peer that moves: what somebody who sees both of its paths can tell.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dunlin_lab::link::{Datagram, Element};
use dunlin_lab::net::{Application, Middlebox, Net};
use dunlin_lab::profile::Profile;
use dunlin_lab::rng::Rng;
use dunlin_lab::violation::Violation;
use dunlin_session::CipherSuite;
use dunlin_transport::{
    Connection, ConnectionHandle, Delivery, Endpoint, EndpointConfig, Event, Instant,
};

const DELAY: Duration = Duration::from_millis(20);

/// Connection IDs by the client's address, in each direction.
type Seen = Arc<Mutex<[BTreeMap<SocketAddr, Vec<[u8; 4]>>; 2]>>;

/// Bytes 2 to 27 of sealed packets, which are masked, by the client's address, in each direction.
type Masked = Arc<Mutex<[BTreeMap<SocketAddr, Vec<[u8; 26]>>; 2]>>;

/// Notes the connection ID and the masked part of each packet in one direction.
struct Watcher {
    seen: Seen,
    masked: Masked,
    direction: usize,
}

impl Middlebox for Watcher {
    fn on_datagram(&mut self, _: Instant, datagram: &mut Datagram, _: &mut Vec<Datagram>) -> bool {
        let client = [datagram.from, datagram.to][self.direction];
        if let Some(header) = datagram.bytes.get(2..28).and_then(|it| it.try_into().ok()) {
            let mut masked = self.masked.lock().expect("no panic");
            masked[self.direction]
                .entry(client)
                .or_default()
                .push(header);
        }
        if let Some(id) = datagram.bytes.get(28..32).and_then(|id| id.try_into().ok()) {
            let mut seen = self.seen.lock().expect("no panic");
            let ids = seen[self.direction].entry(client).or_default();
            if ids.last() != Some(&id) {
                ids.push(id);
            }
        }
        true
    }
}

#[derive(Default)]
struct End {
    connection: Option<ConnectionHandle>,
    messages: usize,
}

impl Application for End {
    fn on_progress(&mut self, _: Instant, endpoint: &mut Endpoint) -> Result<(), Violation> {
        while let Some((handle, event)) = endpoint.poll_event() {
            let connection = endpoint.connection_mut(handle).expect("it has an event");
            match event {
                Event::Connected { .. } => self.connection = Some(handle),
                Event::MessageReceived => {
                    self.messages += std::iter::from_fn(|| connection.receive_message()).count();
                }
                _ => {}
            }
        }
        Ok(())
    }
}

struct Scene {
    net: Net<End>,
    seen: Seen,
    masked: Masked,
    sent: usize,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut net = Net::new(rng.split(2));
        let profile = Profile::Sealed(CipherSuite::Aes128Gcm);
        for node in 0..2 {
            let config = EndpointConfig::default();
            let endpoint = profile.endpoint(node, &config, node == 1, &mut rng.split(0));
            net.add(endpoint, End::default());
        }
        let (seen, masked) = (Seen::default(), Masked::default());
        for direction in 0..2 {
            let (seen, masked) = (Arc::clone(&seen), Arc::clone(&masked));
            net.link(direction, 1 - direction, &[Element::delay(DELAY)]);
            net.intercept(
                direction,
                1 - direction,
                Box::new(Watcher {
                    seen,
                    masked,
                    direction,
                }),
            );
        }
        let initiator = profile.initiator(0, 1, &mut rng);
        let remote = Net::<End>::address_of(1);
        net.with(0, |now, endpoint, _| {
            endpoint
                .connect(now, remote, initiator)
                .expect("one connection");
        })
        .expect("no failure");
        let mut scene = Self {
            net,
            seen,
            masked,
            sent: 0,
        };
        scene.run(Duration::from_millis(500));
        scene
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

    /// Messages in both directions, and time for them.
    fn talk(&mut self) {
        self.sent += 1;
        for node in 0..2 {
            self.call(node, |it| {
                it.send_message(vec![1; 3_000], Delivery::Reliable)
            })
            .expect("room");
        }
        self.run(Duration::from_secs(1));
        for node in 0..2 {
            let end = self.net.app(node).expect("added");
            assert_eq!(end.messages, self.sent, "all of it arrives");
        }
    }

    /// The client's packets come from another address from now on.
    fn rebind(&mut self, index: usize) -> SocketAddr {
        let address = Net::<End>::address_of(index);
        self.net.rebind_at(self.net.now(), 0, address);
        self.run(Duration::from_millis(1));
        address
    }

    /// Whether a run of four bytes stands in the same place of the masked part of packets of both paths.
    fn shares_masked_bytes(&self, direction: usize, paths: [SocketAddr; 2]) -> bool {
        let masked = self.masked.lock().expect("no panic");
        let [before, after] = paths.map(|path| masked[direction].get(&path).expect("used"));
        before.iter().any(|old| {
            after.iter().any(|new| {
                old.windows(4)
                    .zip(new.windows(4))
                    .any(|(old, new)| old == new)
            })
        })
    }

    fn ids(&self, direction: usize, client: SocketAddr) -> Vec<[u8; 4]> {
        let seen = self.seen.lock().expect("no panic");
        seen[direction].get(&client).cloned().unwrap_or_default()
    }

    fn shared(&self, direction: usize, paths: [SocketAddr; 2]) -> usize {
        let [before, after] = paths.map(|path| self.ids(direction, path));
        assert!(!before.is_empty() && !after.is_empty(), "both were used");
        after.iter().filter(|id| before.contains(id)).count()
    }
}

#[test]
fn a_client_that_moves_shares_no_id_between_its_paths() {
    let mut scene = Scene::new(1);
    let first = Net::<End>::address_of(0);
    scene.talk();
    assert!(
        scene.call(0, Connection::use_fresh_id),
        "the peer gave spare ones"
    );
    let second = scene.rebind(5);
    scene.talk();
    assert_eq!(scene.call(1, |it| it.remote_address()), second);
    assert_eq!(scene.shared(0, [first, second]), 0, "to the server");
    assert_eq!(scene.shared(1, [first, second]), 0, "to the client");
}

#[test]
fn a_rebound_client_is_written_to_under_a_fresh_id_and_follows() {
    let mut scene = Scene::new(2);
    let first = Net::<End>::address_of(0);
    scene.talk();
    let second = scene.rebind(5);
    scene.talk();
    assert_eq!(scene.call(1, |it| it.remote_address()), second);
    assert_eq!(scene.shared(1, [first, second]), 0, "to the client");
    // It could not know that it moved: the first packets bear the old ID, and no later ones.
    let ids = scene.ids(0, second);
    assert_eq!(scene.shared(0, [first, second]), 1, "{ids:?}");
    assert_eq!(ids.len(), 2, "{ids:?}");
}

#[test]
fn many_moves_use_up_no_ids() {
    let mut scene = Scene::new(3);
    let mut addresses = vec![Net::<End>::address_of(0)];
    for index in 0..30 {
        assert!(scene.call(0, Connection::use_fresh_id), "move {index}");
        addresses.push(scene.rebind(5 + index));
        scene.talk();
    }
    for pair in addresses.windows(2) {
        for direction in 0..2 {
            assert_eq!(scene.shared(direction, [pair[0], pair[1]]), 0, "{pair:?}");
        }
    }
    assert_eq!(scene.call(1, |it| it.stats().path_changes), 30);
}

#[test]
fn without_a_move_the_id_stays() {
    let mut scene = Scene::new(4);
    for _ in 0..5 {
        scene.talk();
    }
    let client = Net::<End>::address_of(0);
    // The first SYN bears none.
    assert_eq!(scene.ids(0, client).len(), 2);
    assert_eq!(scene.ids(1, client).len(), 1);
}

#[test]
fn what_is_counted_of_a_path_begins_anew_on_the_next() {
    let mut scene = Scene::new(5);
    scene.talk();
    let first = scene.call(1, |it| it.path_stats());
    let second = scene.rebind(5);
    scene.talk();
    let (path, whole) = scene.call(1, |it| (it.path_stats(), it.stats()));
    assert_eq!((path.remote, path.mtu), (second, whole.mtu));
    assert!(path.since > first.since);
    assert!(path.packets_sent > 0 && path.packets_sent < whole.packets_sent);
    assert!(first.packets_sent + path.packets_sent <= whole.packets_sent);
}

/// What a driver calls when it is bound to another address: everything at once. The peer proves
/// the new address, and no four bytes of any header are the same on both paths.
#[test]
fn a_migration_leaves_nothing_that_links_the_paths() {
    let mut scene = Scene::new(6);
    let first = Net::<End>::address_of(0);
    scene.talk();
    let second = scene.rebind(5);
    let linkable = scene.net.with(0, |now, endpoint, _| endpoint.migrate(now));
    assert_eq!(linkable.expect("no failure"), Some(0));
    // Nothing is to be said: the migration itself tells the peer.
    scene.run(Duration::from_millis(200));
    assert_eq!(scene.call(1, |it| it.remote_address()), second);
    scene.talk();
    for direction in 0..2 {
        assert_eq!(scene.shared(direction, [first, second]), 0);
        assert!(!scene.shares_masked_bytes(direction, [first, second]));
    }
}

/// Who migrates more often than the peer can give fresh IDs keeps the last one, and is told so.
#[test]
fn a_migration_without_spare_ids_is_reported_as_linkable() {
    let mut scene = Scene::new(7);
    scene.talk();
    let linkable = scene.net.with(0, |now, endpoint, _| {
        (0..20).map(|_| endpoint.migrate(now)).collect::<Vec<_>>()
    });
    let linkable = linkable.expect("no failure").expect("a living node");
    assert_eq!((linkable[0], linkable[19]), (0, 1));
    scene.talk();
}
