//! The listening TCP socket, at the port of the UDP socket.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Type};
use tokio::net::TcpListener;

use super::side::TcpSide;

/// Connections that the kernel holds for us. The usual system limit is 4,096.
const BACKLOG: i32 = 1_024;
/// Pause after an error of accepting that is ours (no file descriptors): trying again at once would
/// only burn time.
const PAUSE: Duration = Duration::from_millis(100);

/// Listens on `address`. An IPv6 wildcard address takes IPv4 too.
///
/// # Errors
/// What the operating system says about the address.
pub(in crate::driver) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    // Streams of an earlier process may still be in the kernel's TIME_WAIT. (On Windows the option
    // means that the port is shared.)
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts streams until it is aborted.
pub(in crate::driver) async fn run(listener: TcpListener, side: Arc<TcpSide>) {
    loop {
        match listener.accept().await {
            Ok((io, remote)) => {
                if let Err(error) = side.accept(io) {
                    tracing::debug!(%error, %remote, "a TCP stream was gone at once");
                }
            }
            // The peer gave up while it waited.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "no TCP stream can be accepted now");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
