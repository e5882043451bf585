//! The messages of the protocol and their bytes. `docs/transfer.md` is the specification.
//!
//! A frame is a type (1 byte), the length of its body (4 bytes) and the body; numbers are in
//! network byte order. Bodies are read with a cursor that never goes past the end, and a body with
//! bytes left over is refused.

use super::cursor::Cursor;
use super::error::Violation;
use super::limits::{
    CONTROL_LEN_MAX, DATA_LEN_MAX, ENTRIES_MAX, FILE_LEN_MAX, HEAD_LEN, PROBLEMS_MAX,
};
use super::path::TransferPath;
pub use super::verdict::{AbortCode, Outcome, Problem};

/// A BLAKE3 hash.
pub type Hash = [u8; 32];

/// First bytes of an OFFER: tells a stream of files from anything else.
pub const MAGIC: [u8; 8] = *b"dunlin-f";

/// Type of a frame.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Kind {
    /// Sender: version, number of entries, bytes.
    Offer = 1,
    /// Sender: a part of the list of entries.
    Manifest = 2,
    /// Receiver: what it has of the next entries, in order.
    Answers = 3,
    /// Sender: the bytes of a file follow, from an offset.
    Begin = 4,
    /// Sender: bytes of the file.
    Data = 5,
    /// Sender: the file is complete; its hash.
    End = 6,
    /// Sender: the file that has begun will not be completed.
    Abandon = 7,
    /// Sender: no bytes will follow for an entry.
    Settle = 8,
    /// Sender: every entry has been dealt with.
    Complete = 9,
    /// Receiver: what became of the transfer.
    Outcome = 10,
    /// Either: the transfer cannot go on.
    Abort = 11,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::Offer,
        Self::Manifest,
        Self::Answers,
        Self::Begin,
        Self::Data,
        Self::End,
        Self::Abandon,
        Self::Settle,
        Self::Complete,
        Self::Outcome,
        Self::Abort,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// Largest body of a frame of this type.
    #[must_use]
    pub const fn body_len_max(self) -> usize {
        match self {
            Self::Data => DATA_LEN_MAX,
            _ => CONTROL_LEN_MAX,
        }
    }
}

/// Head of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Type of the frame.
    pub kind: Kind,
    /// Length of its body in bytes, within the limit of its type.
    pub len: usize,
}

impl Head {
    /// Reads a head.
    ///
    /// # Errors
    /// An unknown type, or a body above the limit of its type.
    pub fn decode(bytes: [u8; HEAD_LEN]) -> Result<Self, Violation> {
        let [kind, len @ ..] = bytes;
        let kind = Kind::from_byte(kind).ok_or(Violation::UnknownFrame(kind))?;
        let len = usize::try_from(u32::from_be_bytes(len)).unwrap_or(usize::MAX);
        if len > kind.body_len_max() {
            return Err(Violation::FrameTooLarge(kind));
        }
        Ok(Self { kind, len })
    }

    /// Appends the head to `out`.
    pub fn encode(self, out: &mut Vec<u8>) {
        out.push(self.kind as u8);
        let len = u32::try_from(self.len).expect("a body is at most 1 MiB");
        out.extend_from_slice(&len.to_be_bytes());
    }
}

/// What an entry is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryKind {
    /// A folder.
    Folder,
    /// A file of so many bytes.
    File {
        /// Its length in bytes, at most 2^60.
        len: u64,
        /// Whether its owner may execute it.
        executable: bool,
    },
}

/// A file or folder of a transfer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Where it goes, below the receiver's folder.
    pub path: TransferPath,
    /// What it is.
    pub kind: EntryKind,
}

impl Entry {
    /// Bytes of its content.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self.kind {
            EntryKind::Folder => 0,
            EntryKind::File { len, .. } => len,
        }
    }

    /// Whether it has no content.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of its encoding.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        12 + self.path.as_str().len()
    }
}

/// What the receiver has of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The folder exists now; nothing is wanted.
    FolderReady,
    /// Nothing usable: send it all.
    SendAll,
    /// The first bytes of an interrupted transfer: continue when the hash is right.
    HavePrefix {
        /// Bytes held, 1 to the length of the file.
        len: u64,
        /// BLAKE3 of these bytes.
        hash: Hash,
    },
    /// A file of the same name and length: settle it by its hash.
    HaveWhole {
        /// BLAKE3 of the file.
        hash: Hash,
    },
    /// It cannot be received.
    Refused(Problem),
}

