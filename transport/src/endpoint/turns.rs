//! What a driver asks to decide whose turn it is.

use super::{Endpoint, Slot};

impl Endpoint {
    /// Whether there are few connections and none has more than one packet under way: then what comes
    /// next is an answer, and not the rest of a flight that may as well gather.
    #[must_use]
    pub fn awaits_little(&self) -> bool {
        let alone = |slot: &Slot| slot.connection.packets_under_way() <= 1;
        self.connections.len() <= 8 && self.connections.values().all(|slot| alone(slot))
    }

    /// Whether a connection was established since this was last asked. Who waits for it has something to
    /// say, most likely, and it had better leave together with the end of the handshake.
    #[cfg(feature = "tokio")]
    pub(crate) const fn take_established(&mut self) -> bool {
        core::mem::replace(&mut self.established, false)
    }
}
