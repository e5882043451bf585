//! Commands for a running node: what they take. They speak to it over the socket in its data folder.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::values;
use crate::control::model::{Judgement, LogLayer, LogLevel, PeerFilter, PeerPriority};

/// Commands for a running node.
#[derive(Subcommand, Debug)]
pub enum NodeCommand {
    /// Stop the running node; its peers are told
    Stop(NodeArgs),
    /// Show how the running node is doing
    Status(ShowArgs),
    /// List, add, remove, ban and explain the peers of the running node
    Peer(PeerArgs),
    /// Tell something to every node of the network
    Broadcast(BroadcastArgs),
    /// Tell something to one connected peer
    Message(MessageArgs),
    /// Ask another node something, and print its answer
    Request(RequestArgs),
    /// Talk to one peer, or to everybody: lines in, lines out
    Chat(ChatArgs),
    /// Show or choose of which topics broadcasts are taken
    Topics(TopicsArgs),
    /// Say what becomes of a broadcast that waits for a verdict
    Verdict(VerdictArgs),
    /// Show the conduct of peers, and what changed the trust in them; ask peers whom they trust
    Trust(TrustArgs),
    /// Show the counters of the running node
    Stats(StatsArgs),
    /// Print the metrics of the running node for Prometheus
    Metrics(MetricsArgs),
    /// Show the last lines of the node's log, or follow it
    Logs(LogsArgs),
    /// Print a link that shows the running node in one browser
    Dashboard(DashboardArgs),
}

/// Which node is meant.
#[derive(Args, Clone, Debug, Default)]
pub struct NodeArgs {
    /// Folder of the running node [default: ~/.local/share/dunlin]
    #[arg(long, value_name = "DIR", env = "DUNLIN_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Which node is meant, and how its answer is shown.
#[derive(Args, Clone, Debug, Default)]
pub struct ShowArgs {
    /// Print JSON, as the API has it
    #[arg(long)]
    pub json: bool,
    /// Which node.
    #[command(flatten)]
    pub node: NodeArgs,
}

/// How a table is printed.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// Columns for people
    #[default]
    Table,
    /// JSON for programs
    Json,
}

/// `dunlin peer`.
#[derive(Args, Debug)]
pub struct PeerArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: PeerAction,
}

/// What to do with peers.
#[derive(Subcommand, Debug)]
pub enum PeerAction {
    /// List the known peers
    List(PeerListArgs),
    /// Connect to a peer, and keep trying
    Add(PeerAddArgs),
    /// Say goodbye to a peer; it is not dialled again by itself
    Remove(PeerRemoveArgs),
    /// Ban a peer, an address or a range of addresses
    Ban(PeerBanArgs),
    /// End a ban
    Unban(OnePeerArgs),
    /// List the bans in force
    Bans(ShowArgs),
    /// Show all that is known of a peer
    Info(OnePeerArgs),
    /// Tell what happened to a peer, and why
    Why(OnePeerArgs),
    /// Have a connected peer prove its identity again
    Challenge(OnePeerArgs),
    /// List the connected peers that are trusted most
    Top(CountArgs),
    /// Write the known peers into a file
    Export(PeerFileArgs),
    /// Take in the peers of a file
    Import(PeerFileArgs),
}

/// `dunlin dashboard`.
#[derive(Args, Debug)]
#[command(after_help = "\
The link works once, within an hour, on this machine. Unless the node was started with --api, it
opens a port of the system's choice on 127.0.0.1 for it.

Examples:
  dunlin dashboard
  xdg-open \"$(dunlin dashboard)\"")]
pub struct DashboardArgs {
    /// Which node, and how.
    #[command(flatten)]
    pub show: ShowArgs,
}

/// `dunlin peer list`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dunlin peer list
  dunlin peer list --filter unhealthy
  dunlin peer list --filter connected --format json")]
pub struct PeerListArgs {
    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Which ones
    #[arg(long, value_enum, default_value_t)]
    pub filter: PeerFilter,
    /// Which node, and how.
    #[command(flatten)]
    pub show: ShowArgs,
}

/// `dunlin peer add`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dunlin peer add 192.0.2.7:4600
  dunlin peer add dunlin1…@host.example:4600 --priority high")]
pub struct PeerAddArgs {
    /// ID@host:port, or host:port
    #[arg(value_name = "ADDR")]
    pub address: String,
    /// How much it is wanted
    #[arg(long, value_enum, default_value_t)]
    pub priority: PeerPriority,
    /// How long to wait until it is connected; 0s does not wait
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = values::duration)]
    pub wait: Duration,
    /// Which node, and how.
    #[command(flatten)]
    pub show: ShowArgs,
}

/// `dunlin peer remove`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dunlin peer remove 192.0.2.7:4600
  dunlin peer remove dunlin1qx8 --ban")]
