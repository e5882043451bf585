//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::PathBuf;

use crate::failure::{Exit, Failure};

/// Where a value was set.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Origin {
    /// Nowhere.
    #[default]
    Default,
    /// In a file.
    File {
        /// Which.
        path: PathBuf,
        /// Line, from 1; 0: the file as a whole.
        line: usize,
    },
    /// By a variable of the environment.
    Environment(String),
    /// On the command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: 0 } => write!(f, "{}", path.display()),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag => f.write_str("command line"),
        }
    }
}

/// One thing that is wrong: where, which key, what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mistake {
    /// Where.
    pub origin: Origin,
    /// The key as it was written; empty when it is about none.
    pub key: String,
    /// What is wrong, and what would be right.
    pub sentence: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.key.is_empty() {
            write!(f, "{} ", self.key)?;
        }
        f.write_str(&self.sentence)
    }
}

/// A configuration that is not used: every mistake in it, in the order they were found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mistakes(pub Vec<Mistake>);

impl Mistakes {
    /// One mistake.
    #[must_use]
    pub fn one(origin: Origin, key: &str, sentence: impl Into<String>) -> Self {
        Self(vec![Mistake {
            origin,
            key: key.into(),
            sentence: sentence.into(),
        }])
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.0.first() else {
            return f.write_str("nothing is wrong");
        };
        write!(f, "{first}")?;
        match self.0.len() {
            1 => Ok(()),
            all => write!(
                f,
                " ({} more; `dunlin config check FILE` tells all)",
                all - 1
            ),
        }
    }
}

impl std::error::Error for Mistakes {}

impl From<Mistakes> for Failure {
    fn from(mistakes: Mistakes) -> Self {
        Self::new(Exit::Usage, mistakes.to_string())
    }
}
