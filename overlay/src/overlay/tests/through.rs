//! Messages through a third node: three overlays with links between them that the test carries.

use super::*;
use crate::limits::{RELAYED_BURST, RELAYED_PAYLOAD_LEN_MAX};
use crate::saved::BanSubject;
use crate::wire::{Relay, RelayBody, RelayKind, sign_relay};
use crate::{
    ConnectionKind, Handlers, OverlayError, PeerState, PeerViolation, RequestFailure, RequestId,
    RequestRefusal,
};

/// Overlays by number, and which of them have a link.
struct Trio {
    overlays: Vec<Overlay>,
    now: Instant,
    events: Vec<(u8, Event)>,
    /// Messages on their way to nobody: what is sent over links that this says are cut.
    is_cut: bool,
}

/// The numbers of the nodes.
const A: u8 = 0;
const RELAY: u8 = 1;
const B: u8 = 2;
const SECOND_RELAY: u8 = 3;

impl Trio {
    /// A and B, each with a link to the relay, and with `relays` of them two relays, of which only the
    /// last one knows B.
    fn new() -> Self {
        Self::with(&Handlers::Any)
    }

    fn with(handlers: &Handlers) -> Self {
        let overlay = |n: u8| {
            let roles = if n == RELAY || n == SECOND_RELAY {
                Roles::RELAY
            } else {
                Roles::FULL
            };
            let config = OverlayConfig {
                roles,
                handlers: handlers.clone(),
                ..config()
            };
            Overlay::new(config, Arc::new(identity(n)), [n; 32])
        };
        let mut trio = Self {
            overlays: (0..4).map(overlay).collect(),
            now: Instant::ZERO,
            events: Vec::new(),
            is_cut: false,
        };
        trio.connect(A, RELAY);
        trio.connect(RELAY, B);
        trio
    }

    fn connect(&mut self, from: u8, to: u8) {
        for (of, other, direction) in [
            (from, to, Direction::Outbound),
            (to, from, Direction::Inbound),
        ] {
            let public = *identity(other).public();
            let link = LinkInfo {
                id: LinkId(u64::from(from) * 100 + u64::from(to)),
                direction,
                remote: address(other),
                public,
            };
            let now = self.now;
            self.of(of).handle_connected(now, public.node_id(), link);
        }
        self.run();
        assert!(
            self.events
                .contains(&(to, Event::PeerUp { peer: id(from) }))
        );
    }

    fn of(&mut self, n: u8) -> &mut Overlay {
        &mut self.overlays[usize::from(n)]
    }

    /// Carries messages until there are none; events are kept.
    fn run(&mut self) {
        loop {
            let mut messages = Vec::new();
            for n in 0..4 {
                while let Some(action) = self.of(n).poll_action() {
                    if let Action::Send { peer, bytes, .. } = action {
                        messages.push((n, peer, bytes));
                    }
                }
                while let Some(event) = self.of(n).poll_event() {
                    self.events.push((n, event));
                }
                self.of(n).check_invariants().unwrap();
            }
            if messages.is_empty() || self.is_cut {
                return;
            }
            for (from, to, bytes) in messages {
                let to = (0..4).find(|&n| id(n) == to).unwrap();
                let now = self.now;
                self.of(to).handle_message(now, id(from), &bytes);
            }
        }
    }

    fn advance(&mut self, duration: Duration) {
        self.now = self.now + duration;
        for n in 0..4 {
            let now = self.now;
            self.of(n).handle_timeout(now);
        }
        self.run();
    }

    /// What the application of `n` was told of messages and requests since the last look.
    fn told(&mut self, n: u8) -> Vec<Event> {
        let is_message = |event: &Event| {
            matches!(
                event,
                Event::Direct { .. }
                    | Event::Request { .. }
                    | Event::Response { .. }
                    | Event::RequestFailed { .. }
                    | Event::PeerViolation { .. }
            )
        };
        let events = core::mem::take(&mut self.events);
        let (told, rest): (Vec<_>, Vec<_>) = events
            .into_iter()
            .partition(|(of, event)| *of == n && is_message(event));
        self.events = rest;
        told.into_iter().map(|(_, event)| event).collect()
    }
}

