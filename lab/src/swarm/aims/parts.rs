//! What is measured: each part turns a seed into figures.

use std::collections::BTreeMap;
use std::time::Duration;

use dunlin_overlay::StateReason;

use super::super::adversary::Adversary;
use super::super::churn::{ChurnPlan, churn};
use super::super::conduct::{ConductPlan, Conducted, conduct};
use super::super::gossip::{SteadyPlan, crash, partition, steady};
use super::super::overload::{FloodKind, NAMES, overload};
use super::super::report::ratio;
use super::super::violation::SwarmFailure;
use super::row::{Bound, Sample, Unit};

/// After so long what is not there counts as never.
const LIMIT: Duration = Duration::from_secs(60);
/// Of a hundred nodes so many are hostile.
const HOSTILE_PERCENT: usize = 30;
/// For so many heartbeats hostile nodes are watched.
const HEARTBEATS: u32 = 40;

/// A part of the table.
#[derive(Clone, PartialEq, Debug)]
pub enum Part {
    /// So many of a hundred nodes die at once.
    Deaths(usize),
    /// Half of the network is apart for a minute.
    Partition,
    /// Nothing goes wrong.
    Quiet {
        /// The first so many nodes speak.
        sources: usize,
    },
    /// Three of ten nodes are hostile.
    Hostile {
        /// The name of what they do.
        name: &'static str,
        /// What they do.
        adversary: Adversary,
        /// Between two broadcasts.
        interval: Duration,
    },
    /// One node sends a hundred times what it may.
    Flood(FloodKind),
    /// Nodes come and go for so long, with a half-life of an hour.
    Churn(Duration),
}

/// What a run came to.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Figures {
    /// Its figures.
    pub samples: Vec<Sample>,
    /// Why peers parted, and how often, where that is measured.
    pub partings: BTreeMap<StateReason, u64>,
}

impl Figures {
    fn add(&mut self, what: &str, unit: Unit, bound: Bound, value: f64) {
        self.samples.push(Sample {
            what: what.to_owned(),
            unit,
            bound,
            value,
        });
    }

    fn tell(&mut self, what: &str, unit: Unit, value: f64) {
        self.add(what, unit, Bound::default(), value);
    }
}

fn seconds(time: Option<Duration>) -> f64 {
    time.map_or(f64::INFINITY, |time| time.as_secs_f64())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a figure to read; counts stay far below 2^53"
)]
const fn count(number: u64) -> f64 {
    number as f64
}

impl Part {
    /// Its name, for choosing it and for progress.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Deaths(percent) => format!("deaths {percent}"),
            Self::Partition => "partition".to_owned(),
            Self::Quiet { .. } => "quiet".to_owned(),
            Self::Hostile { name, .. } => format!("hostile {name}"),
            Self::Flood(FloodKind::Direct) => "flood of direct messages".to_owned(),
            Self::Flood(FloodKind::Broadcasts) => "flood of broadcasts".to_owned(),
            Self::Flood(FloodKind::Names) => "flood under many names".to_owned(),
            Self::Churn(_) => "churn".to_owned(),
        }
    }

    /// One run with so many nodes.
    ///
    /// # Errors
    /// What must not be.
    pub(super) fn run(&self, nodes: usize, seed: u64) -> Result<Figures, SwarmFailure> {
        match *self {
            Self::Deaths(percent) => deaths(nodes, percent, seed),
            Self::Partition => apart(nodes, seed),
            Self::Quiet { sources } => quiet(nodes, sources, seed),
            Self::Hostile {
                name,
                adversary,
                interval,
            } => {
                let plan = ConductPlan {
                    nodes,
                    percent: HOSTILE_PERCENT,
                    adversary,
                    interval,
                    heartbeats: HEARTBEATS,
                };
                Ok(hostile(name, &conduct(plan, seed)?))
            }
            Self::Flood(kind) => flood(nodes, kind, seed),
            Self::Churn(length) => come_and_go(nodes, length, seed),
        }
    }
}

fn deaths(nodes: usize, percent: usize, seed: u64) -> Result<Figures, SwarmFailure> {
    let crashed = crash(nodes, percent, LIMIT, seed)?;
    let bound = Bound::at_most(10.0, 5.0);
    let mut figures = Figures::default();
    let what = format!("{percent} % die at once: the first message after is at all survivors");
    figures.add(&what, Unit::Seconds, bound, seconds(crashed.first_after));
    let what = format!("{percent} % die at once: so are the messages in flight");
    let in_flight = seconds(crashed.in_flight_after);
    figures.add(&what, Unit::Seconds, bound, in_flight);
    Ok(figures)
}

fn apart(nodes: usize, seed: u64) -> Result<Figures, SwarmFailure> {
    let healed = partition(nodes, LIMIT, seed)?;
    let mut figures = Figures::default();
    let what = "half apart for 60 s: all messages are everywhere after";
    let bound = Bound::at_most(30.0, 10.0);
    figures.add(what, Unit::Seconds, bound, seconds(healed.after));
    Ok(figures)
}

