//! What is wrong with a scenario: the file, the line, the key, and what would be right.

use std::fmt;

use super::expression::ExpressionError;

/// Why a scenario cannot be run.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{place}{key}: {mistake}", key = key_text(.key))]
pub struct ScenarioError {
    /// Where it stands.
    pub place: Place,
    /// The key by its path, for example `flow[0].size`; empty: the file as a whole.
    pub key: String,
    /// What is wrong.
    pub mistake: Box<Mistake>,
}

/// File and line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The name of the file, or of a scenario of the library.
    pub file: String,
    /// Counting from 1; None: it came from the command line, or is missing.
    pub line: Option<usize>,
}

/// What is wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Mistake {
    /// It is not TOML.
    #[error("{0}")]
    Syntax(String),
    /// A value of another type or outside its range; in the words of what read it.
    #[error("{0}")]
    Value(String),
    /// A key that nobody reads.
    #[error("there is no such key{}", suggestion(.near, .known))]
    UnknownKey {
        /// The known key that looks most like it.
        near: Option<String>,
        /// Those there are.
        known: Vec<String>,
    },
    /// A key that has to be there.
    #[error("the key is missing; write for example {example}")]
    Missing {
        /// How it could look.
        example: &'static str,
    },
    /// A key that means nothing beside another.
    #[error("means nothing for {of}")]
    Foreign {
        /// What the other says.
        of: String,
    },
    /// An expression without a value.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// A name that is not there.
    #[error("there is no {what} \"{name}\"{}", suggestion(.near, .known))]
    UnknownName {
        /// What kind of name.
        what: &'static str,
        /// As written.
        name: String,
        /// The known name that looks most like it.
        near: Option<String>,
        /// Those there are.
        known: Vec<String>,
    },
}

impl Mistake {
    /// [`Mistake::UnknownName`] with a suggestion.
    #[must_use]
    pub fn unknown_name(what: &'static str, name: &str, known: Vec<String>) -> Self {
        Self::UnknownName {
            what,
            name: name.into(),
            near: nearest(name, &known),
            known,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

fn key_text(key: &str) -> String {
    if key.is_empty() {
        String::new()
    } else {
        format!(": {key}")
    }
}

fn suggestion(near: &Option<String>, known: &[String]) -> String {
    match near {
        Some(near) => format!("; did you mean \"{near}\"?"),
        None if known.is_empty() => String::new(),
        None => format!("; there are {}", known.join(", ")),
    }
}

/// The one of `known` that takes the fewest changed letters, if they are few enough for a slip.
#[must_use]
pub fn nearest(name: &str, known: &[String]) -> Option<String> {
    let distance = |known: &String| edit_distance(name, known);
    let best = known.iter().min_by_key(|known| distance(known))?;
    let letters = name.chars().count();
    let most = if letters < 4 { 1 } else { (letters / 3).max(2) };
    (distance(best) <= most).then(|| best.clone())
}

/// Insertions, deletions and replacements from `a` to `b` (Levenshtein, 1966), two neighbours
/// exchanged counting as two.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (index, letter) in a.chars().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        for (column, other) in b.iter().enumerate() {
            let above = row.get(column + 1).copied().unwrap_or(usize::MAX - 1);
            let replaced = diagonal + usize::from(letter != *other);
            if let Some(cell) = row.get_mut(column) {
                *cell = left;
            }
            left = replaced.min(left + 1).min(above + 1);
            diagonal = above;
        }
        if let Some(cell) = row.last_mut() {
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_paper() {
        for (a, b, distance) in [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("delay", "dealy", 2),
            ("loss", "loss", 0),
        ] {
            assert_eq!(edit_distance(a, b), distance, "{a} {b}");
            assert_eq!(edit_distance(b, a), distance, "{b} {a}");
        }
    }

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let known = ["duration", "warm_up", "seeds"].map(String::from);
        assert_eq!(nearest("duratoin", &known).as_deref(), Some("duration"));
        assert_eq!(nearest("seed", &known).as_deref(), Some("seeds"));
        assert_eq!(nearest("bandwidth", &known), None);
    }
}
