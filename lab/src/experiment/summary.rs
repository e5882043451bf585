//! Many seeds in a few numbers: median, 5th and 95th percentile, the worst and its seed.

use super::pair::percentile;
use super::result::{RunResult, Worse};
use crate::plot::Unit;

/// A figure over all seeds of one combination of parameters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    /// The figure.
    pub name: String,
    /// Its unit.
    pub unit: Unit,
    /// Runs that have it.
    pub count: usize,
    /// Nearest rank at 50 %.
    pub median: u64,
    /// At 5 %.
    pub p5: u64,
    /// At 95 %.
    pub p95: u64,
    /// The worst value.
    pub worst: u64,
    /// The first seed that has it.
    pub worst_seed: u64,
}

/// A summary of each figure that a run has, in the order of their first appearance.
#[must_use]
pub fn summaries(runs: &[&RunResult]) -> Vec<Summary> {
    names(runs)
        .into_iter()
        .filter_map(|name| summary(name, runs))
        .collect()
}

/// Names of figures in the order of their first appearance.
#[must_use]
pub fn names<'a>(runs: &[&'a RunResult]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for figure in runs.iter().flat_map(|run| &run.figures) {
        if !names.contains(&figure.name.as_str()) {
            names.push(&figure.name);
        }
    }
    names
}

fn summary(name: &str, runs: &[&RunResult]) -> Option<Summary> {
    let found: Vec<_> = runs
        .iter()
        .filter_map(|run| Some((run.seed, run.figure(name)?)))
        .collect();
    let (_, first) = found.first()?;
    let mut values: Vec<u64> = found.iter().map(|(_, figure)| figure.value).collect();
    values.sort_unstable();
    let worst = match first.worse {
        Worse::Lower => values.first(),
        Worse::Higher => values.last(),
    };
    let worst = worst.copied()?;
    let (worst_seed, _) = found.iter().find(|(_, figure)| figure.value == worst)?;
    Some(Summary {
        name: name.into(),
        unit: first.unit,
        count: values.len(),
        median: percentile(&values, 50),
        p5: percentile(&values, 5),
        p95: percentile(&values, 95),
        worst,
        worst_seed: *worst_seed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::result::Figure;

    #[test]
    fn the_worst_is_the_lowest_of_rates_and_the_highest_of_times() {
        let runs: Vec<RunResult> = (1..=100)
            .map(|seed| RunResult {
                figures: vec![
                    Figure::new("rate", Unit::Count, 200 - seed, Worse::Lower),
                    Figure::new("time", Unit::Count, seed % 50, Worse::Higher),
                ],
                ..RunResult::empty(0, seed)
            })
            .collect();
        let all = summaries(&runs.iter().collect::<Vec<_>>());
        let [rate, time] = all.as_slice() else {
            panic!("{all:?}")
        };
        assert_eq!((rate.median, rate.p5, rate.p95), (149, 104, 194));
        assert_eq!((rate.worst, rate.worst_seed), (100, 100));
        assert_eq!((time.worst, time.worst_seed, time.count), (49, 49, 100));
    }
}
