//! What a person sees when something goes wrong: one sentence that says what to do, and an exit
//! code that a script can rely on. The table of codes is in `docs/cli.md`.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

/// Exit codes of the program. They are part of its interface: a code keeps its meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// 0: done.
    Success = 0,
    /// 1: something else went wrong.
    Failed = 1,
    /// 2: the command line is not understood.
    Usage = 2,
    /// 3: the peer is not who it should be, or it refused us.
    Refused = 3,
    /// 4: nobody answers at that address, or the connection was lost.
    Unreachable = 4,
    /// 5: what arrived is not what was sent.
    Integrity = 5,
    /// 6: a file, a folder, a port or the disk of either end is in the way.
    Local = 6,
    /// 7: an experiment did not hold: a sentence was false, or a promise was violated.
    Broken = 7,
    /// 130: stopped by SIGINT.
    Interrupted = 130,
    /// 143: stopped by SIGTERM.
    Terminated = 143,
}

impl Exit {
    /// The number the process ends with.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command failed, for a person: an exit code and one sentence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    exit: Exit,
    sentence: String,
}

impl Failure {
    /// A failure with its sentence. The sentence says what happened and what to do about it.
    #[must_use]
    pub fn new(exit: Exit, sentence: impl Into<String>) -> Self {
        Self {
            exit,
            sentence: sentence.into(),
        }
    }

    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Writes `dunlin: <sentence>` to stderr. A closed stderr is no reason to fail differently.
    pub fn report(&self) {
        let _ = writeln!(std::io::stderr(), "dunlin: {self}");
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Failure {}

/// The part of an I/O error that a person can use: without Rust's "(os error 28)".
#[must_use]
pub fn plain_reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_keep_their_documented_numbers() {
        let documented = [
            (Exit::Success, 0),
            (Exit::Failed, 1),
            (Exit::Usage, 2),
            (Exit::Refused, 3),
            (Exit::Unreachable, 4),
            (Exit::Integrity, 5),
            (Exit::Local, 6),
            (Exit::Broken, 7),
            (Exit::Interrupted, 130),
            (Exit::Terminated, 143),
        ];
        for (exit, code) in documented {
            assert_eq!(exit.code(), code);
        }
    }

    #[test]
    fn plain_reason_drops_the_number_of_the_system() {
        let error = std::io::Error::from(std::io::ErrorKind::NotFound);
        assert!(!plain_reason(&error).is_empty());
        #[cfg(unix)]
        assert_eq!(
            plain_reason(&std::io::Error::from_raw_os_error(libc::ENOSPC)),
            "no space left on device"
        );
    }
}
