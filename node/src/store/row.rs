//! A row of the story: what happened, to whom, when, and the evidence.

use dunlin_session::NodeId;
use serde_json::Value;

use super::limits::{DETAIL_LEN_MAX, WORDS_LEN_MAX};

/// How much a row weighs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weight {
    /// Part of the story: kept in batches, the first to leave.
    Ordinary,
    /// Why a score changed: written at once, kept apart.
    Evidence,
    /// The same for what counts against somebody, and for bans: on the disk at once. Read back as
    /// evidence.
    Verdict,
}

/// One thing that happened.
#[derive(Clone, PartialEq, Debug)]
pub struct StoryRow {
    /// When, in milliseconds since the Unix epoch.
    pub unix_millis: u64,
    /// Whom it is about.
    pub peer: Option<NodeId>,
    /// Of what kind, for programs: `state`, `violation`, `score`, `ban` …
    pub kind: String,
    /// What happened, for people.
    pub words: String,
    /// The same for programs, with the evidence.
    pub detail: Option<Value>,
    /// How much it weighs. Of a row that was read: in which table it was.
    pub weight: Weight,
}

impl StoryRow {
    /// The words as they are kept.
    pub(super) fn cut_words(&self) -> &str {
        cut(&self.words, WORDS_LEN_MAX)
    }

    /// The detail as it is kept.
    pub(super) fn detail_text(&self) -> Option<String> {
        let text = self.detail.as_ref().map(Value::to_string);
        text.filter(|text| text.len() <= DETAIL_LEN_MAX)
    }
}

/// At most so many bytes of a text, ending at a character.
pub(super) fn cut(text: &str, len: usize) -> &str {
    text.get(..text.floor_char_boundary(len)).unwrap_or(text)
}

/// Which rows of the story to read.
#[derive(Clone, Debug)]
pub struct StoryFilter {
    /// About this peer alone.
    pub peer: Option<NodeId>,
    /// Of this kind alone.
    pub kind: Option<String>,
    /// Not before this (milliseconds since the Unix epoch).
    pub since: u64,
    /// The newest so many.
    pub limit: u32,
}

impl Default for StoryFilter {
    fn default() -> Self {
        Self {
            peer: None,
            kind: None,
            since: 0,
            limit: 1_000,
        }
    }
}
