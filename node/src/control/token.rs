//! The bearer token (RFC 6750) of the API over TCP: a file that only its owner can read.

use std::io::Write;
use std::path::Path;

use dunlin_session::keyfile::read_private;
use dunlin_transport::driver::OsRandom;
use dunlin_transport::protect::Random;
use subtle::ConstantTimeEq;

use super::records::to_hex;
use crate::failure::{Exit, Failure, plain_reason};

/// Bytes of randomness in a token.
const RANDOM_LEN: usize = 32;
/// Longest token file that is read.
const FILE_LEN_MAX: usize = 1_024;

/// A token. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// The token in the file at `path`, made at first use with mode 0600.
    ///
    /// # Errors
    /// When the file cannot be read or made, is open to others, or holds no token.
    pub fn load_or_create(path: &Path) -> Result<Self, Failure> {
        if !path.exists() {
            create(path).map_err(|error| not_made(path, &error))?;
        }
        Self::load(path)
    }

    /// The token in the file at `path`.
    ///
    /// # Errors
    /// When the file cannot be read, is open to others, or holds no token.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        let bytes =
            read_private(path, FILE_LEN_MAX).map_err(|error| unusable(path, &error.to_string()))?;
        let text = std::str::from_utf8(&bytes).unwrap_or_default().trim();
        if text.len() < RANDOM_LEN || !text.chars().all(|c| c.is_ascii_graphic()) {
            return Err(unusable(path, "it holds no token of 32 characters or more"));
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether the value of an `Authorization` header bears it. Takes as long for a wrong one.
    #[must_use]
    pub fn is_borne_by(&self, authorization: &[u8]) -> bool {
        let Some((scheme, token)) = authorization.split_at_checked(7) else {
            return false;
        };
        let equal = token.ct_eq(self.0.as_bytes());
        scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(equal)
    }

    /// The value of an `Authorization` header that bears it.
    #[must_use]
    pub fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

fn create(path: &Path) -> std::io::Result<()> {
    let mut random = [0; RANDOM_LEN];
    OsRandom.fill(&mut random);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let written = writeln!(file, "{}", to_hex(&random)).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a token would be in the way of the next start; that there is none is told already.
        let _ = std::fs::remove_file(path);
    }
    written
}

fn not_made(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        Exit::Local,
        format!(
            "cannot make the token file {}: {}; make room there or give its folder to this user",
            path.display(),
            plain_reason(error)
        ),
    )
}

fn unusable(path: &Path, why: &str) -> Failure {
    Failure::new(
        Exit::Local,
        format!(
            "cannot use the token file {}: {why}; delete it and the node makes another one",
            path.display()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_its_bearer_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.token");
        let token = Token::load_or_create(&path).unwrap();
        assert_eq!(Token::load_or_create(&path).unwrap(), token);
        assert!(token.is_borne_by(token.header().as_bytes()));
        let lower = token.header().replace("Bearer", "bearer");
        assert!(token.is_borne_by(lower.as_bytes()));
        for wrong in ["", "Bearer", "Bearer ", "Bearer 00", "Basic 00"] {
            assert!(!token.is_borne_by(wrong.as_bytes()), "{wrong}");
        }
        assert!(!format!("{token:?}").contains(&token.0));
    }

    #[cfg(unix)]
    #[test]
    fn a_token_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.token");
        Token::load_or_create(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(Token::load(&path).unwrap_err().exit(), Exit::Local);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "short\n").unwrap();
        assert!(Token::load(&path).is_err());
    }
}
