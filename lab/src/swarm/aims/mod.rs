//! What is asked of a network of overlays, measured: one table of figures over seeds, each with its
//! median, its worst case and what it is held against.
//!
//! `lab/examples/aims.rs` prints it. Every figure comes from the functions that the tests of
//! `lab/tests/swarm/` call with fewer nodes ([`super::gossip`], [`super::conduct`], [`super::overload`],
//! [`super::churn`]).

mod parts;
mod row;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dunlin_overlay::StateReason;

pub use self::parts::{Figures, Part};
pub use self::row::{Bound, HEAD, Row, Sample, Unit, Verdict};
use super::adversary::Adversary;
use super::overload::FloodKind;
use super::violation::SwarmFailure;

/// A part of the table, and how thoroughly it is measured.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// What.
    pub part: Part,
    /// Nodes.
    pub nodes: usize,
    /// The first seed.
    pub first: u64,
    /// How many seeds.
    pub seeds: u64,
}

/// How large the networks are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size {
    /// Nodes of the networks in which many die, fall apart or rest.
    pub nodes: usize,
    /// Nodes of those with hostile ones.
    pub hostile_nodes: usize,
    /// Nodes of those with a flooder.
    pub flooded_nodes: usize,
    /// Nodes that come and go.
    pub churning_nodes: usize,
    /// For so long.
    pub churn: Duration,
    /// Seeds of all but churn and hostile nodes.
    pub seeds: u64,
    /// Seeds of the latter.
    pub seeds_of_long: u64,
    /// The first of the seeds.
    pub first: u64,
    /// Between two broadcasts among hostile nodes.
    pub interval: Duration,
}

impl Size {
    /// Small networks: minutes of computation.
    pub const QUICK: Self = Self {
        nodes: 100,
        hostile_nodes: 60,
        flooded_nodes: 40,
        churning_nodes: 60,
        churn: Duration::from_secs(3_600),
        seeds: 3,
        seeds_of_long: 1,
        first: 0,
        interval: Duration::from_millis(100),
    };

    /// What is asked for: hours of computation.
    pub const FULL: Self = Self {
        nodes: 1_000,
        hostile_nodes: 200,
        flooded_nodes: 100,
        churning_nodes: 500,
        churn: Duration::from_secs(24 * 3_600),
        seeds: 20,
        seeds_of_long: 3,
        first: 0,
        interval: Duration::from_millis(100),
    };

    /// All parts of the table in this size, in the order of the table.
    #[must_use]
    pub fn plans(&self) -> Vec<Plan> {
        let plan = |part, nodes, seeds| Plan {
            part,
            nodes,
            first: self.first,
            seeds,
        };
        let mut plans: Vec<Plan> = [30, 50, 80]
            .into_iter()
            .map(|percent| plan(Part::Deaths(percent), self.nodes, self.seeds))
            .collect();
        plans.push(plan(Part::Partition, self.nodes, self.seeds));
        let quiet = Part::Quiet {
            sources: self.nodes,
        };
        plans.push(plan(quiet, self.nodes, self.seeds));
        for (name, adversary) in Adversary::KINDS {
            let part = Part::Hostile {
                name,
                adversary,
                interval: self.interval,
            };
            plans.push(plan(part, self.hostile_nodes, self.seeds_of_long));
        }
        for kind in [FloodKind::Direct, FloodKind::Broadcasts, FloodKind::Names] {
            plans.push(plan(Part::Flood(kind), self.flooded_nodes, self.seeds));
        }
        plans.push(plan(Part::Churn(self.churn), self.churning_nodes, 1));
        plans
    }
}

/// The table.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Table {
    /// Its rows, in the order of the plans.
    pub rows: Vec<Row>,
    /// Why peers parted, and how often, where that was measured.
    pub partings: BTreeMap<StateReason, u64>,
}

/// A run in which something happened that must not.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("{part}, {nodes} nodes, seed {seed}: {failure}")]
pub struct AimsFailure {
    /// In which part.
    pub part: String,
    /// With how many nodes.
    pub nodes: usize,
    /// With which seed.
    pub seed: u64,
    /// What.
    pub failure: SwarmFailure,
}

/// A run: the place of its plan, and its seed.
type Job = (usize, u64);

