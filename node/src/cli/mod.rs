//! The typed command line. Reading it decides nothing: [`crate::commands`] acts.

pub mod address;
pub mod carrier;
pub mod config;
pub mod control;
pub mod controller;
mod examples;
pub mod id;
pub mod lab;
pub mod trace;
pub mod values;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use dunlin_session::NodeId;
use dunlin_transport::limits::SHARDS_MAX;

use clap::{Args, Parser, Subcommand, ValueEnum};

use address::PeerAddress;
use carrier::Carriers;
pub use config::StartArgs;
use controller::Controllers;
pub use examples::command;
use id::{IdArgs, KeyArgs};
use values::{Percent, Rate};

const EXAMPLES: &str = "\
Examples:
  dunlin recv --out inbox            wait for files; prints ID@host:port to paste
  dunlin send photos ID@host:port    send a folder; run it again to resume
  dunlin peer list                   the peers of the node that `dunlin start` runs
  dunlin simulate --count 8          a small network on this machine that gossips
  dunlin bench server                then: dunlin bench client 127.0.0.1:4601

Exit codes: 0 done, 1 failed, 2 usage, 3 peer refused or changed, 4 unreachable,
5 integrity, 6 file or disk, 7 experiment did not hold, 130 interrupted.";

/// Encrypted packets between peers: files, gossip, benchmarks.
#[derive(Parser, Debug)]
#[command(name = "dunlin", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Cli {
    /// Say more on stderr: -v information, -vv debugging, -vvv every packet
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run a node of the gossip network until Ctrl-C
    Start(StartArgs),
    /// Commands for a running node.
    #[command(flatten)]
    Node(control::NodeCommand),
    /// Write a configuration file with every key, its default and what it means
    GenerateConfig(config::GenerateConfigArgs),
    /// Check a configuration file
    Config(config::ConfigArgs),
    /// Run a network of real nodes on loopback sockets in this process
    Simulate(SimulateArgs),
    /// Wait for files and folders
    Recv(RecvArgs),
    /// Send a file or a folder; run it again to resume
    Send(SendArgs),
    /// Measure throughput, latency or handshakes between two processes
    Bench(BenchArgs),
    /// Relay UDP and lose, delay, reorder, duplicate or corrupt packets on the way
    Relay(RelayArgs),
    /// Run experiments in virtual time: scenarios, sweeps, tables, reports
    Lab(lab::LabArgs),
    /// Read qlog files: a table, and pictures for a browser
    Trace(trace::TraceCommandArgs),
    /// Print the ID of this node, making its key at first use; make, seal, replace keys
    Id(IdArgs),
    /// Print a completion script for a shell
    Completions(control::CompletionsArgs),
    /// Print the manual page
    Man(control::ManArgs),
    /// Print the version
    Version,
}

/// `dunlin simulate`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dunlin simulate                          8 nodes; on a terminal they stay until Ctrl-C
  dunlin simulate --count 40 --once        ends when broadcast and file have arrived
  dunlin simulate --recorded net.jsonl     plays what `dunlin lab record` has written

The link of the dashboard is printed at once; it works for one browser. Where stdout is no terminal
the network ends by itself unless --forever is given.")]
pub struct SimulateArgs {
    /// Number of nodes, 2 to 512
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..=512))]
    pub count: u16,
    /// Port of the first node, the next ones follow; 0 lets the system choose
    #[arg(long, value_name = "P", default_value_t = 0)]
    pub base_port: u16,
    /// Keep the network running until Ctrl-C, whether or not this is a terminal
    #[arg(long)]
    pub forever: bool,
    /// End by itself, even on a terminal
    #[arg(long, conflicts_with = "forever")]
    pub once: bool,
    /// Play a recorded network in the dashboard instead, again and again, until Ctrl-C
    #[arg(long, value_name = "FILE", conflicts_with_all = ["count", "base_port", "forever", "once"])]
    pub recorded: Option<PathBuf>,
    /// How much faster than it was, 0.1 to 100
    #[arg(long, value_name = "TIMES", requires = "recorded", default_value = "1", value_parser = values::times)]
    pub speed: f64,
}

/// `dunlin recv`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dunlin recv                              files land in the current folder
  dunlin recv --listen 0.0.0.0:4600 --out inbox
  dunlin recv --once                       stop after one transfer; its result is the exit code

