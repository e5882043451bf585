//! The state of a peer to which there is a link.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::Instant;
use crate::bucket::TokenBucket;
use crate::config::OverlayConfig;
use crate::event::{Direction, LinkInfo};
use crate::limits::{
    EARLY_BYTES_MAX, EARLY_MESSAGES_MAX, RATE_DROPS_MAX, RATE_DROPS_WITHIN, RELAYED_BURST,
    RELAYED_PER_SECOND,
};
use crate::peers::health::PingState;
use crate::types::{Capabilities, LinkId, Roles};

/// What an accepted hello said.
#[derive(Clone, Debug)]
pub(crate) struct RemoteHello {
    pub(crate) capabilities: Capabilities,
    pub(crate) roles: Roles,
    pub(crate) user_agent: String,
    /// The highest version that both sides speak.
    pub(crate) version: u16,
}

/// A peer with a link.
pub(crate) struct Live {
    /// The link in use.
    pub(crate) link: LinkInfo,
    /// When it came up.
    pub(crate) link_since: Instant,
    /// One of its links was opened by us: we chose it, whoever opened the one in use.
    is_chosen: bool,
    /// The losing one of two links, and when it is closed.
    pub(crate) retiring: Option<(LinkInfo, Instant)>,
    /// The hellos must be finished by then.
    pub(crate) handshake_deadline: Instant,
    /// The peer's hello, once accepted.
    pub(crate) hello: Option<RemoteHello>,
    /// The peer has accepted ours.
    pub(crate) accepted: bool,
    /// Set when both were.
    pub(crate) connected_at: Option<Instant>,
    pub(crate) early: EarlyQueue,
    pub(crate) ping: PingState,
    pub(crate) exchange: ExchangeState,
    /// Messages to be passed on, or passed on to us, that it may bring.
    pub(crate) relays: TokenBucket,
    pub(crate) meter: Meter,
    pub(crate) counters: PeerCounters,
    /// When anything was last heard of it.
    pub(crate) last_activity: Instant,
    /// It is asked to prove its identity again, over that link and until then.
    pub(crate) challenge: Option<(LinkId, Instant)>,
    /// When it last did.
    pub(crate) proved_at: Option<Instant>,
}

impl Live {
    /// A link that has just come up.
    pub(crate) fn new(now: Instant, link: LinkInfo, config: &OverlayConfig) -> Self {
        Self {
            link,
            link_since: now,
            is_chosen: link.direction == Direction::Outbound,
            retiring: None,
            handshake_deadline: now + config.handshake_timeout,
            hello: None,
            accepted: false,
            connected_at: None,
            early: EarlyQueue::default(),
            ping: PingState::new(now + config.ping_interval),
            exchange: ExchangeState {
                outstanding: None,
                answers: TokenBucket::new(now, 1, 4),
            },
            relays: TokenBucket::new(now, RELAYED_PER_SECOND, RELAYED_BURST),
            meter: Meter::new(now, config),
            counters: PeerCounters::default(),
            last_activity: now,
            challenge: None,
            proved_at: None,
        }
    }

    /// Whether messages flow.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected_at.is_some()
    }

    /// Whether only the peer has opened links.
    pub(crate) const fn is_inbound(&self) -> bool {
        !self.is_chosen
    }

    /// Another link to the same peer came up.
    pub(crate) fn on_another_link(&mut self, direction: Direction) {
        self.is_chosen |= direction == Direction::Outbound;
    }

    /// Whether the peer's hello claims these.
    pub(crate) fn offers(&self, capabilities: Capabilities) -> bool {
        self.hello
            .as_ref()
            .is_some_and(|hello| hello.capabilities.contains(capabilities))
    }

    /// What traffic changes.
    pub(crate) const fn traffic(&mut self) -> Traffic<'_> {
        Traffic {
            link: self.link.id,
            meter: &mut self.meter,
            counters: &mut self.counters,
            last_activity: &mut self.last_activity,
        }
    }

    /// When something is to be done about it that nothing else is the occasion for.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let hello = (!self.is_connected()).then_some(self.handshake_deadline);
        let ping = match self.ping.outstanding {
            Some((_, _, deadline)) => Some(deadline),
            None => self.is_connected().then_some(self.ping.due),
        };
        let retiring = self.retiring.map(|(_, at)| at);
        let challenge = self.challenge.map(|(_, until)| until);
        let dues = [hello, ping, retiring, challenge];
        dues.into_iter().flatten().min()
    }

    /// Where the peer is seen.
    pub(crate) fn remote(&self) -> SocketAddr {
        self.link.remote
    }
}

