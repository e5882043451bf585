//! Signatures that all nodes of a simulation check, checked once.
//!
//! Each of a thousand nodes checks the same records and the same broadcasts: with one thousand nodes that
//! is nearly half of all computation. A verdict is a function of key, context, message and signature, and
//! of nothing else; so what one node computed holds for the others. All four are compared, not a hash of
//! them. What verified is kept once for all nodes, too.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dunlin_overlay::Signatures;
use dunlin_session::PublicIdentity;

use crate::trace::digest;

/// Verdicts of a generation. Two of them hold the records of 50,000 nodes (chosen).
const GENERATION: usize = 32_768;

/// A question, and the answer.
struct Verdict {
    signer: PublicIdentity,
    context: &'static [u8],
    /// The signature, then the message.
    signed: Arc<[u8]>,
    holds: bool,
}

/// What was asked lately: when the younger generation is full, the older one is forgotten.
#[derive(Default)]
struct Generations {
    young: BTreeMap<u64, Verdict>,
    old: BTreeMap<u64, Verdict>,
}

/// The verdicts of a simulation.
#[derive(Default)]
pub(super) struct Verdicts {
    generations: Mutex<Generations>,
}

fn key_of(signature: &[u8; 64], message: &[u8]) -> u64 {
    digest(signature) ^ digest(message).rotate_left(32)
}

fn is(signed: &[u8], signature: &[u8; 64], message: &[u8]) -> bool {
    signed
        .split_first_chunk()
        .is_some_and(|(first, rest)| first == signature && rest == message)
}

impl Generations {
    fn get(&mut self, key: u64) -> Option<&Verdict> {
        if let Some(verdict) = self.old.remove(&key) {
            self.insert(key, verdict);
        }
        self.young.get(&key)
    }

    fn insert(&mut self, key: u64, verdict: Verdict) {
        if self.young.len() >= GENERATION {
            self.old = core::mem::take(&mut self.young);
        }
        self.young.insert(key, verdict);
    }
}

impl Verdicts {
    fn lock(&self) -> MutexGuard<'_, Generations> {
        let locked = self.generations.lock();
        locked.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Signatures for Verdicts {
    fn verify(
        &self,
        signer: &PublicIdentity,
        context: &'static [u8],
        message: &[u8],
        signature: &[u8; 64],
    ) -> bool {
        let key = key_of(signature, message);
        let mut generations = self.lock();
        if let Some(known) = generations.get(key)
            && known.signer == *signer
            && known.context == context
            && is(&known.signed, signature, message)
        {
            return known.holds;
        }
        let verdict = Verdict {
            signer: *signer,
            context,
            signed: signature.iter().chain(message).copied().collect(),
            holds: signer.verify(context, message, signature),
        };
        let holds = verdict.holds;
        generations.insert(key, verdict);
        holds
    }

    fn keep(&self, signature: &[u8; 64], message: &[u8]) -> Arc<[u8]> {
        let mut generations = self.lock();
        match generations.get(key_of(signature, message)) {
            Some(known) if is(&known.signed, signature, message) => Arc::clone(&known.signed),
            _ => signature.iter().chain(message).copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use dunlin_session::Identity;

    use super::*;

    #[test]
    fn a_verdict_is_what_the_key_says_each_time_and_for_each_part_of_the_question() {
        let (identity, other) = (Identity::from_seed([1; 32]), Identity::from_seed([2; 32]));
        let signature = identity.sign(b"context", b"message");
        let mut forged = signature;
        forged[63] ^= 1;
        let (signer, other) = (identity.public(), other.public());
        let questions: [(_, &'static [u8], &[u8], _); 5] = [
            (signer, b"context", b"message", signature),
            (other, b"context", b"message", signature),
            (signer, b"another", b"message", signature),
            (signer, b"context", b"messagf", signature),
            (signer, b"context", b"message", forged),
        ];
        let verdicts = Verdicts::default();
        for _ in 0..3 {
            for (signer, context, message, signature) in &questions {
                let holds = signer.verify(context, message, signature);
                assert_eq!(verdicts.verify(signer, context, message, signature), holds);
            }
        }
        assert!(verdicts.verify(signer, b"context", b"message", &signature));
    }

    #[test]
    fn what_verified_is_kept_once() {
        let identity = Identity::from_seed([1; 32]);
        let signature = identity.sign(b"context", b"message");
        let verdicts = Verdicts::default();
        let unknown = verdicts.keep(&signature, b"message");
        assert!(verdicts.verify(identity.public(), b"context", b"message", &signature));
        let (one, two) = (
            verdicts.keep(&signature, b"message"),
            verdicts.keep(&signature, b"message"),
        );
        assert!(Arc::ptr_eq(&one, &two) && one == unknown);
        assert_eq!(one[..], [&signature[..], b"message"].concat());
    }

    #[test]
    fn so_many_are_remembered_and_not_one_more() {
        let mut generations = Generations::default();
        let signer = *Identity::from_seed([1; 32]).public();
        let verdict = || Verdict {
            signer,
            context: b"",
            signed: Arc::from([]),
            holds: false,
        };
        let count = 2 * u64::try_from(GENERATION).unwrap();
        (0..count).for_each(|key| generations.insert(key, verdict()));
        assert!(generations.get(0).is_some(), "and asked for again");
        assert_eq!(
            generations.young.len() + generations.old.len(),
            1 + GENERATION
        );
        assert!(generations.get(1).is_none());
    }
}