A file that exists and differs is never overwritten. What an interruption left behind
(NAME.dunlin-part) is continued when the same file is sent again.")]
pub struct RecvArgs {
    /// Address to listen on; port 0 lets the system choose
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:4600", value_parser = values::ip_and_port)]
    pub listen: SocketAddr,
    /// Folder to put the files into; made when missing
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
    /// Stop after one transfer has run to its end
    #[arg(long)]
    pub once: bool,
    /// Accept only the node with this ID; may be repeated [default: anybody]
    #[arg(long, value_name = "ID")]
    pub allow: Vec<NodeId>,
    /// How senders may come, at the same port
    #[arg(long, value_enum, default_value_t = Carriers::Race)]
    pub carrier: Carriers,
    /// Congestion controller of what this end sends
    #[arg(long, value_enum, default_value_t = Controllers::Cubic)]
    pub controller: Controllers,
    /// Where the keys are.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// Traces to write.
    #[command(flatten)]
    pub traces: trace::TraceArgs,
}

/// `dunlin send`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dunlin send report.pdf dunlin1…@192.0.2.7:4600 only that peer is accepted
  dunlin send photos host.example:4600           the peer is remembered at first use

An interrupted transfer continues where it stopped when the same command is run again.")]
pub struct SendArgs {
    /// File or folder
    pub path: PathBuf,
    /// ID@host:port as `dunlin recv` prints it, or host:port
    #[arg(value_name = "ADDR")]
    pub to: PeerAddress,
    /// How to reach the receiver
    #[arg(long, value_enum, default_value_t = Carriers::Race)]
    pub carrier: Carriers,
    /// Congestion controller; bbr-tolerant for paths that lose packets without being full
    #[arg(long, value_enum, default_value_t = Controllers::Cubic)]
    pub controller: Controllers,
    /// Where the keys are.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// Traces to write.
    #[command(flatten)]
    pub traces: trace::TraceArgs,
}

/// `dunlin bench`.
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// Which end.
    #[command(subcommand)]
    pub end: BenchEnd,
}

/// Which end of a measurement.
#[derive(Subcommand, Debug)]
pub enum BenchEnd {
    /// Answer measurements until Ctrl-C
    Server(BenchServerArgs),
    /// Measure against a server
    Client(BenchClientArgs),
}

impl BenchArgs {
    /// Whether nothing of it works side by side.
    #[must_use]
    pub const fn has_one_core(&self) -> bool {
        match &self.end {
            BenchEnd::Server(args) => args.shards == 1,
            BenchEnd::Client(_) => true,
        }
    }
}

/// `dunlin bench server`.
#[derive(Args, Debug)]
pub struct BenchServerArgs {
    /// Address to listen on; port 0 lets the system choose
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4601", value_parser = values::ip_and_port)]
    pub listen: SocketAddr,
    /// How clients may come, at the same port
    #[arg(long, value_enum, default_value_t = Carriers::Race)]
    pub carrier: Carriers,
    /// Parts of the UDP port that work side by side, on a processor each (Linux)
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(SHARDS_MAX)))]
    pub shards: u32,
    /// Congestion controller of the answers
    #[arg(long, value_enum, default_value_t = Controllers::Cubic)]
    pub controller: Controllers,
    /// What both ends must agree on.
    #[command(flatten)]
    pub lab: LabArgs,
    /// Where the keys are.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// Traces to write.
    #[command(flatten)]
    pub traces: trace::TraceArgs,
}

/// `dunlin bench client`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dunlin bench client 127.0.0.1:4601 --mode bulk --seconds 5
  dunlin bench client 127.0.0.1:4601 --mode rr --at-once 64 --json")]
