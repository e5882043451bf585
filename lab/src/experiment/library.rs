//! The scenarios that ship with the program.

use super::document::Document;
use super::error::{Mistake, Place, ScenarioError};

/// A scenario of the library.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Named {
    /// Its name.
    pub name: &'static str,
    /// Its file.
    pub text: &'static str,
}

macro_rules! library {
    ($($name:literal),* $(,)?) => {
        &[$(Named {
            name: $name,
            text: include_str!(concat!("../../scenarios/", $name, ".toml")),
        }),*]
    };
}

/// Every scenario, in the order of `dunlin lab list`.
pub const LIBRARY: &[Named] = library![
    "bulk",
    "matrix",
    "request-response",
    "bufferbloat",
    "fairness",
    "rtt-fairness",
    "cross-traffic",
    "slow-receiver",
    "migration",
    "nat-rebinding",
    "satellite",
    "wifi-jitter",
    "cellular",
    "gossip-broadcast",
    "mass-crash",
    "partition-heal",
    "churn",
    "full-stack",
    "torture",
];

/// Traces that they name.
const FILES: &[(&str, &str)] = &[("cellular.csv", include_str!("../../scenarios/cellular.csv"))];

impl Named {
    /// Its document.
    ///
    /// # Errors
    /// Never of a shipped one; a test reads them all.
    pub fn document(self) -> Result<Document, ScenarioError> {
        let file = format!("{}.toml", self.name);
        Document::parse(&file, self.text, &load)
    }
}

fn load(name: &str) -> Result<String, String> {
    let found = FILES.iter().find(|(file, _)| *file == name);
    found.map_or_else(
        || Err(format!("there is no trace {name} in the library")),
        |(_, text)| Ok((*text).into()),
    )
}

/// The scenario of a name.
///
/// # Errors
/// There is none; the error suggests one.
pub fn find(name: &str) -> Result<Named, ScenarioError> {
    let found = LIBRARY.iter().find(|named| named.name == name);
    found.copied().ok_or_else(|| {
        let known = LIBRARY.iter().map(|named| named.name.into()).collect();
        let place = Place {
            file: "the library".into(),
            line: None,
        };
        ScenarioError {
            place,
            key: String::new(),
            mistake: Box::new(Mistake::unknown_name("scenario", name, known)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::study::Study;

    #[test]
    fn every_scenario_can_be_read_and_says_what_it_is() {
        for named in LIBRARY {
            let study = named.document().and_then(Study::new);
            let study = study.unwrap_or_else(|error| panic!("{error}"));
            let head = study.head();
            assert_eq!(head.name, named.name);
            assert!(
                head.title.len() > 10 && head.description.len() > 80,
                "{}",
                head.name
            );
            assert!(
                !head.hold.is_empty() || head.name == "torture",
                "{}",
                head.name
            );
        }
    }

    #[test]
    fn names_are_suggested() {
        assert!(find("bulk").is_ok());
        let error = find("blk").unwrap_err().to_string();
        assert!(error.contains("did you mean \"bulk\"?"), "{error}");
    }
}
