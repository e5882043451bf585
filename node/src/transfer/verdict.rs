//! What became of a transfer and of its entries, as both ends say it. The codes travel; the
//! sentences are made at each end ([`super::sentences`]), so that no peer puts words on a screen.

use super::limits::PROBLEMS_MAX;

/// What went wrong with one entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Problem {
    /// A different file of that name exists at the receiver.
    Exists = 1,
    /// Something that is no folder is where a folder should be.
    NotAFolder = 2,
    /// Something that is no file is where the file should be.
    NotAFile = 3,
    /// A symbolic link lies on the way.
    SymbolicLink = 4,
    /// The receiver may not write there.
    NotPermitted = 5,
    /// Another transfer is writing this file.
    Busy = 6,
    /// The receiver's system refused for another reason.
    NotWritable = 7,
    /// What arrived does not have the hash the sender announced.
    Corrupt = 8,
    /// The sender could not read it.
    Unreadable = 9,
    /// It changed at the sender while it was sent.
    Changed = 10,
}

impl Problem {
    /// Every problem, in the order of the codes.
    pub const ALL: [Self; 10] = [
        Self::Exists,
        Self::NotAFolder,
        Self::NotAFile,
        Self::SymbolicLink,
        Self::NotPermitted,
        Self::Busy,
        Self::NotWritable,
        Self::Corrupt,
        Self::Unreadable,
        Self::Changed,
    ];

    /// The problem with this code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|problem| *problem as u8 == code)
    }
}

/// Why a transfer cannot go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum AbortCode {
    /// The disk of the end that says so is full.
    DiskFull = 1,
    /// Its quota is used up.
    QuotaExceeded = 2,
    /// A file is larger than its file system or its limits allow.
    FileTooLarge = 3,
    /// It cannot write for another reason.
    WriteFailed = 4,
    /// The transfer is larger than its limits.
    TooLarge = 5,
    /// It does not speak this version.
    Version = 6,
    /// The other end broke a rule of the protocol.
    Violation = 7,
    /// A newer transfer of the same files took over.
    Superseded = 8,
    /// Its user stopped it.
    Stopped = 9,
}

impl AbortCode {
    /// Every code, in order.
    pub const ALL: [Self; 9] = [
        Self::DiskFull,
        Self::QuotaExceeded,
        Self::FileTooLarge,
        Self::WriteFailed,
        Self::TooLarge,
        Self::Version,
        Self::Violation,
        Self::Superseded,
        Self::Stopped,
    ];

    /// The reason with this code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u8 == code)
    }
}

/// What became of a transfer.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Outcome {
    /// Files that were written and verified.
    pub written: u32,
    /// Bytes of these files, prefixes of interrupted transfers included.
    pub written_bytes: u64,
    /// Files that were there already, identical.
    pub same: u32,
    /// Entries with a problem.
    pub problem_count: u32,
    /// The first of them, by index of entry; at most [`PROBLEMS_MAX`].
    pub problems: Vec<(u32, Problem)>,
}

impl Outcome {
    /// Counts a problem, and names it while there is room.
    pub fn add_problem(&mut self, index: u32, problem: Problem) {
        self.problem_count = self.problem_count.saturating_add(1);
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push((index, problem));
        }
    }
}
