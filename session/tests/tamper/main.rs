//! Every handshake and control message truncated, flipped, repeated, replayed and spliced, on the
//! wire of two real endpoints with the real handshake (`docs/session.md` S-HS-5, `docs/wire.md`
//! W-RCV-1).
//!
//! Asserted throughout: what an observer sees of the receiver (connections, states, addresses,
//! timers, events, counters but those of rejected packets) is the same before and after; nobody who
//! has not proven an address gets more bytes than came from it; and the genuine message, which comes
//! last, still does its work and gives both ends the same keys.
//!
//! Bits and lengths are sampled; `DUNLIN_FULL=1 cargo test -p dunlin-session --test tamper` tries
//! all.

mod scene;
mod wire;

use std::time::Duration;

use dunlin_transport::Delivery;
use dunlin_transport::wire::version::REPLY_VERSION;
use dunlin_transport::wire::{HEADER_LEN, PacketType, VERSION, reset};

use scene::{End, Scene};
use wire::{flipped, kind_of, reseal, sampled, split_plain};

const CLIENT_PORT_ELSEWHERE: u16 = 999;

/// The sender's connection ID in front of the session's part, which is not authenticated there.
const SESSION_PART: usize = HEADER_LEN + 4;

#[track_caller]
fn only(datagrams: Vec<Vec<u8>>) -> Vec<u8> {
    assert_eq!(datagrams.len(), 1, "one datagram");
    datagrams.into_iter().next().expect("it is there")
}

/// The first of several: what is behind it is lost.
fn first(datagrams: Vec<Vec<u8>>) -> Vec<u8> {
    datagrams.into_iter().next().expect("something is sent")
}

/// Hands `forged` over and asserts that it changed nothing and was not answered, except by a version
/// reply or, for a connection ID that nobody has, by a stateless reset.
fn assert_ignored(scene: &mut Scene, to_server: bool, forged: &[u8], what: &str) {
    let now = scene.now;
    let before = receiver(scene, to_server).digest();
    if to_server {
        scene.deliver_to_server(forged);
    } else {
        scene.deliver_to_client(forged);
    }
    let receiver = receiver(scene, to_server);
    let answers = receiver.transmit(now);
    if forged.get(1).is_some_and(|version| *version != VERSION) {
        // A packet of another version gets the versions we speak: stateless, and shorter.
        assert!(answers.iter().map(Vec::len).sum::<usize>() <= forged.len());
        assert!(answers.iter().all(|it| it.get(1) == Some(&REPLY_VERSION)));
    } else if let [answer] = &answers[..] {
        let (id, _) = reset::parse(answer).unwrap_or_else(|| panic!("{what} was answered"));
        assert!(answer.len() < forged.len() && forged[28..32] == id.0.to_be_bytes());
    } else {
        assert!(answers.is_empty(), "{what} was answered");
    }
    assert_eq!(receiver.digest(), before, "{what}");
}

fn receiver(scene: &mut Scene, to_server: bool) -> &mut End {
    if to_server {
        &mut scene.server
    } else {
        &mut scene.client
    }
}

/// An unprotected packet: cut at every length, every bit flipped, with and without the checksums
/// made right. Flips that only an unauthenticated field notices are left out when resealed.
fn tamper_plain(scene: &mut Scene, to_server: bool, packet: &[u8]) {
    for length in sampled(packet.len(), 41) {
        let what = format!("{length} of {} bytes", packet.len());
        assert_ignored(scene, to_server, &packet[..length], &what);
        // Cut, with a header that says so and checksums that are right.
        if length >= SESSION_PART + wire::CRC_LEN {
            let mut cut = packet[..length].to_vec();
            let payload = u32::try_from(length - HEADER_LEN).expect("short");
            cut[16..20].copy_from_slice(&payload.to_be_bytes());
            reseal(&mut cut);
            assert_ignored(scene, to_server, &cut, &format!("{what}, resealed"));
        }
    }
    for bit in sampled(packet.len() * 8, 97) {
        assert_ignored(
            scene,
            to_server,
            &flipped(packet, bit),
            &format!("bit {bit}"),
        );
        if (SESSION_PART * 8..(packet.len() - wire::CRC_LEN) * 8).contains(&bit) {
            let mut forged = flipped(packet, bit);
            reseal(&mut forged);
            assert_ignored(scene, to_server, &forged, &format!("bit {bit}, resealed"));
        }
    }
}