pub struct PeerRemoveArgs {
    /// Its ID, the beginning of it, or its address
    #[arg(value_name = "ADDR|ID")]
    pub peer: String,
    /// Ban it, too
    #[arg(long)]
    pub ban: bool,
    /// Which node, and how.
    #[command(flatten)]
    pub show: ShowArgs,
}

/// `dunlin peer ban`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dunlin peer ban dunlin1qx8 --reason \"sends rubbish\"
  dunlin peer ban 192.0.2.0/24 --for 2h")]
pub struct PeerBanArgs {
    /// Its ID, the beginning of it, an IP address, or a range
    #[arg(value_name = "ID|IP|RANGE")]
    pub peer: String,
    /// How long [default: 24h]
    #[arg(long = "for", value_name = "TIME", value_parser = values::period)]
    pub duration: Option<Duration>,
    /// Why, for who reads the story later
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Which node, and how.
    #[command(flatten)]
    pub show: ShowArgs,
}

/// One peer (for `unban` also an address or a range).
#[derive(Args, Debug)]
pub struct OnePeerArgs {
    /// Its ID, the beginning of it, or its address
    #[arg(value_name = "ID")]
    pub peer: String,
    /// Which node, and how.
    #[command(flatten)]
    pub show: ShowArgs,
}

/// How many.
#[derive(Args, Debug)]
pub struct CountArgs {
    /// How many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    pub count: usize,
    /// Which node, and how.
    #[command(flatten)]
    pub show: ShowArgs,
}

/// A file of peers.
#[derive(Args, Debug)]
pub struct PeerFileArgs {
    /// The file; - for stdin or stdout
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Which node.
    #[command(flatten)]
    pub node: NodeArgs,
}

/// `dunlin broadcast`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dunlin broadcast \"hello, network\"
  dunlin broadcast --topic prices 42 --priority high")]
pub struct BroadcastArgs {
    /// What to tell
    pub text: String,
    /// The topic, 1 to 64 bytes
    #[arg(long, value_name = "NAME", default_value = "chat")]
    pub topic: String,
    /// How urgent it is
    #[arg(long, value_enum, default_value_t)]
    pub priority: PeerPriority,
    /// Which node, and how.
    #[command(flatten)]
    pub show: ShowArgs,
}

/// `dunlin message`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dunlin message dunlin1qx8 \"are you there?\"
  dunlin message dunlin1… \"are you there?\" --via any     through a peer that relays")]
pub struct MessageArgs {
    /// Its ID, the beginning of it, or its address
    #[arg(value_name = "ID")]
    pub peer: String,
    /// What to tell
    pub text: String,
    /// The handler at the other end, 1 to 64 bytes
    #[arg(long, value_name = "NAME", default_value = "chat")]
    pub handler: String,
    /// Through whom, if it is no peer: a peer that relays, or any; who relays can read it
    #[arg(long, value_name = "ID|any")]
    pub via: Option<String>,
    /// Which node, and how.
    #[command(flatten)]
    pub show: ShowArgs,
}

/// `dunlin request`.
#[derive(Args, Debug)]
#[command(after_help = "\
Every node answers `echo` and `node-info`; what else there is depends on the applications.

Examples:
  dunlin request dunlin1qx8 node-info
  dunlin request dunlin1qx8 echo hello --timeout 2s
  dunlin request dunlin1… node-info --via dunlin1qx8     through a peer that relays")]
pub struct RequestArgs {
    /// Its ID, the beginning of it, or its address
    #[arg(value_name = "ID")]
    pub peer: String,
    /// The handler at the other end, 1 to 64 bytes
    #[arg(value_name = "HANDLER")]
    pub handler: String,
    /// What to ask
    #[arg(default_value = "")]
    pub text: String,
    /// How long to wait for the answer, at most 10s
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = values::period)]
    pub timeout: Duration,
    /// Through whom, if it is no peer: a peer that relays, or any; who relays can read it
    #[arg(long, value_name = "ID|any")]
    pub via: Option<String>,
    /// Which node, and how.
    #[command(flatten)]
    pub show: ShowArgs,
}

/// `dunlin topics`.
#[derive(Args, Debug)]
pub struct TopicsArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: TopicsAction,
}

/// What to do with topics.
#[derive(Subcommand, Debug)]
pub enum TopicsAction {
    /// List the topics of which broadcasts are taken
    List(ShowArgs),
    /// Take broadcasts of these topics, and of no others, until the node is restarted
    Set(TopicsSetArgs),
}

/// `dunlin topics set`.
#[derive(Args, Debug)]
#[command(after_help = "\
Broadcasts of other topics are passed on all the same. The configuration says what is taken after a
restart (`network.gossip.topics`).

