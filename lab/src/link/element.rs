//! What can stand on a path, as data: a scenario lists these, a [`super::Link`] makes them work.

use std::sync::Arc;
use std::time::Duration;

use super::blackout::Blackout;
use super::capacity::{Capacity, RateTrace};
use super::delay::Distribution;
use super::loss::GilbertElliott;
use super::queue::Queue;
use crate::rng::Ppm;

/// One thing on the path. In a file: `{ delay = "20ms" }`, `{ loss = "1%" }`, … (the forms stand
/// with each kind; `jitter`, `queue`, … go beside the first key).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Element {
    /// Takes `fixed` and up to `jitter` more, uniformly.
    /// `{ delay = "20ms", jitter = "5ms", in_order = false }`
    Delay {
        /// Always.
        fixed: Duration,
        /// At most, on top.
        jitter: Duration,
        /// Nobody overtakes: jitter moves a datagram, and those behind it wait.
        in_order: bool,
    },
    /// Takes a time drawn from a distribution.
    /// `{ delay = { normal = { mean = "20ms", deviation = "4ms" } } }`,
    /// `{ delay = { pareto = { scale = "20ms", shape = "2.5", cap = "1s" } }, in_order = false }`
    RandomDelay {
        /// Which.
        distribution: Distribution,
        /// Nobody overtakes.
        in_order: bool,
    },
    /// Loses a datagram, each by itself (Bernoulli). `{ loss = "1%" }`
    Loss(Ppm),
    /// Loses datagrams in bursts. `{ gilbert_elliott = { good_to_bad = "1%", bad_to_good = "25%" } }`
    GilbertElliott(GilbertElliott),
    /// Holds a datagram back, so that later ones overtake it. `{ reorder = "2%", by = "5ms" }`
    Reorder {
        /// How often.
        chance: Ppm,
        /// For how long.
        extra: Duration,
    },
    /// Sends a datagram twice. `{ duplicate = "1%" }`
    Duplicate(Ppm),
    /// Flips one to eight random bits of a datagram. `{ corrupt = "0.1%" }`
    Corrupt(Ppm),
    /// A bottleneck with a drop-tail queue in front. `{ rate = "100mbit", queue = "500kB" }`
    Rate {
        /// Bits per second of UDP payload and the 28 bytes of IPv4 and UDP headers.
        bits_per_second: u64,
        /// Bytes that may wait, the one on the wire included.
        queue_bytes: u64,
    },
    /// A bottleneck whose rate may change, behind a queue that may mark and drop early.
    /// `{ rate = "100mbit", queue = { codel = { target = "5ms" } } }`,
    /// `{ rate = { steps = [["0s", "5mbit"], ["2s", "1mbit"]], repeat = "4s" }, queue = "500kB" }`,
    /// `{ rate = { opportunities_ms = [1, 3, 3, 8] }, queue = { dual_pi2 = {} } }`
    Bottleneck {
        /// How fast it sends.
        capacity: Capacity,
        /// How it holds what waits.
        queue: Queue,
    },
    /// Drops what is longer than so many bytes of UDP payload, without a word (no ICMP).
    /// `{ mtu = 1400 }`
    Mtu(usize),
    /// Drops what is longer than so many bytes of UDP payload and tells the sender so, as ICMP
    /// "fragmentation needed" does (RFC 792, RFC 1191). `{ mtu = 1400, icmp = true }`
    MtuWithIcmp(usize),
    /// Marks ECN-capable datagrams "congestion experienced". `{ ecn_mark = "10%" }`
    EcnMark(Ppm),
    /// Clears the ECN field, as some middleboxes do. `{ ecn_bleach = "100%" }`
    EcnBleach(Ppm),
    /// A token bucket that drops what exceeds the rate, and queues nothing.
    /// `{ policer = "10mbit", burst = "64kB" }`
    Policer {
        /// Bits per second that pass in the long run, headers included.
        bits_per_second: u64,
        /// Bytes that pass at once after a rest.
        burst_bytes: u64,
    },
    /// Drops everything for a while. `{ blackout = [["2s", "3s"], ["8s", "8.5s"]] }`,
    /// `{ blackout = { first = "2s", length = "500ms", every = "10s" } }`
    Blackout(Blackout),
}