/// A sealed packet: cut at every length, every bit flipped.
fn tamper_sealed(scene: &mut Scene, to_server: bool, packet: &[u8], name: &str) {
    for length in sampled(packet.len(), 7) {
        let what = format!("{name}: {length} of {} bytes", packet.len());
        assert_ignored(scene, to_server, &packet[..length], &what);
    }
    for bit in sampled(packet.len() * 8, 5) {
        let what = format!("{name}: bit {bit}");
        assert_ignored(scene, to_server, &flipped(packet, bit), &what);
    }
}

#[test]
fn a_changed_syn_changes_nothing() {
    let mut scene = Scene::new(1, false);
    let syn = only(scene.client.transmit(scene.now));
    tamper_plain(&mut scene, true, &syn);
    scene.deliver_to_server(&syn);
    scene.assert_works();
}

#[test]
fn a_changed_retry_and_a_changed_second_syn_change_nothing() {
    let mut scene = Scene::new(2, true);
    let syn = only(scene.client.transmit(scene.now));
    scene.deliver_to_server(&syn);
    let retry = only(scene.server.transmit(scene.now));
    assert!(retry.len() <= syn.len());
    tamper_plain(&mut scene, false, &retry);
    scene.deliver_to_client(&retry);
    let second = only(scene.client.transmit(scene.now));
    // Again, and the first SYN again: a retry for a retry would go on for ever.
    assert_ignored(&mut scene, false, &retry, "a second retry");
    tamper_plain(&mut scene, true, &second);
    scene.deliver_to_server(&second);
    scene.assert_works();
}

#[test]
fn a_changed_syn_ack_changes_nothing() {
    let mut scene = Scene::new(3, false);
    let syn = only(scene.client.transmit(scene.now));
    scene.deliver_to_server(&syn);
    let syn_ack = only(scene.server.transmit(scene.now));
    assert!(syn_ack.len() <= syn.len(), "never longer than what came");
    tamper_plain(&mut scene, false, &syn_ack);
    scene.deliver_to_client(&syn_ack);
    scene.assert_works();
}

#[test]
fn a_changed_confirm_message_and_first_sealed_packet_change_nothing() {
    let mut scene = Scene::new(4, false);
    let syn = only(scene.client.transmit(scene.now));
    scene.deliver_to_server(&syn);
    let syn_ack = only(scene.server.transmit(scene.now));
    scene.deliver_to_client(&syn_ack);
    let datagram = first(scene.client.transmit(scene.now));
    let (confirm, sealed) = split_plain(&datagram);
    assert_eq!(kind_of(confirm), Some(PacketType::Ack));
    assert!(
        !sealed.is_empty(),
        "the first sealed packet shares the datagram"
    );
    tamper_plain(&mut scene, true, confirm);
    // Nobody has keys for it yet: the sealed packet alone is nothing.
    assert_ignored(&mut scene, true, sealed, "sealed before confirm");
    scene.deliver_to_server(confirm);
    scene.server.transmit(scene.now);
    tamper_sealed(&mut scene, true, sealed, "first sealed packet");
    scene.deliver_to_server(&datagram);
    scene.assert_works();
}

/// Header fields of handshake packets are not authenticated: whoever changes them and makes the
/// checksums right may get an answer, and no more bytes than it sent. The handshake completes with
/// the same keys or later, by the genuine messages.
#[test]
fn changed_headers_of_handshake_packets_give_no_other_keys() {
    for bit in sampled(SESSION_PART * 8, 9) {
        let mut scene = Scene::new(5, false);
        let syn = only(scene.client.transmit(scene.now));
        let mut forged = flipped(&syn, bit);
        reseal(&mut forged);
        scene.deliver_to_server(&forged);
        let answer: usize = scene.server.transmit(scene.now).iter().map(Vec::len).sum();
        assert!(answer <= forged.len(), "SYN bit {bit}: {answer} bytes");
        assert_eq!(scene.server.endpoint.connection_count(), 0);
        scene.deliver_to_server(&syn);
        let syn_ack = only(scene.server.transmit(scene.now));
        let mut forged = flipped(&syn_ack, bit);
        reseal(&mut forged);
        scene.deliver_to_client(&forged);
        scene.deliver_to_client(&syn_ack);
        scene.assert_works();
    }
}

