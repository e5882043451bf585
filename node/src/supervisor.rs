//! What a service manager is told: ready, reading the configuration again, alive, ending.
//!
//! The protocol of `sd_notify(3)`: datagrams of `NAME=value` lines to the Unix socket that
//! `NOTIFY_SOCKET` names, at a path or, with `@` before it, in the abstract namespace of Linux.
//! `WATCHDOG_USEC` says within what time a sign of life is wanted, `WATCHDOG_PID` from whom. Without
//! these variables, and on systems without such sockets, nothing is told.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior};

/// Tells the service manager, if there is one.
#[derive(Debug)]
pub struct Supervisor {
    #[cfg(unix)]
    manager: Option<socket::Manager>,
    /// Ticks when a sign of life is due.
    due: Option<Interval>,
}

impl Supervisor {
    /// As the environment says. Must be called inside the runtime.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::new(|name| std::env::var(name).ok())
    }

    fn new(variable: impl Fn(&str) -> Option<String>) -> Self {
        let due = watchdog(&variable, std::process::id()).map(|within| {
            // Half the time, as sd_watchdog_enabled(3) advises.
            let mut due = tokio::time::interval((within / 2).max(Duration::from_millis(1)));
            due.set_missed_tick_behavior(MissedTickBehavior::Delay);
            due
        });
        Self {
            #[cfg(unix)]
            manager: variable("NOTIFY_SOCKET").and_then(|name| socket::Manager::at(&name)),
            due,
        }
    }

    /// The node runs; `status` is a line for people.
    pub fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// The configuration is read again, until [`Self::ready`].
    pub fn reloading(&self) {
        self.tell(&format!("RELOADING=1\n{}", monotonic()));
    }

    /// The node works.
    pub fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    /// The node ends.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// Waits until [`Self::alive`] should be called; for ever when nobody wants to know.
    pub async fn due(&mut self) {
        match &mut self.due {
            Some(due) => {
                due.tick().await;
            }
            None => std::future::pending().await,
        }
    }

    #[cfg(unix)]
    fn tell(&self, lines: &str) {
        if let Some(manager) = &self.manager
            && let Err(error) = manager.tell(lines)
        {
            tracing::warn!(%error, "the service manager cannot be told");
        }
    }

    #[cfg(not(unix))]
    fn tell(&self, _lines: &str) {}
}

/// Within what time a sign of life of process `me` is wanted.
fn watchdog(variable: &impl Fn(&str) -> Option<String>, me: u32) -> Option<Duration> {
    let micros = variable("WATCHDOG_USEC")?.parse().ok()?;
    let is_meant = variable("WATCHDOG_PID").is_none_or(|pid| pid.parse() == Ok(me));
    (is_meant && micros > 0).then_some(Duration::from_micros(micros))
}

/// When the reading began: a manager that sent the signal itself (`Type=notify-reload`) has to tell
/// this answer from an older one.
#[cfg(unix)]
fn monotonic() -> String {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
    format!("MONOTONIC_USEC={micros}")
}

#[cfg(not(unix))]
fn monotonic() -> String {
    String::new()
}

#[cfg(unix)]
mod socket {
    use std::io;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    /// The socket of the manager.
    #[derive(Debug)]
    pub(super) struct Manager {
        ours: UnixDatagram,
        theirs: SocketAddr,
    }

    impl Manager {
        /// `None` when the name is none that this system has, or there are no sockets left.
        pub(super) fn at(name: &str) -> Option<Self> {
            let theirs = address(name)
                .inspect_err(|error| tracing::warn!(%error, name, "NOTIFY_SOCKET cannot be used"))
                .ok()?;
            let ours = UnixDatagram::unbound().ok()?;
            // A manager that does not read must not hold the node up.
            ours.set_nonblocking(true).ok()?;
            Some(Self { ours, theirs })
        }

        pub(super) fn tell(&self, lines: &str) -> io::Result<()> {
            self.ours.send_to_addr(lines.as_bytes(), &self.theirs)?;
            Ok(())
        }
    }

