//! Rules about the text of this repository that no compiler checks.
//!
//! Lengths of files, documentation at the top of every module and at every limit, words that must
//! not stay. Each rule is a function from a file's text to what is wrong with it, so that the tests
//! at the bottom can show it a file that breaks it.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines that a source file may have, its tests not counted.
const LINES_MAX: usize = 600;

/// Files that are longer than [`LINES_MAX`] today, with their length. A ratchet: an entry may fall
/// or go, never rise or come.
const TOO_LONG: [(&str, usize); 0] = [];

/// Folders whose content is not ours or not text.
const SKIPPED: [&str; 4] = [
    "benches/peers/results",
    "fuzz/artifacts",
    "fuzz/corpus",
    "fuzz/seeds",
];

/// A file of the repository.
struct File {
    /// Relative to the root, with `/`.
    path: String,
    text: String,
}

impl File {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn is_source(&self) -> bool {
        self.is_rust() && self.path.contains("/src/")
    }

    fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }
}

/// Every file that is valid UTF-8.
fn files() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).expect("the folder is readable") {
            let entry = entry.expect("the entry is readable");
            let name = entry.file_name().into_string().expect("names are UTF-8");
            let path = folder.join(&name);
            let kind = entry.file_type().expect("the entry has a type");
            // `.git` is a file in a worktree.
            if name == ".git" {
                continue;
            }
            if kind.is_dir() {
                let built = name == "target" || name.starts_with("target-");
                if !built && !SKIPPED.iter().any(|skipped| path == Path::new(skipped)) {
                    folders.push(path);
                }
            } else if let Ok(text) = fs::read_to_string(entry.path()) {
                let path = path.to_str().expect("names are UTF-8").replace('\\', "/");
                found.push(File { path, text });
            }
        }
    }
    found
}

/// Lines before the module of unit tests.
fn lines_without_tests(file: &File) -> usize {
    let mut lines = file.text.lines().peekable();
    let mut count = 0;
    while let Some(line) = lines.next() {
        let next = lines.peek().copied().unwrap_or_default();
        if line == "#[cfg(test)]" && next.starts_with("mod tests") {
            break;
        }
        count += 1;
    }
    count
}

fn too_long(file: &File) -> Option<String> {
    if !file.is_rust() || file.is_test() {
        return None;
    }
    let lines = lines_without_tests(file);
    let known = TOO_LONG.iter().find(|(path, _)| *path == file.path);
    let limit = known.map_or(LINES_MAX, |(_, lines)| *lines);
    (lines > limit).then(|| format!("{}: {lines} lines, at most {limit}; split it", file.path))
}

fn undocumented_module(file: &File) -> Option<String> {
    // The file beside `tests.rs` says what is tested.
    let documented = file.text.starts_with("//!") || file.is_test();
    (file.is_source() && !documented).then(|| {
        format!(
            "{}:1: say what this module is, in a line that begins //!",
            file.path
        )
    })
}

/// Words that must not stay in code, with what to do instead. Put together from halves, so that
/// this file does not hold them.
const WORDS: [(&str, &str, &str); 4] = [
    ("TO", "DO", "do it, or file an issue"),
    ("FIX", "ME", "fix it, or file an issue"),
    ("XX", "X", "say in words what is wrong"),
    ("#[ign", "ore", "a test runs or goes"),
];

/// The one reason to leave a test out of the usual run: it needs a program that a fresh machine has
/// not, and `.ci/run` installs that and runs it.
const EXCUSE: [&str; 2] = ["#[ign", "ore = \"needs tshark; .ci/run installs it\"]"];

/// First parts of paths that exist on one machine only.
const PATHS: [(&str, &str); 3] = [("/ro", "ot/"), ("/ho", "me/"), ("/wo", "rk/")];

fn banned_words(file: &File) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(file.text.lines()) {
        if file.is_rust() {
            for (first, second, instead) in WORDS {
                let word = [first, second].concat();
                let excused = line.trim() == EXCUSE.concat();
                if contains_word(line, &word) && !excused {
                    found.push(format!("{}:{number}: {word}: {instead}", file.path));
                }
            }
        }
        for (first, second) in PATHS {
            let prefix = [first, second].concat();
            if contains_path(line, &prefix) {
                let hint = "a path of one machine";
                found.push(format!("{}:{number}: {prefix}: {hint}", file.path));
            }
        }
    }
    found
}

/// Whether `word` stands in `line` with no letter, digit or `_` on either side.
fn contains_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// Whether an absolute path in `line` begins with `prefix`.
fn contains_path(line: &str, prefix: &str) -> bool {
    let continues = |c: char| c.is_alphanumeric() || "_-.~}*$".contains(c);
    line.match_indices(prefix)
        .any(|(start, _)| !line[..start].chars().next_back().is_some_and(continues))
}

