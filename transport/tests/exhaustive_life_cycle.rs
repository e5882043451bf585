//! Every packet type in every state of a connection's life, at both ends: sealed by the peer,
//! sealed with wrong keys, and without protection. What happens is written down here cell by cell,
//! so that a change is seen.
//!
//! A cell says what a packet did at once: the new state, the events, and the types of the packets
//! that left. `.` is nothing at all: then the connection's counters, but for those of rejected
//! packets, have not changed either. `stored` is data that waits for the application.

mod toy;

use dunlin_transport::connection::state::State;
use dunlin_transport::wire::{Flags, Header, PacketType};
use dunlin_transport::{CloseReason, Delivery, Event, PeerViolation, Side, Stats};

use toy::Scene;

/// How the packet is protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Seal {
    /// With the peer's keys.
    Genuine,
    /// With other keys.
    Forged,
    /// With a CRC, as packets before the handshake are.
    Plain,
}

/// Columns: SYN, SYN_ACK, ACK, FIN, FIN_ACK, RST, DATA, PING, PONG, FRAGMENT, FRAGMENT_ACK, NACK.
type Row = [&'static str; 12];

const NOTHING: Row = ["."; 12];

/// While data flows: FIN and RST end it, what must be acknowledged is (a second packet at once).
const TRANSFERRING: Row = [
    ".",
    ".",
    ".",
    "TimeWait closed:Peer >FIN_ACK",
    ".",
    "Closed closed:Reset",
    "datagram >ACK",
    ">PONG >ACK",
    ".",
    "stored >ACK",
    ">ACK",
    ">ACK",
];
/// The same, and FIN_ACK is what we wait for.
const FIN_SENT: Row = {
    let mut row = TRANSFERRING;
    row[4] = "Closed closed:Local";
    row
};
/// A repeated FIN is answered again; an RST spares us the wait.
const TIME_WAIT: Row = [
    ".", ".", ".", ">FIN_ACK", ".", "Closed", ".", ".", ".", "stored", ".", ".",
];
/// Whatever the peer's keys have sealed is answered.
const RESET: Row = [
    ".", ".", ">RST", ">RST", ">RST", ">RST", ">RST", ">RST", ">RST", ">RST", ">RST", ">RST",
];

const GENUINE: [(Side, State, Row); 13] = [
    // Nothing but a SYN_ACK that the session believes gets it out of there.
    (Side::Initiator, State::SynSent, NOTHING),
    (Side::Initiator, State::Established, TRANSFERRING),
    (Side::Initiator, State::Closing, TRANSFERRING),
    (Side::Initiator, State::FinSent, FIN_SENT),
    (Side::Initiator, State::TimeWait, TIME_WAIT),
    (Side::Initiator, State::Reset, RESET),
    (Side::Initiator, State::Closed, NOTHING),
    (Side::Responder, State::Established, TRANSFERRING),
    (Side::Responder, State::Closing, TRANSFERRING),
    (Side::Responder, State::FinSent, FIN_SENT),
    (Side::Responder, State::TimeWait, TIME_WAIT),
    (Side::Responder, State::Reset, RESET),
    (Side::Responder, State::Closed, NOTHING),
];

#[test]
fn genuine_packets_do_what_the_table_says() {
    for (side, state, row) in GENUINE {
        assert_eq!(
            observed(side, state, Seal::Genuine),
            row,
            "{side:?} {state:?}"
        );
    }
}

#[test]
fn forged_packets_do_nothing_in_any_state() {
    for (side, state, _) in GENUINE {
        assert_eq!(
            observed(side, state, Seal::Forged),
            NOTHING,
            "{side:?} {state:?}"
        );
    }
}

#[test]
fn packets_without_protection_do_nothing_in_any_state() {
    for (side, state, _) in GENUINE {
        assert_eq!(
            observed(side, state, Seal::Plain),
            NOTHING,
            "{side:?} {state:?}"
        );
    }
}

#[test]
fn the_table_covers_every_state_at_both_ends() {
    for state in State::ALL {
        for side in [Side::Initiator, Side::Responder] {
            let rows = GENUINE.iter().filter(|row| (row.0, row.1) == (side, state));
            // The half-open responder is not a connection yet.
            let expected = usize::from((side, state) != (Side::Responder, State::SynSent));
            assert_eq!(rows.count(), expected, "{side:?} {state:?}");
        }
    }
}

fn observed(side: Side, state: State, seal: Seal) -> [String; 12] {
    PacketType::ALL.map(|kind| {
        let mut scene = in_state(side, state);
        assert_eq!(scene.state(), state);
        let before = counters(&scene, seal);
        let unread = scene.stats().bytes_unread;
        let packet = packet(&scene, kind, seal);
        scene.hand_over(packet);
        let mut what = reaction(&mut scene, state);
        if scene.stats().bytes_unread > unread {
            what = format!("stored {what}").replace(" .", "");
        }
        if what == "." {
            assert_eq!(
                counters(&scene, seal),
                before,
                "{side:?} {state:?} {kind:?} {seal:?}"
            );
        }
        what
    })
}

/// A connection in this state that has nothing more to send or to say.
fn in_state(side: Side, state: State) -> Scene {
    if state == State::SynSent {
        return Scene::opening();
    }
    let mut scene = Scene::established(side);
    match state {
        State::SynSent | State::Established => {}
        State::Closing => {
            let message = scene.victim().send_message(vec![1], Delivery::Reliable);
            message.expect("there is room");
            scene.victim().close(1, "");
        }
        State::FinSent => scene.victim().close(1, ""),
        State::TimeWait => scene.hand_over(packet(&scene, PacketType::Fin, Seal::Genuine)),
        State::Reset => {
            let now = scene.now;
            scene.victim().abort(now, 1, "");
        }
        State::Closed => {
            scene.victim().close(1, "");
            scene.drain();
            scene.hand_over(packet(&scene, PacketType::FinAck, Seal::Genuine));
        }
    }
    scene.drain();
    scene
}

/// A packet of this type from the peer, as small as its rules allow.
fn packet(scene: &Scene, kind: PacketType, seal: Seal) -> Vec<u8> {
    let mut header = Header::new(kind, scene.victim_cid);
    header.sequence = scene.next_number;
    let body: &[u8] = match kind {
        // The connection ID of the sender, and what the session would say.
        PacketType::Syn | PacketType::SynAck => &[0, 0, 0, 77],
        PacketType::Ack | PacketType::FinAck => &[],
        PacketType::FragmentAck | PacketType::Nack => {
            header.fragment_total = 2;
            &[]
        }
        PacketType::Fin => &[5],
        PacketType::Rst => &[0, 5],
        PacketType::Data => {
            header.flags = Flags::END;
            header.fragment_total = 1;
            b"datagram"
        }
        PacketType::Ping | PacketType::Pong => &[7; 8],
        PacketType::Fragment => {
            header.flags = Flags::RELIABLE.with(Flags::EXTENSION);
            header.fragment_total = 2;
            // Two of three bytes, then a frame that says so and the length of that frame.
            &[1, 1, 0x0c, 1, 3, 0, 3]
        }
    };
    match seal {
        Seal::Genuine => toy::sealed(scene.peer_key, header, body),
        Seal::Forged => toy::sealed(scene.peer_key ^ 1, header, body),
        Seal::Plain => toy::plain(header, body),
    }
}

fn reaction(scene: &mut Scene, before: State) -> String {
    let mut said = Vec::new();
    if scene.state() != before {
        said.push(format!("{:?}", scene.state()));
    }
    for event in scene.events() {
        said.push(match event {
            Event::Closed(reason) => format!("closed:{}", toy::short(&reason)),
            Event::DatagramReceived => "datagram".into(),
            other => format!("{other:?}"),
        });
    }
    for kind in scene.transmit() {
        said.push(format!(">{}", toy::name(kind)));
    }
    if said.is_empty() {
        return ".".into();
    }
    said.join(" ")
}

/// What an observer of the connection sees, but for counters of rejected packets.
fn counters(scene: &Scene, seal: Seal) -> Stats {
    let mut stats = scene.stats();
    stats.packets_rejected = 0;
    stats.packets_duplicate = 0;
    if seal == Seal::Genuine {
        // It was received, of course.
        stats.packets_received = 0;
        stats.bytes_received = 0;
    }
    stats
}

#[test]
fn too_many_forgeries_end_the_connection_and_are_named() {
    let mut scene = Scene::established(Side::Responder);
    let forge = |scene: &mut Scene| {
        let mut header = Header::new(PacketType::Ping, scene.victim_cid);
        header.sequence = scene.next_number;
        let packet = toy::sealed(scene.peer_key ^ 1, header, &[0; 8]);
        scene.hand_over(packet);
    };
    for _ in 1..toy::FORGERIES_MAX {
        forge(&mut scene);
    }
    assert!(scene.events().is_empty() && scene.victim().is_established());
    forge(&mut scene);
    let violation = PeerViolation::IntegrityLimit;
    let closed = scene.events().into_iter().find_map(|event| match event {
        Event::Closed(reason) => Some(reason),
        _ => None,
    });
    assert_eq!(closed, Some(CloseReason::Violation(violation)));
    assert_eq!(scene.transmit(), [PacketType::Rst]);
}
