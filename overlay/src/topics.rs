//! Which topics of broadcasts a node takes.

use std::collections::BTreeSet;

use crate::limits::TOPICS_MAX;
use crate::types::is_valid_name;

/// The topics whose broadcasts reach the application. Broadcasts of all topics are passed on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Topics {
    /// Those that [`crate::OverlayConfig::handlers`] lets through; neighbours are told nothing, and take it
    /// that all are wanted.
    #[default]
    All,
    /// Only these (at most [`TOPICS_MAX`], each a valid name), whatever the handlers are; neighbours are told
    /// which.
    Named(BTreeSet<String>),
}

impl Topics {
    /// Whether broadcasts of a topic are wanted.
    #[must_use]
    pub fn has(&self, topic: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(topic),
        }
    }

    /// The same without invalid names, and of the others the first [`TOPICS_MAX`] in the order of their bytes.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        if let Self::Named(names) = &mut self {
            names.retain(|name| is_valid_name(name));
            while names.len() > TOPICS_MAX {
                names.pop_last();
            }
        }
        self
    }

    /// Whether each name is valid and there are not too many.
    pub(crate) fn is_bounded(&self) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => {
                names.len() <= TOPICS_MAX && names.iter().all(|name| is_valid_name(name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_names_and_those_past_the_limit_are_left_out() {
        let names = |count: usize| (0..count).map(|n| format!("{n:04}"));
        let at_limit = Topics::Named(names(TOPICS_MAX).collect());
        assert!(at_limit.is_bounded());
        let more = Topics::Named(names(TOPICS_MAX + 1).collect());
        assert!(!more.is_bounded());
        assert_eq!(more.bounded(), at_limit);
        let invalid = Topics::Named(["".to_owned(), "a".to_owned()].into());
        assert!(!invalid.is_bounded());
        assert_eq!(invalid.bounded(), Topics::Named(["a".to_owned()].into()));
    }

    #[test]
    fn all_has_every_topic_and_names_have_theirs() {
        assert!(Topics::All.has("x") && Topics::All.is_bounded());
        let named = Topics::Named(["a".to_owned()].into());
        assert!(named.has("a") && !named.has("b"));
    }
}
