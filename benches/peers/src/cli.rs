//! The command line of `dunlin bench`, for programs around other transports.

use std::net::{SocketAddr, ToSocketAddrs};

use clap::{Args, Subcommand, ValueEnum};

use crate::UDP_PAYLOAD;

/// Which end.
#[derive(Subcommand)]
pub enum Role {
    /// Listen, print one line `NAME@host:port` when ready, serve until killed.
    Server {
        /// Address to listen on; port 0 picks one.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// What both ends must agree on.
        #[command(flatten)]
        setup: Setup,
    },
    /// Run one measurement against a server, print its result.
    Client(Client),
}

/// What both ends must agree on.
#[derive(Args, Clone, Copy, Debug)]
pub struct Setup {
    /// Key exchange.
    #[arg(long, value_enum, default_value_t = KeyExchange::X25519)]
    pub kx: KeyExchange,
    /// UDP payload of every packet, in bytes.
    #[arg(long, default_value_t = UDP_PAYLOAD)]
    pub mtu: u16,
    /// Give the kernel one packet at a time.
    #[arg(long)]
    pub no_gso: bool,
    /// Streams of either kind that an end may have open.
    #[arg(long, default_value_t = 100)]
    pub streams: u32,
}

/// Arguments of the client.
#[derive(Args, Debug)]
pub struct Client {
    /// `host:port`, or the server's ready line `NAME@host:port`.
    pub addr: String,
    /// What to measure.
    #[arg(long, value_enum, default_value_t = Mode::Bulk)]
    pub mode: Mode,
    /// How long to measure.
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Streams of `bulk`, requests or handshakes under way, idle connections.
    #[arg(long, default_value_t = 1)]
    pub at_once: usize,
    /// What both ends must agree on.
    #[command(flatten)]
    pub setup: Setup,
    /// Print one JSON object instead of a sentence.
    #[arg(long)]
    pub json: bool,
}

impl Client {
    /// The server's socket address.
    ///
    /// # Errors
    /// When the address does not parse or its name does not resolve.
    pub fn socket_addr(&self) -> std::io::Result<SocketAddr> {
        let host_port = self.addr.rsplit('@').next().unwrap_or(&self.addr);
        host_port.to_socket_addrs()?.next().ok_or_else(|| {
            std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address")
        })
    }
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Mode {
    /// Streams from the client to the server, until the server has confirmed the last byte.
    Bulk,
    /// 64-byte requests, each answered with 64 bytes.
    Rr,
    /// 64-byte messages from the client to the server, until it has confirmed the last one.
    Messages,
    /// Full handshakes with mutual authentication.
    Handshake,
    /// Open connections, print the result, keep them for the given time without using them.
    Idle,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Bulk,
        Self::Rr,
        Self::Messages,
        Self::Handshake,
        Self::Idle,
    ];

    /// Name on the command line, in the JSON object and as application protocol of the handshake,
    /// which tells the server what to do.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bulk => "bulk",
            Self::Rr => "rr",
            Self::Messages => "messages",
            Self::Handshake => "handshake",
            Self::Idle => "idle",
        }
    }

    /// The mode of that name.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.name().as_bytes() == name)
    }
}

/// Key exchange of the handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum KeyExchange {
    /// Classical.
    X25519,
    /// X25519 with ML-KEM-768, as Dunlin's handshake.
    Hybrid,
}

impl KeyExchange {
    /// Name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::X25519 => "x25519",
            Self::Hybrid => "hybrid",
        }
    }
}
