//! What an application chooses when it binds an endpoint.

use std::fmt;
use std::time::Duration;

use super::carrier::CarrierChoice;
use crate::config::EndpointConfig;
use crate::protect::{Acceptor, Random};
use crate::tap::Tap;
use crate::trace::Observer;

/// Settings of a bound endpoint.
pub struct EndpointOptions {
    /// Settings of the core.
    pub config: EndpointConfig,
    /// Answers handshakes; None: the endpoint only connects.
    pub acceptor: Option<Box<dyn Acceptor>>,
    /// Randomness; None: the operating system's.
    pub random: Option<Box<dyn Random>>,
    /// Told what connections do; None: nobody.
    pub observer: Option<Box<dyn Observer>>,
    /// Sees every datagram; None: nobody does.
    pub tap: Option<Box<dyn Tap>>,
    /// Bytes of the socket's send buffer, as far as the system grants them. 4 MiB: the usual
    /// system limit, about 30 ms at 1 Gbit/s.
    pub send_buffer_size: usize,
    /// The same for receiving.
    pub receive_buffer_size: usize,
    /// Whether to hand the kernel trains of packets (segmentation offload) where it takes them.
    pub gso: bool,
    /// The task looks again for packets instead of going to sleep as long as they follow each other
    /// within this time on average; zero: never. 25 µs: less than what it costs both ends together that
    /// one sleeps and is woken by the other (measured with requests on loopback, on a virtual machine:
    /// 30 µs for each way).
    pub busy_poll: Duration,
    /// Cores with a task and a socket each behind the endpoint's UDP port, so that a runtime of several
    /// threads uses several processors; a connection stays with one of them. 1: a handful of connections
    /// is served as well by one. At most [`SHARDS_MAX`](crate::limits::SHARDS_MAX), and one where the system is
    /// not Linux.
    pub shards: u32,
    /// What may carry connections.
    pub carriers: CarrierChoice,
    /// How long `connect` leaves UDP alone before TCP joins, where both may be used. 250 ms:
    /// the Connection Attempt Delay of RFC 8305 §5. TCP joins at once at an address that TCP alone
    /// has reached lately.
    pub head_start: Duration,
}

impl EndpointOptions {
    /// The same options with this acceptor.
    #[must_use]
    pub fn with_acceptor(mut self, acceptor: Box<dyn Acceptor>) -> Self {
        self.acceptor = Some(acceptor);
        self
    }

    /// The same options with these carriers.
    #[must_use]
    pub const fn with_carriers(mut self, carriers: CarrierChoice) -> Self {
        self.carriers = carriers;
        self
    }

    /// The same options with these settings of the core.
    #[must_use]
    pub fn with_config(mut self, config: EndpointConfig) -> Self {
        self.config = config;
        self
    }
}

impl Default for EndpointOptions {
    fn default() -> Self {
        Self {
            config: EndpointConfig::default(),
            acceptor: None,
            random: None,
            observer: None,
            tap: None,
            send_buffer_size: 4 << 20,
            receive_buffer_size: 4 << 20,
            gso: true,
            busy_poll: Duration::from_micros(25),
            shards: 1,
            carriers: CarrierChoice::default(),
            head_start: Duration::from_millis(250),
        }
    }
}

impl fmt::Debug for EndpointOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointOptions")
            .field("config", &self.config)
            .field("acceptor", &self.acceptor.is_some())
            .field("send_buffer_size", &self.send_buffer_size)
            .field("receive_buffer_size", &self.receive_buffer_size)
            .field("gso", &self.gso)
            .field("busy_poll", &self.busy_poll)
            .field("shards", &self.shards)
            .field("carriers", &self.carriers)
            .field("head_start", &self.head_start)
            .finish_non_exhaustive()
    }
}
