//! Words that a peer chooses and that end up before a person: no control characters, whole lines or
//! changes of direction get there.

use dunlin_lab::adversary::Duel;
use dunlin_lab::profile::Profile;
use dunlin_session::{CipherSuite, PeerInfo};
use dunlin_transport::wire::PacketType;
use dunlin_transport::{CloseReason, EndpointConfig, Event};

const SEALED: Profile = Profile::Sealed(CipherSuite::Aes128Gcm);
const TEXT: &str = "bye\r\n2026-01-01 INFO fake\u{1b}[2J\u{202e}\u{0}\"quoted\"";

fn is_tame(text: &str) -> bool {
    text.chars()
        .all(|c| !c.is_control() && !('\u{200b}'..='\u{202e}').contains(&c))
}

/// Attack T19: reasons of FIN and RST as an error text prints them.
#[test]
fn close_reasons_are_printed_without_control_characters() {
    for kind in [PacketType::Fin, PacketType::Rst] {
        let mut duel = Duel::new(SEALED, &EndpointConfig::default(), 8).expect("a handshake");
        let mut body = if kind == PacketType::Rst {
            vec![0]
        } else {
            Vec::new()
        };
        body.push(9);
        body.extend_from_slice(TEXT.as_bytes());
        let header = duel.header(kind);
        duel.send(header, &body, &[]);
        duel.drain();
        let closed = duel.events.iter().find_map(|event| match event {
            Event::Closed(reason) => Some(reason.clone()),
            _ => None,
        });
        let closed = closed.expect("it was believed");
        assert!(matches!(
            &closed,
            CloseReason::Peer { code: 9, reason } | CloseReason::Reset { code: 9, reason }
                if reason == TEXT
        ));
        let shown = closed.to_string();
        assert!(is_tame(&shown), "{shown:?}");
        assert!(shown.contains("bye\\r\\n2026"), "{shown}");
        assert!(is_tame(&format!("{closed:?}")));
    }
}

/// Attack T19: bytes that are no UTF-8 in a reason.
#[test]
fn a_reason_that_is_no_text_is_replaced() {
    let mut duel = Duel::new(SEALED, &EndpointConfig::default(), 8).expect("a handshake");
    let header = duel.header(PacketType::Fin);
    duel.send(header, &[9, 0xff, 0xfe, b'x'], &[]);
    let shown: Vec<String> = duel
        .events
        .iter()
        .map(|event| format!("{event:?}"))
        .collect();
    assert!(shown.iter().all(|text| is_tame(text)), "{shown:?}");
}

/// Attack T19: a user agent is printable ASCII or the handshake fails; ours is cleaned.
#[test]
fn user_agents_are_printable() {
    let duel = Duel::new(SEALED, &EndpointConfig::default(), 8).expect("a handshake");
    let peer = duel.connection().and_then(|it| it.peer()).expect("a peer");
    let peer = peer.downcast_ref::<PeerInfo>().expect("a session's peer");
    assert!(
        peer.user_agent
            .bytes()
            .all(|byte| (0x20..0x7f).contains(&byte))
    );
}
