//! Other transports behind the command line of `dunlin bench`: `peer quinn server`, then
//! `peer quinn client`. One program, because what they share takes long to link.

mod blast;
mod enet;
mod kcp;
mod noq;
#[cfg(feature = "quiche")]
mod quiche;
mod quinn;
mod s2n;
mod tls;

use clap::{Parser, ValueEnum};
use dunlin_peers::cli::Role;
use dunlin_peers::{Result, bytestream, multiplexed};

/// One end of a measurement.
#[derive(Parser)]
struct Arguments {
    /// What carries it.
    stack: Stack,
    /// Which end.
    #[command(subcommand)]
    role: Role,
}

/// What carries a measurement.
#[derive(Clone, Copy, ValueEnum)]
enum Stack {
    /// QUIC: quinn.
    Quinn,
    /// QUIC: noq.
    Noq,
    /// QUIC: s2n-quic.
    S2n,
    /// QUIC: quiche.
    #[cfg(feature = "quiche")]
    Quiche,
    /// TLS over TCP: rustls.
    Tls,
    /// KCP: tokio_kcp.
    Kcp,
    /// ENet: rusty_enet.
    Enet,
    /// Sealed packets without a transport.
    Blast,
}

fn main() -> Result<()> {
    let Arguments { stack, role } = Arguments::parse();
    match stack {
        Stack::Quinn => multiplexed::main::<quinn::Quic>(role),
        Stack::Noq => multiplexed::main::<noq::Quic>(role),
        Stack::S2n => multiplexed::main::<s2n::Quic>(role),
        #[cfg(feature = "quiche")]
        Stack::Quiche => multiplexed::main::<quiche::Quic>(role),
        Stack::Tls => bytestream::main::<tls::Tls>(role),
        Stack::Kcp => bytestream::main::<kcp::Kcp>(role),
        Stack::Enet => enet::main(role),
        Stack::Blast => blast::main(role),
    }
}
