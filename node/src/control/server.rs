//! Accepts connections and serves them: a bounded number, each with bounded patience.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::{Router, middleware};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Sleep;

use super::guard::{Entry, Guard, check};
use super::limits::{CONNECTIONS_MAX, HEAD_LEN_MAX, HEAD_TIMEOUT, STALL_TIMEOUT};
use super::listener::Tcp;
use super::operations::Operations;
use super::routes::router;
use super::token::Token;

/// The router for one way in.
pub(super) fn service(entry: Entry, operations: Arc<Operations>) -> Router {
    let guard = Guard {
        entry,
        operations: Arc::clone(&operations),
    };
    router()
        .merge(crate::dashboard::router())
        .layer(middleware::from_fn_with_state(guard, check))
        .with_state(operations)
}

/// Serves the Unix socket.
#[cfg(unix)]
pub(super) async fn serve_socket(listener: tokio::net::UnixListener, operations: Arc<Operations>) {
    let router = service(Entry::Socket, operations);
    let mut places = Places::default();
    loop {
        let place = places.take().await;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                rest(&error).await;
                continue;
            }
        };
        // The mode of the socket says the same; where modes of sockets are ignored, this does not.
        if is_owner(&stream) {
            places.serve(place, stream, &router);
        }
    }
}

/// Serves TCP.
pub(super) async fn serve_tcp(tcp: Tcp, token: Token, operations: Arc<Operations>) {
    serve_router(tcp.listener, service(Entry::Tcp(token), operations)).await;
}

/// Serves a router over TCP, with the same bounds.
pub(crate) async fn serve_router(listener: tokio::net::TcpListener, router: Router) {
    let mut places = Places::default();
    loop {
        let place = places.take().await;
        match listener.accept().await {
            Ok((stream, _)) => places.serve(place, stream, &router),
            Err(error) => rest(&error).await,
        }
    }
}

/// When the system has no more descriptors, trying again at once would only burn time.
async fn rest(error: &io::Error) {
    tracing::warn!(%error, "the API cannot take a connection");
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
}

#[cfg(unix)]
fn is_owner(stream: &tokio::net::UnixStream) -> bool {
    let me = rustix::process::geteuid().as_raw();
    let is_owner = stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == me || peer.uid() == 0);
    if !is_owner {
        tracing::warn!("another user tried to use the control socket");
    }
    is_owner
}

/// The connections under way; they end with their listener.
struct Places {
    free: Arc<Semaphore>,
    serving: JoinSet<()>,
}

type Place = Option<tokio::sync::OwnedSemaphorePermit>;

impl Default for Places {
    fn default() -> Self {
        Self {
            free: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            serving: JoinSet::new(),
        }
    }
}

impl Places {
    /// Waits until one more connection may be taken.
    async fn take(&mut self) -> Place {
        while self.serving.try_join_next().is_some() {}
        // The semaphore is never closed.
        Arc::clone(&self.free).acquire_owned().await.ok()
    }

    fn serve<S>(&mut self, place: Place, stream: S, router: &Router)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = TowerToHyperService::new(router.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_LEN_MAX)
            .serve_connection(TokioIo::new(Impatient::new(stream)), service);
        self.serving.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the API ended");
            }
            drop(place);
        });
    }
}

/// A stream whose other end has to take what is written within [`STALL_TIMEOUT`].
struct Impatient<S> {
    stream: S,
    /// Runs while something waits to be taken.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    const fn new(stream: S) -> Self {
        Self {
            stream,
            stalled: None,
        }
    }

    /// Passes on what came of a write, unless it has waited for too long.
    fn judge<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(STALL_TIMEOUT)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.judge(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.judge(cx, ended)
    }
}

#[cfg(test)]
mod tests {
    use dunlin_overlay::Instant;
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_loses_its_connection() {
        let (near, _far) = tokio::io::duplex(16);
        let mut writer = Impatient::new(near);
        let clock = crate::clock::Clock::start();
        let error = writer.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(clock.now().saturating_duration_since(Instant::ZERO) >= STALL_TIMEOUT);
    }
}
