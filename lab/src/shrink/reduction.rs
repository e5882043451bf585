//! Ways to make a scenario smaller.
//!
//! Each takes something away or halves it, so that a chain of them ends. None makes a scenario
//! that may fail without a fault: what the checks rely on (timeouts longer than the faults, a
//! keep-alive for a node that moves) stays.

use std::fmt;
use std::time::Duration;

use dunlin_transport::{Instant, TransportConfig};

use super::element::simpler;
use crate::profile::Profile;
use crate::scenario::Scenario;
use crate::workload::{Ending, Fate, Plan, Reader, StreamPlan};

/// One way to make a scenario smaller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reduction {
    /// No handshake, no cipher.
    PlainProfile,
    /// Nobody dies.
    NoDeath,
    /// Nobody moves.
    NoRebind,
    /// Node 0 stands behind no NAT.
    NoNat,
    /// The NAT forgets less often.
    ForgetLess(Chunk),
    /// A node never stands still.
    NoPause(usize),
    /// A node has all the time it needs.
    FullSpeed(usize),
    /// The clock of a node is right.
    RightClock(usize),
    /// A node takes datagrams one by one.
    OneByOne(usize),
    /// The connection ends when all is done.
    EndWhenDone(usize),
    /// The path from a node loses elements.
    DropElements(usize, Chunk),
    /// An element of the path from a node is one of a simpler kind.
    SimplerElement(usize, usize),
    /// A node opens fewer streams.
    DropStreams(usize, Chunk),
    /// A node sends fewer messages.
    DropMessages(usize, Chunk),
    /// A node sends fewer datagrams.
    DropDatagrams(usize, Chunk),
    /// A node reads at once.
    EagerReader(usize),
    /// A setting of a node is what it is by default.
    Default(usize, Setting),
    /// A stream of a node ends after its last byte.
    FinishStream(usize, usize),
    /// A stream of a node gets no answer.
    NoAnswer(usize, usize),
    /// A stream of a node has half the bytes.
    HalveStream(usize, usize),
    /// A message of a node is half as long.
    HalveMessage(usize, usize),
    /// A datagram of a node is half as long.
    HalveDatagram(usize, usize),
    /// The faults stop in half the time.
    HealSooner,
}

/// Neighbours in a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chunk {
    first: usize,
    count: usize,
}

/// A setting that the generator of scenarios changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Setting {
    /// Receive windows and the longest message.
    Windows,
    /// The send buffer.
    SendBuffer,
    /// How many streams the peer may open.
    StreamLimits,
    /// The first packet number.
    FirstPacketNumber,
    /// The keep-alive.
    KeepAlive,
    /// The longest delay of an acknowledgement.
    AckDelay,
    /// The packet size.
    Mtu,
}

const SETTINGS: [Setting; 7] = [
    Setting::Windows,
    Setting::SendBuffer,
    Setting::StreamLimits,
    Setting::FirstPacketNumber,
    Setting::KeepAlive,
    Setting::AckDelay,
    Setting::Mtu,
];

/// Faults for less than this are not made shorter.
const HEAL_MIN_NANOS: u64 = 1_000_000;

/// Everything that could be taken away from `scenario`, what takes most away first. The same
/// scenario has the same list.
#[must_use]
pub fn reductions(scenario: &Scenario) -> Vec<Reduction> {
    let mut list = Vec::new();
    let mut when = |condition: bool, reduction| {
        if condition {
            list.push(reduction);
        }
    };
    when(
        scenario.profile != Profile::Plain && !moves(scenario),
        Reduction::PlainProfile,
    );
    when(
        scenario.death.is_some() && ends(&scenario.plans),
        Reduction::NoDeath,
    );
    when(scenario.rebind.is_some(), Reduction::NoRebind);
    list.extend(fewer_faults(scenario));
    let mut when = |condition: bool, reduction| {
        if condition {
            list.push(reduction);
        }
    };
    for (node, plan) in scenario.plans.iter().enumerate() {
        when(
            matches!(plan.ending, Some(Ending::CloseAt(_))),
            Reduction::EndWhenDone(node),
        );
    }
    for node in 0..2 {
        for chunk in chunks(scenario.path[node].len()) {
            list.push(Reduction::DropElements(node, chunk));
        }
        for (index, element) in scenario.path[node].iter().enumerate() {
            if simpler(element).is_some() {
                list.push(Reduction::SimplerElement(node, index));
            }
        }
    }
    for (node, plan) in scenario.plans.iter().enumerate() {
        list.extend(chunks(plan.streams.len()).map(|chunk| Reduction::DropStreams(node, chunk)));
        list.extend(chunks(plan.messages.len()).map(|chunk| Reduction::DropMessages(node, chunk)));
        let datagrams = chunks(plan.datagrams.len());
        list.extend(datagrams.map(|chunk| Reduction::DropDatagrams(node, chunk)));
        if plan.reader != Reader::Eager {
            list.push(Reduction::EagerReader(node));
        }
    }
    for node in 0..2 {
        let settings = SETTINGS
            .iter()
            .filter(|setting| setting.is_changed(scenario, node));
        list.extend(settings.map(|setting| Reduction::Default(node, *setting)));
    }
    for (node, plan) in scenario.plans.iter().enumerate() {
        list.extend(smaller_items(node, plan));
    }
    if scenario.heal_at.as_nanos() >= 2 * HEAL_MIN_NANOS {
        list.push(Reduction::HealSooner);
    }
    list
}

