//! Operations that ban, ask for proofs and send through third nodes, and messages that come through them.

use core::time::Duration;
use std::net::IpAddr;

use dunlin_session::NodeId;

use super::{Input, NETWORK, PEERS, World};
use crate::Instant;
use crate::saved::BanSubject;
use crate::wire::{Message, Relay, RelayBody, sign_relay};

impl World {
    /// Bans and lifts bans, of identities, addresses and ranges; asks for proofs and gives them.
    pub(super) fn ban_or_unban(&mut self, now: Instant, id: NodeId, input: &mut Input<'_>) {
        let (choice, bits) = (input.byte(), input.byte());
        let ip = IpAddr::from([10, 0, 0, bits % PEERS]);
        let subject = match choice % 3 {
            0 => BanSubject::Peer(id),
            1 => BanSubject::Address(ip),
            _ => BanSubject::Prefix(ip, bits),
        };
        match choice / 3 % 5 {
            3 => {
                let _ = self.overlay.send_relayed(now, None, id, "handler", &[bits]);
                let _ = self
                    .overlay
                    .request_relayed(now, None, id, "handler", &[bits]);
            }
            0 => {
                let duration = Duration::from_secs(u64::from(bits));
                self.overlay.ban(now, subject, duration, "by the fuzzer");
            }
            1 => {
                let _ = self.overlay.challenge(now, id);
            }
            2 => {
                if let Some((peer, link)) = self.challenged.pop() {
                    self.overlay
                        .handle_challenged(now, peer, link, bits & 1 == 0);
                }
            }
            _ => {
                self.overlay.unban(now, subject);
            }
        }
    }

    /// A message to be passed on, or passed on to us; some come from others than their origin.
    pub(super) fn relay_message(
        &self,
        kind: u8,
        number: u64,
        (who, about): (u8, u8),
        input: &mut Input<'_>,
    ) -> Vec<u8> {
        let of = |who: u8| &self.cast.identities[usize::from(who)];
        let (origin, target) = match kind & 3 {
            0 => (of(who), of(about)),
            1 => (of(about), &*self.cast.us),
            2 => (of(about), of(number.to_be_bytes()[7] % PEERS)),
            _ => {
                let undeliverable = Some(number % 4);
                let (body, signature) = (None, None);
                return Message::Relay(Relay {
                    body,
                    signature,
                    undeliverable,
                })
                .encode();
            }
        };
        let kind = input.byte() % 4;
        let body = RelayBody {
            network: NETWORK,
            origin: origin.public().to_bytes(),
            target: *target.node_id().as_bytes(),
            unix_millis: self.unix_millis(),
            number,
            kind,
            request: number % 8,
            status: input.byte() % 4,
            handler: if kind == 2 { "" } else { "handler" },
            payload: input.bytes(),
        };
        let (body, signature) = sign_relay(origin, &body);
        Message::Relay(Relay {
            body: Some(&body),
            signature: Some(signature),
            undeliverable: None,
        })
        .encode()
    }
}