/// Runs all seeds of all plans on so many threads. `done` is told of each run, on its thread. Which
/// thread runs what changes nothing.
///
/// # Errors
/// The first failure in the order of the plans.
pub fn measure(
    plans: &[Plan],
    threads: NonZeroUsize,
    done: &(dyn Fn(&Plan, u64, &Figures) + Sync),
) -> Result<Table, AimsFailure> {
    let mut runs = run_all(plans, threads, done);
    runs.sort_by_key(|(job, _)| *job);
    let mut table = Table::default();
    for (place, plan) in plans.iter().enumerate() {
        let mut of_plan = Vec::new();
        for (_, result) in runs.iter().filter(|((of, _), _)| *of == place) {
            of_plan.push(result.as_ref().map_err(Clone::clone)?);
        }
        table.rows.extend(rows(plan.nodes, &of_plan));
        for (reason, count) in of_plan.iter().flat_map(|figures| &figures.partings) {
            *table.partings.entry(*reason).or_default() += count;
        }
    }
    Ok(table)
}

/// One row for each figure that the runs have.
fn rows(nodes: usize, runs: &[&Figures]) -> Vec<Row> {
    let count = runs.first().map_or(0, |figures| figures.samples.len());
    let row = |place: usize| {
        let samples = runs.iter().filter_map(|figures| figures.samples.get(place));
        Row::of(nodes, &samples.collect::<Vec<_>>())
    };
    (0..count).filter_map(row).collect()
}

type Ran = (Job, Result<Figures, AimsFailure>);

fn run_all(
    plans: &[Plan],
    threads: NonZeroUsize,
    done: &(dyn Fn(&Plan, u64, &Figures) + Sync),
) -> Vec<Ran> {
    let jobs = jobs(plans);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut ran: Vec<Ran> = Vec::new();
        while let Some(&(place, seed)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Some(plan) = plans.get(place) else { break };
            let result = plan.part.run(plan.nodes, seed);
            if let Ok(figures) = &result {
                done(plan, seed, figures);
            }
            let result = result.map_err(|failure| AimsFailure {
                part: plan.part.name(),
                nodes: plan.nodes,
                seed,
                failure,
            });
            ran.push(((place, seed), result));
        }
        ran
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.get()).map(|_| scope.spawn(work)).collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, Vec<Ran>>| match worker.join() {
            Ok(ran) => ran,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        workers.into_iter().flat_map(join).collect()
    })
}

/// All runs, the longest first, so that no thread is left with one at the end.
fn jobs(plans: &[Plan]) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    for (place, plan) in plans.iter().enumerate() {
        jobs.extend((plan.first..plan.first + plan.seeds).map(|seed| (place, seed)));
    }
    let is_long = |job: &Job| {
        plans
            .get(job.0)
            .is_some_and(|plan| matches!(plan.part, Part::Churn(_)))
    };
    jobs.sort_by_key(|job| !is_long(job));
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plans() -> Vec<Plan> {
        let plan = |part, nodes| Plan {
            part,
            nodes,
            first: 0,
            seeds: 2,
        };
        vec![
            plan(Part::Deaths(50), 12),
            plan(Part::Churn(Duration::from_secs(60)), 6),
        ]
    }

    #[test]
    fn the_table_is_the_same_on_any_number_of_threads() {
        let table = |threads: usize| {
            let threads = NonZeroUsize::new(threads).expect("some");
            measure(&plans(), threads, &|_, _, _| {}).expect("sound")
        };
        let one = table(1);
        assert_eq!(one, table(3));
        assert_eq!(one.rows[0].seeds(), 2);
        assert!(one.rows[0].what.starts_with("50 %"), "the order of plans");
        assert!(one.rows[0].verdict() < Verdict::Short, "{}", one.rows[0]);
    }

    #[test]
    fn every_row_that_is_asked_for_is_in_both_sizes() {
        for size in [Size::QUICK, Size::FULL] {
            let names: Vec<String> = size.plans().iter().map(|plan| plan.part.name()).collect();
            assert_eq!(names.len(), 3 + 2 + Adversary::KINDS.len() + 3 + 1);
            let longest = jobs(&size.plans())[0];
            assert_eq!(longest.0, names.len() - 1, "churn begins");
        }
    }
}
