//! Who checks the signatures of records, broadcasts and relayed messages.
//!
//! A node asks the key each time ([`EachAnew`]), and computes nothing twice that matters. A process with
//! thousands of nodes does: each of them checks the same records and the same broadcasts. Such a process
//! may give all its overlays one checker that remembers what it was asked
//! ([`crate::Overlay::with_signatures`]). The verdict is a function of what is asked, so it is the same.

use std::sync::Arc;

use dunlin_session::PublicIdentity;

/// A checker of signatures.
pub trait Signatures: Send + Sync {
    /// Whether `signature` was made by `signer` over `message` in `context`: what
    /// [`PublicIdentity::verify`] says.
    fn verify(
        &self,
        signer: &PublicIdentity,
        context: &'static [u8],
        message: &[u8],
        signature: &[u8; 64],
    ) -> bool;

    /// `signature` and then `message`, as they are kept for long after they were verified: a checker
    /// that has them already may share them.
    fn keep(&self, signature: &[u8; 64], message: &[u8]) -> Arc<[u8]> {
        signature.iter().chain(message).copied().collect()
    }
}

/// Asks the key each time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EachAnew;

impl Signatures for EachAnew {
    fn verify(
        &self,
        signer: &PublicIdentity,
        context: &'static [u8],
        message: &[u8],
        signature: &[u8; 64],
    ) -> bool {
        signer.verify(context, message, signature)
    }
}
