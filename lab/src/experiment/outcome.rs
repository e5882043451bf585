//! The results of a study as a whole: what a file holds, what is joined, what is judged.

use serde::{Deserialize, Serialize};

use super::document::{Document, Files};
use super::error::ScenarioError;
use super::hold::Verdict;
use super::pool::sort;
use super::result::RunResult;
use super::study::{Study, label_of};

/// The first line of a results file.
pub const FORMAT: &str = "dunlin-lab-results/1";

/// All results of a study, or of a shard of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// [`FORMAT`].
    pub format: String,
    /// The name of the scenario.
    pub scenario: String,
    /// The scenario file.
    pub source: String,
    /// Traces that it names.
    #[serde(default, skip_serializing_if = "Files::is_empty")]
    pub files: Files,
    /// What was set from outside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<String>,
    /// Every seed of the whole study, in order.
    pub seeds: Vec<u64>,
    /// Which part this is, as `3/20`; none: all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
    /// The combinations of parameters, as (key, value).
    pub cases: Vec<Vec<(String, String)>>,
    /// The results, by combination, then by seed.
    pub runs: Vec<RunResult>,
}

/// Why results cannot be read or joined.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OutcomeError {
    /// It is no file of ours.
    #[error("it is no results.json of `dunlin lab run`: {0}")]
    Format(String),
    /// The scenario in it cannot be read.
    #[error("its scenario cannot be read: {0}")]
    Scenario(#[from] ScenarioError),
    /// Two files are of different studies.
    #[error("they are not parts of one sweep: the {0} differ")]
    Different(&'static str),
    /// A run is there twice.
    #[error("seed {seed} of combination {case} is there twice: the shards overlap")]
    Twice {
        /// Index of the combination.
        case: usize,
        /// The seed.
        seed: u64,
    },
    /// Runs are missing.
    #[error(
        "{count} runs are missing, the first is seed {seed} of combination {case}: give every shard"
    )]
    Missing {
        /// How many.
        count: usize,
        /// Index of the combination of the first.
        case: usize,
        /// Its seed.
        seed: u64,
    },
    /// There is nothing to join.
    #[error("no results are given")]
    Nothing,
}

/// A sentence and what became of it in one combination of parameters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judgement {
    /// Index of the combination.
    pub case: usize,
    /// The sentence.
    pub sentence: String,
    /// True, false, or not meant.
    pub verdict: Verdict,
}

impl Outcome {
    /// The results of `study`.
    #[must_use]
    pub fn new(study: &Study, seeds: &[u64], shard: Option<String>, runs: Vec<RunResult>) -> Self {
        let document = study.document();
        Self {
            format: FORMAT.into(),
            scenario: study.head().name.clone(),
            source: document.text().into(),
            files: document.files().clone(),
            sets: document.sets().to_vec(),
            seeds: seeds.to_vec(),
            shard,
            cases: study
                .cases()
                .iter()
                .map(|case| case.values.clone())
                .collect(),
            runs,
        }
    }

    /// Reads a results file.
    ///
    /// # Errors
    /// It is none.
    pub fn from_json(text: &str) -> Result<Self, OutcomeError> {
        let outcome: Self =
            serde_json::from_str(text).map_err(|error| OutcomeError::Format(error.to_string()))?;
        if outcome.format != FORMAT {
            let why = format!("its format is \"{}\", not \"{FORMAT}\"", outcome.format);
            return Err(OutcomeError::Format(why));
        }
        Ok(outcome)
    }