#[test]
fn a_version_reply_is_a_hint_and_no_more() {
    let mut scene = Scene::new(6, false);
    let syn = only(scene.client.transmit(scene.now));
    let mut other = syn.clone();
    other[1] = 7;
    scene.deliver_to_server(&other);
    let reply = only(scene.server.transmit(scene.now));
    assert!(reply.len() <= other.len());
    for length in 0..reply.len() {
        assert_ignored(&mut scene, false, &reply[..length], "a cut version reply");
    }
    for bit in 0..reply.len() * 8 {
        assert_ignored(
            &mut scene,
            false,
            &flipped(&reply, bit),
            "a changed version reply",
        );
    }
    assert_ignored(&mut scene, false, &reply, "a version reply");
    scene.deliver_to_server(&syn);
    scene.assert_works();
}

/// Makes the client send something, by name.
fn provoke(scene: &mut Scene, name: &str) {
    let now = scene.now;
    match name {
        "DATA" => {
            let sent = scene
                .client
                .connection()
                .send_message(vec![3; 20], Delivery::Reliable);
            sent.expect("the connection is open");
        }
        "FRAGMENT" => {
            let sent = scene
                .client
                .connection()
                .send_message(vec![3; 3_000], Delivery::Reliable);
            sent.expect("the connection is open");
        }
        "FIN" => scene.client.connection().close(1, "bye"),
        "RST" => scene.client.connection().abort(now, 2, "enough"),
        "ACK" => {
            let sent = scene
                .server
                .connection()
                .send_message(vec![4; 9], Delivery::Reliable);
            sent.expect("the connection is open");
            for datagram in scene.server.transmit(now) {
                scene.deliver_to_client(&datagram);
            }
            scene.client.settle();
            scene.advance(Duration::from_millis(30));
        }
        "FIN_ACK" => {
            scene.server.connection().close(1, "bye");
            for datagram in scene.server.transmit(now) {
                scene.deliver_to_client(&datagram);
            }
        }
        // A packet from elsewhere makes the server challenge that address.
        "PONG" => {
            let sent = scene
                .client
                .connection()
                .send_message(vec![5; 90], Delivery::Reliable);
            sent.expect("the connection is open");
            scene.client.address.set_port(CLIENT_PORT_ELSEWHERE);
            for datagram in scene.client.transmit(now) {
                scene.deliver_to_server(&datagram);
            }
            scene.advance(Duration::from_millis(30));
            for datagram in scene.server.transmit(now) {
                scene.deliver_to_client(&datagram);
            }
        }
        // The probe of a client that has heard nothing.
        "probe" => {
            let sent = scene
                .client
                .connection()
                .send_message(vec![6; 9], Delivery::Reliable);
            sent.expect("the connection is open");
            scene.client.transmit(now);
            let due = scene.client.endpoint.poll_timeout().expect("a probe timer");
            scene.now = scene.now.max(due);
            scene.client.endpoint.handle_timeout(scene.now);
        }
        other => panic!("{other} is not known here"),
    }
}

const SEALED: [&str; 8] = [
    "DATA", "FRAGMENT", "ACK", "FIN", "FIN_ACK", "RST", "probe", "PONG",
];

