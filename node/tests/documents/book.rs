//! The book has every page of `docs` once, and code that a page shows is code of the repository.

use std::collections::{BTreeMap, BTreeSet};

use crate::markdown::{blocks, links, pages, root};

/// The table of contents of the book.
const SUMMARY: &str = "docs/SUMMARY.md";

/// What is wrong with the table of contents, a line each.
fn misplaced(pages: &BTreeMap<String, String>) -> Vec<String> {
    let Some(summary) = pages.get(SUMMARY) else {
        return vec![format!("there is no {SUMMARY}")];
    };
    let mut found = Vec::new();
    let mut listed = BTreeSet::new();
    for link in links(summary) {
        let page = format!("docs/{}", link.to);
        if !pages.contains_key(&page) {
            found.push(format!("{SUMMARY}:{}: there is no {page}", link.line));
        }
        if !listed.insert(page) {
            found.push(format!("{SUMMARY}:{}: {} again", link.line, link.to));
        }
    }
    for (page, text) in pages {
        let Some(path) = page.strip_prefix("docs/") else {
            continue;
        };
        if page != SUMMARY && !listed.contains(page) {
            let title = text.lines().next().unwrap_or_default();
            let title = title.trim_start_matches('#').trim();
            found.push(format!("{SUMMARY}: add the line - [{title}]({path})"));
        }
    }
    found
}

/// What is wrong with the quotations of a page: blocks with `of=FILE` whose lines are not in that file,
/// one after the other. `read` gives the text of a file.
fn misquoted(page: &str, text: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let quoted = blocks(text);
    let quoted = quoted.iter().filter_map(|block| {
        let file = block.value("of")?;
        let is_there = read(file).is_some_and(|file| is_part_of(&block.text, &file));
        (!is_there).then(|| format!("{page}:{}: not what {file} says", block.line))
    });
    quoted.collect()
}

/// Whether the lines of `part` stand in `whole`. A line `…` stands for any number of lines; how deep a
/// line is indented is not looked at.
fn is_part_of(part: &str, whole: &str) -> bool {
    let whole: Vec<_> = whole.lines().map(str::trim).collect();
    let mut rest = whole.as_slice();
    let part: Vec<_> = part.lines().map(str::trim).collect();
    for run in part.split(|line| *line == "…") {
        let run = run.strip_prefix(&[""]).unwrap_or(run);
        let run = run.strip_suffix(&[""]).unwrap_or(run);
        if run.is_empty() {
            continue;
        }
        let found = rest.windows(run.len()).position(|lines| lines == run);
        let Some(found) = found else {
            return false;
        };
        rest = &rest[found + run.len()..];
    }
    true
}

#[test]
fn the_book_has_every_page_once() {
    let found = misplaced(&pages());
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn code_that_a_page_shows_is_code_of_the_repository() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).ok();
    let pages = pages();
    let found: Vec<_> = pages
        .iter()
        .flat_map(|(page, text)| misquoted(page, text, read))
        .collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn finds_pages_that_are_missing_twice_there_or_not_there() {
    let page = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let pages = BTreeMap::from([
        page(SUMMARY, "# S\n\n- [A](a.md)\n- [A](a.md)\n- [C](c.md)\n"),
        page("docs/a.md", "# A\n"),
        page("docs/x/b.md", "# The B\n"),
        page("README.md", "# Not of the book\n"),
    ]);
    let told = [
        "docs/SUMMARY.md:4: a.md again",
        "docs/SUMMARY.md:5: there is no docs/c.md",
        "docs/SUMMARY.md: add the line - [The B](x/b.md)",
    ];
    assert_eq!(misplaced(&pages), told);
}

#[test]
fn finds_quotations_that_the_file_does_not_say() {
    let file = "fn a() {\n    one();\n    two();\n    three();\n}\n";
    let quote = |lines: &str| {
        let page = format!("```rust,of=f.rs\n{lines}```\n");
        misquoted("p.md", &page, |path| {
            (path == "f.rs").then(|| file.to_owned())
        })
        .len()
    };
    assert_eq!(quote("one();\ntwo();\n"), 0);
    assert_eq!(quote("fn a() {\n…\n    three();\n"), 0);
    assert_eq!(quote("one();\nthree();\n"), 1);
    assert_eq!(quote("three();\n…\none();\n"), 1, "in their order");
    let gone = misquoted("p.md", "```rust,of=g.rs\nx\n```\n", |_| None);
    assert_eq!(gone, ["p.md:2: not what g.rs says"]);
}
