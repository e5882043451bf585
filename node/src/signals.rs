//! SIGINT and SIGTERM; SIGHUP for who asks for it.
//!
//! The first signal cancels a token that every command watches; the command then closes its
//! connections and ends. A second signal, or a command that has not ended after
//! [`GRACE`], ends the process at once with the code of the signal.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::failure::{Exit, Failure};

/// How long a command may take to close what it has open. Two seconds are promised; the rest is
/// for the process to end.
pub const GRACE: Duration = Duration::from_millis(1_600);

/// The wish of the user that the program ends.
#[derive(Clone, Debug)]
pub struct Shutdown {
    token: CancellationToken,
    // 0 until a signal came, then the exit code that belongs to it.
    code: Arc<AtomicU8>,
}

impl Shutdown {
    /// Starts to listen for signals. Must be called inside the runtime.
    ///
    /// # Errors
    /// When the system refuses a signal handler.
    pub fn listen() -> Result<Self, Failure> {
        let shutdown = Self {
            token: CancellationToken::new(),
            code: Arc::new(AtomicU8::new(0)),
        };
        let mut signals = Signals::register().map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("cannot listen for Ctrl-C ({error}); try again"),
            )
        })?;
        let watcher = shutdown.clone();
        tokio::spawn(async move {
            let first = signals.next().await;
            watcher.code.store(first.code(), Ordering::Relaxed);
            watcher.token.cancel();
            tokio::select! {
                _ = signals.next() => {}
                () = tokio::time::sleep(GRACE) => {}
            }
            std::process::exit(i32::from(first.code()));
        });
        Ok(shutdown)
    }

    /// A shutdown that only [`Self::trigger`] starts; for tests and for nodes in one process.
    #[must_use]
    pub fn manual() -> Self {
        Self {
            token: CancellationToken::new(),
            code: Arc::new(AtomicU8::new(0)),
        }
    }

    /// Asks for the end without a signal.
    pub fn trigger(&self) {
        self.token.cancel();
    }

    /// Waits until the program should end.
    pub async fn requested(&self) {
        self.token.cancelled().await;
    }

    /// Whether the program should end.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }

    /// The failure to end with when a signal cut a command short.
    #[must_use]
    pub fn interrupted(&self, what: &str) -> Failure {
        let exit = if self.code.load(Ordering::Relaxed) == Exit::Terminated.code() {
            Exit::Terminated
        } else {
            Exit::Interrupted
        };
        Failure::new(exit, what)
    }
}

/// SIGHUP: the wish that the configuration is read again. Elsewhere it never comes.
#[derive(Debug)]
pub struct Hangup {
    #[cfg(unix)]
    signal: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Hangup {
    /// Starts to listen. Must be called inside the runtime.
    ///
    /// # Errors
    /// When the system refuses a signal handler.
    pub fn listen() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let signal = signal(SignalKind::hangup()).map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("cannot listen for SIGHUP ({error}); try again"),
            )
        })?;
        Ok(Self { signal })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        if self.signal.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(not(unix))]
impl Hangup {
    /// Does nothing.
    ///
    /// # Errors
    /// Never.
    pub fn listen() -> Result<Self, Failure> {
        Ok(Self {})
    }

    /// Waits for ever.
    pub async fn next(&mut self) {
        std::future::pending::<()>().await;
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn register() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn register() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Exit {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Exit::Interrupted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_triggered_shutdown_wakes_every_waiter() {
        let shutdown = Shutdown::manual();
        let waiting = shutdown.clone();
        let waiter = tokio::spawn(async move { waiting.requested().await });
        assert!(!shutdown.is_requested());
        shutdown.trigger();
        waiter.await.unwrap();
        assert!(shutdown.is_requested());
        assert_eq!(shutdown.interrupted("stopped").exit(), Exit::Interrupted);
    }
}