/// What traffic changes of a peer with a link.
pub(crate) struct Traffic<'a> {
    /// The link in use.
    pub(crate) link: LinkId,
    pub(crate) meter: &'a mut Meter,
    pub(crate) counters: &'a mut PeerCounters,
    /// When anything was last heard of it.
    pub(crate) last_activity: &'a mut Instant,
}

/// Messages that overtook the end of the hello; handled once it is finished.
#[derive(Default)]
pub(crate) struct EarlyQueue {
    messages: Vec<Bytes>,
    bytes: usize,
}

impl EarlyQueue {
    /// Keeps a message; false when there is no room.
    pub(crate) fn push(&mut self, message: &[u8]) -> bool {
        if self.messages.len() >= EARLY_MESSAGES_MAX || self.bytes + message.len() > EARLY_BYTES_MAX
        {
            return false;
        }
        self.bytes += message.len();
        self.messages.push(Bytes::copy_from_slice(message));
        true
    }

    /// Takes all of them.
    pub(crate) fn take(&mut self) -> Vec<Bytes> {
        self.bytes = 0;
        core::mem::take(&mut self.messages)
    }
}

/// Peer exchange with this peer.
pub(crate) struct ExchangeState {
    /// ID and deadline of our question.
    pub(crate) outstanding: Option<(u64, Instant)>,
    /// Answers that it may have: 4 at once, one more a second.
    pub(crate) answers: TokenBucket,
}

/// What a peer may send, and what it did wrong.
pub(crate) struct Meter {
    messages: TokenBucket,
    bytes: TokenBucket,
    /// Messages dropped for the rate since then.
    rate_drops: (Instant, u32),
    /// Proven faults.
    pub(crate) violations: u32,
}

impl Meter {
    fn new(now: Instant, config: &OverlayConfig) -> Self {
        Self {
            messages: TokenBucket::new(now, config.messages.per_second, config.messages.burst),
            bytes: TokenBucket::new(now, config.bytes.per_second, config.bytes.burst),
            rate_drops: (now, 0),
            violations: 0,
        }
    }

    /// Whether the peer sends so much that it may hold back what it was asked for.
    pub(crate) fn is_strained(&mut self, now: Instant) -> bool {
        self.messages.is_strained(now) || self.bytes.is_strained(now)
    }

    /// Whether a message of `len` bytes is within the rate; counts it if not.
    pub(crate) fn admit(&mut self, now: Instant, len: usize) -> bool {
        let len = u64::try_from(len).unwrap_or(u64::MAX);
        let admitted = self.messages.take(now, 1) && self.bytes.take(now, len);
        if !admitted {
            let (since, drops) = self.rate_drops;
            let is_current = now < since + RATE_DROPS_WITHIN;
            self.rate_drops = match is_current {
                true => (since, drops.saturating_add(1)),
                false => (now, 1),
            };
        }
        admitted
    }

    /// Whether it goes on and on.
    pub(crate) const fn is_flooding(&self) -> bool {
        self.rate_drops.1 >= RATE_DROPS_MAX
    }
}

/// Traffic of one peer since its link came up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PeerCounters {
    /// Messages received (those dropped for the rate included).
    pub messages_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Messages sent.
    pub messages_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Broadcasts it handed us first.
    pub first_deliveries: u64,
    /// Of these, those that another node signed.
    pub useful_deliveries: u64,
    /// Broadcasts it handed us that we had already.
    pub duplicates: u64,
    /// Broadcasts that it announced and did not bring in time when it was asked.
    pub promises_broken: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_messages_are_kept_up_to_both_limits_and_not_one_more() {
        let mut queue = EarlyQueue::default();
        for _ in 0..EARLY_MESSAGES_MAX {
            assert!(queue.push(b"x"));
        }
        assert!(!queue.push(b"x"));
        assert_eq!(queue.take().len(), EARLY_MESSAGES_MAX);
        assert!(queue.push(&vec![0; EARLY_BYTES_MAX]));
        assert!(!queue.push(b"x"));
    }
}
