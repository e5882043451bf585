//! Who is refused: the file of denied peers, read again when it changes, and what the operator is
//! told about refusals.
//!
//! `denied_peers` in the data folder has one ID a line, `#` starts a comment line. A peer that is
//! added loses the connections that it has within [`LOOK_EVERY`].

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use dunlin_session::{DenyList, NodeId, Refusal, RefusalLogger};
use dunlin_transport::driver::Endpoint;
use tokio::task::JoinHandle;

use crate::failure::{Exit, Failure, plain_reason};

/// How often the file is looked at.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Refusals that are told about while a program runs; it is told that there are more, once. A
/// stranger can make as many as he likes.
pub const REFUSALS_TOLD_MAX: u32 = 100;

/// Reads the denied peers; a missing file is an empty list.
///
/// # Errors
/// When the file cannot be read or a line of it is no ID. A list that is not understood is not
/// ignored: that would let somebody in.
pub fn read_denied(path: &Path) -> Result<Vec<NodeId>, Failure> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(unreadable(path, &plain_reason(&error)));
        }
    };
    let lines = text.lines().map(str::trim).enumerate();
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(index, line)| {
            line.parse()
                .map_err(|_| unreadable(path, &format!("line {} is no node ID", index + 1)))
        })
        .collect()
}

fn unreadable(path: &Path, why: &str) -> Failure {
    Failure::new(
        Exit::Local,
        format!(
            "cannot use the denied peers in {}: {why}; write one ID a line, or delete the file",
            path.display()
        ),
    )
}

/// Looks at the file of denied peers until it is dropped.
#[derive(Debug)]
pub struct Guard(JoinHandle<()>);

impl Guard {
    /// Keeps `list` as the file at `path` says, and ends the connections of `endpoint` with peers
    /// that are added. Must be called inside the runtime.
    #[must_use]
    pub fn start(endpoint: Endpoint, list: DenyList, path: PathBuf) -> Self {
        Self(tokio::spawn(async move {
            let mut seen = stamp(&path);
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let now = stamp(&path);
                if now != seen {
                    seen = now;
                    reload(&endpoint, &list, &path);
                }
            }
        }))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What changes when a file is written.
fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn reload(endpoint: &Endpoint, list: &DenyList, path: &Path) {
    match read_denied(path) {
        Ok(denied) => {
            for id in list.replace(denied) {
                let refusal = Refusal::Revoked;
                let ended = endpoint.refuse_peer(*id.as_bytes(), refusal.code(), refusal.reason());
                tracing::warn!("{id} is denied from now on; connections ended: {ended}");
            }
        }
        Err(failure) => tracing::warn!("{failure}; the denied peers stay as they were"),
    }
}

/// Tells the operator whom we refused, and why.
#[must_use]
pub fn refusals() -> RefusalLogger {
    let told = AtomicU32::new(0);
    RefusalLogger::new(move |id, refusal| {
        let before = told
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |told| {
                Some(told.saturating_add(1))
            })
            .unwrap_or_default();
        if before < REFUSALS_TOLD_MAX {
            tracing::warn!("refused {id}: {}", refusal.own_reason());
        } else if before == REFUSALS_TOLD_MAX {
            tracing::warn!("more peers were refused; they are not told about any more");
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ids_and_comments_and_names_the_line_that_is_neither() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("denied_peers");
        assert_eq!(read_denied(&path).unwrap(), []);
        let id = NodeId::from_bytes([7; 32]);
        std::fs::write(&path, format!("# who\n\n  {id}\n")).unwrap();
        assert_eq!(read_denied(&path).unwrap(), [id]);
        std::fs::write(&path, format!("{id}\nsomebody\n")).unwrap();
        let failure = read_denied(&path).unwrap_err();
        assert_eq!(failure.exit(), Exit::Local);
        assert!(failure.to_string().contains("line 2 is no node ID"));
    }
}
