//! `docs/threats.md` promises a test, or an honest "not defended", for every attack: here each row is held
//! to that, and each test it names has to exist and to run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// Where the tests of a short name are.
const PLACES: [(&str, &str); 8] = [
    ("attacks", "lab/tests/attacks"),
    ("memory", "lab/tests/attacks_memory.rs"),
    ("advisories", "node/tests/advisories"),
    ("program", "node/tests/program"),
    ("admission", "session/tests/admission.rs"),
    ("second_proof", "session/tests/second_proof.rs"),
    ("stateless_reset", "session/tests/stateless_reset.rs"),
    ("tamper", "session/tests/tamper"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The rows of attacks: their cells.
fn rows(text: &str) -> Vec<Vec<String>> {
    let is_attack = |line: &&str| {
        let name = line
            .strip_prefix("| ")
            .and_then(|rest| rest.split(' ').next());
        name.is_some_and(|name| {
            let (kind, number) = name.split_at(1);
            matches!(kind, "T" | "O") && number.starts_with(|c: char| c.is_ascii_digit())
        })
    };
    let cells = |line: &str| {
        line.trim_matches('|')
            .split(" | ")
            .map(str::to_owned)
            .collect()
    };
    text.lines().filter(is_attack).map(cells).collect()
}

/// What stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// All Rust text at or below `place`.
fn source(place: &Path) -> String {
    if place.is_file() {
        return fs::read_to_string(place).unwrap();
    }
    let files = fs::read_dir(place).unwrap_or_else(|_| panic!("{place:?} is not there"));
    files
        .map(|file| source(&file.unwrap().path()) + "\n")
        .collect()
}

/// Whether `text` has a test of this name that is run without being asked for.
fn is_run(text: &str, name: &str) -> bool {
    let Some(at) = text.find(&format!("fn {name}(")) else {
        return false;
    };
    let attributes = text[..at].rsplit("\n\n").next().unwrap_or_default();
    attributes.contains("test") && !attributes.contains(concat!("#[", "ignore"))
}

/// A quoted name as `(short name, test)`, if it names a test.
fn named(quoted: &str) -> Option<(&str, &str)> {
    let place = quoted.split([':', ' ']).next()?;
    let test = quoted.rsplit("::").next()?;
    (PLACES.iter().any(|(short, _)| *short == place)).then_some((place, test))
}

fn is_model(quoted: &str) -> bool {
    let extension = Path::new(quoted).extension();
    extension.is_some_and(|it| it == "vp" || it == "pv")
}

fn check(row: &[String]) -> Result<(), String> {
    let mut tests = 0;
    for quoted in row.iter().flat_map(|cell| quoted(cell)) {
        if let Some((short, test)) = named(quoted) {
            let (_, place) = PLACES.iter().find(|(it, _)| *it == short).unwrap();
            let text = source(&root().join(place));
            // A short name alone stands for all tests there.
            if !test.is_empty() && test != short && !is_run(&text, test) {
                return Err(format!("{quoted} is not a test in {place}"));
            }
            tests += 1;
        } else if quoted.contains('/') {
            if !root().join(quoted).exists() {
                return Err(format!("{quoted} is not there"));
            }
            tests += 1;
        } else if is_model(quoted) && !root().join("docs/model").join(quoted).exists() {
            return Err(format!("there is no model {quoted}"));
        }
    }
    let honest = row.iter().any(|cell| cell.contains("**not "));
    match tests {
        0 if !honest => Err("neither a test nor \"not defended\"".to_owned()),
        _ => Ok(()),
    }
}

#[test]
fn every_attack_has_a_test_that_runs_or_is_said_to_be_open() {
    let text = fs::read_to_string(root().join("docs/threats.md")).unwrap();
    let rows = rows(&text);
    assert!(rows.len() > 35, "only {} rows were found", rows.len());
    let wrong: Vec<_> = rows
        .iter()
        .filter_map(|row| check(row).err().map(|why| format!("{}: {why}", row[0])))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_row_without_a_test_or_with_one_that_is_not_there_is_found() {
    let row = |text: &str| check(&rows(text)[0]);
    assert!(row("| T1 | who | what | how | none | – |").is_err());
    assert!(row("| T1 | who | what | how | none | **not defended** |").is_ok());
    assert!(row("| T1 | who | what | how | `attacks::paths::no_such_test` | – |").is_err());
    assert!(
        row("| T1 | who | what | how | `attacks::words::user_agents_are_printable` | – |").is_ok()
    );
    assert!(row("| T1 | who | what | how | unit tests of `session/src/nothing/` | – |").is_err());
}
