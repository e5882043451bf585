//! `dunlin id`, and where the keys of every other command are.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::values::ip_and_port;

/// Where the key file is and how it opens.
#[derive(Args, Clone, Debug, Default)]
pub struct KeyFileArgs {
    /// Folder of the identity key and the known peers [default: ~/.local/share/dunlin]
    #[arg(long, value_name = "DIR", env = "DUNLIN_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// File whose contents seal the identity key; mode 0600
    #[arg(long, value_name = "FILE", env = "DUNLIN_PASSPHRASE_FILE")]
    pub passphrase_file: Option<PathBuf>,
}

/// Who this node is, and whom it talks to.
#[derive(Args, Clone, Debug, Default)]
pub struct KeyArgs {
    /// Where the keys are.
    #[command(flatten)]
    pub file: KeyFileArgs,
    /// Name of the network; nodes of another network are met with silence [default: dunlin]
    #[arg(long, value_name = "NAME", env = "DUNLIN_NETWORK")]
    pub network: Option<String>,
    /// Whether peers have to prove a post-quantum key [default: preferred]
    #[arg(long, value_enum, value_name = "WHEN")]
    pub post_quantum: Option<PostQuantum>,
    /// What the keys of connections come from [default: hybrid]
    #[arg(long, value_enum, value_name = "WHICH")]
    pub key_exchange: Option<KeyExchange>,
}

/// What the keys of connections come from.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum KeyExchange {
    /// X25519 and ML-KEM-768; nothing less is accepted
    #[default]
    Hybrid,
    /// X25519 alone, if the other end is set to it too
    Classical,
}

impl From<KeyExchange> for dunlin_session::KeyExchange {
    fn from(asked: KeyExchange) -> Self {
        match asked {
            KeyExchange::Hybrid => Self::Hybrid,
            KeyExchange::Classical => Self::Classical,
        }
    }
}

/// Whether peers have to prove a post-quantum key.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PostQuantum {
    /// Never ask
    Off,
    /// Who has one proves it, who has none is welcome
    #[default]
    Preferred,
    /// Who has none is refused
    Required,
}

impl From<PostQuantum> for dunlin_session::PostQuantum {
    fn from(asked: PostQuantum) -> Self {
        match asked {
            PostQuantum::Off => Self::Off,
            PostQuantum::Preferred => Self::Preferred,
            PostQuantum::Required => Self::Required,
        }
    }
}

/// `dunlin id`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  dunlin id                          the ID of this node
  dunlin id new --hybrid             a key for Ed25519 and ML-DSA-65
  dunlin id rotate                   another key; the node gets another ID
  dunlin id dns-record 203.0.113.7:4600
                                     a DNS record by which others find this node

A key sealed with --passphrase-file FILE opens only with the contents of that file.")]
pub struct IdArgs {
    /// Where the keys are.
    #[command(flatten)]
    pub file: KeyFileArgs,
    /// What to do.
    #[command(subcommand)]
    pub action: Option<IdAction>,
}

/// What to do with the identity.
#[derive(Subcommand, Debug)]
pub enum IdAction {
    /// Make the key of this node; one that is there is left alone
    New(MakeArgs),
    /// Print the ID of this node, and on stderr of what kind its key is
    Show(KeyFileArgs),
    /// Replace the key: the node gets another ID, and the old key is kept beside the new one
    Rotate(MakeArgs),
    /// Print the public keys, for who wants to check them
    Export(KeyFileArgs),
    /// Print a DNS record by which others find this node; it is valid for 30 days
    DnsRecord(DnsRecordArgs),
}

/// Where others find this node.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  dunlin id dns-record 203.0.113.7:4600

Publish the line under the name of your DNS seed, and make another one within 30 days.")]
pub struct DnsRecordArgs {
    /// Addresses at which this node can be reached, at most 4
    #[arg(value_name = "ADDR", required = true, num_args = 1..=4, value_parser = ip_and_port)]
    pub addresses: Vec<SocketAddr>,
    /// Name of the network
    #[arg(
        long,
        value_name = "NAME",
        default_value = "dunlin",
        env = "DUNLIN_NETWORK"
    )]
    pub network: String,
    /// Where the keys are.
    #[command(flatten)]
    pub file: KeyFileArgs,
}

/// Of what kind a new key is.
#[derive(Args, Debug)]
pub struct MakeArgs {
    /// With a post-quantum key (ML-DSA-65) beside Ed25519
    #[arg(long)]
    pub hybrid: bool,
    /// Where the keys are.
    #[command(flatten)]
    pub file: KeyFileArgs,
}