pub struct BenchClientArgs {
    /// ID@host:port or host:port of the server
    #[arg(value_name = "ADDR")]
    pub to: PeerAddress,
    /// What to measure
    #[arg(long, value_enum, default_value_t = BenchMode::Bulk)]
    pub mode: BenchMode,
    /// How long to measure, 0.1 to 3600 seconds
    #[arg(long, value_name = "N", default_value = "5", value_parser = values::seconds)]
    pub seconds: Duration,
    /// Streams of bulk, requests or handshakes under way, idle connections: 1 to 16384
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16_384))]
    pub at_once: u16,
    /// Print one JSON object on stdout
    #[arg(long)]
    pub json: bool,
    /// What to measure over
    #[arg(long, value_enum, default_value_t = Carriers::Udp)]
    pub carrier: Carriers,
    /// Congestion controller of what is sent
    #[arg(long, value_enum, default_value_t = Controllers::Cubic)]
    pub controller: Controllers,
    /// What both ends must agree on.
    #[command(flatten)]
    pub lab: LabArgs,
    /// Where the keys are.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// Traces to write.
    #[command(flatten)]
    pub traces: trace::TraceArgs,
}

/// Settings of a measurement that both ends must share.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct LabArgs {
    /// Laboratory: packets with a CRC-32 and without any encryption or identity
    #[arg(long)]
    pub plain: bool,
    /// Size of the UDP payload in bytes, 576 to 65507
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(576..=65_507))]
    pub mtu: Option<u16>,
    /// Give the system one packet at a time (no segmentation offload)
    #[arg(long)]
    pub no_gso: bool,
}

/// What to measure.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum BenchMode {
    /// Throughput of streams, and CPU time per byte
    Bulk,
    /// Latency of small requests, each a message
    Rr,
    /// Small messages per second, one way
    Messages,
    /// Handshakes per second
    Handshake,
    /// Open connections, report, keep them that long without using them
    Idle,
}

/// `dunlin relay`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Example (then send to port 4700 instead of 4600):
  dunlin relay --listen 127.0.0.1:4700 --to 127.0.0.1:4600 --loss 5% --delay 20ms \\
      --reorder 2% --duplicate 1% --corrupt 0.1% --rate 100mbit --seed 7