#[test]
fn changed_sealed_packets_of_every_kind_change_nothing_and_count_once() {
    for name in SEALED {
        let mut scene = Scene::established(7);
        provoke(&mut scene, name);
        let datagrams = scene.client.transmit(scene.now);
        assert!(!datagrams.is_empty(), "{name}");
        let genuine = datagrams.first().expect("it is there").clone();
        // What its own timers make the server say is lost.
        scene.advance(Duration::ZERO);
        scene.server.transmit(scene.now);
        tamper_sealed(&mut scene, true, &genuine, name);
        let before = scene.server.digest();
        scene.deliver_to_server(&genuine);
        scene.server.transmit(scene.now);
        assert_ne!(
            scene.server.digest(),
            before,
            "the genuine {name} did nothing"
        );
        for _ in 0..3 {
            assert_ignored(&mut scene, true, &genuine, &format!("{name} again"));
        }
        // Again from elsewhere: it opens nothing, so it moves nothing.
        let home = scene.client.address;
        scene.client.address.set_port(77);
        assert_ignored(
            &mut scene,
            true,
            &genuine,
            &format!("{name} from elsewhere"),
        );
        scene.client.address = home;
    }
}

#[test]
fn a_changed_path_challenge_changes_nothing_and_the_genuine_one_moves_the_path() {
    let mut scene = Scene::established(15);
    let message = vec![5; 90];
    let sent = scene
        .client
        .connection()
        .send_message(message, Delivery::Reliable);
    sent.expect("the connection is open");
    scene.client.address.set_port(CLIENT_PORT_ELSEWHERE);
    for datagram in scene.client.transmit(scene.now) {
        scene.deliver_to_server(&datagram);
    }
    // The challenge goes to the new address; what else the server says goes to the old one.
    let mut buf = Vec::new();
    let mut challenge = None;
    scene.server.settle();
    while let Some(transmit) = scene.server.endpoint.poll_transmit(scene.now, 1, &mut buf) {
        if transmit.destination == scene.client.address {
            challenge = Some(buf.clone());
        }
    }
    let challenge = challenge.expect("a PING to the new address");
    tamper_sealed(&mut scene, false, &challenge, "PING");
    scene.deliver_to_client(&challenge);
    let answer = first(scene.client.transmit(scene.now));
    assert_ignored(&mut scene, false, &challenge, "PING again");
    tamper_sealed(&mut scene, true, &answer, "PONG");
    scene.deliver_to_server(&answer);
    let (now, new_home) = (scene.now, scene.client.address);
    scene.server.transmit(now);
    assert_eq!(scene.server.connection().remote_address(), new_home);
    assert_ignored(&mut scene, true, &answer, "PONG again");
}

#[test]
fn packets_in_reverse_order_count_once_each() {
    let mut scene = Scene::established(8);
    for number in 0..9 {
        let connection = scene.client.connection();
        let sent = connection.send_message(vec![number; 1_000], Delivery::Reliable);
        sent.expect("the connection is open");
    }
    let datagrams = scene.client.transmit(scene.now);
    assert!(datagrams.len() >= 8);
    for datagram in datagrams.iter().rev().chain(&datagrams) {
        scene.deliver_to_server(datagram);
    }
    scene.server.settle();
    let mut numbers: Vec<u8> = scene.server.messages().iter().map(|it| it[0]).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..9).collect::<Vec<_>>());
}

#[test]
fn everything_replayed_after_the_end_changes_nothing() {
    for graceful in [true, false] {
        let mut scene = Scene::new(9, false);
        let mut seen = scene.run();
        let sent = scene
            .client
            .connection()
            .send_message(vec![1; 3_000], Delivery::Reliable);
        sent.expect("the connection is open");
        let now = scene.now;
        if graceful {
            scene.client.connection().close(1, "bye");
        } else {
            scene.client.connection().abort(now, 1, "bye");
        }
        for (all, more) in seen.iter_mut().zip(scene.run()) {
            all.extend(more);
        }
        let [there, back] = seen;
        assert!(there.len() >= 3 && back.len() >= 3);
        for datagram in &there {
            // A SYN opens a handshake for whoever repeats it, and no connection.
            if kind_of(datagram) != Some(PacketType::Syn) {
                assert_ignored(&mut scene, true, datagram, "replayed to the server");
            }
        }
        for datagram in &back {
            assert_ignored(&mut scene, false, datagram, "replayed to the client");
        }
    }
}

