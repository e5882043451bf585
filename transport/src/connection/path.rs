//! Where packets go, and the proof of a new address before they go there (RFC 9000 §9).
//!
//! A packet that opens and is the newest so far, from another address, makes that address a
//! candidate. It gets PINGs with an unpredictable token and no more bytes than came from it; once
//! it answers, it becomes the path. Until then the old path stays.

use alloc::boxed::Box;
use core::net::SocketAddr;
use core::time::Duration;

use crate::planted::{self, Bug};
use crate::time::Instant;

/// Challenges sent to a candidate before it is forgotten.
const CHALLENGES_MAX: u8 = 5;

/// An address that wants to become the path.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    address: SocketAddr,
    token: u64,
    received: u64,
    sent: u64,
    challenges: u8,
    next_challenge: Instant,
    /// A challenge is due and not paid for yet.
    starved: bool,
}

/// The current path and at most one candidate.
#[derive(Clone, Debug)]
pub(super) struct Path {
    remote: SocketAddr,
    candidate: Option<Box<Candidate>>,
}

impl Path {
    pub(super) const fn new(remote: SocketAddr) -> Self {
        Self {
            remote,
            candidate: None,
        }
    }

    pub(super) const fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// The address that is being proven.
    pub(super) fn candidate(&self) -> Option<SocketAddr> {
        self.candidate.as_ref().map(|candidate| candidate.address)
    }

    /// An authenticated packet of `bytes` came from `from`; `newest` when its number is the
    /// largest so far.
    pub(super) fn on_packet(
        &mut self,
        now: Instant,
        from: SocketAddr,
        bytes: u64,
        newest: bool,
        token: impl FnOnce() -> u64,
    ) {
        if from == self.remote {
            if newest {
                // The peer is (again) where we believe it to be.
                self.candidate = None;
            }
            return;
        }
        if planted::is(Bug::PathWithoutChallenge) && newest {
            self.remote = from;
            return;
        }
        match &mut self.candidate {
            Some(candidate) if candidate.address == from => {
                candidate.received += bytes;
                candidate.starved = false;
            }
            _ if newest => {
                self.candidate = Some(Box::new(Candidate {
                    address: from,
                    token: token(),
                    received: bytes,
                    sent: 0,
                    challenges: 0,
                    next_challenge: now,
                    starved: false,
                }));
            }
            _ => {}
        }
    }

    /// The challenge to send now, if one is due and affordable: address and token.
    pub(super) fn poll_challenge(
        &mut self,
        now: Instant,
        size: u64,
        probe_timeout: Duration,
    ) -> Option<(SocketAddr, u64)> {
        let candidate = self.candidate.as_mut()?;
        if candidate.starved || candidate.next_challenge > now {
            return None;
        }
        if candidate.challenges >= CHALLENGES_MAX {
            self.candidate = None;
            return None;
        }
        if candidate.sent + size > candidate.received {
            candidate.starved = true;
            return None;
        }
        candidate.next_challenge = now + probe_timeout;
        if !planted::is(Bug::CandidateBytesNotCounted) {
            candidate.sent += size;
        }
        candidate.challenges += 1;
        Some((candidate.address, candidate.token))
    }

    /// Whether an answer of `size` bytes may go to `to`, which is not the path: only to the
    /// candidate, and no more than came from it, with as much left for a challenge. Without that a
    /// peer whose packets are as small as their answers would be answered for ever and never
    /// proven. Counts them.
    pub(super) fn spend(&mut self, to: SocketAddr, size: u64) -> bool {
        let Some(candidate) = self.candidate.as_mut().filter(|it| it.address == to) else {
            return false;
        };
        let affordable = candidate.sent + 2 * size <= candidate.received;
        if affordable {
            candidate.sent += size;
        }
        affordable
    }

    /// When the next challenge is due; never, while it waits for bytes that pay for it.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let candidate = self.candidate.as_ref().filter(|it| !it.starved)?;
        Some(candidate.next_challenge)
    }

    /// A PONG came: returns the new address when it proves the candidate.
    pub(super) fn on_pong(&mut self, token: u64) -> Option<SocketAddr> {
        let candidate = self
            .candidate
            .as_ref()
            .filter(|candidate| candidate.token == token || planted::is(Bug::AnyPongProvesPath))?;
        self.remote = candidate.address;
        self.candidate = None;
        Some(self.remote)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    const PTO: Duration = Duration::from_millis(100);

    #[test]
    fn a_new_address_is_proven_before_it_is_used() {
        let mut path = Path::new(address(1));
        path.on_packet(Instant::ZERO, address(2), 100, true, || 77);
        assert_eq!(path.remote(), address(1));
        assert_eq!(
            path.poll_challenge(Instant::ZERO, 56, PTO),
            Some((address(2), 77))
        );
        assert_eq!(path.on_pong(78), None);
        assert_eq!(path.on_pong(77), Some(address(2)));
        assert_eq!(path.remote(), address(2));
        assert_eq!(path.on_pong(77), None);
    }

    #[test]
    fn a_candidate_never_gets_more_bytes_than_came_from_it() {
        let mut path = Path::new(address(1));
        let mut now = Instant::ZERO;
        path.on_packet(now, address(2), 100, true, || 1);
        assert!(path.poll_challenge(now, 56, PTO).is_some());
        now = now + PTO;
        assert!(
            path.poll_challenge(now, 56, PTO).is_none(),
            "112 bytes for 100"
        );
        assert_eq!(path.deadline(), None, "only more bytes help");
        path.on_packet(now, address(2), 11, false, || 2);
        assert!(path.poll_challenge(now, 56, PTO).is_none(), "112 for 111");
        path.on_packet(now, address(2), 1, false, || 2);
        assert!(path.poll_challenge(now, 56, PTO).is_some());
        assert_eq!(path.deadline(), Some(now + PTO));
    }

    #[test]
    fn answers_to_a_candidate_count_as_challenges_do() {
        let mut path = Path::new(address(1));
        path.on_packet(Instant::ZERO, address(2), 111, true, || 1);
        assert!(path.poll_challenge(Instant::ZERO, 56, PTO).is_some());
        assert!(!path.spend(address(2), 56), "112 bytes for 111");
        path.on_packet(Instant::ZERO, address(2), 56, false, || 1);
        assert!(!path.spend(address(2), 56), "nothing for a challenge");
        path.on_packet(Instant::ZERO, address(2), 1, false, || 1);
        assert!(path.spend(address(2), 56));
        assert!(!path.spend(address(2), 56));
        assert!(!path.spend(address(3), 1), "a stranger");
    }

    #[test]
    fn a_silent_candidate_is_forgotten_and_the_old_path_stays() {
        let mut path = Path::new(address(1));
        let mut now = Instant::ZERO;
        path.on_packet(now, address(2), 10_000, true, || 1);
        let mut challenges = 0;
        while path.deadline().is_some() {
            challenges += usize::from(path.poll_challenge(now, 56, PTO).is_some());
            now = now + PTO;
        }
        assert_eq!(challenges, usize::from(CHALLENGES_MAX));
        assert_eq!(path.remote(), address(1));
    }

    #[test]
    fn an_old_packet_from_elsewhere_starts_nothing() {
        let mut path = Path::new(address(1));
        path.on_packet(Instant::ZERO, address(2), 100, false, || 1);
        assert!(path.deadline().is_none());
        path.on_packet(Instant::ZERO, address(2), 100, true, || 1);
        path.on_packet(Instant::ZERO, address(1), 100, true, || 2);
        assert!(
            path.deadline().is_none(),
            "the peer is back on the old path"
        );
    }
}
