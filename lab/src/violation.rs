//! What a run can find.

use dunlin_transport::Instant;

/// Something that must never happen did.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Violation {
    /// A stream gave other bytes than were written, or more.
    #[error("node {node}: stream {stream} has wrong bytes at offset {offset}")]
    StreamContent {
        /// The reader.
        node: usize,
        /// The stream's number.
        stream: u64,
        /// Where they begin.
        offset: u64,
    },
    /// A stream gave bytes that had not been written yet.
    #[error("node {node}: stream {stream} gave {received} bytes of {accepted} written")]
    StreamFromNowhere {
        /// The reader.
        node: usize,
        /// The stream's number.
        stream: u64,
        /// Bytes read.
        received: u64,
        /// Bytes written.
        accepted: u64,
    },
    /// A stream ended early, late, or otherwise than its writer ended it.
    #[error("node {node}: stream {stream} ended wrongly at {received} bytes: {how}")]
    StreamEnd {
        /// The reader.
        node: usize,
        /// The stream's number.
        stream: u64,
        /// Bytes read.
        received: u64,
        /// In words.
        how: &'static str,
    },
    /// A message came twice, changed, or was never sent.
    #[error("node {node}: message {message} {how}")]
    Message {
        /// The receiver.
        node: usize,
        /// Its number.
        message: u64,
        /// In words.
        how: &'static str,
    },
    /// The interface answered otherwise than its documentation says.
    #[error("node {node}: {what}: {answer}")]
    Interface {
        /// Where.
        node: usize,
        /// Which call.
        what: &'static str,
        /// What it said.
        answer: String,
    },
    /// An endpoint holds more than its limits allow.
    #[error("node {node} holds {held} bytes of {what}, the limit is {limit}")]
    Memory {
        /// Where.
        node: usize,
        /// Of what.
        what: &'static str,
        /// Bytes held.
        held: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// The connection ended otherwise than it should.
    #[error("node {node}: the connection ended with {reason:?}, expected {expected}")]
    Ending {
        /// Where.
        node: usize,
        /// How it ended; None: it did not.
        reason: Option<dunlin_transport::CloseReason>,
        /// In words.
        expected: &'static str,
    },
    /// What was accepted before a graceful close did not arrive.
    #[error("a graceful close lost data: {what}")]
    LostAtClose {
        /// In words.
        what: String,
    },
    /// Time or steps ran out before everything was done.
    #[error("not finished: {what}")]
    NotFinished {
        /// What is missing.
        what: String,
    },
    /// A connection names another peer than the one it is with.
    #[error("node {node} takes its peer for somebody else")]
    Stranger {
        /// Where.
        node: usize,
    },
    /// What crossed the wire, or an endpoint's figures about it, cannot be.
    #[error("node {node}: {what}: {detail}")]
    Wire {
        /// Where.
        node: usize,
        /// In words.
        what: &'static str,
        /// The figures.
        detail: String,
    },
    /// Events follow each other without time passing.
    #[error("node {node} keeps working without end at one instant")]
    Livelock {
        /// Where.
        node: usize,
    },
}

/// A [`Violation`] with its place in the run.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{violation} (at {at:?}, step {step})")]
pub struct Failure {
    /// What happened.
    #[source]
    pub violation: Violation,
    /// When, in virtual time.
    pub at: Instant,
    /// After so many events.
    pub step: u64,
}