The options apply to each direction by itself. The same seed gives the same fate to the
n-th packet of a direction.")]
pub struct RelayArgs {
    /// Address that clients send to; port 0 lets the system choose
    #[arg(long, value_name = "ADDR", value_parser = values::ip_and_port)]
    pub listen: SocketAddr,
    /// Where the packets go on to
    #[arg(long, value_name = "ADDR")]
    pub to: address::HostPort,
    /// Share of packets that are lost
    #[arg(long, value_name = "SHARE", default_value = "0%")]
    pub loss: Percent,
    /// Time that every packet takes
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = values::duration)]
    pub delay: Duration,
    /// Up to this much is added to the delay at random, without reordering
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = values::duration)]
    pub jitter: Duration,
    /// Share of packets that are held back so that later ones overtake them
    #[arg(long, value_name = "SHARE", default_value = "0%")]
    pub reorder: Percent,
    /// How long a reordered packet is held back
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = values::duration)]
    pub reorder_by: Duration,
    /// Share of packets that arrive twice
    #[arg(long, value_name = "SHARE", default_value = "0%")]
    pub duplicate: Percent,
    /// Share of packets in which one bit is flipped
    #[arg(long, value_name = "SHARE", default_value = "0%")]
    pub corrupt: Percent,
    /// Bandwidth of each direction, for example 100mbit [default: no limit]
    #[arg(long)]
    pub rate: Option<Rate>,
    /// Bytes that may wait for bandwidth in each direction before packets are dropped
    #[arg(long, value_name = "BYTES", default_value_t = 512 * 1024)]
    pub queue: usize,
    /// Packets with a larger UDP payload are dropped
    #[arg(long, value_name = "BYTES")]
    pub mtu: Option<usize>,
    /// Seed of all random decisions
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Change the source port towards the target this often, as a NAT that forgets would
    #[arg(long, value_name = "TIME", value_parser = values::period)]
    pub rebind_every: Option<Duration>,
    /// Print the counters every second, not only at the end
    #[arg(long)]
    pub stats: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_command_table_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn reads_the_relay_line_of_the_documentation() {
        let cli = parse(
            "dunlin relay --listen 127.0.0.1:4700 --to 127.0.0.1:4600 --loss 5% --delay 20ms \
             --reorder 2% --duplicate 1% --corrupt 0.1% --rate 100mbit --seed 7",
        )
        .unwrap();
        let Command::Relay(relay) = cli.command else {
            panic!("{cli:?}")
        };
        assert_eq!(relay.loss.millionths(), 50_000);
        assert_eq!(relay.corrupt.millionths(), 1_000);
        assert_eq!(relay.delay, Duration::from_millis(20));
        assert_eq!(relay.rate.map(Rate::bits_per_second), Some(100_000_000));
        assert_eq!(relay.seed, 7);
    }

    #[test]
    fn reads_every_command_of_the_issue() {
        for line in [
            "dunlin start --host 127.0.0.1 --port 0 --bootstrap h:1 --bootstrap h:2 --data-dir d",
            "dunlin simulate --count 4 --base-port 47000",
            "dunlin simulate --once",
            "dunlin simulate --recorded net.jsonl --speed 4",
            "dunlin lab record net.jsonl --nodes 10000 --seconds 30 --seed 7",
            "dunlin recv --listen 127.0.0.1:0 --out d --once",
            "dunlin send file 127.0.0.1:4600",
            "dunlin send file 127.0.0.1:4600 --carrier race",
            "dunlin send file 127.0.0.1:4600 --controller new-reno",
            "dunlin recv --controller cubic",
            "dunlin bench client h:1 --controller bbr",
            "dunlin bench server --controller bbr-tolerant",
            "dunlin start --controller bbr",
            "dunlin start --config node.toml --data-dir d",
            "dunlin generate-config node.toml --format json --port 1 --bootstrap h:1",
            "dunlin generate-config -",
            "dunlin config check node.toml",
            "dunlin recv --carrier tcp",
            "dunlin bench client h:1 --carrier udp",
            "dunlin bench server --listen [::1]:0 --plain",
            "dunlin bench client h:1 --mode rr --seconds 2 --json",
            "dunlin bench client h:1 --mode idle --at-once 16384 --no-gso",
            "dunlin trace logs --html page.html --json",
            "dunlin lab list --json",
            "dunlin send --qlog d --pcap f --keylog k file 127.0.0.1:4600",
            "dunlin id",
            "dunlin id --data-dir d",
            "dunlin id new --hybrid --passphrase-file p --data-dir d",
            "dunlin id show",
            "dunlin id rotate --hybrid",
            "dunlin id export --data-dir d",
            "dunlin recv --network n --post-quantum required",
            "dunlin version",
            "dunlin stop --data-dir d",
            "dunlin status --json",
            "dunlin peer list --format json --filter connected",
            "dunlin peer add h:1 --priority high --wait 0s",
            "dunlin peer remove dunlin1abc --ban",
            "dunlin peer ban abc --for 1h --reason why",
            "dunlin peer unban abc",
            "dunlin peer bans --json",
            "dunlin peer info abc",
            "dunlin peer why abc --json",
            "dunlin peer top -n 3",
            "dunlin peer export -",
            "dunlin peer import peers.json",
            "dunlin broadcast hello --topic t --priority low",
            "dunlin message abc hello --handler h",
            "dunlin chat abc",
            "dunlin chat --topic t",
            "dunlin trust list",
            "dunlin trust events -n 5",
            "dunlin stats -o json",
            "dunlin metrics --openmetrics",
            "dunlin logs -f --set info",
            "dunlin logs --level warn --layer overlay -n 5",
            "dunlin logs --events -f --json",
            "dunlin peer challenge abc",
            "dunlin dashboard --json",
            "dunlin completions bash",
            "dunlin man",
        ] {
            assert!(parse(line).is_ok(), "{line}: {:?}", parse(line));
        }
    }

    #[test]
    fn rejects_mistakes_with_the_usage_code() {
        for line in [
            "dunlin send",
            "dunlin send file nowhere",
            "dunlin recv --lisen 127.0.0.1:0",
            "dunlin simulate --count 1",
            "dunlin relay --listen 127.0.0.1:0 --to h:1 --loss 500%",
            "dunlin bench client h:1 --mode fast",
            "dunlin bench client h:1 --at-once 0",
            "dunlin send file 127.0.0.1:4600 --carrier pigeon",
            "dunlin send file 127.0.0.1:4600 --controller reno",
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.use_stderr(), "{line}");
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn a_bad_value_is_explained_with_an_example() {
        let error = parse("dunlin send file 192.0.2.7").unwrap_err().to_string();
        assert!(
            error.contains("write for example 192.0.2.7:4600"),
            "{error}"
        );
    }
}
