//! The tables: what is measured in each, and its columns.

use clap::ValueEnum;
use dunlin_peers::cli::Mode;

use crate::samples::Value;

/// A table of the result.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Table {
    /// One stream.
    Bulk,
    /// Sixteen streams.
    Bulk16,
    /// One stream, and each packet is given to the kernel by itself.
    NoGso,
    /// One stream, each stack at the packet size that suits it best on this device.
    Large,
    /// A request at a time.
    Rr,
    /// 64 requests under way.
    Rr64,
    /// Small messages, one way.
    Messages,
    /// A handshake at a time.
    Handshake,
    /// 32 handshakes at once.
    Handshake32,
    /// Idle connections.
    Idle,
    /// One stream through a relay that loses packets, beside one that does not. The relay never waits for a core,
    /// as a network does not, if it may have real-time priority.
    Loss,
    /// The same with a relay that waits for its turn as both ends do.
    LossShared,
}

/// Relay of [`Table::Loss`] and [`Table::LossShared`]: the share it loses.
pub const LOSS: &str = "1%";

impl Table {
    /// All of them, in the order of the result.
    pub const ALL: [Self; 12] = [
        Self::Bulk,
        Self::Bulk16,
        Self::NoGso,
        Self::Large,
        Self::Rr,
        Self::Rr64,
        Self::Messages,
        Self::Handshake,
        Self::Handshake32,
        Self::Idle,
        Self::Loss,
        Self::LossShared,
    ];

    /// Those with a bound of `verdicts`.
    pub const JUDGED: [Self; 9] = [
        Self::Bulk,
        Self::NoGso,
        Self::Large,
        Self::Rr,
        Self::Rr64,
        Self::Handshake,
        Self::Idle,
        Self::Loss,
        Self::LossShared,
    ];

    /// Name on the command line and of its files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bulk => "bulk",
            Self::Bulk16 => "bulk16",
            Self::NoGso => "no-gso",
            Self::Large => "large",
            Self::Rr => "rr",
            Self::Rr64 => "rr64",
            Self::Messages => "messages",
            Self::Handshake => "handshake",
            Self::Handshake32 => "handshake32",
            Self::Idle => "idle",
            Self::Loss => "loss",
            Self::LossShared => "loss-shared",
        }
    }

    /// Heading for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Bulk => "Bulk, one stream",
            Self::Bulk16 => "Bulk, 16 streams (TCP: 16 connections)",
            Self::NoGso => "Bulk, one stream, without segmentation offload",
            Self::Large => "Bulk, one stream, large packets",
            Self::Rr => "64-byte request and response, one outstanding",
            Self::Rr64 => "64-byte request and response, 64 outstanding",
            Self::Messages => "64-byte messages, one way",
            Self::Handshake => "Full handshakes, one at a time",
            Self::Handshake32 => "Full handshakes, 32 at once",
            Self::Idle => "Idle connections",
            Self::Loss => "Bulk, one stream, through a relay that loses 1 % of the packets",
            Self::LossShared => "The same, the relay waits for a core as both ends do",
        }
    }

    /// What the client is asked for, and how many at once.
    pub fn load(self, idle: usize) -> (Mode, usize) {
        match self {
            Self::Bulk | Self::NoGso | Self::Large | Self::Loss | Self::LossShared => {
                (Mode::Bulk, 1)
            }
            Self::Bulk16 => (Mode::Bulk, 16),
            Self::Rr => (Mode::Rr, 1),
            Self::Rr64 => (Mode::Rr, 64),
            Self::Messages => (Mode::Messages, 1),
            Self::Handshake => (Mode::Handshake, 1),
            Self::Handshake32 => (Mode::Handshake, 32),
            Self::Idle => (Mode::Idle, idle),
        }
    }

    /// Its columns, the most important first.
    pub fn columns(self) -> &'static [Value] {
        match self {
            Self::Bulk | Self::Bulk16 | Self::NoGso | Self::Large => {
                &[Value::Gigabits, Value::CpuPerByte]
            }
            Self::Rr => &[Value::Median, Value::Late, Value::CpuEach],
            Self::Rr64 => &[Value::PerSecond, Value::Late, Value::CpuEach],
            Self::Messages => &[Value::PerSecond, Value::CpuEach],
            Self::Handshake | Self::Handshake32 => &[Value::CpuEach, Value::PerSecond],
            Self::Idle => &[Value::ServerKib, Value::IdleCpu, Value::ClientKib],
            Self::Loss | Self::LossShared => &[Value::Kept, Value::Gigabits, Value::Lossless],
        }
    }
}