/// Why an element makes no sense.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ElementError {
    /// A rate of zero passes nothing for ever.
    #[error("{what} is zero: nothing would ever pass")]
    Zero {
        /// Which number.
        what: &'static str,
    },
    /// A probability above one.
    #[error("{what} is {ppm} parts per million, more than always")]
    Probability {
        /// Which number.
        what: &'static str,
        /// Its value.
        ppm: u32,
    },
    /// A number outside the range that works.
    #[error("{what} is {value}, it has to be {range}")]
    Range {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: u64,
        /// What it may be.
        range: &'static str,
    },
    /// Times that have to ascend and do not.
    #[error("{what}: the times have to ascend, and {position} (counting from 0) does not")]
    NotAscending {
        /// Which list.
        what: &'static str,
        /// Index of the first that does not.
        position: usize,
    },
    /// A list without content.
    #[error("{what} is empty")]
    Empty {
        /// Which list.
        what: &'static str,
    },
    /// A table with no kind, or with more than one.
    #[error("an element has exactly one of {kinds}; this one has {found}")]
    Kind {
        /// All there are.
        kinds: &'static str,
        /// Those found; "none" if so.
        found: String,
    },
    /// A key that says nothing about this kind.
    #[error("`{key}` says nothing about `{kind}`")]
    Foreign {
        /// The key.
        key: &'static str,
        /// The kind.
        kind: &'static str,
    },
    /// A key that this kind needs.
    #[error("`{kind}` needs `{key}`")]
    Missing {
        /// The kind.
        kind: &'static str,
        /// The key.
        key: &'static str,
    },
    /// A line of a trace file that does not read.
    #[error("line {line} of the trace: {reason}")]
    TraceLine {
        /// Counting from one.
        line: usize,
        /// In words.
        reason: String,
    },
}

/// The smallest MTU that makes sense: the header of a packet and something in it.
const MTU_MIN: u64 = 64;
/// The longest delay: a day; more is a mistake of units.
const DELAY_MAX: Duration = Duration::from_secs(86_400);

impl Element {
    /// A fixed delay.
    #[must_use]
    pub const fn delay(fixed: Duration) -> Self {
        Self::Delay {
            fixed,
            jitter: Duration::ZERO,
            in_order: true,
        }
    }

    /// A bottleneck of a constant rate behind `queue`.
    #[must_use]
    pub const fn bottleneck(bits_per_second: u64, queue: Queue) -> Self {
        Self::Bottleneck {
            capacity: Capacity::Constant(bits_per_second),
            queue,
        }
    }

    /// A bottleneck that replays `trace` behind `queue`.
    #[must_use]
    pub fn replay(trace: RateTrace, queue: Queue) -> Self {
        Self::Bottleneck {
            capacity: Capacity::Trace(Arc::new(trace)),
            queue,
        }
    }

    /// Whether it drops what is too long.
    #[must_use]
    pub const fn limits_length(&self) -> bool {
        matches!(self, Self::Mtu(_) | Self::MtuWithIcmp(_))
    }

    /// Checks that its numbers make sense.
    ///
    /// # Errors
    /// The first that does not.
    pub fn validate(&self) -> Result<(), ElementError> {
        match self {
            Self::Delay { fixed, jitter, .. } => {
                delay("delay", *fixed)?;
                delay("jitter", *jitter)
            }
            Self::RandomDelay { distribution, .. } => distribution.validate(),
            Self::Loss(chance) => probability("loss", *chance),
            Self::GilbertElliott(model) => model.validate(),
            Self::Reorder { chance, extra } => {
                probability("reorder", *chance)?;
                delay("by", *extra)
            }
            Self::Duplicate(chance) => probability("duplicate", *chance),
            Self::Corrupt(chance) => probability("corrupt", *chance),
            Self::Rate {
                bits_per_second,
                queue_bytes,
            } => {
                positive("rate", *bits_per_second)?;
                positive("queue", *queue_bytes)
            }
            Self::Bottleneck { capacity, queue } => {
                capacity.validate()?;
                queue.validate()
            }
            Self::Mtu(bytes) | Self::MtuWithIcmp(bytes) => match *bytes as u64 {
                value if value < MTU_MIN => Err(ElementError::Range {
                    what: "mtu",
                    value,
                    range: "at least 64 bytes",
                }),
                _ => Ok(()),
            },
            Self::EcnMark(chance) => probability("ecn_mark", *chance),
            Self::EcnBleach(chance) => probability("ecn_bleach", *chance),
            Self::Policer {
                bits_per_second,
                burst_bytes,
            } => {
                positive("policer", *bits_per_second)?;
                positive("burst", *burst_bytes)
            }
            Self::Blackout(blackout) => blackout.validate(),
        }
    }
}

pub(super) const fn probability(what: &'static str, chance: Ppm) -> Result<(), ElementError> {
    if chance.0 > Ppm::ALWAYS.0 {
        return Err(ElementError::Probability {
            what,
            ppm: chance.0,
        });
    }
    Ok(())
}

pub(super) const fn positive(what: &'static str, value: u64) -> Result<(), ElementError> {
    if value == 0 {
        return Err(ElementError::Zero { what });
    }
    Ok(())
}

pub(super) fn delay(what: &'static str, time: Duration) -> Result<(), ElementError> {
    if time > DELAY_MAX {
        return Err(ElementError::Range {
            what,
            value: time.as_secs(),
            range: "at most 86400 seconds",
        });
    }
    Ok(())
}