fn undocumented_limits(file: &File) -> Vec<String> {
    if !file.path.ends_with("/limits.rs") {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut documented = false;
    for (number, line) in (1..).zip(file.text.lines().map(str::trim_start)) {
        if line.starts_with("///") {
            documented = true;
        } else if line.starts_with("#[") {
            // Attributes stand between the documentation and the item.
        } else {
            let is_limit = line.starts_with("pub const ") || line.starts_with("pub(crate) const ");
            if is_limit && !documented {
                found.push(format!(
                    "{}:{number}: say what this limit bounds",
                    file.path
                ));
            }
            documented = false;
        }
    }
    found
}

fn assert_tidy(problems: impl IntoIterator<Item = String>) {
    let problems: Vec<_> = problems.into_iter().collect();
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn the_repository_is_found() {
    let files = files();
    assert!(files.iter().any(|file| file.path == "Cargo.toml"));
    assert!(
        files
            .iter()
            .any(|file| file.path == "transport/src/lib.rs" && file.is_source())
    );
    assert!(
        files
            .iter()
            .any(|file| file.path == "node/tests/tidy.rs" && file.is_test())
    );
}

#[test]
fn files_are_short() {
    assert_tidy(files().iter().filter_map(too_long));
}

#[test]
fn the_ratchet_holds_no_file_that_is_short_by_now() {
    let files = files();
    assert_tidy(TOO_LONG.iter().filter_map(|(path, _)| {
        let file = files.iter().find(|file| file.path == *path);
        let lines = file.map_or(0, lines_without_tests);
        (lines <= LINES_MAX).then(|| format!("{path}: {lines} lines by now; remove its entry"))
    }));
}

#[test]
fn every_module_says_what_it_is() {
    assert_tidy(files().iter().filter_map(undocumented_module));
}

#[test]
fn no_banned_word_stays() {
    assert_tidy(files().iter().flat_map(banned_words));
}

#[test]
fn every_limit_says_what_it_bounds() {
    assert_tidy(files().iter().flat_map(undocumented_limits));
}

fn file(path: &str, text: impl Into<String>) -> File {
    File {
        path: path.to_owned(),
        text: text.into(),
    }
}

#[test]
fn rejects_a_long_file_and_does_not_count_its_tests() {
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(LINES_MAX));
    let full = "\n".repeat(LINES_MAX);
    assert_eq!(too_long(&file("a/src/b.rs", full.clone() + &tests)), None);
    assert!(too_long(&file("a/src/b.rs", full.clone() + "\n")).is_some());
    assert_eq!(too_long(&file("a/src/b/tests.rs", full + "\n")), None);
}

#[test]
fn rejects_a_module_without_documentation() {
    assert!(undocumented_module(&file("a/src/b.rs", "use core::fmt;\n")).is_some());
    assert_eq!(undocumented_module(&file("a/src/b.rs", "//! B.\n")), None);
    assert_eq!(
        undocumented_module(&file("a/build.rs", "fn main() {}\n")),
        None
    );
    assert_eq!(
        undocumented_module(&file("a/src/b/tests.rs", "use super::*;\n")),
        None
    );
}

#[test]
fn rejects_banned_words_and_paths() {
    for (first, second, _) in WORDS {
        let line = format!("// {first}{second}: later");
        assert_eq!(
            banned_words(&file("a/src/b.rs", line.clone())).len(),
            1,
            "{line}"
        );
        assert_eq!(banned_words(&file("a.md", line)).len(), 0, "only code");
    }
    for (first, second) in PATHS {
        let path = format!("{first}{second}x");
        assert_eq!(
            banned_words(&file("a.md", format!("see `{path}`"))).len(),
            1,
            "{path}"
        );
        assert_eq!(
            banned_words(&file("a.md", format!("see docs{path}"))).len(),
            0,
            "relative"
        );
    }
    let excused = file("a/tests/b.rs", EXCUSE.concat());
    assert_eq!(banned_words(&excused).len(), 0);
    let longer = format!("let {}{}S = 1;", "XX", "X");
    assert_eq!(
        banned_words(&file("a/src/b.rs", longer)).len(),
        0,
        "a part of a longer word"
    );
}

#[test]
fn rejects_an_undocumented_limit() {
    let documented =
        "/// Most peers that are remembered.\n#[allow(x)]\npub const PEERS: usize = 8;\n";
    assert!(undocumented_limits(&file("a/src/limits.rs", documented)).is_empty());
    let bare = format!("{documented}pub const HOLES: usize = 8;\n");
    assert_eq!(undocumented_limits(&file("a/src/limits.rs", bare)).len(), 1);
}