/// A frame other than DATA.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// The first frame of the sender.
    Offer {
        /// Version of the protocol.
        version: u16,
        /// Entries that follow, at most [`ENTRIES_MAX`].
        entries: u32,
        /// Bytes of all files.
        bytes: u64,
    },
    /// A part of the list of entries.
    Manifest(Vec<Entry>),
    /// What the receiver has of the next entries.
    Answers(Vec<Answer>),
    /// The bytes of a file follow.
    Begin {
        /// Which entry.
        index: u32,
        /// 0, or the length of the prefix that the receiver has.
        offset: u64,
    },
    /// The file that has begun is complete.
    End {
        /// BLAKE3 of the whole file.
        hash: Hash,
    },
    /// The file that has begun will not be completed.
    Abandon(Problem),
    /// No bytes will follow for an entry: it is the same (`None`), or there is a problem.
    Settle {
        /// Which entry.
        index: u32,
        /// The problem, if any.
        problem: Option<Problem>,
    },
    /// Every entry has been dealt with.
    Complete,
    /// What became of the transfer.
    Outcome(Outcome),
    /// The transfer cannot go on.
    Abort(AbortCode),
}

impl Message {
    /// Type of its frame.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Offer { .. } => Kind::Offer,
            Self::Manifest(_) => Kind::Manifest,
            Self::Answers(_) => Kind::Answers,
            Self::Begin { .. } => Kind::Begin,
            Self::End { .. } => Kind::End,
            Self::Abandon(_) => Kind::Abandon,
            Self::Settle { .. } => Kind::Settle,
            Self::Complete => Kind::Complete,
            Self::Outcome(_) => Kind::Outcome,
            Self::Abort(_) => Kind::Abort,
        }
    }

    /// Appends the frame to `out`. Lists must have been cut to fit [`CONTROL_LEN_MAX`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        match self {
            Self::Offer {
                version,
                entries,
                bytes,
            } => {
                body.extend_from_slice(&MAGIC);
                body.extend_from_slice(&version.to_be_bytes());
                body.extend_from_slice(&entries.to_be_bytes());
                body.extend_from_slice(&bytes.to_be_bytes());
            }
            Self::Manifest(entries) => entries.iter().for_each(|entry| put_entry(&mut body, entry)),
            Self::Answers(answers) => answers
                .iter()
                .for_each(|answer| put_answer(&mut body, answer)),
            Self::Begin { index, offset } => {
                body.extend_from_slice(&index.to_be_bytes());
                body.extend_from_slice(&offset.to_be_bytes());
            }
            Self::End { hash } => body.extend_from_slice(hash),
            Self::Abandon(problem) => body.push(*problem as u8),
            Self::Settle { index, problem } => {
                body.extend_from_slice(&index.to_be_bytes());
                body.push(problem.map_or(0, |problem| problem as u8));
            }
            Self::Complete => {}
            Self::Outcome(outcome) => put_outcome(&mut body, outcome),
            Self::Abort(code) => body.push(*code as u8),
        }
        Head {
            kind: self.kind(),
            len: body.len(),
        }
        .encode(out);
        out.extend_from_slice(&body);
    }

    /// Reads the body of a frame of type `kind`, which is not DATA.
    ///
    /// # Errors
    /// When the body does not have the form of its type.
    pub fn decode(kind: Kind, body: &[u8]) -> Result<Self, Violation> {
        let mut cursor = Cursor::new(kind, body);
        let message = match kind {
            Kind::Offer => {
                if cursor.array::<8>()? != MAGIC {
                    return Err(Violation::NotFiles);
                }
                Self::Offer {
                    version: cursor.u16()?,
                    entries: cursor.u32()?,
                    bytes: cursor.u64()?,
                }
            }
            Kind::Manifest => Self::Manifest(cursor.list(take_entry)?),
            Kind::Answers => Self::Answers(cursor.list(take_answer)?),
            Kind::Begin => Self::Begin {
                index: cursor.u32()?,
                offset: cursor.u64()?,
            },
            Kind::Data => return Err(Violation::Unexpected(Kind::Data)),
            Kind::End => Self::End {
                hash: cursor.array()?,
            },
            Kind::Abandon => Self::Abandon(take_problem(&mut cursor)?),
            Kind::Settle => {
                let index = cursor.u32()?;
                let problem = match cursor.u8()? {
                    0 => None,
                    problem => Some(Problem::from_code(problem).ok_or(Violation::BadBody(kind))?),
                };
                Self::Settle { index, problem }
            }
            Kind::Complete => Self::Complete,
            Kind::Outcome => Self::Outcome(take_outcome(&mut cursor)?),
            Kind::Abort => {
                let code = AbortCode::from_code(cursor.u8()?);
                Self::Abort(code.ok_or(Violation::BadBody(Kind::Abort))?)
            }
        };
        cursor.finish()?;
        Ok(message)
    }
}

