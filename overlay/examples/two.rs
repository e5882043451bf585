//! Two overlays in one program, without sockets, threads or a clock: one dials the other, they greet, and
//! a broadcast goes from one to the other.
//!
//! `cargo run -p dunlin-overlay --example two`
//!
//! A program with a network does the same over connections: it carries out what [`Action`]s ask for,
//! and hands in what happens. Links have to be authenticated, as those of `dunlin-session` are.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use dunlin_overlay::{
    Action, Direction, Event, Instant, LinkEnd, LinkEndCause, LinkId, LinkInfo, Overlay,
    OverlayConfig, WallClock,
};
use dunlin_session::{Identity, PublicIdentity};

/// Milliseconds since the Unix epoch at the start.
const START: u64 = 1_800_000_000_000;

struct Node {
    overlay: Overlay,
    public: PublicIdentity,
    address: SocketAddr,
}

impl Node {
    fn new(number: u8) -> Self {
        let identity = Arc::new(Identity::from_seed([number; 32]));
        let clock = WallClock {
            at: Instant::ZERO,
            unix_millis: START,
        };
        let public = *identity.public();
        // The seed is all the randomness it ever has: a real node takes it from the system.
        let overlay = Overlay::new(OverlayConfig::new(clock), identity, [number; 32]);
        Self {
            overlay,
            public,
            address: SocketAddr::from(([10, 0, 0, number], 4600)),
        }
    }

    /// What this node is told of a link to `other`.
    fn link_to(
        &mut self,
        now: Instant,
        other: (PublicIdentity, SocketAddr),
        end: (u64, Direction),
    ) {
        let link = LinkInfo {
            id: LinkId(end.0),
            direction: end.1,
            remote: other.1,
            public: other.0,
        };
        self.overlay.handle_connected(now, other.0.node_id(), link);
    }
}

/// Carries out one wish of `from`, whose only neighbour is `to`.
fn carry_out(now: Instant, action: Action, from: &mut Node, to: &mut Node, links: &mut u64) {
    let (us, them) = (from.public.node_id(), to.public.node_id());
    match action {
        Action::Dial(_) => {
            *links += 1;
            from.link_to(now, (to.public, to.address), (*links, Direction::Outbound));
            to.link_to(
                now,
                (from.public, from.address),
                (*links, Direction::Inbound),
            );
        }
        Action::Send { bytes, .. } => to.overlay.handle_message(now, us, &bytes),
        Action::CloseLink { link, .. } => {
            let end = |cause| LinkEnd { link, cause };
            let (ours, theirs) = (LinkEndCause::ClosedLocally, LinkEndCause::ClosedByPeer);
            from.overlay.handle_disconnected(now, them, end(ours));
            to.overlay.handle_disconnected(now, us, end(theirs));
        }
        Action::ChallengePeer { peer, link } => {
            from.overlay.handle_challenged(now, peer, link, true);
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut alice, mut bob) = (Node::new(1), Node::new(2));
    let (mut now, mut links) = (Instant::ZERO, 0);
    bob.overlay.add_bootstrap(now, alice.address, None)?;
    loop {
        // One input, then every output, until neither wants anything.
        loop {
            if let Some(action) = alice.overlay.poll_action() {
                carry_out(now, action, &mut alice, &mut bob, &mut links);
            } else if let Some(action) = bob.overlay.poll_action() {
                carry_out(now, action, &mut bob, &mut alice, &mut links);
            } else {
                break;
            }
        }
        while let Some(event) = alice.overlay.poll_event() {
            if let Event::PeerUp { peer } = event {
                println!("alice has the peer {peer}");
                let unix_millis = START
                    + u64::try_from(now.saturating_duration_since(Instant::ZERO).as_millis())?;
                alice
                    .overlay
                    .broadcast(now, unix_millis, "news", b"hello")?;
            }
        }
        while let Some(event) = bob.overlay.poll_event() {
            if let Event::Broadcast {
                origin,
                topic,
                payload,
                ..
            } = event
            {
                let text = String::from_utf8_lossy(&payload);
                println!("bob hears on {topic} from {origin}: {text}");
                return Ok(());
            }
        }
        // Time is what we say it is: the next moment at which one of them has something to do.
        let times = [alice.overlay.poll_timeout(), bob.overlay.poll_timeout()];
        now = times
            .into_iter()
            .flatten()
            .min()
            .ok_or("nothing is left to do")?
            .max(now);
        alice.overlay.handle_timeout(now);
        bob.overlay.handle_timeout(now);
    }
}
