//! A failing run of a scenario, made smaller: the same sentence is false, or the same promise
//! broken, with less around it.
//!
//! A torture seed is shrunk by [`crate::shrink`] and stays a seed with a path. Of a scenario file
//! things are taken away (`cut`): flows, faults, elements, settings; lengths and counts are
//! halved. What is left is a scenario file that stands alone. Greedy, as there: the first cut that
//! still fails in the same way is kept (ADR 0742).

mod cut;

use toml::{Table, Value};

use super::document::Document;
use super::error::ScenarioError;
use super::hold::Hold;
use super::model::{Experiment, Kind};
use super::result::RunResult;
use super::run::{Interrupted, Stop, run};
use super::study::{Case, Study};
use super::torture::run_scenario;
use crate::instruments::Instruments;
use crate::scenario::Scenario;
use crate::shrink::{is_same_kind, shrink_by};
use crate::violation::Failure;
use cut::cuts;

/// A smaller scenario that fails in the same way.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// Its file.
    pub text: String,
    /// How it fails.
    pub symptom: String,
    /// What was taken away, in order.
    pub taken: Vec<String>,
    /// Runs that it took.
    pub runs: u32,
}

/// Why nothing was shrunk.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ShrinkError {
    /// Nothing is violated, and no sentence about single seeds is false.
    #[error("seed {0} does not fail: nothing is violated, and no sentence about one seed is false")]
    Sound(u64),
    /// The scenario cannot be read.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// It was told to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// How a run fails.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Symptom {
    /// A promise was broken; in words without numbers, which are others in another run.
    Violation(String),
    /// A sentence was false.
    Sentence(String),
}

impl Symptom {
    /// Of one run, judged by `holds`.
    fn of(result: &RunResult, holds: &[Hold]) -> Option<Self> {
        if let Some(violation) = &result.violation {
            let words = violation.chars().filter(|letter| !letter.is_ascii_digit());
            return Some(Self::Violation(words.collect()));
        }
        let broken = holds.iter().find(|hold| hold.is_broken_by(result))?;
        Some(Self::Sentence(broken.text().into()))
    }
}

/// Shrinks what `seed` makes of the first combination of `study` that fails, in at most `budget`
/// runs. The smallest scenario that was found, even if that is the whole.
///
/// # Errors
/// It does not fail; it was told to stop.
pub fn shrink(
    study: &Study,
    seed: u64,
    budget: u32,
    stop: Stop<'_>,
) -> Result<Shrunk, ShrinkError> {
    for (index, case) in study.cases().iter().enumerate() {
        if case.experiment.kind == Kind::Torture {
            if let Some(shrunk) = shrink_torture(study, case, (seed, budget), stop)? {
                return Ok(shrunk);
            }
            continue;
        }
        let result = run_unless(&case.experiment, (index, seed), stop)?;
        if let Some(symptom) = Symptom::of(&result, &case.holds) {
            let document = study.document_of(case)?;
            let mut search = Search {
                seed,
                symptom,
                runs: 1,
                budget,
                stop,
            };
            return search.run(document.resolved()?);
        }
    }
    Err(ShrinkError::Sound(seed))
}

/// A run, unless it is told to stop before: a short one never looks.
fn run_unless(
    experiment: &Experiment,
    at: (usize, u64),
    stop: Stop<'_>,
) -> Result<RunResult, Interrupted> {
    if stop() {
        return Err(Interrupted);
    }
    run(experiment, at, false, stop)
}

/// A search for less of a scenario file.
struct Search<'a> {
    seed: u64,
    symptom: Symptom,
    runs: u32,
    budget: u32,
    stop: Stop<'a>,
}

