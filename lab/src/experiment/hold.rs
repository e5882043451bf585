//! Sentences that have to be true: `goodput >= 90% of limit`, `median rtt_p95 <= 60ms`,
//! `delivered == 100% when $loss == 0%`.
//!
//! Grammar: `[median | p5 | p95] FIGURE OP BOUND [when LITERAL OP LITERAL [and …]]`, where `BOUND` is
//! a literal or `SHARE of FIGURE`, `OP` one of `== != <= >= < >`. Without a statistic the sentence has
//! to be true of every seed; with one, of that statistic over all seeds of a combination of
//! parameters. Figures are integers: `<=` and `>=` say what is meant better than `==`.

use super::pair::percentile;
use super::quantity::Quantity;
use super::result::{Figure, RunResult, readable};
use crate::plot::Unit;

/// A sentence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hold {
    text: String,
    statistic: Option<usize>,
    figure: String,
    operator: Operator,
    bound: Quantity,
    /// The figure of which `bound` is a share.
    of: Option<String>,
    applies: bool,
}

/// How two numbers are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operator {
    Equal,
    Unequal,
    AtMost,
    AtLeast,
    Below,
    Above,
}

/// What a sentence turned out to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// True.
    Held,
    /// Its `when` does not speak of these parameters.
    NotMeant,
    /// False.
    Broken {
        /// The seeds of which it is false; of a statistic, the one farthest off.
        seeds: Vec<u64>,
        /// The value against the bound, in words.
        seen: String,
    },
}

/// Why a sentence cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "\"{text}\" does not read as FIGURE OPERATOR BOUND, {why}; write for example \"goodput >= 90% of limit\""
)]
pub struct HoldError {
    text: String,
    why: String,
}

impl Hold {
    /// Reads a sentence whose parameters are put in.
    ///
    /// # Errors
    /// It does not follow the grammar.
    pub fn parse(text: &str) -> Result<Self, HoldError> {
        let fail = |why: &str| HoldError {
            text: text.into(),
            why: why.into(),
        };
        let (claim, condition) = match text.split_once(" when ") {
            Some((claim, condition)) => (claim, Some(condition)),
            None => (text, None),
        };
        let mut applies = true;
        for part in condition.iter().flat_map(|all| all.split(" and ")) {
            applies &= comparison(part).map_err(|why| fail(&why))?;
        }
        let words: Vec<&str> = claim.split_whitespace().collect();
        let (statistic, words) = match words.split_first() {
            Some((&"median", rest)) => (Some(50), rest),
            Some((&"p5", rest)) => (Some(5), rest),
            Some((&"p95", rest)) => (Some(95), rest),
            _ => (None, words.as_slice()),
        };
        let (figure, operator, bound, of) = match words {
            [figure, operator, bound] => (figure, operator, bound, None),
            [figure, operator, bound, "of", other] => (figure, operator, bound, Some(*other)),
            _ => return Err(fail("it has too few or too many words")),
        };
        let operator =
            operator_of(operator).ok_or_else(|| fail("the operators are ==, !=, <=, >=, <, >"))?;
        let bound: Quantity = bound.parse().map_err(|error| fail(&format!("{error}")))?;
        if of.is_some() && !bound.is_number() {
            return Err(fail("before \"of\" stands a share or a number"));
        }
        Ok(Self {
            text: claim.trim().into(),
            statistic,
            figure: (*figure).into(),
            operator,
            bound,
            of: of.map(String::from),
            applies,
        })
    }

    /// The sentence without its condition.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it speaks of all seeds together.
    #[must_use]
    pub const fn is_statistic(&self) -> bool {
        self.statistic.is_some()
    }