fn quiet(nodes: usize, sources: usize, seed: u64) -> Result<Figures, SwarmFailure> {
    let plan = SteadyPlan {
        nodes,
        sources: sources.min(nodes),
        measured: 200,
        interval: Duration::from_millis(100),
    };
    let run = steady(plan, seed)?;
    let mut figures = Figures::default();
    let what = "quiet: copies of a payload at each node";
    figures.add(what, Unit::Times, Bound::at_most(1.15, 1.05), run.copies);
    let (p99, flood) = (run.latency_ms.p99, run.flood_ms.p99);
    let what = "quiet: p99 of delivery over that of a flood";
    figures.add(what, Unit::Times, Bound::at_most(1.5, 1.1), p99 / flood);
    let missing = count(run.expected - run.delivered);
    let what = "quiet: deliveries missing";
    figures.add(what, Unit::Number, Bound::at_most(0.0, 0.0), missing);
    let what = "quiet: copies while each origin speaks for the first time";
    figures.tell(what, Unit::Times, run.copies_at_first);
    figures.tell("quiet: p50 of delivery", Unit::Millis, run.latency_ms.p50);
    figures.tell("quiet: p99 of delivery", Unit::Millis, p99);
    let what = "quiet: IDs announced to a node for each broadcast";
    figures.tell(what, Unit::Times, run.announced);
    let what = "quiet: bytes at a node for each broadcast";
    figures.tell(what, Unit::Number, run.bytes);
    figures.tell("quiet: peers of a node", Unit::Times, run.degree);
    Ok(figures)
}

fn hostile(name: &str, run: &Conducted) -> Figures {
    let mut figures = Figures::default();
    let of = |what: &str| format!("30 % {name}: {what}");
    let percent = |share: f64| share * 100.0;
    let mut add = |what: &str, bound: Bound, value: f64| {
        figures.add(&of(what), Unit::Percent, bound, percent(value));
    };
    let (must, aim) = (Bound::at_least(95.0), Bound::aim_at_least(99.0));
    add("no parent after 40 heartbeats", must, run.end.no_parent);
    add("no parent after 20", aim, run.half.no_parent);
    let told = Bound::default();
    add("nor pushed to after 40", told, run.end.out);
    add("nor pushed to after 20", told, run.half.out);
    let rare = Bound::at_most(0.01, 0.01);
    add("honest nodes banned by honest ones", rare, run.false_bans);
    add("honest nodes barred at the end", told, run.false_bars);
    add("parents' places before", told, run.before.parents);
    add("parents' places after 40", told, run.end.parents);
    let delivered = ratio(run.delivered, run.expected);
    add("delivered to honest nodes", told, delivered);
    let what = of("p99 of delivery");
    figures.tell(&what, Unit::Millis, run.latency_ms.p99);
    figures.tell(&of("copies"), Unit::Times, run.copies);
    figures
}

fn flood(nodes: usize, kind: FloodKind, seed: u64) -> Result<Figures, SwarmFailure> {
    let run = overload(nodes, kind, seed)?;
    let name = match kind {
        FloodKind::Direct => "direct messages",
        FloodKind::Broadcasts => "broadcasts",
        FloodKind::Names => "",
    };
    let mut figures = Figures::default();
    let of = |what: &str| match kind {
        FloodKind::Names => format!("{NAMES} names that broadcast all they may: {what}"),
        _ => format!("one peer at 100 × its rate, {name}: {what}"),
    };
    let what = of("p99 of honest deliveries over that before");
    let bound = Bound::at_most(1.25, 1.1);
    figures.add(&what, Unit::Times, bound, run.slower());
    let kib = count(run.grown_by as u64) / 1_024.0;
    let what = of("most that a node's gossip grew by, KiB");
    figures.add(&what, Unit::Number, Bound::at_most(16_384.0, 16_384.0), kib);
    let missing = count(run.expected - run.delivered);
    let none = Bound::at_most(0.0, 0.0);
    figures.add(
        &of("honest deliveries missing"),
        Unit::Number,
        none,
        missing,
    );
    let bans = count(run.honest_bans as u64);
    figures.add(&of("honest nodes banned"), Unit::Number, none, bans);
    let banned_by = count(run.banned_by as u64);
    figures.tell(&of("bans of it"), Unit::Number, banned_by);
    Ok(figures)
}

fn come_and_go(nodes: usize, length: Duration, seed: u64) -> Result<Figures, SwarmFailure> {
    let run = churn(&ChurnPlan::new(nodes, length), seed)?;
    let mut figures = Figures::default();
    let hours = length.as_secs_f64() / 3_600.0;
    let of = |what: &str| format!("{hours:.0} h of churn: {what}");
    let below = run.longest_below.as_secs_f64();
    let what = of("longest time below min_peers");
    figures.add(&what, Unit::Seconds, Bound::at_most(60.0, 60.0), below);
    let unexplained = count(run.partings.unexplained());
    let none = Bound::at_most(0.0, 0.0);
    let what = of("partings without an explanation");
    figures.add(&what, Unit::Number, none, unexplained);
    let share = ratio(run.seconds_below, run.seconds) * 100.0;
    figures.tell(&of("time below min_peers"), Unit::Percent, share);
    let apart = run.longest_apart.as_secs_f64();
    figures.tell(&of("longest time in several pieces"), Unit::Seconds, apart);
    figures.tell(
        &of("sessions that ended"),
        Unit::Number,
        count(run.sessions),
    );
    figures.tell(&of("running peers of a node"), Unit::Times, run.degree);
    let dials = count(run.dials) / count(nodes as u64) / hours;
    figures.tell(&of("dials of a node in an hour"), Unit::Times, dials);
    figures.partings = run.partings.reasons().collect();
    Ok(figures)
}
