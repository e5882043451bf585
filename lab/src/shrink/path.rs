//! Which reductions were taken, in a form that fits a command line.

use std::fmt;
use std::str::FromStr;

/// One reduction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// Its place in the list of reductions of the scenario before it.
    pub reduction: u16,
    /// Which run seed failed after it; 0 is the seed itself.
    pub reseed: u8,
}

/// Reductions one after the other. Text: `12.0.3+2`, places with a dot between them, the run seed
/// behind a plus where it is not the first; `-` when there are none.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Path(Vec<Step>);

/// A text is no path.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a path of reductions looks like 12.0.3+2")]
pub struct InvalidPath;

impl Path {
    /// The steps.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// One more. A place that no number of 16 bits holds cannot be reached: lists are shorter.
    pub(super) fn push(&mut self, place: usize, reseed: u8) {
        self.0.push(Step {
            reduction: u16::try_from(place).unwrap_or(u16::MAX),
            reseed,
        });
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("-");
        }
        for (index, step) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            write!(f, "{}", step.reduction)?;
            if step.reseed > 0 {
                write!(f, "+{}", step.reseed)?;
            }
        }
        Ok(())
    }
}

impl FromStr for Path {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        if text == "-" {
            return Ok(Self::default());
        }
        let step = |part: &str| {
            let (reduction, reseed) = part.split_once('+').unwrap_or((part, "0"));
            Ok(Step {
                reduction: reduction.parse().map_err(|_| InvalidPath)?,
                reseed: reseed.parse().map_err(|_| InvalidPath)?,
            })
        };
        text.split('.')
            .map(step)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_back_as_it_was_written() {
        for text in ["-", "0", "12.0.3+2", "65535+255.1"] {
            assert_eq!(
                text.parse::<Path>().map(|path| path.to_string()),
                Ok(text.into())
            );
        }
    }

    #[test]
    fn rejects_what_is_no_path() {
        for text in [
            "", ".", "1.", "1+", "+1", "a", "1.-", "65536", "1+256", "-1",
        ] {
            assert_eq!(text.parse::<Path>(), Err(InvalidPath), "{text}");
        }
    }
}
