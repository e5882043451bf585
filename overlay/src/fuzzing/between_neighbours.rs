//! Messages between neighbours: of broadcasts, of trust and of topics; and the calls that make us send such.

use dunlin_session::NodeId;

use super::{Input, START_MILLIS, World};
use crate::types::ShortId;
use crate::wire::{
    Announce, Message, Part, PartKind, Reconcile, TopicList, Tree, TrustUpdate,
    TrustedPeersRequest, TrustedPeersResponse, Want, joined_announced, joined_ids, joined_trust,
    sign_broadcast,
};
use crate::{BroadcastId, Interaction, Topics};

/// Names of topics, of which one is too long to be valid.
const NAMES: [&str; 4] = [
    "topic",
    "a",
    "b",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];

impl World {
    /// An announcement, a question, a change of trees, a comparison, or what [`Self::said_of_others`] makes. What
    /// they name exists in part:
    /// the IDs begin with those of broadcasts that [`Self::broadcast_of`] makes of empty payloads.
    pub(super) fn gossip_message(
        &self,
        kind: u8,
        number: u64,
        (who, about): (u8, u8),
        input: &mut Input<'_>,
    ) -> Vec<u8> {
        let origin = &self.cast.identities[usize::from(about)];
        let (body, _) = sign_broadcast(origin, &self.body_of(origin, number, 16, &[]));
        let known = BroadcastId::of_body(&body).short();
        let other = ShortId([input.byte(); 16]);
        let flag = input.byte();
        match kind % 8 {
            0 => {
                let pushed = joined_announced(&[(known, u16::from(flag)), (other, u16::MAX)]);
                let offered = joined_ids(&[other]);
                let (pushed, offered) = (pushed.as_slice(), offered.as_slice());
                Message::Announce(Announce { pushed, offered }).encode()
            }
            1 => Message::Want(Want {
                ids: &joined_ids(&[known, other]),
                graft: flag < 128,
            })
            .encode(),
            2 => Message::Tree(Tree {
                prune: origin
                    .node_id()
                    .as_bytes()
                    .get(..32 * usize::from(flag & 1))
                    .unwrap_or(&[]),
                graft: origin.node_id().as_bytes(),
            })
            .encode(),
            3 => {
                let upper = START_MILLIS + u64::from(flag) * 1_000;
                let list = PartKind::List(vec![known, other]);
                let parts = match flag % 3 {
                    0 => vec![Part::fingerprint(upper, number)],
                    1 => vec![Part { upper, kind: list }],
                    _ => vec![Part::skip(upper), Part::fingerprint(upper + 1, number)],
                };
                Message::Reconcile(Reconcile {
                    round: number,
                    step: flag % 10,
                    after: START_MILLIS - 600_000,
                    parts,
                })
                .encode()
            }
            _ => self.said_of_others(kind, (who, about), flag, input),
        }
    }

    /// What a neighbour says of its trust in others, asked or unasked, and of the topics that it takes. The
    /// trust may be above one.
    fn said_of_others(
        &self,
        kind: u8,
        (who, about): (u8, u8),
        flag: u8,
        input: &mut Input<'_>,
    ) -> Vec<u8> {
        let subject = self.cast.identities[usize::from(about)].node_id();
        let permille = u16::from(flag) * 4;
        let entries = joined_trust(&vec![(subject, permille); usize::from(input.byte() % 40)]);
        let entries = entries.as_slice();
        let asked = self.asked_of_trust[usize::from(who)];
        let message = match kind % 8 {
            4 => Message::TrustUpdate(TrustUpdate { entries }),
            5 => Message::TrustedPeersRequest(TrustedPeersRequest {
                id: u64::from(flag),
                count: u16::from(about),
            }),
            6 => Message::TrustedPeersResponse(TrustedPeersResponse { id: asked, entries }),
            _ => {
                let count = usize::from(flag % 70);
                let first = usize::from(input.byte());
                let name = |n: usize| NAMES[(first + n) % NAMES.len()];
                let names: Vec<&str> = (0..count).map(name).collect();
                let is_all = flag >= 128;
                Message::Topics(TopicList { is_all, names })
            }
        };
        message.encode()
    }

    /// Asks a peer whom it trusts, says so ourselves, or takes other topics.
    pub(super) fn speak_of_others(&mut self, choice: u8, id: NodeId, input: &mut Input<'_>) {
        let now = self.now;
        let name = NAMES[usize::from(input.byte()) % NAMES.len()];
        match choice % 8 {
            0 | 1 => {
                let _ = self.overlay.request_trusted_peers(now, id);
            }
            2 => {
                let severity = f64::from(input.byte()) / 255.0;
                self.overlay
                    .update(now, id, Interaction::Relay, choice & 8 == 0, severity);
            }
            3 => {
                self.overlay.share_trust(now);
            }
            4 | 5 => {
                let _ = self.overlay.subscribe(now, name);
            }
            6 => {
                self.overlay.unsubscribe(now, name);
            }
            _ => {
                let named = Topics::Named([name.to_owned()].into());
                let all = choice & 8 == 0;
                let _ = self
                    .overlay
                    .set_topics(now, if all { Topics::All } else { named });
            }
        }
    }
}