/// Entry: kind (1), executable (1), length (8), path length (2), path.
fn put_entry(body: &mut Vec<u8>, entry: &Entry) {
    let (kind, executable) = match entry.kind {
        EntryKind::Folder => (0, 0),
        EntryKind::File { executable, .. } => (1, u8::from(executable)),
    };
    body.extend_from_slice(&[kind, executable]);
    body.extend_from_slice(&entry.len().to_be_bytes());
    let path = entry.path.as_str().as_bytes();
    let len = u16::try_from(path.len()).expect("a path is at most 3,072 bytes");
    body.extend_from_slice(&len.to_be_bytes());
    body.extend_from_slice(path);
}

fn take_entry(cursor: &mut Cursor<'_>) -> Result<Entry, Violation> {
    let bad = Violation::BadBody(Kind::Manifest);
    let (kind, executable, len) = (cursor.u8()?, cursor.u8()?, cursor.u64()?);
    let path_len = usize::from(cursor.u16()?);
    let path = std::str::from_utf8(cursor.bytes(path_len)?).map_err(|_| bad)?;
    let kind = match (kind, executable, len) {
        (0, 0, 0) => EntryKind::Folder,
        (1, 0 | 1, 0..=FILE_LEN_MAX) => EntryKind::File {
            len,
            executable: executable == 1,
        },
        _ => return Err(bad),
    };
    Ok(Entry {
        path: TransferPath::parse(path).map_err(Violation::UnsafePath)?,
        kind,
    })
}

fn take_problem(cursor: &mut Cursor<'_>) -> Result<Problem, Violation> {
    let bad = Violation::BadBody(cursor.kind());
    Problem::from_code(cursor.u8()?).ok_or(bad)
}

/// Answer: form (1), then what the form needs.
fn put_answer(body: &mut Vec<u8>, answer: &Answer) {
    match answer {
        Answer::FolderReady => body.push(0),
        Answer::SendAll => body.push(1),
        Answer::HavePrefix { len, hash } => {
            body.push(2);
            body.extend_from_slice(&len.to_be_bytes());
            body.extend_from_slice(hash);
        }
        Answer::HaveWhole { hash } => {
            body.push(3);
            body.extend_from_slice(hash);
        }
        Answer::Refused(problem) => body.extend_from_slice(&[4, *problem as u8]),
    }
}

fn take_answer(cursor: &mut Cursor<'_>) -> Result<Answer, Violation> {
    Ok(match cursor.u8()? {
        0 => Answer::FolderReady,
        1 => Answer::SendAll,
        2 => Answer::HavePrefix {
            len: cursor.u64()?,
            hash: cursor.array()?,
        },
        3 => Answer::HaveWhole {
            hash: cursor.array()?,
        },
        4 => Answer::Refused(take_problem(cursor)?),
        _ => return Err(Violation::BadBody(Kind::Answers)),
    })
}

/// Outcome: written (4), bytes (8), same (4), problems (4), then (index (4), problem (1)) each.
fn put_outcome(body: &mut Vec<u8>, outcome: &Outcome) {
    body.extend_from_slice(&outcome.written.to_be_bytes());
    body.extend_from_slice(&outcome.written_bytes.to_be_bytes());
    body.extend_from_slice(&outcome.same.to_be_bytes());
    body.extend_from_slice(&outcome.problem_count.to_be_bytes());
    for (index, problem) in &outcome.problems {
        body.extend_from_slice(&index.to_be_bytes());
        body.push(*problem as u8);
    }
}

fn take_outcome(cursor: &mut Cursor<'_>) -> Result<Outcome, Violation> {
    let (written, written_bytes) = (cursor.u32()?, cursor.u64()?);
    let (same, problem_count) = (cursor.u32()?, cursor.u32()?);
    let problems = if problem_count == 0 {
        Vec::new()
    } else {
        cursor.list(|cursor| Ok((cursor.u32()?, take_problem(cursor)?)))?
    };
    let named = usize::try_from(problem_count)
        .unwrap_or(usize::MAX)
        .min(PROBLEMS_MAX);
    let counted = [written, same, problem_count]
        .iter()
        .all(|count| *count <= ENTRIES_MAX);
    if !counted || problems.len() != named {
        return Err(Violation::BadBody(Kind::Outcome));
    }
    Ok(Outcome {
        written,
        written_bytes,
        same,
        problem_count,
        problems,
    })
}

#[cfg(test)]
pub(crate) mod tests;