    /// The results file.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string(self).expect("all its keys are text");
        text.push('\n');
        text
    }

    /// The study that these are the results of.
    ///
    /// # Errors
    /// The scenario in the file cannot be read (by this version).
    pub fn study(&self) -> Result<Study, OutcomeError> {
        let load = |name: &str| {
            let text = self.files.get(name).cloned();
            text.ok_or_else(|| format!("{name} is not among its files"))
        };
        let file = format!("{}.toml", self.scenario);
        let mut document = Document::parse(&file, &self.source, &load)?;
        for set in &self.sets {
            document.set(set)?;
        }
        Ok(Study::new(document)?)
    }

    /// Joins the shards of one study. The result is that of the study without shards, to the byte.
    ///
    /// # Errors
    /// They are of different studies, overlap, or leave something out.
    pub fn merge(parts: Vec<Self>) -> Result<Self, OutcomeError> {
        let mut parts = parts.into_iter();
        let mut whole = parts.next().ok_or(OutcomeError::Nothing)?;
        whole.shard = None;
        for part in parts {
            for (same, what) in [
                (part.scenario == whole.scenario, "scenarios"),
                (part.source == whole.source, "scenario files"),
                (part.files == whole.files, "traces"),
                (part.sets == whole.sets, "settings by --set"),
                (part.seeds == whole.seeds, "seeds"),
                (part.cases == whole.cases, "combinations of parameters"),
            ] {
                if !same {
                    return Err(OutcomeError::Different(what));
                }
            }
            whole.runs.extend(part.runs);
        }
        sort(&mut whole.runs, &whole.seeds);
        whole.complete().map(|()| whole)
    }

    fn complete(&self) -> Result<(), OutcomeError> {
        let twice = self
            .runs
            .iter()
            .zip(self.runs.iter().skip(1))
            .find(|(a, b)| (a.case, a.seed) == (b.case, b.seed));
        if let Some((run, _)) = twice {
            let (case, seed) = (run.case, run.seed);
            return Err(OutcomeError::Twice { case, seed });
        }
        let wanted =
            (0..self.cases.len()).flat_map(|case| self.seeds.iter().map(move |seed| (case, *seed)));
        let mut have = self.runs.iter().map(|run| (run.case, run.seed)).peekable();
        let missing: Vec<_> = wanted
            .filter(|wanted| have.next_if_eq(wanted).is_none())
            .collect();
        match missing.first() {
            None => Ok(()),
            Some(&(case, seed)) => Err(OutcomeError::Missing {
                count: missing.len(),
                case,
                seed,
            }),
        }
    }

    /// The runs of one combination.
    #[must_use]
    pub fn runs_of(&self, case: usize) -> Vec<&RunResult> {
        self.runs.iter().filter(|run| run.case == case).collect()
    }

    /// The combination in words; empty when nothing is swept.
    #[must_use]
    pub fn label(&self, case: usize) -> String {
        self.cases
            .get(case)
            .map(|values| label_of(values))
            .unwrap_or_default()
    }

    /// Every sentence of every combination. Of a shard only those about single seeds: it does not
    /// have all seeds.
    #[must_use]
    pub fn judge(&self, study: &Study) -> Vec<Judgement> {
        let mut all = Vec::new();
        for (index, case) in study.cases().iter().enumerate() {
            let runs = self.runs_of(index);
            for hold in &case.holds {
                if hold.is_statistic() && self.shard.is_some() {
                    continue;
                }
                all.push(Judgement {
                    case: index,
                    sentence: hold.text().into(),
                    verdict: hold.judge(&runs),
                });
            }
        }
        all
    }
}

#[cfg(test)]
impl Outcome {
    /// Results of a scenario `n` that no file describes.
    pub(super) fn of_runs(seeds: Vec<u64>, cases: Vec<Vec<(String, String)>>) -> Self {
        Self {
            format: FORMAT.into(),
            scenario: "n".into(),
            source: String::new(),
            files: Files::new(),
            sets: Vec::new(),
            seeds,
            shard: None,
            cases,
            runs: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(runs: &[(usize, u64)]) -> Outcome {
        let run = |(case, seed): &(usize, u64)| RunResult {
            trace_hash: *seed,
            ..RunResult::empty(*case, *seed)
        };
        Outcome {
            shard: Some("1/2".into()),
            runs: runs.iter().map(run).collect(),
            ..Outcome::of_runs(vec![5, 1], vec![Vec::new(), Vec::new()])
        }
    }

    #[test]
    fn shards_are_joined_in_any_order() {
        let parts = [outcome(&[(0, 1), (1, 1)]), outcome(&[(0, 5), (1, 5)])];
        let [a, b] = parts.clone();
        let merged = Outcome::merge(vec![a, b]).unwrap();
        let order: Vec<_> = merged.runs.iter().map(|run| (run.case, run.seed)).collect();
        assert_eq!(order, [(0, 5), (0, 1), (1, 5), (1, 1)]);
        let [a, b] = parts;
        assert_eq!(Outcome::merge(vec![b, a]).unwrap(), merged);
        assert_eq!(merged.shard, None);
    }

    #[test]
    fn gaps_overlaps_and_strangers_are_refused() {
        let part = outcome(&[(0, 5), (1, 5), (0, 1)]);
        assert_eq!(
            Outcome::merge(vec![part.clone()]),
            Err(OutcomeError::Missing {
                count: 1,
                case: 1,
                seed: 1
            })
        );
        let twice = Outcome::merge(vec![part.clone(), outcome(&[(1, 1), (0, 1)])]);
        assert_eq!(twice, Err(OutcomeError::Twice { case: 0, seed: 1 }));
        let other = Outcome {
            seeds: vec![1, 5],
            ..outcome(&[(1, 1)])
        };
        let different = Outcome::merge(vec![part, other]);
        assert_eq!(different, Err(OutcomeError::Different("seeds")));
        assert_eq!(Outcome::merge(Vec::new()), Err(OutcomeError::Nothing));
    }

    #[test]
    fn files_of_others_are_refused() {
        assert!(Outcome::from_json("{}").is_err());
        let text = outcome(&[]).to_json();
        assert!(Outcome::from_json(&text).is_ok());
        let newer = text.replace("results/1", "results/9");
        assert!(
            Outcome::from_json(&newer)
                .unwrap_err()
                .to_string()
                .contains("results/9")
        );
    }
}
