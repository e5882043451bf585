//! What nodes tell and ask each other, and what they say of what they were told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PeerPriority;

/// Something to tell: to everybody, or to one peer. Either `text` or `hex` is given.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Telling {
    /// The topic of a broadcast, or the handler of a message: 1 to 64 bytes.
    pub name: String,
    /// The payload as text.
    #[serde(default)]
    pub text: Option<String>,
    /// The payload in hexadecimal.
    #[serde(default)]
    pub hex: Option<String>,
    /// How urgent a broadcast is.
    #[serde(default)]
    pub priority: PeerPriority,
    /// Through whom a message goes to a node that is no peer: a peer that relays, or `any` of them. It can
    /// read the message.
    #[serde(default)]
    pub via: Option<String>,
}

/// What was told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Told {
    /// The ID of a broadcast.
    pub id: Option<String>,
    /// Bytes of the payload.
    pub bytes: usize,
    /// Peers that were connected then.
    pub peers: usize,
}

/// A question to a handler of another node. Either `text` or `hex` is given.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Asking {
    /// The handler: `echo` and `node-info` are there in every node, others where an application answers.
    pub name: String,
    /// The payload as text.
    #[serde(default)]
    pub text: Option<String>,
    /// The payload in hexadecimal.
    #[serde(default)]
    pub hex: Option<String>,
    /// How long to wait for the answer, in milliseconds, at most 10,000, which is also what a missing
    /// value means.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// Through whom the question goes, as for a message.
    #[serde(default)]
    pub via: Option<String>,
}

/// The answer of a handler of another node: `text` where it is text, `hex` where not.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Answered {
    /// Whose.
    pub peer: String,
    /// Of which handler.
    pub name: String,
    /// The payload, if it is text.
    pub text: Option<String>,
    /// The payload, if it is not.
    pub hex: Option<String>,
    /// Its bytes.
    pub bytes: usize,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
}

/// The answer of an application to a question that this node was asked (the event `request`): `text`, `hex`,
/// or a refusal.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answering {
    /// Who asked.
    pub peer: String,
    /// The number of the question, from the event.
    pub id: u64,
    /// The payload as text.
    #[serde(default)]
    pub text: Option<String>,
    /// The payload in hexadecimal.
    #[serde(default)]
    pub hex: Option<String>,
    /// Whether the question is refused instead.
    #[serde(default)]
    pub refuse: bool,
}

/// What an application says of a broadcast that waits for its judgement.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerdictOn {
    /// The ID of the broadcast, from the event.
    pub broadcast: String,
    /// What is said of it.
    pub verdict: Judgement,
}

/// What may be said of a broadcast.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Judgement {
    /// It is good: it is passed on
    Accept,
    /// It is of no use, or cannot be judged: it is not passed on, and nobody is to blame
    Ignore,
    /// Whoever has it can see that it is invalid: it is not passed on, and its origin is to blame
    Reject,
}

/// Whom a peer says it trusts, from its own experience.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Statements {
    /// Who says so.
    pub peer: String,
    /// Of whom; the most trusted first, at most 32.
    pub trusted: Vec<Statement>,
}

/// How much a peer says it trusts another node, and how much this node does.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Statement {
    /// Of whom.
    pub id: String,
    /// The trust that is stated, 0 to 1.
    pub stated: f64,
    /// The trust of this node in it now, with what others say; missing when they never met.
    pub trust: Option<f64>,
    /// The same from this node's own experience alone; they differ by 0.05 at most.
    pub own_trust: Option<f64>,
}

/// Of which topics this node takes broadcasts. It passes those of all topics on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopicList {
    /// Their names, at most 64, each of 1 to 64 bytes; missing: all topics.
    #[serde(default)]
    pub topics: Option<std::collections::BTreeSet<String>>,
}
