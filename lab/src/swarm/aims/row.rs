//! A row of the table: one figure over several seeds, and what it is held against.

use std::fmt::{Display, Formatter, Result};

/// What a figure counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Seconds of virtual time.
    Seconds,
    /// Milliseconds of virtual time.
    Millis,
    /// Hundredths of a whole.
    Percent,
    /// A multiple of something.
    Times,
    /// Whole things.
    Number,
}

/// What is asked of a figure. Without either number it is only told.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Bound {
    /// What has to hold in the worst run.
    pub must: Option<f64>,
    /// What is aimed at.
    pub aim: Option<f64>,
    /// Both are the least that is wanted, not the most.
    pub is_least: bool,
}

impl Bound {
    /// At most so much, better at most `aim`.
    #[must_use]
    pub const fn at_most(must: f64, aim: f64) -> Self {
        Self {
            must: Some(must),
            aim: Some(aim),
            is_least: false,
        }
    }

    /// At least so much.
    #[must_use]
    pub const fn at_least(must: f64) -> Self {
        Self {
            must: Some(must),
            aim: None,
            is_least: true,
        }
    }

    /// At least so much is aimed at, and nothing less is asked.
    #[must_use]
    pub const fn aim_at_least(aim: f64) -> Self {
        Self {
            must: None,
            aim: Some(aim),
            is_least: true,
        }
    }

    fn holds(self, bound: f64, value: f64) -> bool {
        // A figure that rounding brings to its bound is at it.
        let slack = 1e-9;
        match self.is_least {
            true => value >= bound - slack,
            false => value <= bound + slack,
        }
    }
}

/// One figure of one run.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    /// Of what.
    pub what: String,
    /// In what it is counted.
    pub unit: Unit,
    /// What is asked of it.
    pub bound: Bound,
    /// The figure; infinite: what it times never happened.
    pub value: f64,
}

/// How a row stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// Nothing is asked of it.
    Told,
    /// The worst run meets the aim.
    Aim,
    /// The worst run meets what has to hold, and not the aim.
    Held,
    /// Nothing has to hold, and the worst run does not meet the aim.
    Short,
    /// The worst run does not meet what has to hold.
    Missed,
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Told => "–",
            Self::Aim => "held, aim reached",
            Self::Held => "held",
            Self::Short => "aim missed",
            Self::Missed => "missed",
        })
    }
}

/// A figure of all runs.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// Of what.
    pub what: String,
    /// Nodes of the network.
    pub nodes: usize,
    /// In what it is counted.
    pub unit: Unit,
    /// What is asked of it.
    pub bound: Bound,
    /// One figure a seed, the best first.
    values: Vec<f64>,
}

impl Row {
    /// The row of the same figure of several runs.
    pub(super) fn of(nodes: usize, samples: &[&Sample]) -> Option<Self> {
        let first = samples.first()?;
        let mut values: Vec<f64> = samples.iter().map(|sample| sample.value).collect();
        values.sort_by(f64::total_cmp);
        if first.bound.is_least {
            values.reverse();
        }
        Some(Self {
            what: first.what.clone(),
            nodes,
            unit: first.unit,
            bound: first.bound,
            values,
        })
    }

    /// How many runs.
    #[must_use]
    pub fn seeds(&self) -> usize {
        self.values.len()
    }

    /// Half of the runs are at least as good.
    #[must_use]
    pub fn median(&self) -> f64 {
        let middle = self.values.len() / 2;
        self.values.get(middle).copied().unwrap_or(f64::NAN)
    }

    /// The figure of the worst run.
    #[must_use]
    pub fn worst(&self) -> f64 {
        self.values.last().copied().unwrap_or(f64::NAN)
    }

    /// How it stands.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let worst = self.worst();
        let Bound { must, aim, .. } = self.bound;
        let holds = |bound: Option<f64>| bound.map(|bound| self.bound.holds(bound, worst));
        match (holds(must), holds(aim)) {
            (None, None) => Verdict::Told,
            (Some(false), _) => Verdict::Missed,
            (_, Some(true)) => Verdict::Aim,
            (Some(true), _) => Verdict::Held,
            (None, Some(false)) => Verdict::Short,
        }
    }

    fn text(&self, value: f64) -> String {
        if value.is_infinite() {
            return "never".to_owned();
        }
        match self.unit {
            Unit::Seconds => format!("{value:.2} s"),
            Unit::Millis => format!("{value:.1} ms"),
            Unit::Percent => format!("{value:.2} %"),
            Unit::Times => format!("{value:.3}"),
            Unit::Number => format!("{value:.0}"),
        }
    }

    /// What is asked: must and aim.
    fn asked(&self) -> String {
        let sign = if self.bound.is_least { '≥' } else { '≤' };
        let text = |bound: Option<f64>| {
            bound.map_or("–".to_owned(), |bound| {
                format!("{sign} {}", self.text(bound))
            })
        };
        format!("{} | {}", text(self.bound.must), text(self.bound.aim))
    }
}

/// The head of the table.
pub const HEAD: &str = "| what | nodes, seeds | median | worst | must | aim | |\n\
                        |---|---|---|---|---|---|---|";

impl Display for Row {
    /// A line of the table.
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let (median, worst) = (self.text(self.median()), self.text(self.worst()));
        write!(
            f,
            "| {} | {}, {} | {median} | {worst} | {} | {} |",
            self.what,
            self.nodes,
            self.seeds(),
            self.asked(),
            self.verdict()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(bound: Bound, values: &[f64]) -> Row {
        let samples: Vec<Sample> = values
            .iter()
            .map(|&value| Sample {
                what: "x".to_owned(),
                unit: Unit::Seconds,
                bound,
                value,
            })
            .collect();
        Row::of(9, &samples.iter().collect::<Vec<_>>()).expect("not empty")
    }

    #[test]
    fn the_worst_run_decides_and_what_never_happened_is_the_worst() {
        let most = Bound::at_most(10.0, 5.0);
        assert_eq!(row(most, &[1.0, 5.0, 2.0]).verdict(), Verdict::Aim);
        assert_eq!(row(most, &[1.0, 5.1]).verdict(), Verdict::Held);
        let never = row(most, &[f64::INFINITY, 1.0, 2.0]);
        assert_eq!(never.verdict(), Verdict::Missed);
        assert_eq!(
            never.to_string(),
            "| x | 9, 3 | 2.00 s | never | ≤ 10.00 s | ≤ 5.00 s | missed |"
        );
    }

    #[test]
    fn where_much_is_wanted_the_least_is_the_worst() {
        let least = row(Bound::at_least(95.0), &[99.0, 94.0, 98.0]);
        assert_eq!((least.median(), least.worst()), (98.0, 94.0));
        assert_eq!(least.verdict(), Verdict::Missed);
        let aim = Bound::aim_at_least(99.0);
        assert_eq!(row(aim, &[98.0]).verdict(), Verdict::Short);
        assert_eq!(row(aim, &[99.0]).verdict(), Verdict::Aim);
        assert_eq!(row(Bound::default(), &[7.0]).verdict(), Verdict::Told);
    }
}