/// A signed message from `origin` to `target`, changed at will before it is signed.
fn signed(origin: u8, target: u8, change: impl FnOnce(&mut RelayBody<'_>)) -> (Vec<u8>, [u8; 64]) {
    let mut body = RelayBody {
        network: "dunlin",
        origin: identity(origin).public().to_bytes(),
        target: *id(target).as_bytes(),
        unix_millis: START_MILLIS,
        number: 1,
        kind: RelayKind::Direct.code(),
        request: 0,
        status: 0,
        handler: "chat",
        payload: b"hi",
    };
    change(&mut body);
    sign_relay(&identity(origin), &body)
}

fn message((body, signature): &(Vec<u8>, [u8; 64])) -> Vec<u8> {
    Message::Relay(Relay {
        body: Some(body),
        signature: Some(*signature),
        undeliverable: None,
    })
    .encode()
}

#[test]
fn a_direct_message_goes_through_a_common_neighbour_and_names_it() {
    let mut trio = Trio::new();
    let now = trio.now;
    trio.of(A)
        .send_relayed(now, None, id(B), "chat", b"hi")
        .unwrap();
    trio.run();
    let expected = Event::Direct {
        peer: id(A),
        handler: "chat".to_owned(),
        payload: b"hi"[..].into(),
        via: Some(id(RELAY)),
    };
    assert_eq!(trio.told(B), [expected]);
    assert_eq!(trio.of(RELAY).stats().relayed, 1);
    assert!(
        trio.told(RELAY).is_empty(),
        "the relay's application hears nothing"
    );
}

#[test]
fn the_relay_that_is_asked_for_is_taken_and_no_other() {
    let mut trio = Trio::new();
    trio.connect(A, SECOND_RELAY);
    for n in 0..8u8 {
        trio.advance(Duration::from_millis(200));
        let now = trio.now;
        let through = Some(id(RELAY));
        let sent = trio.of(A).send_relayed(now, through, id(B), "chat", &[n]);
        assert_eq!(sent, Ok(()));
        trio.run();
        assert_eq!(trio.told(B).len(), 1, "message {n}");
    }
    assert_eq!(trio.of(SECOND_RELAY).stats().relayed, 0);
    // The other one does not know B, and nobody else is asked.
    let now = trio.now;
    let through = Some(id(SECOND_RELAY));
    let asked = trio.of(A).request_relayed(now, through, id(B), "sum", b"");
    trio.run();
    let (peer, failure) = (id(B), RequestFailure::Unreachable);
    let failed = Event::RequestFailed {
        peer,
        id: asked.unwrap(),
        failure,
    };
    assert_eq!(trio.told(A), [failed]);
    let stranger = trio
        .of(A)
        .send_relayed(now, Some(id(9)), id(B), "chat", b"");
    assert_eq!(stranger, Err(OverlayError::NotConnected(id(9))));
}

#[test]
fn a_request_is_answered_the_same_way_back() {
    let mut trio = Trio::new();
    let now = trio.now;
    let request = trio
        .of(A)
        .request_relayed(now, None, id(B), "sum", b"1+1")
        .unwrap();
    trio.run();
    let told = trio.told(B);
    let [
        Event::Request {
            peer, id: of, via, ..
        },
    ] = &told[..]
    else {
        panic!("a request: {told:?}")
    };
    assert_eq!((*peer, *via), (id(A), Some(id(RELAY))));
    let too_long = vec![0; RELAYED_PAYLOAD_LEN_MAX + 1];
    let answered = trio.of(B).respond(now, id(A), *of, &too_long);
    assert!(matches!(answered, Err(OverlayError::PayloadTooLong { .. })));
    trio.of(B).respond(now, id(A), *of, b"2").unwrap();
    trio.run();
    let payload = b"2"[..].into();
    let (peer, id) = (id(B), request);
    assert_eq!(trio.told(A), [Event::Response { peer, id, payload }]);
    assert!(
        trio.of(B)
            .respond(now, super::id(A), request, b"2")
            .is_err(),
        "once"
    );
}

#[test]
fn refusals_and_missing_handlers_come_back_too() {
    let mut trio = Trio::with(&Handlers::Named(["sum".to_owned()].into()));
    let now = trio.now;
    let request = |trio: &mut Trio, handler: &str| {
        let asked = trio
            .of(A)
            .request_relayed(now, None, id(B), handler, b"")
            .unwrap();
        trio.run();
        asked
    };
    let refused = |id: RequestId, refusal| {
        let failure = RequestFailure::Refused(Some(refusal));
        let peer = super::id(B);
        [Event::RequestFailed { peer, id, failure }]
    };
    let asked = request(&mut trio, "product");
    assert_eq!(trio.told(A), refused(asked, RequestRefusal::NoHandler));
    let asked = request(&mut trio, "sum");
    trio.of(B)
        .refuse(now, id(A), asked, RequestRefusal::Failed)
        .unwrap();
    trio.run();
    assert_eq!(trio.told(A), refused(asked, RequestRefusal::Failed));
}

#[test]
fn who_knows_no_relay_is_told_so_and_a_node_without_the_role_passes_nothing_on() {
    let mut trio = Trio::new();
    let now = trio.now;
    let refused = trio
        .of(SECOND_RELAY)
        .send_relayed(now, None, id(B), "chat", b"");
    assert_eq!(refused, Err(OverlayError::NoRelay(id(B))));
    // B is no relay; A hands it something for the relay all the same.
    trio.connect(A, B);
    let stray = message(&signed(A, SECOND_RELAY, |_| ()));
    trio.of(B).handle_message(now, id(A), &stray);
    trio.run();
    assert_eq!(
        (trio.of(B).stats().relayed, trio.of(B).stats().unhandled),
        (0, 1)
    );
}

#[test]
fn another_relay_is_tried_when_one_cannot_reach_the_target() {
    let mut trio = Trio::new();
    let now = trio.now;
    let asked = trio
        .of(A)
        .request_relayed(now, None, id(9), "sum", b"")
        .unwrap();
    trio.run();
    let (peer, failure) = (id(9), RequestFailure::Unreachable);
    let failed = Event::RequestFailed {
        peer,
        id: asked,
        failure,
    };
    assert_eq!(trio.told(A), [failed], "at once, not after the timeout");
    trio.connect(A, SECOND_RELAY);
    // Whichever relay is drawn first, the message arrives through the one that knows B.
    for n in 0..20u8 {
        trio.advance(Duration::from_millis(200));
        let now = trio.now;
        trio.of(A)
            .send_relayed(now, None, id(B), "chat", &[n])
            .unwrap();
        trio.run();
        assert_eq!(trio.told(B).len(), 1, "message {n}");
    }
    assert_eq!(trio.of(RELAY).stats().relayed, 20);
}

#[test]
fn a_relay_passes_on_only_what_its_neighbour_signed_for_a_neighbour() {
    let mut trio = Trio::new();
    let now = trio.now;
    // A hands on what B signed: one hop is all there is.
    let of_another = message(&signed(9, B, |_| ()));
    trio.of(RELAY).handle_message(now, id(A), &of_another);
    trio.run();
    assert!(trio.told(B).is_empty());
    assert_eq!(trio.of(RELAY).stats().violations, 0);
    let mut forged = signed(A, B, |_| ());
    forged.1[7] ^= 1;
    trio.of(RELAY).handle_message(now, id(A), &message(&forged));
    trio.run();
    let (peer, violation) = (id(A), PeerViolation::RelayInvalid);
    assert_eq!(trio.told(RELAY), [Event::PeerViolation { peer, violation }]);
    assert!(trio.told(B).is_empty());
}

#[test]
fn a_relay_that_forges_or_changes_a_message_is_to_blame_and_one_that_repeats_it_achieves_nothing() {
    let mut trio = Trio::new();
    let now = trio.now;
    let genuine = signed(A, B, |_| ());
    let mut forged = genuine.clone();
    let last = forged.0.len() - 1;
    forged.0[last] ^= 1;
    trio.of(B).handle_message(now, id(RELAY), &message(&forged));
    trio.run();
    let (peer, violation) = (id(RELAY), PeerViolation::RelayInvalid);
    assert_eq!(trio.told(B), [Event::PeerViolation { peer, violation }]);
    for expected in [1, 0, 0] {
        trio.of(B)
            .handle_message(now, id(RELAY), &message(&genuine));
        trio.run();
        assert_eq!(trio.told(B).len(), expected);
    }
    let old = signed(A, B, |body| body.unix_millis -= 121_000);
    trio.of(B).handle_message(now, id(RELAY), &message(&old));
    let elsewhere = signed(A, B, |body| body.network = "elsewhere");
    trio.of(B)
        .handle_message(now, id(RELAY), &message(&elsewhere));
    trio.run();
    assert_eq!(trio.told(B), [Event::PeerViolation { peer, violation }]);
}

#[test]
fn a_banned_node_is_not_heard_through_a_relay() {
    let mut trio = Trio::new();
    let now = trio.now;
    assert!(
        trio.of(B)
            .ban(now, BanSubject::Peer(id(A)), 60 * SECOND, "enough")
    );
    trio.of(A)
        .send_relayed(now, None, id(B), "chat", b"hi")
        .unwrap();
    trio.run();
    assert!(trio.told(B).is_empty());
}

#[test]
fn relayed_messages_have_their_burst_and_not_one_more() {
    let mut trio = Trio::new();
    let now = trio.now;
    for number in 0..=RELAYED_BURST {
        let each = message(&signed(A, B, |body| body.number = number));
        trio.of(RELAY).handle_message(now, id(A), &each);
        trio.run();
    }
    assert_eq!(u64::try_from(trio.told(B).len()).unwrap(), RELAYED_BURST);
    assert_eq!(trio.of(RELAY).stats().relays_refused, 1);
    let too_long = vec![0; RELAYED_PAYLOAD_LEN_MAX + 1];
    let sent = trio.of(A).send_relayed(now, None, id(B), "chat", &too_long);
    assert!(matches!(sent, Err(OverlayError::PayloadTooLong { .. })));
    assert!(
        trio.of(A)
            .send_relayed(now, None, id(B), "chat", &too_long[1..])
            .is_ok()
    );
}

#[test]
fn a_lost_relay_leaves_no_trace_and_its_requests_time_out() {
    let mut trio = Trio::new();
    let now = trio.now;
    let asked = trio
        .of(A)
        .request_relayed(now, None, id(B), "sum", b"")
        .unwrap();
    trio.run();
    trio.told(B);
    trio.is_cut = true;
    trio.of(B)
        .disconnect(now, id(RELAY), crate::DisconnectReason::Shutdown);
    assert!(trio.of(B).respond(now, id(A), asked, b"").is_err());
    for _ in 0..11 {
        trio.advance(SECOND);
    }
    let (peer, failure) = (id(B), RequestFailure::Timeout);
    let failed = Event::RequestFailed {
        peer,
        id: asked,
        failure,
    };
    assert_eq!(trio.told(A), [failed]);
}

#[test]
fn a_partner_behind_a_relay_is_shown_as_such() {
    let mut trio = Trio::new();
    trio.connect(A, B);
    let now = trio.now;
    let link = LinkId(u64::from(A) * 100 + u64::from(B));
    let cause = crate::LinkEndCause::Failed;
    for (of, other) in [(A, B), (B, A)] {
        trio.of(of)
            .handle_disconnected(now, id(other), crate::LinkEnd { link, cause });
    }
    trio.of(A)
        .send_relayed(now, None, id(B), "chat", b"")
        .unwrap();
    trio.run();
    let seen = trio.of(A).peers().find(|peer| peer.id == id(B)).unwrap();
    assert_eq!(seen.state, PeerState::Disconnected);
    assert_eq!(
        (seen.kind, seen.via),
        (Some(ConnectionKind::Relay), Some(id(RELAY)))
    );
}