#[test]
fn a_repeated_syn_after_the_handshake_makes_no_second_connection() {
    let mut scene = Scene::new(10, false);
    let syn = only(scene.client.transmit(scene.now));
    scene.deliver_to_server(&syn);
    let syn_ack = only(scene.server.transmit(scene.now));
    scene.deliver_to_client(&syn_ack);
    let confirm = first(scene.client.transmit(scene.now));
    scene.deliver_to_server(&confirm);
    scene.server.transmit(scene.now);
    scene.deliver_to_server(&syn);
    let answers: usize = scene.server.transmit(scene.now).iter().map(Vec::len).sum();
    assert!(answers <= syn.len(), "never longer than what came");
    // The confirm message fits the first handshake only.
    scene.deliver_to_server(&confirm);
    scene.deliver_to_server(&syn_ack);
    scene.server.settle();
    assert_eq!(scene.server.endpoint.connection_count(), 1);
    scene.assert_works();
}

/// Two connections between the same two nodes: a packet of one under the name of the other.
#[test]
fn packets_spliced_from_another_connection_of_the_same_peers_are_rejected() {
    let mut scene = Scene::established(11);
    scene.connect(12);
    scene.run();
    assert_eq!(scene.server.handles.len(), 2);
    let mut sent = Vec::new();
    for handle in scene.client.handles.clone() {
        let connection = scene.client.endpoint.connection_mut(handle).expect("open");
        let message = connection.send_message(vec![8; 40], Delivery::Reliable);
        message.expect("the connection is open");
        sent.push(only(scene.client.transmit(scene.now)));
    }
    let [one, two] = <[Vec<u8>; 2]>::try_from(sent).expect("two datagrams");
    for (packet, other) in [(&one, &two), (&two, &one)] {
        let mut spliced = packet.clone();
        let id = HEADER_LEN - 4..HEADER_LEN;
        spliced[id.clone()].copy_from_slice(&other[id]);
        assert_ignored(&mut scene, true, &spliced, "spliced");
        // Half of one behind the header of the other.
        let mut mixed = other.clone();
        let middle = mixed.len() / 2;
        mixed[middle..].copy_from_slice(&packet[middle..]);
        assert_ignored(&mut scene, true, &mixed, "mixed");
    }
    scene.deliver_to_server(&one);
    scene.deliver_to_server(&two);
    scene.server.settle();
    assert_eq!(scene.server.messages().len(), 2);
}

/// Messages of one handshake offered to another between the same nodes.
#[test]
fn handshake_messages_spliced_from_another_handshake_are_rejected() {
    let mut scene = Scene::new(13, false);
    let mut other = Scene::new(14, false);
    let syn = only(scene.client.transmit(scene.now));
    let other_syn = only(other.client.transmit(other.now));
    scene.deliver_to_server(&syn);
    other.deliver_to_server(&other_syn);
    let syn_ack = only(scene.server.transmit(scene.now));
    let other_syn_ack = only(other.server.transmit(other.now));
    // With the connection ID that this client listens to, and right checksums.
    let mut spliced = other_syn_ack.clone();
    let id = HEADER_LEN - 4..HEADER_LEN;
    spliced[id.clone()].copy_from_slice(&syn_ack[id.clone()]);
    reseal(&mut spliced);
    assert_ignored(
        &mut scene,
        false,
        &spliced,
        "a SYN_ACK of another handshake",
    );
    scene.deliver_to_client(&syn_ack);
    let confirm = first(scene.client.transmit(scene.now));
    other.deliver_to_client(&other_syn_ack);
    let other_confirm = first(other.client.transmit(other.now));
    let (other_confirm, _) = split_plain(&other_confirm);
    let mut spliced = other_confirm.to_vec();
    spliced[id.clone()].copy_from_slice(&confirm[id]);
    reseal(&mut spliced);
    assert_ignored(
        &mut scene,
        true,
        &spliced,
        "a confirm message of another handshake",
    );
    scene.deliver_to_server(&confirm);
    scene.assert_works();
}
