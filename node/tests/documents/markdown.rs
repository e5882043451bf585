//! Markdown files of the repository: their links, the anchors of their headings, their blocks of code.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// Folders whose pages are not ours.
const SKIPPED: [&str; 3] = ["target", "vendor", "node_modules"];

/// The root folder of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Markdown file, by its path relative to the root, with `/`.
pub(crate) fn pages() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = folder.join(&name);
            if entry.file_type().unwrap().is_dir() {
                let is_hidden = name.starts_with('.') || name.starts_with("target-");
                if !is_hidden && !SKIPPED.contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if name.ends_with(".md") {
                let path = path.to_str().unwrap().replace('\\', "/");
                found.insert(path, fs::read_to_string(entry.path()).unwrap());
            }
        }
    }
    found
}

/// A link or picture.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Link {
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) to: String,
}

/// A fenced block of code.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Block {
    /// Of its first line of code, counted from 1.
    pub(crate) line: usize,
    /// The words after the fence, with commas or spaces between them.
    pub(crate) info: String,
    pub(crate) text: String,
}

impl Block {
    /// Its words.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        let words = self.info.split([',', ' ']);
        words.filter(|word| !word.is_empty())
    }

    /// Whether `word` is among its words.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.words().any(|known| known == word)
    }

    /// The value of `name=value` among its words.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.words()
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }
}

fn events(text: &str) -> impl Iterator<Item = (Event<'_>, Range<usize>)> {
    Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter()
}

fn line_at(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

/// All links and pictures of a page.
pub(crate) fn links(text: &str) -> Vec<Link> {
    events(text)
        .filter_map(|(event, range)| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => Some(Link {
                line: line_at(text, range.start),
                to: dest_url.into_string(),
            }),
            _ => None,
        })
        .collect()
}

/// All fenced blocks of a page.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut is_inside = false;
    for (event, range) in events(text) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                is_inside = true;
                found.push(Block {
                    line: line_at(text, range.start) + 1,
                    info: info.into_string(),
                    text: String::new(),
                });
            }
            Event::Text(code) if is_inside => {
                if let Some(block) = found.last_mut() {
                    block.text.push_str(&code);
                }
            }
            Event::End(TagEnd::CodeBlock) => is_inside = false,
            _ => {}
        }
    }
    found
}

/// The names of a page's places: of its headings, as mdBook and the usual hosts of repositories make
/// them.
pub(crate) fn anchors(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    let mut heading: Option<String> = None;
    for (event, _) in events(text) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(part) | Event::Code(part) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&part);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let name = slug(&heading.take().unwrap_or_default());
                let seen = times.entry(name.clone()).or_default();
                found.push(match *seen {
                    0 => name,
                    again => format!("{name}-{again}"),
                });
                *seen += 1;
            }
            _ => {}
        }
    }
    found
}

/// Letters and digits in lower case, `-` and `_`; white space becomes `-`, all else goes.
fn slug(heading: &str) -> String {
    heading
        .trim()
        .chars()
        .filter_map(|c| match c {
            '-' | '_' => Some(c),
            c if c.is_whitespace() => Some('-'),
            c if c.is_alphanumeric() => Some(c),
            _ => None,
        })
        .flat_map(char::to_lowercase)
        .collect()
}

#[test]
fn headings_are_named_as_hosts_of_repositories_name_them() {
    let page = "# The lossy `relay`\n\n## A, B: and C\n\n## Files\n\ntext\n\n## Files\n";
    let names = ["the-lossy-relay", "a-b-and-c", "files", "files-1"];
    assert_eq!(anchors(page), names);
}

#[test]
fn links_are_found_in_tables_and_not_in_code() {
    let page =
        "one\n\n| a |\n|---|\n| [b](c.md#d) |\n\n`[e](f)`\n\n```sh\n[g](h)\n```\n![i](j.png)\n";
    let found = links(page);
    let told: Vec<_> = found.iter().map(|link| (link.line, &*link.to)).collect();
    assert_eq!(told, [(5, "c.md#d"), (12, "j.png")]);
}

#[test]
fn blocks_come_with_their_words_and_lines() {
    let page = "text\n\n```console,run\n$ true\n```\n\n```rust,of=a/b.rs\nlet x;\n```\n";
    let found = blocks(page);
    assert_eq!(found.len(), 2);
    assert!(found[0].is("run") && !found[0].is("ru"));
    assert_eq!((found[0].line, found[0].text.as_str()), (4, "$ true\n"));
    assert_eq!(found[1].value("of"), Some("a/b.rs"));
    assert_eq!(found[0].value("of"), None);
}