/// Whether node 0 or 1 is seen under more than one address.
const fn moves(scenario: &Scenario) -> bool {
    scenario.rebind.is_some() || scenario.nat.is_some()
}

fn fewer_faults(scenario: &Scenario) -> Vec<Reduction> {
    let mut list = Vec::new();
    if let Some(nat) = &scenario.nat {
        list.push(Reduction::NoNat);
        list.extend(chunks(nat.forgets.len()).map(Reduction::ForgetLess));
    }
    for (node, faults) in scenario.faults.iter().enumerate() {
        for (there, reduction) in [
            (faults.pause.is_some(), Reduction::NoPause(node)),
            (!faults.cost.is_zero(), Reduction::FullSpeed(node)),
            (faults.skew_ppm != 0, Reduction::RightClock(node)),
            (scenario.gathers[node], Reduction::OneByOne(node)),
        ] {
            if there {
                list.push(reduction);
            }
        }
    }
    list
}

fn ends(plans: &[Plan; 2]) -> bool {
    plans.iter().any(|plan| plan.ending.is_some())
}

fn smaller_items(node: usize, plan: &Plan) -> Vec<Reduction> {
    let mut list = Vec::new();
    for (index, stream) in plan.streams.iter().enumerate() {
        if stream.fate != Fate::Finish {
            list.push(Reduction::FinishStream(node, index));
        }
        if stream.answer > 0 {
            list.push(Reduction::NoAnswer(node, index));
        }
        if stream.bytes > 0 {
            list.push(Reduction::HalveStream(node, index));
        }
    }
    let long = |(index, length): (usize, &usize)| (*length > 0).then_some(index);
    let messages = plan.messages.iter().enumerate().filter_map(long);
    list.extend(messages.map(|index| Reduction::HalveMessage(node, index)));
    let datagrams = plan.datagrams.iter().enumerate().filter_map(long);
    list.extend(datagrams.map(|index| Reduction::HalveDatagram(node, index)));
    list
}

/// All of a list, its halves, its quarters, …, each item.
fn chunks(length: usize) -> impl Iterator<Item = Chunk> {
    let sizes = std::iter::successors(Some(length), |size| (*size > 1).then(|| size.div_ceil(2)));
    sizes.take_while(|size| *size > 0).flat_map(move |size| {
        (0..length).step_by(size).map(move |first| Chunk {
            first,
            count: size.min(length - first),
        })
    })
}

impl Chunk {
    fn remove<T>(self, list: &mut Vec<T>) {
        let end = (self.first + self.count).min(list.len());
        list.drain(self.first.min(end)..end);
    }
}

impl Reduction {
    /// `scenario` without what this takes away.
    #[must_use]
    pub fn applied(&self, scenario: &Scenario) -> Scenario {
        let mut scenario = scenario.clone();
        match *self {
            Self::PlainProfile => scenario.profile = Profile::Plain,
            Self::NoDeath => scenario.death = None,
            Self::NoRebind => scenario.rebind = None,
            Self::NoNat => scenario.nat = None,
            Self::ForgetLess(chunk) => {
                if let Some(nat) = &mut scenario.nat {
                    chunk.remove(&mut nat.forgets);
                }
            }
            Self::NoPause(node) => scenario.faults[node].pause = None,
            Self::FullSpeed(node) => scenario.faults[node].cost = Duration::ZERO,
            Self::RightClock(node) => scenario.faults[node].skew_ppm = 0,
            Self::OneByOne(node) => scenario.gathers[node] = false,
            Self::EndWhenDone(node) => scenario.plans[node].ending = Some(Ending::WhenDone),
            Self::DropElements(node, chunk) => chunk.remove(&mut scenario.path[node]),
            Self::SimplerElement(node, index) => {
                if let Some(element) = scenario.path[node].get_mut(index) {
                    *element = simpler(element).unwrap_or_else(|| element.clone());
                }
            }
            Self::DropStreams(node, chunk) => chunk.remove(&mut scenario.plans[node].streams),
            Self::DropMessages(node, chunk) => chunk.remove(&mut scenario.plans[node].messages),
            Self::DropDatagrams(node, chunk) => chunk.remove(&mut scenario.plans[node].datagrams),
            Self::EagerReader(node) => scenario.plans[node].reader = Reader::Eager,
            Self::Default(node, setting) => setting.reset(&mut scenario.config[node].transport),
            Self::FinishStream(node, index) => {
                stream(&mut scenario, node, index, |stream| {
                    stream.fate = Fate::Finish;
                });
            }
            Self::NoAnswer(node, index) => {
                stream(&mut scenario, node, index, |stream| stream.answer = 0);
            }
            Self::HalveStream(node, index) => stream(&mut scenario, node, index, halve),
            Self::HalveMessage(node, index) => {
                if let Some(length) = scenario.plans[node].messages.get_mut(index) {
                    *length /= 2;
                }
            }
            Self::HalveDatagram(node, index) => {
                if let Some(length) = scenario.plans[node].datagrams.get_mut(index) {
                    *length /= 2;
                }
            }
            Self::HealSooner => {
                scenario.heal_at = Instant::from_nanos(scenario.heal_at.as_nanos() / 2);
            }
        }
        scenario
    }
}

