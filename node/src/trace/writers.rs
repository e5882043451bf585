//! The traces that a command was asked for, and how they reach its endpoints.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dunlin_session::{KeyLog, KeyLogEntry, KeyLogger};
use dunlin_transport::Instant;
use dunlin_transport::pcapng::{Captured, Interface, PcapNg};
use dunlin_transport::protect::Flow;
use dunlin_transport::qlog::{Qlog, QlogConfig};
use dunlin_transport::tap::{Tap, Tapped};
use dunlin_transport::trace::Observer;

use super::background::{Background, Handle};
use crate::cli::trace::TraceArgs;
use crate::clock::{rfc3339, unix_nanos};
use crate::failure::{Exit, Failure, plain_reason};

/// How long the last bytes may take to reach their files.
const FINISHING: Duration = Duration::from_secs(5);
/// Peers whose route is remembered; beyond, all are forgotten.
const ROUTES_MAX: usize = 4_096;

/// The traces of a process. Clones write to the same files; the default writes none.
#[derive(Clone, Debug, Default)]
pub struct Traces {
    inner: Option<Arc<Inner>>,
}

struct Inner {
    background: Background,
    qlog: Option<std::path::PathBuf>,
    capture: Option<Capture>,
    key_log: Option<KeyLogger>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").finish_non_exhaustive()
    }
}

type Capture = (Arc<Mutex<PcapNg<Handle>>>, Interface);

impl Traces {
    /// Opens what `args` ask for.
    ///
    /// # Errors
    /// A file or folder cannot be written.
    pub fn open(args: &TraceArgs) -> Result<Self, Failure> {
        if args.qlog.is_none() && args.pcap.is_none() && args.keylog.is_none() {
            return Ok(Self::default());
        }
        if let Some(folder) = &args.qlog {
            check_folder(folder)?;
        }
        let background = Background::start().map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("the system gave no thread for traces ({error}); try again without them"),
            )
        })?;
        let capture = args
            .pcap
            .as_deref()
            .map(|path| open_capture(&background, path))
            .transpose()?;
        let key_log = args.keylog.as_deref().map(open_key_log).transpose()?;
        Ok(Self {
            inner: Some(Arc::new(Inner {
                background,
                qlog: args.qlog.clone(),
                capture,
                key_log,
            })),
        })
    }

    /// What an endpoint tells; None: nobody is interested.
    #[must_use]
    pub fn observer(&self) -> Option<Box<dyn Observer>> {
        let inner = self.inner.as_ref()?;
        let folder = inner.qlog.clone()?;
        let mut config = QlogConfig::default();
        config.wall_clock_time = Some(rfc3339(unix_nanos()));
        let sinks = inner.background.folder(folder);
        Some(Box::new(Qlog::new(Box::new(sinks), config)))
    }

    /// What sees the datagrams of an endpoint that is bound now.
    #[must_use]
    pub fn tap(&self) -> Option<Box<dyn Tap>> {
        let (capture, interface) = self.inner.as_ref()?.capture.as_ref()?;
        Some(Box::new(CaptureTap {
            capture: Arc::clone(capture),
            interface: *interface,
            origin: unix_nanos(),
            routes: BTreeMap::new(),
        }))
    }

    /// Where keys go.
    #[must_use]
    pub fn key_log(&self) -> Option<KeyLogger> {
        self.inner.as_ref()?.key_log.clone()
    }

    /// Writes out what waits. Call when the endpoints are gone.
    pub async fn finish(self) {
        let Some(inner) = self.inner else { return };
        let finishing = tokio::task::spawn_blocking(move || inner.background.finish());
        match tokio::time::timeout(FINISHING, finishing).await {
            Ok(Ok(0)) => {}
            Ok(Ok(lost)) => tracing::warn!(lost, "records of traces had no room"),
            Ok(Err(_)) | Err(_) => tracing::warn!("the traces were not written to their end"),
        }
    }
}

pub(crate) fn cannot(what: &str, path: &Path, error: &std::io::Error, option: &str) -> Failure {
    Failure::new(
        Exit::Local,
        format!(
            "cannot write {what} {}: {}; name another place with {option}",
            path.display(),
            plain_reason(error)
        ),
    )
}