impl Search<'_> {
    fn run(&mut self, whole: Table) -> Result<Shrunk, ShrinkError> {
        let mut best = whole;
        // What is judged is the one sentence that was false.
        let sentences = match &self.symptom {
            Symptom::Sentence(text) => vec![Value::String(text.clone())],
            Symptom::Violation(_) => Vec::new(),
        };
        best.insert("hold".into(), Value::Array(sentences));
        best.remove("seeds");
        let mut taken = Vec::new();
        let mut from = 0;
        'smaller: loop {
            let list = cuts(&best);
            for step in 0..list.len() {
                let place = (from + step) % list.len();
                let Some(cut) = list.get(place) else {
                    break;
                };
                if self.runs >= self.budget {
                    break 'smaller;
                }
                if let Some(smaller) = cut.applied(&best)
                    && self.fails(&smaller)?
                {
                    taken.push(cut.to_string());
                    best = smaller;
                    from = place;
                    continue 'smaller;
                }
            }
            break;
        }
        Ok(Shrunk {
            text: best.to_string(),
            symptom: match &self.symptom {
                Symptom::Violation(words) => words.clone(),
                Symptom::Sentence(sentence) => format!("\"{sentence}\" is false"),
            },
            taken,
            runs: self.runs,
        })
    }

    /// Whether `table` is a scenario that fails in the same way.
    fn fails(&mut self, table: &Table) -> Result<bool, Interrupted> {
        let load = |name: &str| Err(name.to_owned());
        let study = Document::parse("smaller", &table.to_string(), &load).and_then(Study::new);
        let Ok(study) = study else {
            return Ok(false);
        };
        self.runs += 1;
        let Some(case) = study.cases().first() else {
            return Ok(false);
        };
        let result = run_unless(&case.experiment, (0, self.seed), self.stop)?;
        Ok(Symptom::of(&result, &case.holds).as_ref() == Some(&self.symptom))
    }
}

/// How a torture run fails.
#[derive(Clone, Debug)]
enum Found {
    Violation(Box<Failure>),
    Sentence(String),
}

impl Found {
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Violation(one), Self::Violation(other)) => {
                is_same_kind(&one.violation, &other.violation)
            }
            (Self::Sentence(one), Self::Sentence(other)) => one == other,
            _ => false,
        }
    }
}

/// Shrinks the whole scenario of a seed. None: it does not fail.
fn shrink_torture(
    study: &Study,
    case: &Case,
    (seed, budget): (u64, u32),
    stop: Stop<'_>,
) -> Result<Option<Shrunk>, ShrinkError> {
    let mut stopped = false;
    let run = |scenario: &Scenario, seed| {
        stopped |= stop();
        if stopped {
            return None;
        }
        let mut none = Instruments::default();
        let Ok((result, failure)) = run_scenario(scenario, (0, seed), (&mut none, stop)) else {
            stopped = true;
            return None;
        };
        let violation = failure.map(|failure| Found::Violation(Box::new(failure)));
        violation.or_else(|| {
            let broken = case.holds.iter().find(|hold| hold.is_broken_by(&result))?;
            Some(Found::Sentence(broken.text().into()))
        })
    };
    let scenario = Scenario::from_seed(seed);
    let shrunk = shrink_by(&scenario, seed, budget, (run, Found::is_like));
    if stopped {
        return Err(Interrupted.into());
    }
    let Some(shrunk) = shrunk else {
        return Ok(None);
    };
    let sentences = match &shrunk.failure {
        Found::Sentence(text) => vec![Value::String(text.clone())],
        Found::Violation(_) => Vec::new(),
    };
    let mut table = study.document_of(case)?.resolved()?;
    table.insert("hold".into(), Value::Array(sentences));
    table.remove("seeds");
    let path = Value::String(shrunk.path.to_string());
    let left = Table::from_iter([("path".to_owned(), path)]);
    table.insert("torture".into(), Value::Table(left));
    Ok(Some(Shrunk {
        text: table.to_string(),
        symptom: match &shrunk.failure {
            Found::Violation(failure) => failure.to_string(),
            Found::Sentence(sentence) => format!("\"{sentence}\" is false"),
        },
        taken: shrunk.taken.iter().map(ToString::to_string).collect(),
        runs: shrunk.runs,
    }))
}

#[cfg(test)]
mod tests;