fn stream(scenario: &mut Scenario, node: usize, index: usize, act: impl FnOnce(&mut StreamPlan)) {
    if let Some(stream) = scenario.plans[node].streams.get_mut(index) {
        act(stream);
    }
}

fn halve(stream: &mut StreamPlan) {
    stream.bytes /= 2;
    if let Fate::Reset(after) | Fate::Stop(after) = &mut stream.fate {
        *after = (*after).min(stream.bytes);
    }
}

impl Setting {
    fn is_changed(self, scenario: &Scenario, node: usize) -> bool {
        let mut config = scenario.config[node].transport.clone();
        let before = format!("{config:?}");
        self.reset(&mut config);
        // A node that moves has to say something to be found.
        let needed = self == Self::KeepAlive && moves(scenario);
        !needed && format!("{config:?}") != before
    }

    fn reset(self, config: &mut TransportConfig) {
        let default = TransportConfig::default();
        match self {
            Self::Windows => {
                config.receive_window = default.receive_window;
                config.stream_receive_window = default.stream_receive_window;
                config.max_message_size = default.max_message_size;
            }
            Self::SendBuffer => config.send_buffer = default.send_buffer,
            Self::StreamLimits => {
                config.max_streams_bidi = default.max_streams_bidi;
                config.max_streams_uni = default.max_streams_uni;
            }
            Self::FirstPacketNumber => config.first_packet_number = default.first_packet_number,
            Self::KeepAlive => config.keep_alive = default.keep_alive,
            Self::AckDelay => config.max_ack_delay = default.max_ack_delay,
            Self::Mtu => config.mtu = default.mtu,
        }
    }
}

impl fmt::Display for Reduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::PlainProfile => write!(f, "the plain profile"),
            Self::NoDeath => write!(f, "nobody dies"),
            Self::NoRebind => write!(f, "nobody moves"),
            Self::NoNat => write!(f, "no NAT"),
            Self::ForgetLess(chunk) => write!(f, "the NAT does not forget {chunk}"),
            Self::NoPause(node) => write!(f, "node {node} never stands still"),
            Self::FullSpeed(node) => write!(f, "node {node} is not slow"),
            Self::RightClock(node) => write!(f, "the clock of node {node} is right"),
            Self::OneByOne(node) => write!(f, "node {node} takes datagrams one by one"),
            Self::EndWhenDone(node) => write!(f, "node {node} closes when all is done"),
            Self::DropElements(node, chunk) => {
                write!(f, "the path from node {node} without {chunk}")
            }
            Self::SimplerElement(node, index) => {
                write!(f, "a simpler element {index} on the path from node {node}")
            }
            Self::DropStreams(node, chunk) => {
                write!(f, "the streams of node {node} without {chunk}")
            }
            Self::DropMessages(node, chunk) => {
                write!(f, "the messages of node {node} without {chunk}")
            }
            Self::DropDatagrams(node, chunk) => {
                write!(f, "the datagrams of node {node} without {chunk}")
            }
            Self::EagerReader(node) => write!(f, "node {node} reads at once"),
            Self::Default(node, setting) => write!(f, "node {node} with the default {setting:?}"),
            Self::FinishStream(node, index) => write!(f, "stream {index} of node {node} finishes"),
            Self::NoAnswer(node, index) => write!(f, "stream {index} of node {node} unanswered"),
            Self::HalveStream(node, index) => write!(f, "half of stream {index} of node {node}"),
            Self::HalveMessage(node, index) => write!(f, "half of message {index} of node {node}"),
            Self::HalveDatagram(node, index) => {
                write!(f, "half of datagram {index} of node {node}")
            }
            Self::HealSooner => write!(f, "faults stop in half the time"),
        }
    }
}

impl fmt::Display for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, count } = *self;
        match count {
            1 => write!(f, "number {first}"),
            _ => write!(f, "numbers {first} to {}", first + count - 1),
        }
    }
}
