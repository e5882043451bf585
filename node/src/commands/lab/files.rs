//! The folder with the results of an experiment.

use std::path::{Path, PathBuf};

use dunlin_lab::experiment::outcome::{Judgement, Outcome};
use dunlin_lab::experiment::report::report;
use dunlin_lab::experiment::study::Study;
use dunlin_lab::experiment::table::csv;

use crate::failure::{Exit, Failure, plain_reason};

/// A folder that can be written to.
pub(super) struct Folder {
    path: PathBuf,
}

const RESULTS: &str = "results.json";

impl Folder {
    /// Makes the folder and tries to write, before a long run and not after it.
    pub(super) fn prepare(path: &Path) -> Result<Self, Failure> {
        let folder = Self { path: path.into() };
        std::fs::create_dir_all(path).map_err(|error| folder.failure(path, &error))?;
        let probe = path.join(".dunlin-lab");
        std::fs::write(&probe, b"").map_err(|error| folder.failure(path, &error))?;
        std::fs::remove_file(&probe).map_err(|error| folder.failure(path, &error))?;
        Ok(folder)
    }

    /// Writes results.json, results.csv and report.html; the path of the report.
    pub(super) fn write(
        &self,
        outcome: &Outcome,
        study: &Study,
        judged: &[Judgement],
    ) -> Result<PathBuf, Failure> {
        let page = report(outcome, study, judged)
            .map_err(|error| Failure::new(Exit::Failed, format!("no report: {error}")))?;
        self.put(RESULTS, &outcome.to_json())?;
        self.put("results.csv", &csv(outcome))?;
        self.put("report.html", &page)
    }

    fn put(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        let path = self.path.join(name);
        std::fs::write(&path, text).map_err(|error| self.failure(&path, &error))?;
        Ok(path)
    }

    fn failure(&self, path: &Path, error: &std::io::Error) -> Failure {
        let sentence = format!(
            "cannot write to {}: {}; name another folder with --out",
            path.display(),
            plain_reason(error)
        );
        Failure::new(Exit::Local, sentence)
    }
}

/// Where results go when nothing is said.
pub(super) fn default_folder(scenario: &str) -> PathBuf {
    Path::new("dunlin-lab").join(scenario)
}

/// Whether a word names results: a folder with them, or a file that ends in `.json`.
pub(super) fn is_results(word: &str) -> bool {
    let path = Path::new(word);
    path.is_dir() || path.extension().is_some_and(|ending| ending == "json")
}

/// Reads results from a file, or from the folder that it is in.
pub(super) fn read(path: &Path) -> Result<Outcome, Failure> {
    let path = if path.is_dir() {
        path.join(RESULTS)
    } else {
        path.into()
    };
    let text = std::fs::read_to_string(&path).map_err(|error| {
        let sentence = format!("cannot read {}: {}", path.display(), plain_reason(&error));
        Failure::new(
            Exit::Local,
            format!("{sentence}; give what `dunlin lab run --out` wrote"),
        )
    })?;
    Outcome::from_json(&text)
        .map_err(|error| Failure::new(Exit::Usage, format!("{}: {error}", path.display())))
}