    /// Judges the runs of one combination of parameters. Runs without figures, those with a
    /// violation, are passed over: they have failed already.
    #[must_use]
    pub fn judge(&self, runs: &[&RunResult]) -> Verdict {
        if !self.applies {
            return Verdict::NotMeant;
        }
        let runs: Vec<&&RunResult> = runs.iter().filter(|run| !run.figures.is_empty()).collect();
        let mut values = Vec::new();
        for run in &runs {
            match self.sides(run) {
                Ok(sides) => values.push((run.seed, sides)),
                Err(seen) => {
                    let seeds = vec![run.seed];
                    return Verdict::Broken { seeds, seen };
                }
            }
        }
        if let Some(per_cent) = self.statistic {
            return self.judge_statistic(per_cent, &values);
        }
        let broken: Vec<_> = values
            .iter()
            .filter(|(_, sides)| !self.operator.compare(sides.value, sides.bound))
            .collect();
        let Some((_, first)) = broken.first() else {
            return Verdict::Held;
        };
        Verdict::Broken {
            seeds: broken.iter().map(|(seed, _)| *seed).collect(),
            seen: first.seen(),
        }
    }

    /// Whether one run alone makes it false. A figure that is missing does not, nor does a
    /// statistic: it speaks of many runs.
    #[must_use]
    pub fn is_broken_by(&self, run: &RunResult) -> bool {
        let sides = self.sides(run);
        self.applies
            && self.statistic.is_none()
            && sides.is_ok_and(|sides| !self.operator.compare(sides.value, sides.bound))
    }

    fn judge_statistic(&self, per_cent: usize, values: &[(u64, Sides)]) -> Verdict {
        let sorted = |of: fn(&Sides) -> u64| {
            let mut list: Vec<u64> = values.iter().map(|(_, sides)| of(sides)).collect();
            list.sort_unstable();
            list
        };
        let value = percentile(&sorted(|sides| sides.value), per_cent);
        let bound = percentile(&sorted(|sides| sides.bound), 50);
        if values.is_empty() || self.operator.compare(value, bound) {
            return Verdict::Held;
        }
        let unit = values.first().map_or(Unit::Count, |(_, sides)| sides.unit);
        let farthest = values
            .iter()
            .max_by_key(|(_, sides)| sides.value.abs_diff(sides.bound));
        Verdict::Broken {
            seeds: farthest.map(|(seed, _)| *seed).into_iter().collect(),
            seen: Sides { unit, value, bound }.seen(),
        }
    }

    fn sides(&self, run: &RunResult) -> Result<Sides, String> {
        let named = |name: &str| -> Result<Figure, String> {
            let known = || run.figures.iter().map(|figure| figure.name.clone());
            run.figure(name).cloned().ok_or_else(|| {
                let near = super::error::nearest(name, &known().collect::<Vec<_>>());
                match near {
                    Some(near) => format!("there is no figure {name}; did you mean {near}?"),
                    None => format!(
                        "there is no figure {name}; there are {}",
                        known().collect::<Vec<_>>().join(", ")
                    ),
                }
            })
        };
        let figure = named(&self.figure)?;
        let bound = match &self.of {
            Some(other) => {
                let whole = named(other)?;
                Quantity::new(whole.unit, whole.value)
                    .apply('*', self.bound)
                    .map_err(|error| error.to_string())?
            }
            None => self.bound,
        };
        let bound = bound
            .to_unit(figure.unit)
            .ok_or_else(|| format!("{} and {bound} are of different kinds", figure.name))?;
        Ok(Sides {
            unit: figure.unit,
            value: figure.value,
            bound,
        })
    }
}

struct Sides {
    unit: Unit,
    value: u64,
    bound: u64,
}

impl Sides {
    fn seen(&self) -> String {
        let text = |value| readable(self.unit, value);
        format!("{} against {}", text(self.value), text(self.bound))
    }
}

impl Operator {
    const fn compare(self, left: u64, right: u64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Unequal => left != right,
            Self::AtMost => left <= right,
            Self::AtLeast => left >= right,
            Self::Below => left < right,
            Self::Above => left > right,
        }
    }
}

const OPERATORS: [(&str, Operator); 6] = [
    ("==", Operator::Equal),
    ("!=", Operator::Unequal),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("<", Operator::Below),
    (">", Operator::Above),
];

fn operator_of(text: &str) -> Option<Operator> {
    let found = OPERATORS.iter().find(|(word, _)| *word == text);
    found.map(|(_, operator)| *operator)
}

