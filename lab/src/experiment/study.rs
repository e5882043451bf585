//! A scenario with all its combinations of parameters.

use toml::Value;

use super::check::check;
use super::document::{Document, sweep_of};
use super::error::{Mistake, ScenarioError};
use super::expression::plain;
use super::hold::Hold;
use super::model::Experiment;

/// Combinations of one scenario; more are refused.
pub const CASES_MAX: usize = 10_000;

/// A scenario, ready to run.
#[derive(Clone, Debug)]
pub struct Study {
    document: Document,
    cases: Vec<Case>,
}

/// One combination of parameters.
#[derive(Clone, Debug)]
pub struct Case {
    /// Swept keys and their values, in the order of the file.
    pub values: Vec<(String, String)>,
    /// The scenario with these values.
    pub experiment: Experiment,
    /// What has to be true of it.
    pub holds: Vec<Hold>,
}

impl Study {
    /// Takes a document apart into its combinations and checks each.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn new(document: Document) -> Result<Self, ScenarioError> {
        let axes = sweep_of(&document)?;
        let count = axes.iter().try_fold(1_usize, |count, (_, values)| {
            count.checked_mul(values.len())
        });
        if count.is_none_or(|count| count > CASES_MAX) {
            let mistake = Mistake::Value(format!("makes more than {CASES_MAX} combinations"));
            return Err(document.error("sweep", mistake));
        }
        let mut combinations: Vec<Vec<(String, Value)>> = vec![Vec::new()];
        for (key, values) in axes {
            let extend = |before: &Vec<(String, Value)>| {
                let with = |value: &Value| {
                    let mut all = before.clone();
                    all.push((key.clone(), value.clone()));
                    all
                };
                values.iter().map(with).collect::<Vec<_>>()
            };
            combinations = combinations.iter().flat_map(extend).collect();
        }
        let cases = combinations
            .into_iter()
            .map(|values| case_of(&document, values))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { document, cases })
    }

    /// The file and what was set.
    #[must_use]
    pub const fn document(&self) -> &Document {
        &self.document
    }

    /// The file with the values of one combination, no longer swept.
    ///
    /// # Errors
    /// Never for a combination of this study: its values were set before.
    pub fn document_of(&self, case: &Case) -> Result<Document, ScenarioError> {
        let mut document = self.document.clone();
        for (key, value) in &case.values {
            document.set(&format!("{key}={value}"))?;
        }
        Ok(document)
    }

    /// The combinations, those of the last swept key changing fastest. At least one.
    #[must_use]
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// What all combinations share: name, title, …. As the first has it.
    #[must_use]
    pub fn head(&self) -> &Experiment {
        let first = self
            .cases
            .first()
            .expect("there is at least one combination");
        &first.experiment
    }
}

impl Case {
    /// `rtt=10ms loss=1%`; empty when nothing is swept.
    #[must_use]
    pub fn label(&self) -> String {
        label_of(&self.values)
    }
}

/// A combination of parameters in words.
pub(super) fn label_of(values: &[(String, String)]) -> String {
    let words = values.iter().map(|(key, value)| format!("{key}={value}"));
    words.collect::<Vec<_>>().join(" ")
}

fn case_of(document: &Document, values: Vec<(String, Value)>) -> Result<Case, ScenarioError> {
    let mut own = document.clone();
    for (key, value) in &values {
        own.set_value(key, value.clone())?;
    }
    let experiment: Experiment = own.read()?;
    check(&experiment, document)?;
    let mut holds = Vec::new();
    for (index, text) in experiment.hold.iter().enumerate() {
        let hold = Hold::parse(text).map_err(|error| {
            document.error(&format!("hold[{index}]"), Mistake::Value(error.to_string()))
        })?;
        holds.push(hold);
    }
    Ok(Case {
        values: values
            .into_iter()
            .map(|(key, value)| (key, plain(&value)))
            .collect(),
        experiment,
        holds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
name = 'n'
title = 't'
kind = 'pair'
hold = ['goodput >= 1mbit when $loss == 0%']
[parameters]
rtt = '10ms'
loss = '0%'
[sweep]
rtt = ['10ms', '20ms']
loss = ['0%', '1%', '2%']
[path]
forward = [{ loss = '$loss' }, { delay = '${rtt / 2}' }]
[[flow]]
name = 'a'
kind = 'bulk'
";

    fn study(text: &str) -> Result<Study, String> {
        Document::parse("f", text, &|name| Err(name.into()))
            .and_then(Study::new)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_sweep_is_every_combination_in_order() {
        let study = study(TEXT).unwrap();
        let labels: Vec<_> = study.cases().iter().map(Case::label).collect();
        assert_eq!(labels.len(), 6);
        assert_eq!(labels[1], "rtt=10ms loss=1%");
        assert_eq!(labels[5], "rtt=20ms loss=2%");
        let path = study.cases()[5].experiment.path.as_ref().unwrap();
        assert_eq!(
            Value::try_from(&path.forward).unwrap().to_string(),
            "[{ loss = \"2%\" }, { delay = \"10ms\" }]"
        );
    }

    #[test]
    fn mistakes_of_meaning_have_lines_too() {
        for (from, to, wanted) in [
            (
                "kind = 'bulk'",
                "kind = 'bulk'\nsize = 100",
                "f:16: flow[0].size: means nothing for kind = \"bulk\"",
            ),
            ("'bulk'", "'bulky'", "f:15: flow[0].kind: "),
            ("goodput >=", "goodput =>", "f:4: hold[0]: "),
            ("'$loss' }", "'1 parsec' }", "f:12: path.forward[0]"),
            ("name = 'n'", "name = 'N N'", "f:1: name: has to be"),
            ("['0%', '1%', '2%']", "[]", "f:10: sweep.loss: is []"),
            (
                "loss = ['0%', '1%', '2%']",
                "los = ['0%']",
                "f: los: there is no such key",
            ),
        ] {
            let error = study(&TEXT.replace(from, to)).unwrap_err();
            assert!(error.starts_with(wanted), "{to}: {error}");
        }
    }
}