    fn address(name: &str) -> io::Result<SocketAddr> {
        match name.strip_prefix('@') {
            #[cfg(target_os = "linux")]
            Some(name) => {
                use std::os::linux::net::SocketAddrExt;
                SocketAddr::from_abstract_name(name)
            }
            #[cfg(not(target_os = "linux"))]
            Some(_) => Err(io::ErrorKind::Unsupported.into()),
            None if name.starts_with('/') => SocketAddr::from_pathname(name),
            None => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables<'a>(all: &'a [(&'a str, String)]) -> impl Fn(&str) -> Option<String> + use<'a> {
        |name| {
            let found = all.iter().find(|(known, _)| *known == name)?;
            Some(found.1.clone())
        }
    }

    #[test]
    fn a_sign_of_life_is_wanted_from_the_process_that_is_named() {
        let within = Some(Duration::from_millis(30));
        for (pid, wanted) in [(None, within), (Some("7"), within), (Some("8"), None)] {
            let mut all = vec![("WATCHDOG_USEC", "30000".to_owned())];
            all.extend(pid.map(|pid| ("WATCHDOG_PID", pid.to_owned())));
            assert_eq!(watchdog(&variables(&all), 7), wanted, "{pid:?}");
        }
        for nonsense in ["", "0", "soon", "-1"] {
            let all = [("WATCHDOG_USEC", nonsense.to_owned())];
            assert_eq!(watchdog(&variables(&all), 7), None, "{nonsense}");
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_manager_hears_each_step_at_its_path_or_abstract_name() {
        use std::os::unix::net::{SocketAddr, UnixDatagram};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = path.to_str().unwrap();
        #[cfg(target_os = "linux")]
        let hidden = {
            use std::os::linux::net::SocketAddrExt;
            SocketAddr::from_abstract_name(name).unwrap()
        };
        #[cfg(not(target_os = "linux"))]
        let hidden = SocketAddr::from_pathname(folder.path().join("other")).unwrap();
        for (address, prefix) in [
            (SocketAddr::from_pathname(&path).unwrap(), ""),
            (hidden, "@"),
        ] {
            if prefix == "@" && !cfg!(target_os = "linux") {
                continue;
            }
            let manager = UnixDatagram::bind_addr(&address).unwrap();
            let named = [("NOTIFY_SOCKET", format!("{prefix}{name}"))];
            let supervisor = Supervisor::new(variables(&named));
            let heard = || {
                let mut buffer = [0; 256];
                let length = manager.recv(&mut buffer).unwrap();
                String::from_utf8(buffer[..length].to_vec()).unwrap()
            };
            supervisor.ready("on a port");
            assert_eq!(heard(), "READY=1\nSTATUS=on a port");
            supervisor.reloading();
            let told = heard();
            let (_, micros) = told.split_once("RELOADING=1\nMONOTONIC_USEC=").unwrap();
            assert!(
                micros.parse::<u64>().is_ok_and(|micros| micros > 0),
                "{told}"
            );
            supervisor.alive();
            assert_eq!(heard(), "WATCHDOG=1");
            supervisor.stopping();
            assert_eq!(heard(), "STOPPING=1");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn signs_of_life_are_due_twice_in_the_time_that_is_given() {
        let all = [("WATCHDOG_USEC", "30000000".to_owned())];
        let mut supervisor = Supervisor::new(variables(&all));
        let clock = crate::clock::Clock::start();
        for due in [0, 15, 30] {
            supervisor.due().await;
            let elapsed = clock
                .now()
                .saturating_duration_since(dunlin_transport::Instant::ZERO);
            assert_eq!(elapsed.as_secs(), due);
        }
        let mut unwatched = Supervisor::new(|_| None);
        let waited = tokio::time::timeout(Duration::from_secs(3_600), unwatched.due());
        assert!(waited.await.is_err(), "nobody asked");
    }
}
