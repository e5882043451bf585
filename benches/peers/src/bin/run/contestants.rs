//! Who takes part, and with which arguments.

use std::path::{Path, PathBuf};

use dunlin_peers::UDP_PAYLOAD;
use dunlin_peers::cli::KeyExchange;

use crate::tables::Table;

/// Everything over streams of its own.
const QUIC: [Table; 11] = [
    Table::Bulk,
    Table::Bulk16,
    Table::NoGso,
    Table::Large,
    Table::Rr,
    Table::Rr64,
    Table::Messages,
    Table::Handshake,
    Table::Handshake32,
    Table::Idle,
    Table::Loss,
];
/// What a single stream of bytes over the kernel's TCP can do.
const TCP: [Table; 9] = [
    Table::Bulk,
    Table::Bulk16,
    Table::Large,
    Table::Rr,
    Table::Rr64,
    Table::Messages,
    Table::Handshake,
    Table::Handshake32,
    Table::Idle,
];
/// Dunlin without encryption: beside its sealed self, where encryption costs.
const PLAIN: [Table; 3] = [Table::Bulk, Table::Rr, Table::Rr64];
/// Dunlin's packets in a TCP stream.
const CARRIED: [Table; 4] = [Table::Bulk, Table::Rr, Table::Rr64, Table::Messages];
/// Dunlin with a controller for paths that lose packets without being full.
const TOLERANT: [Table; 2] = [Table::Loss, Table::LossShared];
const KCP: [Table; 5] = [
    Table::Bulk,
    Table::Rr,
    Table::Rr64,
    Table::Messages,
    Table::Loss,
];
const ENET: [Table; 4] = [Table::Bulk, Table::Rr, Table::Rr64, Table::Messages];
const BLAST: [Table; 3] = [Table::Bulk, Table::NoGso, Table::Large];
const HANDSHAKES: [Table; 2] = [Table::Handshake, Table::Handshake32];

/// A program with the arguments that make it one row of a table.
pub struct Contestant {
    /// Name of the row.
    pub name: String,
    /// What `--only` calls it.
    pub peer: &'static str,
    /// The program.
    pub program: PathBuf,
    server: Vec<String>,
    client: Vec<String>,
    tables: &'static [Table],
    large: Large,
    /// Whether each request and message takes a stream, of which an end allows a number.
    counts_streams: bool,
}

/// The packets that suit a stack best on a loopback device.
#[derive(Clone, Copy)]
struct Large {
    mtu: u16,
    gso: bool,
}

impl Contestant {
    /// Dunlin itself, with the keys of each end in a folder of its own below `keys`.
    pub fn dunlin(program: &Path, keys: &Path) -> [Self; 5] {
        let row = |name: &str, peer, extra: &[&str], tables| {
            let arguments = |words: &[&str], end: &str| {
                let folder = keys.join(end).display().to_string();
                let mut arguments = strings(words);
                arguments.extend(strings(extra));
                arguments.extend(["--data-dir".to_owned(), folder]);
                arguments
            };
            Self {
                name: name.to_owned(),
                peer,
                program: program.to_owned(),
                server: arguments(&["bench", "server", "--listen", "127.0.0.1:0"], "server"),
                client: arguments(&["bench", "client"], "client"),
                tables,
                large: Large {
                    mtu: 65_507,
                    gso: true,
                },
                counts_streams: false,
            }
        };
        [
            row("dunlin", "dunlin", &["--carrier", "udp"], &QUIC),
            row(
                "dunlin, classical",
                "dunlin",
                &["--key-exchange", "classical"],
                &HANDSHAKES,
            ),
            row("dunlin, not sealed", "plain", &["--plain"], &PLAIN),
            row(
                "dunlin over TCP",
                "carried",
                &["--carrier", "tcp"],
                &CARRIED,
            ),
            row(
                "dunlin, bbr-tolerant",
                "tolerant",
                &["--controller", "bbr-tolerant"],
                &TOLERANT,
            ),
        ]
    }

    /// The other programs, in `folder`.
    pub fn peers(folder: &Path) -> Vec<Self> {
        let row = |name: &str, peer: &'static str, kx: KeyExchange, tables, mtu, gso| Self {
            name: name.to_owned(),
            peer,
            program: folder.join("peer"),
            server: strings(&[peer, "server", "--listen", "127.0.0.1:0", "--kx", kx.name()]),
            client: strings(&[peer, "client", "--kx", kx.name()]),
            tables,
            large: Large { mtu, gso },
            counts_streams: true,
        };
        let mut rows = Vec::new();
        // quinn and noq send batches above the limit of UDP when packets are large and take the
        // error for loss: they are best without segmentation offload then.
        for (name, peer, mtu, gso) in [
            ("quinn", "quinn", 65_507, false),
            ("noq", "noq", 65_507, false),
            ("s2n-quic", "s2n", 16_000, true),
            ("quiche", "quiche", 16_000, true),
        ] {
            rows.push(row(name, peer, KeyExchange::X25519, &QUIC[..], mtu, gso));
            let hybrid = format!("{name}, hybrid");
            rows.push(row(
                &hybrid,
                peer,
                KeyExchange::Hybrid,
                &HANDSHAKES,
                mtu,
                gso,
            ));
        }
        let classical = KeyExchange::X25519;
        rows.push(row("rustls over TCP", "tls", classical, &TCP, 65_507, true));
        let hybrid = KeyExchange::Hybrid;
        let name = "rustls over TCP, hybrid";
        rows.push(row(name, "tls", hybrid, &HANDSHAKES, 65_507, true));
        rows.push(row(
            "KCP, not encrypted",
            "kcp",
            classical,
            &KCP,
            UDP_PAYLOAD,
            true,
        ));
        rows.push(row(
            "ENet, not encrypted",
            "enet",
            classical,
            &ENET,
            UDP_PAYLOAD,
            true,
        ));
        let name = "sealed packets thrown";
        rows.push(row(name, "blast", classical, &BLAST, 65_507, true));
        rows
    }

    /// Whether it is in that table.
    pub fn takes_part(&self, table: Table) -> bool {
        self.tables.contains(&table)
    }

    /// Arguments of its server in that table.
    pub fn server(&self, table: Table) -> Vec<String> {
        self.with_packets(&self.server, table)
    }

    /// Arguments of its client in that table, but for the server's address.
    pub fn client(&self, table: Table, idle: usize, seconds: f64) -> Vec<String> {
        let (mode, at_once) = table.load(idle);
        let mut arguments = self.with_packets(&self.client, table);
        arguments.extend(strings(&["--mode", mode.name(), "--json", "--seconds"]));
        arguments.extend([
            seconds.to_string(),
            "--at-once".to_owned(),
            at_once.to_string(),
        ]);
        arguments
    }

    fn with_packets(&self, arguments: &[String], table: Table) -> Vec<String> {
        let packets = match table {
            Table::Large => self.large,
            Table::NoGso => Large {
                mtu: UDP_PAYLOAD,
                gso: false,
            },
            _ => Large {
                mtu: UDP_PAYLOAD,
                gso: true,
            },
        };
        let mut arguments = arguments.to_vec();
        arguments.extend(["--mtu".to_owned(), packets.mtu.to_string()]);
        if !packets.gso {
            arguments.push("--no-gso".to_owned());
        }
        if self.counts_streams && matches!(table, Table::Rr64 | Table::Messages) {
            arguments.extend(strings(&["--streams", "1024"]));
        }
        arguments
    }
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
