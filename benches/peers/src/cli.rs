//! The command line of `dunlin bench`, for programs around other transports.

use std::net::{SocketAddr, ToSocketAddrs};

use clap::{Args, Parser, Subcommand, ValueEnum};

/// A peer program.
#[derive(Parser)]
pub struct Cli {
    /// What to be.
    #[command(subcommand)]
    pub role: Role,
}

/// Which end.
#[derive(Subcommand)]
pub enum Role {
    /// Listen, print one line `NAME@host:port` when ready, serve until killed.
    Server {
        /// Address to listen on; port 0 picks one.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// Key exchange.
        #[arg(long, value_enum, default_value_t = KeyExchange::X25519)]
        kx: KeyExchange,
    },
    /// Run one measurement against a server, print its result.
    Client(Client),
}

/// Arguments of the client.
#[derive(Args)]
pub struct Client {
    /// `host:port`, or the server's ready line `NAME@host:port`.
    pub addr: String,
    /// What to measure.
    #[arg(long, value_enum, default_value_t = Mode::Bulk)]
    pub mode: Mode,
    /// How long to measure.
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Key exchange.
    #[arg(long, value_enum, default_value_t = KeyExchange::X25519)]
    pub kx: KeyExchange,
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
    /// One stream from the client to the server, until the server has confirmed the last byte.
    Bulk,
    /// 64-byte requests, each answered with 64 bytes, one outstanding.
    Rr,
    /// Full handshakes with mutual authentication, one after the other.
    Handshake,
}

impl Mode {
    /// Name on the command line, in the JSON object and as application protocol of the handshake,
    /// which tells the server what to do.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bulk => "bulk",
            Self::Rr => "rr",
            Self::Handshake => "handshake",
        }
    }

    /// The mode of that name.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        [Self::Bulk, Self::Rr, Self::Handshake]
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
