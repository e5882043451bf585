//! The commands that pages show are run.

use std::path::Path;
use std::thread;

use crate::markdown::{blocks, pages};
use crate::session::{run, steps};

/// Pages that have to have such commands.
const GUIDES: [&str; 4] = [
    "docs/guide/embedder.md",
    "docs/guide/fuzzer.md",
    "docs/guide/operator.md",
    "docs/guide/researcher.md",
];

#[test]
fn commands_that_pages_show_do_what_they_show() {
    let program = Path::new(env!("CARGO_BIN_EXE_dunlin"));
    let pages = pages();
    let mut run_at_all = Vec::new();
    let failed: Vec<_> = thread::scope(|scope| {
        let mut running = Vec::new();
        for (page, text) in &pages {
            let steps = steps(text);
            if !steps.is_empty() {
                run_at_all.push(page.as_str());
                running.push(scope.spawn(move || run(page, &steps, program)));
            }
        }
        let ended = running.into_iter().map(|one| one.join().unwrap());
        ended.filter_map(Result::err).collect()
    });
    assert!(failed.is_empty(), "\n{}\n", failed.join("\n\n"));
    for guide in GUIDES {
        assert!(run_at_all.contains(&guide), "{guide} has no command to run");
    }
}

#[test]
fn every_word_behind_a_fence_is_known() {
    let known = |word: &str| {
        let is_named = ["of=", "file="].iter().any(|name| word.starts_with(name));
        ["run", "figures-differ"].contains(&word) || is_named || is_language(word)
    };
    let mut found = Vec::new();
    for (page, text) in pages() {
        for block in blocks(&text) {
            let unknown = block.words().filter(|word| !known(word));
            found.extend(unknown.map(|word| format!("{page}:{}: {word}", block.line)));
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// Languages of blocks, and what rustdoc and tests of other crates read behind them.
fn is_language(word: &str) -> bool {
    [
        "cddl", "console", "ignore", "ini", "json", "markdown", "rust", "sh", "sql", "text",
        "toml", "vectors", "yaml",
    ]
    .contains(&word)
}
