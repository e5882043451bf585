//! The options that write traces, and the command line of `dunlin trace`.

use std::path::PathBuf;

use clap::Args;

/// Traces that a command writes.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Traces")]
pub struct TraceArgs {
    /// Write a qlog file for each connection into this folder; made when missing
    #[arg(long, value_name = "DIR")]
    pub qlog: Option<PathBuf>,
    /// Write all datagrams into this capture (pcap-ng), for Wireshark
    #[arg(long, value_name = "FILE")]
    pub pcap: Option<PathBuf>,
    /// Append the keys of all connections to this file: who has it reads them
    #[arg(long, value_name = "FILE", env = "DUNLIN_KEYLOG")]
    pub keylog: Option<PathBuf>,
}

/// `dunlin trace`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dunlin send --qlog logs photos ID@host:port    write logs
  dunlin trace logs                              a table, one line a connection
  dunlin trace logs --html logs.html             and pictures, for a browser")]
pub struct TraceCommandArgs {
    /// A qlog file (.sqlog), or a folder of them
    pub path: PathBuf,
    /// Draw window, round-trip time, bytes in flight, goodput and sequence into this file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Print JSON: a list with an object for each connection
    #[arg(long)]
    pub json: bool,
}
