//! A connection on which nothing has happened for a while gives back what it can make again.
//!
//! It keeps its state, and nothing that a peer or the application can observe changes: only room for
//! what is not there goes, and expanded keys. The next packet makes them anew, for a few microseconds.

use core::time::Duration;

use super::Connection;
use crate::rest::Rest;

/// Silence after which a connection rests. A guess: so long that making keys anew, which takes
/// microseconds, is no load; so short that of many connections few are awake.
pub(super) const REST_AFTER: Duration = Duration::from_millis(100);

impl Connection {
    /// Gives back what it can. It may do so at any time.
    pub(super) fn rest(&mut self) {
        self.received.rest();
        self.sent.rest();
        self.skipped.rest();
        self.named = None;
        self.loss.rest();
        self.streams.rest();
        self.outgoing.rest();
        self.incoming.rest();
        self.session.rest();
        self.local_ids.rest();
        self.remote_ids.rest();
        self.reset_tokens.rest();
        self.pongs.rest();
        self.events.rest();
        self.peer_params = None;
        if let Some(protection) = &mut self.protection {
            protection.rest();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What every idle connection costs beside what it points to; keys, controller and identity come
    /// on top. Raise it knowingly.
    #[test]
    fn a_connection_is_not_larger_than_it_was() {
        let bytes = size_of::<Connection>();
        assert!(bytes <= 2_500, "{bytes} bytes");
    }
}
