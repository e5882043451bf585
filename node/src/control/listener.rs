//! The sockets of the API, and the files that say where they are.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::net::TcpListener;

use crate::failure::{Exit, Failure, plain_reason};

/// A file that goes when its owner does.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It may have been removed by hand.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A listening TCP socket.
#[derive(Debug)]
pub(super) struct Tcp {
    pub(super) listener: TcpListener,
    address: SocketAddr,
}

impl Tcp {
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Listens at `address`, and writes into the file at `path` where that is.
pub(super) fn bind_tcp(address: SocketAddr, path: &Path) -> Result<(Tcp, SocketFile), Failure> {
    let bind = || {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let bound = listener.local_addr()?;
        Ok((TcpListener::from_std(listener)?, bound))
    };
    let (listener, bound) = bind().map_err(|error: std::io::Error| {
        Failure::new(
            Exit::Local,
            format!(
                "cannot listen on {address} for the API: {}; choose another address with --api, or port 0 for any",
                plain_reason(&error)
            ),
        )
    })?;
    // From here on, however this ends, the file goes.
    let file = SocketFile(path.to_path_buf());
    std::fs::write(path, format!("{bound}\n")).map_err(|error| {
        Failure::new(
            Exit::Local,
            format!(
                "cannot write {}: {}; make room there, or name another folder with --data-dir",
                path.display(),
                plain_reason(&error)
            ),
        )
    })?;
    if !bound.ip().is_loopback() {
        tracing::warn!(
            address = %bound,
            "the API is reachable from other machines, and its token travels in clear: put it behind TLS"
        );
    }
    let tcp = Tcp {
        listener,
        address: bound,
    };
    Ok((tcp, file))
}

/// Listens on a Unix socket that only its owner may open.
#[cfg(unix)]
pub(super) fn bind_socket(path: &Path) -> Result<(tokio::net::UnixListener, SocketFile), Failure> {
    use std::os::unix::net::UnixStream;

    if UnixStream::connect(path).is_ok() {
        let folder = path.parent().unwrap_or(path).display();
        return Err(Failure::new(
            Exit::Local,
            format!(
                "a node is running with the data folder {folder} already; stop it with `dunlin stop --data-dir {folder}`, or choose another folder"
            ),
        ));
    }
    // Nobody answers: it was left behind by a node that was killed.
    if path.exists() {
        std::fs::remove_file(path).map_err(|error| no_socket(path, &error))?;
    }
    let listener = bind_private(path).map_err(|error| no_socket(path, &error))?;
    Ok((listener, SocketFile(path.to_path_buf())))
}

/// The socket gets its mode before it gets its name, so that there is no moment in which others may
/// open it.
#[cfg(unix)]
fn bind_private(path: &Path) -> std::io::Result<tokio::net::UnixListener> {
    use std::os::unix::fs::PermissionsExt;

    let early = path.with_extension("new");
    // Left behind by a node that was killed in this very moment.
    if early.exists() {
        std::fs::remove_file(&early)?;
    }
    let listener = std::os::unix::net::UnixListener::bind(&early)?;
    std::fs::set_permissions(&early, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&early, path)?;
    listener.set_nonblocking(true)?;
    tokio::net::UnixListener::from_std(listener)
}

#[cfg(unix)]
fn no_socket(path: &Path, error: &std::io::Error) -> Failure {
    let advice = if error.kind() == std::io::ErrorKind::InvalidInput {
        "its name is too long for a socket; choose a folder with a shorter name with --data-dir"
    } else {
        "name another folder with --data-dir"
    };
    Failure::new(
        Exit::Local,
        format!(
            "cannot listen on {} for commands: {}; {advice}",
            path.display(),
            plain_reason(error)
        ),
    )
}
