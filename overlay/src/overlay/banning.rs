//! Bans of identities, addresses and ranges: who pronounces them, what follows, how they end.
//!
//! A banned identity's links are closed and it is in state Banned until the ban ends. A banned address
//! says nothing of the identities behind it: their links are closed, and no link to or from there is
//! wanted meanwhile. What is on the allow list cannot be banned by address.

use core::time::Duration;
use std::net::IpAddr;

use dunlin_session::NodeId;

use super::Overlay;
use crate::Instant;
use crate::event::{BanEnd, Event};
use crate::peers::bans::Ban;
use crate::peers::state::{PeerState, StateReason};
use crate::peers::table::PeerSource;
use crate::saved::{BanSubject, SavedBan};
use crate::types::DisconnectReason;

/// How a ban comes about.
pub(super) struct Verdict<'a> {
    /// Why, as the peer's state says it.
    pub(super) why: StateReason,
    /// Why, in words, for whoever reads the list of bans.
    pub(super) reason: &'a str,
    /// What the peer is told.
    pub(super) goodbye: DisconnectReason,
}

impl Overlay {
    /// Bans an identity, an address or a range of addresses for so long, for a reason in words (at most
    /// [`crate::limits::BAN_REASON_LEN_MAX`] bytes of it are kept). Links are closed with a goodbye. A
    /// second ban of the same subject replaces the first. False: it is ourselves, a range with more
    /// bits than addresses have, or touches the allow list; nothing has changed then.
    pub fn ban(
        &mut self,
        now: Instant,
        subject: BanSubject,
        duration: Duration,
        reason: &str,
    ) -> bool {
        let verdict = Verdict {
            why: StateReason::BannedByUser,
            reason,
            goodbye: DisconnectReason::Banned,
        };
        self.ban_for(now, subject, duration, &verdict)
    }

    /// [`Self::ban`] for whatever reason.
    pub(super) fn ban_for(
        &mut self,
        now: Instant,
        subject: BanSubject,
        duration: Duration,
        verdict: &Verdict<'_>,
    ) -> bool {
        let ban = Ban {
            since: self.unix_millis(now),
            until: now + duration,
            reason: verdict.reason.to_owned(),
        };
        self.pronounce(now, subject, ban, verdict.why, verdict.goodbye)
    }

    fn pronounce(
        &mut self,
        now: Instant,
        subject: BanSubject,
        ban: Ban,
        why: StateReason,
        goodbye: DisconnectReason,
    ) -> bool {
        let Some(subject) = subject.canonical().filter(|&of| self.may_be_banned(of)) else {
            return false;
        };
        let until = ban.until;
        let displaced = self.bans.insert(subject, ban);
        let pronounced = self.bans().find(|ban| ban.subject == subject);
        if let Some(ban) = pronounced {
            self.out.event(Event::Banned { ban });
        }
        if let Some(displaced) = displaced {
            self.on_ban_ended(now, displaced, BanEnd::Displaced);
        }
        match subject {
            BanSubject::Peer(peer) => {
                self.say_goodbye(peer, goodbye, now);
                self.ban_peer(now, peer, until, why);
            }
            BanSubject::Address(_) | BanSubject::Prefix(..) => self.drop_banned_addresses(now),
        }
        true
    }

    fn may_be_banned(&self, subject: BanSubject) -> bool {
        let Some(prefix) = subject.prefix() else {
            return subject != BanSubject::Peer(self.me);
        };
        let mut allowed = self.config.admission.allow.iter();
        !allowed.any(|of| of.contains(prefix.ip()) || prefix.contains(of.ip()))
    }

    fn ban_peer(&mut self, now: Instant, peer: NodeId, until: Instant, why: StateReason) {
        self.drop_live(now, peer, PeerState::Banned, why);
        // An identity that is not known gets an entry, so that nobody introduces it meanwhile.
        self.table
            .insert(now, peer, PeerSource::Inbound, &mut self.out);
        self.table.ban(now, peer, until, why, &mut self.out);
    }

    fn drop_banned_addresses(&mut self, now: Instant) {
        let is_banned =
            |ip: IpAddr| self.bans.has_address(ip) && !self.config.admission.is_allowed(ip);
        let banned = self
            .live
            .iter()
            .filter(|(_, live)| is_banned(live.remote().ip()));
        let banned: Vec<NodeId> = banned.map(|(&peer, _)| peer).collect();
        for peer in banned {
            self.say_goodbye(peer, DisconnectReason::Banned, now);
            let (to, why) = (PeerState::Disconnected, StateReason::AddressBanned);
            self.drop_live(now, peer, to, why);
        }
    }

    /// Whether no link to or from `ip` is wanted.
    pub(super) fn is_banned_address(&self, ip: IpAddr) -> bool {
        self.bans.has_address(ip) && !self.config.admission.is_allowed(ip)
    }

    /// Whether no link to `peer` is wanted.
    pub(super) fn is_banned_peer(&self, peer: NodeId) -> bool {
        self.bans.has_peer(peer)
    }

    /// Ends a ban, and of an identity the effect of an earlier [`DisconnectReason::UserRequested`] too:
    /// it may link and be dialled again. True: there was a ban.
    pub fn unban(&mut self, now: Instant, subject: BanSubject) -> bool {
        let Some(subject) = subject.canonical() else {
            return false;
        };
        if let BanSubject::Peer(peer) = subject
            && let Some(entry) = self.table.get_mut(peer)
        {
            entry.held = false;
        }
        let was_banned = self.bans.remove(subject);
        if was_banned {
            self.on_ban_ended(now, subject, BanEnd::Lifted);
        }
        was_banned
    }

    fn on_ban_ended(&mut self, now: Instant, subject: BanSubject, how: BanEnd) {
        if let BanSubject::Peer(peer) = subject
            && self
                .table
                .get(peer)
                .is_some_and(|entry| entry.state == PeerState::Banned)
        {
            let (to, reason) = (PeerState::Discovered, StateReason::BanEnded);
            self.table.transition(now, peer, to, reason, &mut self.out);
        }
        self.out.event(Event::Unbanned { subject, how });
    }

    /// Ends the bans whose time is over.
    pub(super) fn end_bans(&mut self, now: Instant) {
        for subject in self.bans.expire(now) {
            self.on_ban_ended(now, subject, BanEnd::Expired);
        }
    }

    /// The bans, identities first. Times are calendar time.
    pub fn bans(&self) -> impl Iterator<Item = SavedBan> {
        let clock = self.config.wall_clock;
        self.bans.iter().map(move |(subject, ban)| SavedBan {
            subject,
            since: ban.since,
            until: clock.unix_millis_at(ban.until),
            reason: ban.reason.clone(),
        })
    }

    /// What [`Self::restore_ban`] takes back after a restart.
    #[must_use]
    pub fn saved_bans(&self) -> Vec<SavedBan> {
        self.bans().collect()
    }

    /// Takes back a ban of an earlier life. False: it is over, or cannot be ([`Self::ban`]).
    pub fn restore_ban(&mut self, now: Instant, saved: SavedBan) -> bool {
        let left = saved.until.saturating_sub(self.unix_millis(now));
        let ban = Ban {
            since: saved.since,
            until: now + Duration::from_millis(left),
            reason: saved.reason,
        };
        let (why, goodbye) = (StateReason::BanRestored, DisconnectReason::Banned);
        left > 0 && self.pronounce(now, saved.subject, ban, why, goodbye)
    }
}
