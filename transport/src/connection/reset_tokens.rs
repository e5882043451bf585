//! Stateless reset: the token that we tell the peer, and those that it told us (`docs/wire.md`
//! W-RST).
//!
//! The peer is told one token at a time: for the connection ID that it sends to, at the address that
//! it sends from. Whenever one of them changes it is told another.

use alloc::collections::VecDeque;
use core::net::SocketAddr;

use super::Connection;
use super::contents::Item;
use super::state::State;
use crate::error::CloseReason;
use crate::ids::ConnectionId;
use crate::limits::RESET_TOKENS_MAX;
use crate::rest::Rest;
use crate::secret::same_secret;
use crate::wire::frame::Frame;
use crate::wire::reset::ResetToken;

/// Both directions.
#[derive(Debug, Default)]
pub(super) struct ResetTokens {
    /// What the last token that we made is for.
    made_for: Option<(ConnectionId, SocketAddr)>,
    /// That token; None: there is none for us to tell.
    ours: Option<(ConnectionId, ResetToken)>,
    /// It is to be told, for the first time or again.
    to_tell: bool,
    /// The peer's, the last one at the end. Of those for one connection ID any counts, because
    /// packets that told of them may have crossed.
    theirs: VecDeque<(ConnectionId, ResetToken)>,
}

impl Rest for ResetTokens {
    fn rest(&mut self) {
        self.theirs.rest();
    }
}

impl ResetTokens {
    /// Whether [`Self::poll`] has something.
    pub(super) const fn has_work(&self) -> bool {
        self.to_tell
    }

    /// What to tell the peer.
    pub(super) fn poll(&mut self) -> Option<Frame<'static>> {
        if !core::mem::take(&mut self.to_tell) {
            return None;
        }
        let (id, token) = self.ours?;
        Some(Frame::ResetToken { id, token })
    }

    /// What told of a token was lost.
    pub(super) fn on_lost(&mut self, id: ConnectionId) {
        self.to_tell |= self.ours.is_some_and(|(ours, _)| ours == id);
    }

    /// The peer tells a token; the oldest makes room.
    pub(super) fn on_told(&mut self, id: ConnectionId, token: ResetToken) {
        if self.theirs.contains(&(id, token)) {
            return;
        }
        if self.theirs.len() >= RESET_TOKENS_MAX {
            self.theirs.pop_front();
        }
        self.theirs.push_back((id, token));
    }

    fn knows(&self, id: ConnectionId) -> bool {
        self.theirs.iter().any(|(known, _)| *known == id)
    }

    /// Whether the peer told this token. Takes the same time whatever its bytes are.
    fn is_theirs(&self, id: ConnectionId, token: &ResetToken) -> bool {
        let of_id = self.theirs.iter().filter(|(known, _)| *known == id);
        of_id.fold(false, |found, (_, known)| found | same_secret(known, token))
    }
}

impl Connection {
    /// What the peer needs a token for, if it has not been made: the ID that it sends to and its address.
    pub(crate) fn wants_reset_token(&self) -> Option<(ConnectionId, SocketAddr)> {
        let sealed = self.protection.as_ref().is_some_and(|it| it.is_sealed());
        let wanted = (self.local_ids.used()?, self.path.remote());
        (self.state == State::Established && sealed && self.reset_tokens.made_for != Some(wanted))
            .then_some(wanted)
    }

    /// The answer to [`Self::wants_reset_token`]; without a token the peer is told none.
    pub(crate) fn set_reset_token(
        &mut self,
        wanted: (ConnectionId, SocketAddr),
        token: Option<ResetToken>,
    ) {
        self.reset_tokens.made_for = Some(wanted);
        self.reset_tokens.ours = token.map(|token| (wanted.0, token));
        self.reset_tokens.to_tell = token.is_some();
    }

    /// The peer's connection ID that a stateless reset has to name, if one would be believed. Not when the
    /// end is known: who answers stragglers goes on with that.
    pub(crate) fn resettable_id(&self) -> Option<ConnectionId> {
        let id = self.remote_ids.current();
        (self.state.is_transferring() && self.reset_tokens.knows(id)).then_some(id)
    }

    /// A stateless reset came. It counts when it comes from where the peer is, names the connection ID
    /// that we send to, and has the token that the peer told us for it. False: it does not.
    pub(crate) fn on_stateless_reset(
        &mut self,
        from: SocketAddr,
        id: ConnectionId,
        token: &ResetToken,
    ) -> bool {
        let believed = from == self.path.remote()
            && Some(id) == self.resettable_id()
            && self.reset_tokens.is_theirs(id, token);
        if believed && self.state == State::FinSent {
            // All was acknowledged and the FIN may have been answered: the answer was lost, and the
            // peer is done.
            self.on_fin_ack();
        } else if believed {
            self.lose(CloseReason::PeerRestarted);
        }
        believed
    }

    /// The frame with our token, if it is to be told.
    pub(super) fn poll_reset_token(&mut self) -> Option<(Frame<'static>, Item)> {
        let frame = self.reset_tokens.poll()?;
        let id = self.reset_tokens.ours?.0;
        Some((frame, Item::ResetToken(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ConnectionId = ConnectionId(7);

    #[test]
    fn a_token_is_told_until_it_is_known_and_not_once_it_is_replaced() {
        let mut tokens = ResetTokens {
            ours: Some((ID, [1; 16])),
            to_tell: true,
            ..ResetTokens::default()
        };
        let told = Frame::ResetToken {
            id: ID,
            token: [1; 16],
        };
        assert_eq!((tokens.poll(), tokens.poll()), (Some(told), None));
        tokens.on_lost(ID);
        assert_eq!(tokens.poll(), Some(told));
        tokens.ours = Some((ConnectionId(8), [2; 16]));
        tokens.on_lost(ID);
        assert!(!tokens.has_work());
    }

    #[test]
    fn keeps_tokens_up_to_the_limit_and_forgets_the_oldest_for_one_more() {
        let mut tokens = ResetTokens::default();
        for value in 0..=RESET_TOKENS_MAX {
            if value == RESET_TOKENS_MAX {
                assert!(tokens.is_theirs(ID, &[0; 16]));
            }
            tokens.on_told(ID, [u8::try_from(value).unwrap(); 16]);
            tokens.on_told(ID, [u8::try_from(value).unwrap(); 16]);
        }
        assert_eq!(tokens.theirs.len(), RESET_TOKENS_MAX);
        assert!(!tokens.is_theirs(ID, &[0; 16]));
        assert!(tokens.is_theirs(ID, &[1; 16]));
    }

    #[test]
    fn rejects_a_token_that_differs_by_a_bit_or_is_of_another_id() {
        let mut tokens = ResetTokens::default();
        tokens.on_told(ID, [5; 16]);
        for bit in 0..128 {
            let mut wrong = [5; 16];
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!tokens.is_theirs(ID, &wrong), "bit {bit}");
        }
        assert!(!tokens.is_theirs(ConnectionId(8), &[5; 16]));
    }
}