Examples:
  dunlin topics set prices weather
  dunlin topics set --all")]
pub struct TopicsSetArgs {
    /// The topics, at most 64, each of 1 to 64 bytes
    #[arg(value_name = "NAME", required_unless_present = "all")]
    pub names: Vec<String>,
    /// Take broadcasts of all topics
    #[arg(long, conflicts_with = "names")]
    pub all: bool,
    /// Which node, and how.
    #[command(flatten)]
    pub show: ShowArgs,
}

/// `dunlin verdict`.
#[derive(Args, Debug)]
#[command(after_help = "\
Broadcasts wait for a verdict when the node is configured so (`network.gossip.verdict_timeout`);
`dunlin logs --events --json` tells their IDs.

Example:
  dunlin verdict 9f86d081… reject")]
pub struct VerdictArgs {
    /// The ID of the broadcast, 64 hexadecimal digits
    #[arg(value_name = "BROADCAST")]
    pub broadcast: String,
    /// What becomes of it
    #[arg(value_enum)]
    pub verdict: Judgement,
    /// Which node, and how.
    #[command(flatten)]
    pub show: ShowArgs,
}

/// `dunlin chat`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dunlin chat                    with everybody in the network
  dunlin chat --topic lunch      with everybody who listens to that topic
  dunlin chat dunlin1qx8         with one connected peer

Each line that you type is sent; what others say is printed. Ends with Ctrl-D or Ctrl-C.")]
pub struct ChatArgs {
    /// With whom: an ID, the beginning of it, or an address [default: everybody]
    #[arg(value_name = "ID", conflicts_with = "topic")]
    pub peer: Option<String>,
    /// On which topic
    #[arg(long, value_name = "NAME")]
    pub topic: Option<String>,
    /// Which node.
    #[command(flatten)]
    pub node: NodeArgs,
}

/// `dunlin trust`.
#[derive(Args, Debug)]
#[command(after_help = "\
What a peer says moves the trust in others by 0.05 at most, and their reputation not at all.")]
pub struct TrustArgs {
    /// What to show.
    #[command(subcommand)]
    pub action: TrustAction,
}

/// What to show of the trust in peers.
#[derive(Subcommand, Debug)]
pub enum TrustAction {
    /// List the peers by their conduct
    List(ShowArgs),
    /// Tell what changed the trust in peers lately
    Events(CountArgs),
    /// Ask a connected peer whom it trusts
    Ask(OnePeerArgs),
}

/// `dunlin stats`.
#[derive(Args, Debug)]
pub struct StatsArgs {
    /// How to print them
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Format,
    /// Which node, and how.
    #[command(flatten)]
    pub show: ShowArgs,
}

/// `dunlin metrics`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  dunlin metrics | promtool check metrics")]
pub struct MetricsArgs {
    /// Print OpenMetrics 1.0 instead of the older text format
    #[arg(long)]
    pub openmetrics: bool,
    /// Which node.
    #[command(flatten)]
    pub node: NodeArgs,
}

/// `dunlin logs`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dunlin logs -f                               follow the log of the running node
  dunlin logs --level warn --layer overlay     what went wrong in the gossip network
  dunlin logs --events -f                      peers, bans, broadcasts: what happens, as the API tells it
  dunlin logs --set dunlin_transport=debug     change what the log says, until the node is restarted

What is shown is what the node's own filter lets pass (`log.level` and `log.filter` of its
configuration, or --set); the last 1024 lines are kept.")]
pub struct LogsArgs {
    /// How many of the last lines to print
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    pub count: usize,
    /// Go on with what comes from now on, until Ctrl-C
    #[arg(long, short)]
    pub follow: bool,
    /// Only lines that matter at least so much
    #[arg(long, value_enum)]
    pub level: Option<LogLevel>,
    /// Only lines of this layer
    #[arg(long, value_enum)]
    pub layer: Option<LogLayer>,
    /// Show what happens to peers and what they send, in place of the log
    #[arg(long, conflicts_with_all = ["level", "layer"])]
    pub events: bool,
    /// Change what the log of the node says: a level or a filter
    #[arg(long, value_name = "FILTER")]
    pub set: Option<String>,
    /// Which node, and how.
    #[command(flatten)]
    pub show: ShowArgs,
}

/// `dunlin completions`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dunlin completions bash > ~/.local/share/bash-completion/completions/dunlin
  dunlin completions zsh > ~/.zfunc/_dunlin
  dunlin completions fish > ~/.config/fish/completions/dunlin.fish")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `dunlin man`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dunlin man | man -l -
  dunlin man --out /usr/local/share/man/man1")]
pub struct ManArgs {
    /// Write a page for each command into this folder, instead of the first page to stdout
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}