/// Whether `left op right` is true of two literals. Literals that are no quantities, such as names,
/// are equal or not.
fn comparison(text: &str) -> Result<bool, String> {
    let text = text.trim();
    let split = OPERATORS.iter().find_map(|(word, operator)| {
        let (left, right) = text.split_once(&format!(" {word} "))?;
        Some((left.trim(), *operator, right.trim()))
    });
    let (left, operator, right) = split.ok_or_else(|| format!("\"{text}\" is no comparison"))?;
    match (left.parse::<Quantity>(), right.parse::<Quantity>()) {
        (Ok(left), Ok(right)) => {
            let unit = if left.is_number() {
                Unit::Millionths
            } else {
                left.unit
            };
            let sides = (left.to_unit(unit), right.to_unit(unit));
            let (Some(left), Some(right)) = sides else {
                return Err(format!("\"{text}\" compares different kinds"));
            };
            Ok(operator.compare(left, right))
        }
        _ => match operator {
            Operator::Equal => Ok(left == right),
            Operator::Unequal => Ok(left != right),
            _ => Err(format!("\"{text}\" compares what has no order")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::result::Worse;

    fn run(seed: u64, goodput: u64) -> RunResult {
        let figure = |name: &str, unit, value| Figure::new(name, unit, value, Worse::Lower);
        RunResult {
            figures: vec![
                figure("goodput", Unit::BitsPerSecond, goodput),
                figure("limit", Unit::BitsPerSecond, 100),
                figure("jain", Unit::Millionths, 900_000),
            ],
            ..RunResult::empty(0, seed)
        }
    }

    fn judge(text: &str, goodputs: &[u64]) -> Verdict {
        let runs: Vec<_> = (1..)
            .zip(goodputs)
            .map(|(seed, rate)| run(seed, *rate))
            .collect();
        Hold::parse(text)
            .unwrap()
            .judge(&runs.iter().collect::<Vec<_>>())
    }

    #[test]
    fn every_seed_has_to_hold_and_those_that_do_not_are_named() {
        assert_eq!(judge("goodput >= 90% of limit", &[90, 95]), Verdict::Held);
        assert_eq!(
            judge("goodput >= 90% of limit", &[90, 89, 80]),
            Verdict::Broken {
                seeds: vec![2, 3],
                seen: "89 bit/s against 90 bit/s".into()
            }
        );
        assert_eq!(judge("jain >= 0.9", &[1]), Verdict::Held);
        assert_eq!(judge("goodput == 7bit", &[7]), Verdict::Held);
    }

    #[test]
    fn a_statistic_forgives_single_seeds() {
        assert_eq!(
            judge("median goodput >= 90bit", &[10, 95, 96]),
            Verdict::Held
        );
        let broken = judge("p5 goodput >= 90bit", &[10, 95, 96]);
        assert!(matches!(broken, Verdict::Broken { seeds, .. } if seeds == [1]));
    }

    #[test]
    fn conditions_choose_the_parameters() {
        assert_eq!(
            judge("goodput >= 1gbit when 1% == 0%", &[1]),
            Verdict::NotMeant
        );
        assert!(matches!(
            judge("goodput >= 1gbit when 0% == 0% and 10ms < 20ms", &[1]),
            Verdict::Broken { .. }
        ));
        assert_eq!(
            judge("goodput >= 1gbit when codel != codel", &[1]),
            Verdict::NotMeant
        );
    }

    #[test]
    fn mistakes_are_explained() {
        for text in [
            "goodput",
            "goodput => 5",
            "goodput >= fast",
            "goodput >= 5mbit of limit",
            "goodput >= 5mbit when",
            "goodput >= 5mbit when a < b",
            "goodput >= 5mbit when 5ms < 1mbit",
        ] {
            assert!(Hold::parse(text).is_err(), "{text}");
        }
        let seen = |text| match judge(text, &[1]) {
            Verdict::Broken { seen, .. } => seen,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            seen("godput >= 1bit"),
            "there is no figure godput; did you mean goodput?"
        );
        assert!(seen("goodput >= 5ms").contains("different kinds"));
    }
}