/// Makes the folder, and a file in it that goes away again.
pub(crate) fn check_folder(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)
        .and_then(|()| tempfile::tempfile_in(folder).map(drop))
        .map_err(|error| cannot("qlog files into", folder, &error, "--qlog"))
}

fn open_capture(background: &Background, path: &Path) -> Result<Capture, Failure> {
    let wrong = |error| cannot("the capture", path, &error, "--pcap");
    let file = File::create(path).map_err(wrong)?;
    let mut capture = PcapNg::new(background.file(file)).map_err(wrong)?;
    let interface = capture.add_interface("dunlin").map_err(wrong)?;
    Ok((Arc::new(Mutex::new(capture)), interface))
}

/// Opens the key log for this user only; one that others can read is refused.
pub(crate) fn open_key_log(path: &Path) -> Result<KeyLogger, Failure> {
    let wrong = |error| cannot("the key log", path, &error, "--keylog");
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(wrong)?;
    #[cfg(unix)]
    {
        let metadata = file.metadata().map_err(wrong)?;
        let mode = std::os::unix::fs::MetadataExt::mode(&metadata);
        if metadata.is_file() && mode & 0o077 != 0 {
            return Err(Failure::new(
                Exit::Local,
                format!(
                    "others can read the key log {}; run `chmod 600` on it, or name another file with --keylog",
                    path.display()
                ),
            ));
        }
    }
    tracing::warn!(
        path = %path.display(),
        "keys are logged: who has this file reads all connections of this process"
    );
    Ok(KeyLogger::new(Arc::new(KeyFile {
        file: Mutex::new(file),
        failed: AtomicBool::new(false),
    })))
}

struct KeyFile {
    file: Mutex<File>,
    failed: AtomicBool,
}

impl KeyLog for KeyFile {
    fn log(&self, entry: &KeyLogEntry<'_>) {
        let line = format!("{entry}\n");
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(line.as_bytes())
            && !self.failed.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(%error, "the key log cannot be written");
        }
    }
}

/// Puts what it sees into the capture.
struct CaptureTap {
    capture: Arc<Mutex<PcapNg<Handle>>>,
    interface: Interface,
    /// Calendar time of [`Instant::ZERO`], as near as can be told.
    origin: u64,
    /// Our address towards a peer, where the socket is bound to all.
    routes: BTreeMap<IpAddr, IpAddr>,
}

impl CaptureTap {
    /// The address that a packet to or from `remote` has at this end.
    fn local(&mut self, local: SocketAddr, remote: SocketAddr) -> SocketAddr {
        if !local.ip().is_unspecified() {
            self.remember(remote.ip(), local.ip());
            return local;
        }
        let remote_ip = remote.ip();
        let known = self.routes.get(&remote_ip).copied();
        let ip = known.unwrap_or_else(|| {
            let found = route(local, remote).unwrap_or(local.ip());
            self.remember(remote_ip, found);
            found
        });
        SocketAddr::new(ip, local.port())
    }

    fn remember(&mut self, remote: IpAddr, local: IpAddr) {
        if self.routes.len() >= ROUTES_MAX && !self.routes.contains_key(&remote) {
            self.routes.clear();
        }
        self.routes.insert(remote, local);
    }
}

/// What the routing table says. Connecting a UDP socket sends nothing.
fn route(local: SocketAddr, remote: SocketAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind((local.ip(), 0)).ok()?;
    socket.connect(remote).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

impl Tap for CaptureTap {
    fn on_datagram(&mut self, now: Instant, datagram: &Tapped<'_>) {
        let local = self.local(datagram.local, datagram.remote);
        let (from, to) = match datagram.flow {
            Flow::Outgoing => (local, datagram.remote),
            Flow::Incoming => (datagram.remote, local),
        };
        let captured = Captured {
            at_nanos: self.origin.saturating_add(now.as_nanos()),
            flow: datagram.flow,
            from,
            to,
            ecn: datagram.ecn,
            payload: datagram.bytes,
        };
        let mut capture = self.capture.lock().unwrap_or_else(PoisonError::into_inner);
        // The thread that writes has said what is wrong.
        let _ = capture.write(self.interface, &captured);
    }
}
