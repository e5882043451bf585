//! Every relative link and anchor leads to something that is there.

use std::collections::{BTreeMap, BTreeSet};

use crate::markdown::{anchors, links, pages, root};

/// What is wrong with the links of `pages`, a line each. `exists` says whether a path of the repository is
/// there.
fn broken(pages: &BTreeMap<String, String>, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let named: BTreeMap<_, BTreeSet<_>> = pages
        .iter()
        .map(|(path, text)| (path.as_str(), anchors(text).into_iter().collect()))
        .collect();
    let mut found = Vec::new();
    for (page, text) in pages {
        for link in links(text) {
            if let Err(why) = follow(page, &link.to, &named, &exists) {
                found.push(format!("{page}:{}: {}: {why}", link.line, link.to));
            }
        }
    }
    found
}

fn follow(
    page: &str,
    link: &str,
    named: &BTreeMap<&str, BTreeSet<String>>,
    exists: impl Fn(&str) -> bool,
) -> Result<(), String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return Ok(());
    }
    let (path, anchor) = match link.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (link, None),
    };
    let target = if path.is_empty() {
        page.to_owned()
    } else {
        resolve(page, path).ok_or("leads out of the repository")?
    };
    if !exists(&target) {
        return Err(format!("there is no {target}"));
    }
    // Only the pages of the folder become pages of the book.
    if page.starts_with("docs/") && !target.starts_with("docs/") {
        return Err("leads out of the book; name the file as code".to_owned());
    }
    let Some(anchor) = anchor else {
        return Ok(());
    };
    let names = named.get(target.as_str());
    let names = names.ok_or("only pages have places")?;
    if names.contains(anchor) {
        Ok(())
    } else {
        Err(format!("{target} has no such heading"))
    }
}

/// `link` as it is meant in `page`, relative to the root; `None`: it is not below the root.
fn resolve(page: &str, link: &str) -> Option<String> {
    if link.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[test]
fn every_link_leads_to_something() {
    let pages = pages();
    for known in ["README.md", "docs/wire.md", "fuzz/README.md"] {
        assert!(pages.contains_key(known), "{known} is not found");
    }
    let found = broken(&pages, |path| root().join(path).exists());
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn finds_links_that_lead_nowhere() {
    let page = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let pages = BTreeMap::from([
        page(
            "a.md",
            "# Top\n[1](docs/b.md#part-two) [2](#top) [3](https://x.example/y#z)\n",
        ),
        page(
            "docs/b.md",
            "## Part two\n[4](c.csv) [5](../a.md) [6](d.md)\n",
        ),
        page(
            "docs/e.md",
            "[7](b.md#part-2) [8](#nowhere) [9](/etc) [10](../../x) [11](c.csv#x)\n",
        ),
    ]);
    let files = ["a.md", "docs/b.md", "docs/c.csv", "docs/e.md"];
    let found = broken(&pages, |path| files.contains(&path));
    let whys = [
        ("docs/b.md:2: ../a.md", "leads out of the book"),
        ("docs/b.md:2: d.md", "there is no docs/d.md"),
        ("docs/e.md:1: b.md#part-2", "docs/b.md has no such heading"),
        ("docs/e.md:1: #nowhere", "docs/e.md has no such heading"),
        ("docs/e.md:1: /etc", "leads out of the repository"),
        ("docs/e.md:1: ../../x", "leads out of the repository"),
        ("docs/e.md:1: c.csv#x", "only pages have places"),
    ];
    assert_eq!(found.len(), whys.len(), "{found:#?}");
    for (told, (place, why)) in found.iter().zip(whys) {
        assert!(told.starts_with(place) && told.contains(why), "{told}");
    }
}
