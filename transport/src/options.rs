//! How a message or stream is to be sent: how urgent it is, and how hard it is tried.

use crate::io::Delivery;

/// Urgencies there are.
pub(crate) const URGENCIES: usize = LEAST_URGENT as usize + 1;
const LEAST_URGENT: u8 = 7;

/// Whose turn it is when several streams and messages have something to send (the parameters of
/// RFC 9218 §4). It is the sender's own affair and not told to the peer.
///
/// The most urgent goes first, strictly. Within an urgency the incremental ones share by bytes; one
/// that is not incremental keeps its turn until it has nothing to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Priority {
    urgency: u8,
    incremental: bool,
}

impl Priority {
    /// Priority of streams unless told otherwise: urgency 3, incremental.
    pub const STREAM: Self = Self::new(3).incremental(true);
    /// Priority of messages unless told otherwise: urgency 3, each sent to its end before the next.
    pub const MESSAGE: Self = Self::new(3);

    /// Urgency from 0, before all others, to 7, when nothing else waits; above counts as 7. Not
    /// incremental.
    #[must_use]
    pub const fn new(urgency: u8) -> Self {
        Self {
            urgency: if urgency > LEAST_URGENT {
                LEAST_URGENT
            } else {
                urgency
            },
            incremental: false,
        }
    }

    /// The same with its incremental flag set or cleared: parts are of use before the whole is there,
    /// so others of the same urgency may be served in between.
    #[must_use]
    pub const fn incremental(mut self, incremental: bool) -> Self {
        self.incremental = incremental;
        self
    }

    /// From 0, the most urgent, to 7.
    #[must_use]
    pub const fn urgency(self) -> u8 {
        self.urgency
    }

    /// Whether others of the same urgency are served in between.
    #[must_use]
    pub const fn is_incremental(self) -> bool {
        self.incremental
    }

    /// Its place in a table of urgencies.
    pub(crate) const fn slot(self) -> usize {
        self.urgency as usize
    }
}

/// How one message is sent.
///
/// ```
/// use dunlin_transport::{Delivery, Priority, SendOptions};
///
/// let options = SendOptions::new(Delivery::Ordered).with_priority(Priority::new(1));
/// assert_eq!(options.priority.urgency(), 1);
/// // What there is to say of most messages.
/// let options: SendOptions = Delivery::Reliable.into();
/// assert_eq!(options.priority, Priority::MESSAGE);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SendOptions {
    /// How hard it is tried.
    pub delivery: Delivery,
    /// How urgent it is.
    pub priority: Priority,
    /// Whether it may travel compressed.
    #[cfg(feature = "lz4")]
    pub compress: bool,
}

impl SendOptions {
    /// This delivery, at the usual priority.
    #[must_use]
    pub const fn new(delivery: Delivery) -> Self {
        Self {
            delivery,
            priority: Priority::MESSAGE,
            #[cfg(feature = "lz4")]
            compress: false,
        }
    }

    /// The same, and the message travels compressed when the peer takes that and it gets shorter. It
    /// costs time where it is sent and where it is received, in proportion to its length.
    ///
    /// Never for secrets, nor for anything in one message with secrets: the length of what is sent
    /// tells how much of one part is repeated in another, and who can choose one part reads the other
    /// off it byte by byte (CRIME, BREACH), whatever the encryption.
    #[cfg(feature = "lz4")]
    #[must_use]
    pub const fn with_compression(mut self, compress: bool) -> Self {
        self.compress = compress;
        self
    }

    /// Whether the message may travel compressed.
    pub(crate) const fn wants_compression(&self) -> bool {
        #[cfg(feature = "lz4")]
        return self.compress;
        #[cfg(not(feature = "lz4"))]
        false
    }

    /// The same with another priority.
    #[must_use]
    pub const fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }
}

impl From<Delivery> for SendOptions {
    fn from(delivery: Delivery) -> Self {
        Self::new(delivery)
    }
}
