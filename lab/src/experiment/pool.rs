//! Many runs on all cores. Which thread runs what, and when, changes nothing: every run has a
//! generator of its own, and results are put into the order of the jobs.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::result::RunResult;
use super::run::{Interrupted, Stop, run};
use super::study::Study;

/// A combination of parameters and a seed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Job {
    /// Index of the combination.
    pub case: usize,
    /// The seed.
    pub seed: u64,
    /// Whether series over time are kept.
    pub keep: bool,
}

/// The `index`-th of `of` parts of a sweep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shard {
    /// From 1 to `of`.
    pub index: u64,
    /// How many.
    pub of: u64,
}

/// Every combination with every seed, ordered by seed, then by combination; of a shard, a piece of
/// this list of nearly equal length, which is a range of seeds when there are many. Series are kept
/// of the first seed.
#[must_use]
pub fn jobs(study: &Study, seeds: &[u64], shard: Option<Shard>) -> Vec<Job> {
    let cases = study.cases().len();
    let all = seeds.iter().enumerate().flat_map(|(place, seed)| {
        (0..cases).map(move |case| Job {
            case,
            seed: *seed,
            keep: place == 0,
        })
    });
    let Some(Shard { index, of }) = shard else {
        return all.collect();
    };
    let total = (cases * seeds.len()) as u128;
    let edge = |part: u64| {
        let edge = total * u128::from(part) / u128::from(of.max(1));
        usize::try_from(edge).unwrap_or(usize::MAX)
    };
    let (from, until) = (edge(index.saturating_sub(1)), edge(index));
    all.skip(from).take(until.saturating_sub(from)).collect()
}

/// Runs `jobs` on so many threads; results by (combination, seed). `done` is called after each run,
/// on whatever thread it ran. A run that panics has violated something; the others go on.
///
/// # Errors
/// It was told to stop before all were done.
pub fn run_all(
    study: &Study,
    jobs: &[Job],
    threads: NonZeroUsize,
    done: &(dyn Fn(&RunResult) + Sync),
    stop: Stop<'_>,
) -> Result<Vec<RunResult>, Interrupted> {
    let next = AtomicUsize::new(0);
    let stopped = AtomicBool::new(false);
    let work = || {
        let mut results = Vec::new();
        while !stopped.load(Ordering::Relaxed) {
            let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) else {
                break;
            };
            match run_job(study, *job, stop) {
                Ok(result) => {
                    done(&result);
                    results.push(result);
                }
                Err(Interrupted) => stopped.store(true, Ordering::Relaxed),
            }
        }
        results
    };
    let count = threads.get().min(jobs.len().max(1));
    let mut results: Vec<RunResult> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .flat_map(|worker| match worker.join() {
                Ok(results) => results,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    });
    if results.len() < jobs.len() {
        return Err(Interrupted);
    }
    sort(&mut results, &seeds_of(jobs));
    Ok(results)
}

/// The order of tables: by combination, then by seed in the order in which seeds were asked for.
pub(super) fn sort(results: &mut [RunResult], seeds: &[u64]) {
    let place = |seed: u64| seeds.iter().position(|other| *other == seed);
    results.sort_by_cached_key(|result| (result.case, place(result.seed)));
}

fn seeds_of(jobs: &[Job]) -> Vec<u64> {
    let mut seeds: Vec<u64> = jobs.iter().map(|job| job.seed).collect();
    seeds.dedup();
    seeds
}

fn run_job(study: &Study, job: Job, stop: Stop<'_>) -> Result<RunResult, Interrupted> {
    if stop() {
        return Err(Interrupted);
    }
    let case = study.cases().get(job.case).ok_or(Interrupted)?;
    let at = (job.case, job.seed);
    let guarded = catch_unwind(AssertUnwindSafe(|| {
        run(&case.experiment, at, job.keep, stop)
    }));
    guarded.unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("without a message");
        Ok(RunResult {
            violation: Some(format!("panicked: {message}")),
            ..RunResult::empty(job.case, job.seed)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::document::Document;

    const TEXT: &str = "\
name = 'n'
title = 't'
kind = 'pair'
duration = '300ms'
[parameters]
loss = '0%'
[sweep]
loss = ['0%', '3%']
[path]
forward = [{ loss = '$loss' }, { rate = '5mbit', queue = '20kB' }, { delay = '5ms' }]
backward = [{ delay = '5ms' }]
[[flow]]
name = 'a'
kind = 'bulk'
bytes = '100kB'
";

    fn study() -> Study {
        let document = Document::parse("f", TEXT, &|name| Err(name.into())).unwrap();
        Study::new(document).unwrap()
    }

    fn threads(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).unwrap()
    }

    #[test]
    fn one_thread_and_three_give_the_same_results_in_the_same_order() {
        let study = study();
        let jobs = jobs(&study, &[3, 1, 2], None);
        let run = |count| run_all(&study, &jobs, threads(count), &|_| (), &|| false).unwrap();
        let one = run(1);
        assert_eq!(one, run(3));
        let order: Vec<_> = one.iter().map(|run| (run.case, run.seed)).collect();
        assert_eq!(order, [(0, 3), (0, 1), (0, 2), (1, 3), (1, 1), (1, 2)]);
        assert!(one[0].recording.is_some() && one[1].recording.is_none());
        assert_ne!(one[0].trace_hash, one[3].trace_hash);
        let delivered = one[0].figure("delivered").unwrap();
        assert_eq!(delivered.value, 1_000_000, "{:?}", one[0]);
    }

    #[test]
    fn shards_are_disjoint_and_cover_everything() {
        let study = study();
        let seeds: Vec<u64> = (0..7).collect();
        let all = jobs(&study, &seeds, None);
        for of in [1, 2, 5, 14, 40] {
            let parts = (1..=of).flat_map(|index| jobs(&study, &seeds, Some(Shard { index, of })));
            assert_eq!(parts.collect::<Vec<_>>(), all, "{of} shards");
        }
    }

    #[test]
    fn a_wish_to_stop_ends_all_threads() {
        let study = study();
        let jobs = jobs(&study, &[1, 2], None);
        let run = run_all(&study, &jobs, threads(2), &|_| (), &|| true);
        assert_eq!(run, Err(Interrupted));
    }
}
