//! `dunlin start` and the commands about its configuration.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::address::PeerAddress;
use super::controller::Controllers;
use super::id::KeyArgs;
use super::trace::TraceArgs;
use super::values::ip_and_port;
use crate::config::Format;

/// `dunlin start`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dunlin start --port 4600
  dunlin start --port 4610 --data-dir /tmp/b --bootstrap 127.0.0.1:4600
  dunlin start --config node.toml

An option goes before a variable of the environment (DUNLIN_PORT …), that before the file, that
before the default. `dunlin generate-config node.toml` writes a file with every key. SIGHUP makes
a running node read its file again.")]
pub struct StartArgs {
    /// Configuration file: TOML, or JSON when its name ends in .json
    #[arg(long, value_name = "FILE", env = "DUNLIN_CONFIG")]
    pub config: Option<PathBuf>,
    /// Address to listen on [default: 0.0.0.0]
    #[arg(long, value_name = "IP")]
    pub host: Option<IpAddr>,
    /// Port to listen on; 0 lets the system choose [default: 4600]
    #[arg(long)]
    pub port: Option<u16>,
    /// Congestion controller of all connections [default: cubic]
    #[arg(long, value_enum)]
    pub controller: Option<Controllers>,
    /// A node to join the network through: ID@host:port or host:port; may be repeated
    #[arg(long = "bootstrap", value_name = "ADDR")]
    pub bootstrap: Vec<PeerAddress>,
    /// Serve the API over TCP as well, to whoever has the token in DIR/api.token; port 0 lets the
    /// system choose
    #[arg(long, value_name = "IP:PORT", value_parser = ip_and_port)]
    pub api: Option<SocketAddr>,
    /// Where the keys are.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// Traces to write.
    #[command(flatten)]
    pub traces: TraceArgs,
}

/// `dunlin generate-config`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dunlin generate-config node.toml
  dunlin generate-config node.json --port 8888 --bootstrap 192.0.2.7:8888
  dunlin generate-config -                       print it")]
pub struct GenerateConfigArgs {
    /// File to write; one that exists is left alone. - is stdout
    pub file: PathBuf,
    /// How to write it [default: by the ending of its name]
    #[arg(long, value_enum)]
    pub format: Option<Formats>,
    /// Address to listen on
    #[arg(long, value_name = "IP")]
    pub host: Option<IpAddr>,
    /// Port to listen on
    #[arg(long)]
    pub port: Option<u16>,
    /// A node to join the network through; may be repeated
    #[arg(long = "bootstrap", value_name = "ADDR")]
    pub bootstrap: Vec<PeerAddress>,
}

/// How a configuration file is written.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Formats {
    /// With a comment on every key
    Toml,
    /// Without comments
    Json,
}

impl From<Formats> for Format {
    fn from(asked: Formats) -> Self {
        match asked {
            Formats::Toml => Self::Toml,
            Formats::Json => Self::Json,
        }
    }
}

/// `dunlin config`.
#[derive(Args, Debug)]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: ConfigAction,
}

/// What to do with a configuration.
#[derive(Subcommand, Debug)]
pub enum ConfigAction {
    /// Tell every mistake of a file; code 2 when there is one
    Check {
        /// Configuration file: TOML, or JSON when its name ends in .json
        file: PathBuf,
    },
}
