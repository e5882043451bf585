//! Processes on chosen cores, and what they cost.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use dunlin_peers::report::{Report, cpu_seconds};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::UsageWho;
use nix::unistd::Pid;

/// How long a server may take to be ready.
const STARTING: Duration = Duration::from_secs(20);

/// Arguments of `chrt` for a process that is not to wait for a core: any real-time priority is before all others.
const FIRST: [&str; 2] = ["--rr", "5"];

/// The core of each end.
pub struct Cores {
    /// Where servers run.
    pub server: usize,
    /// Where clients run.
    pub client: usize,
    /// Where what stands between them runs: a core of its own if there is one, else either of both.
    pub between: Vec<usize>,
}

impl Cores {
    /// The first cores that this process may use; on one core, both ends share it.
    pub fn choose() -> io::Result<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        let mut cores =
            (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or_default());
        let server = cores
            .next()
            .ok_or_else(|| io::Error::other("no core may be used"))?;
        let client = cores.next().unwrap_or(server);
        let between = cores.next().map_or(vec![server, client], |core| vec![core]);
        Ok(Self {
            server,
            client,
            between,
        })
    }
}

/// Starts a process that may run on `cores` only: it inherits the affinity of this thread. Its
/// stderr is ours: a pipe that nobody empties would stop a talkative program.
fn spawn_on(cores: &[usize], program: &Path, arguments: &[String]) -> io::Result<Process> {
    let mut only = CpuSet::new();
    for core in cores {
        only.set(*core)?;
    }
    sched_setaffinity(Pid::from_raw(0), &only)?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| io::Error::other(format!("{}: {error}", program.display())))?;
    let stdout = child.stdout.take().expect("stdout is piped");
    let (sender, lines) = sync_channel(16);
    // Reads on, whoever listens: a process whose stdout is closed may die of its next line.
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = sender.try_send(line);
        }
    });
    let program = program.to_owned();
    Ok(Process {
        child,
        lines,
        program,
    })
}

/// A process that is killed when dropped.
struct Process {
    child: Child,
    lines: Receiver<String>,
    program: PathBuf,
}

/// What a process has used.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Processor time so far, user and system, of all its threads, in seconds.
    pub cpu_s: f64,
    /// Memory that it has beside that of files, its own program among them, in bytes.
    pub resident: f64,
}

impl Process {
    fn line(&self, patience: Duration) -> io::Result<String> {
        let line = self.lines.recv_timeout(patience);
        line.map_err(|_| self.failure("failed or hung"))
    }

    fn failure(&self, how: &str) -> io::Error {
        let name = self.program.file_name().unwrap_or_default();
        io::Error::other(format!("{} {how}", name.display()))
    }

    /// The kernel's account of it.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn usage(&self) -> io::Result<Usage> {
        let folder = PathBuf::from("/proc").join(self.child.id().to_string());
        let unreadable = || self.failure("has an unreadable account in /proc");
        let mut nanoseconds = 0;
        for task in fs::read_dir(folder.join("task"))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            nanoseconds += first_number(&text).ok_or_else(unreadable)?;
        }
        let status = fs::read_to_string(folder.join("status"))?;
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"));
        let kibibytes = resident.and_then(first_number).ok_or_else(unreadable)?;
        Ok(Usage {
            cpu_s: nanoseconds as f64 / 1e9,
            resident: kibibytes as f64 * 1024.0,
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first word of `text`, a number.
fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// A server that is ready.
pub struct Server {
    process: Process,
    /// The `NAME@host:port` or `host:port` of its ready line.
    pub address: String,
}

impl Server {
    /// Starts `program` and waits for its ready line.
    pub fn start(cores: &[usize], program: &Path, arguments: &[String]) -> io::Result<Self> {
        let process = spawn_on(cores, program, arguments)?;
        let line = process.line(STARTING)?;
        let mut words = line.split_whitespace();
        let address = words
            .find(|word| word.contains(':'))
            .ok_or_else(|| process.failure("tells no address"))?
            .to_owned();
        Ok(Self { process, address })
    }

    /// The same at real-time priority: it never waits for others. [`may_have_priority`] says whether that is
    /// possible.
    pub fn start_first(cores: &[usize], program: &Path, arguments: &[String]) -> io::Result<Self> {
        let program = program.display().to_string();
        let before = FIRST.iter().map(|&word| word.to_owned()).chain([program]);
        let arguments: Vec<_> = before.chain(arguments.iter().cloned()).collect();
        Self::start(cores, Path::new("chrt"), &arguments)
    }

    /// What it has used.
    pub fn usage(&self) -> io::Result<Usage> {
        self.process.usage()
    }
}

/// Whether processes may be started at real-time priority: util-linux is there, and the system permits it.
pub fn may_have_priority() -> bool {
    let mut nothing = Command::new("chrt");
    nothing.args(FIRST).arg("true").stderr(Stdio::null());
    nothing.status().is_ok_and(|status| status.success())
}

/// A client that measures.
pub struct Client {
    process: Process,
    children_before: f64,
}

impl Client {
    /// Starts `program`.
    pub fn start(cores: &[usize], program: &Path, arguments: &[String]) -> io::Result<Self> {
        let children_before = cpu_seconds(UsageWho::RUSAGE_CHILDREN);
        Ok(Self {
            process: spawn_on(cores, program, arguments)?,
            children_before,
        })
    }

    /// What it has used.
    pub fn usage(&self) -> io::Result<Usage> {
        self.process.usage()
    }

    /// Waits for its report.
    pub fn report(&self, patience: Duration) -> io::Result<Report> {
        let line = self.process.line(patience)?;
        serde_json::from_str(&line)
            .map_err(|error| self.process.failure(&format!("printed {line:?}: {error}")))
    }

    /// Waits for its end; the processor time of the whole process, in seconds. Servers and other
    /// clients must not end meanwhile.
    pub fn wait(&mut self, patience: Duration) -> io::Result<f64> {
        let deadline = Instant::now() + patience;
        let status = loop {
            if let Some(status) = self.process.child.try_wait()? {
                break status;
            }
            if Instant::now() > deadline {
                return Err(self.process.failure("does not end"));
            }
            sleep(Duration::from_millis(5));
        };
        if !status.success() {
            return Err(self.process.failure("failed"));
        }
        Ok(cpu_seconds(UsageWho::RUSAGE_CHILDREN) - self.children_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_first_of_several_numbers() {
        assert_eq!(first_number("  1848 kB"), Some(1_848));
        assert_eq!(first_number("12 7 3\n"), Some(12));
        assert_eq!(first_number("none"), None);
    }

    #[test]
    fn a_process_that_says_nothing_has_failed() {
        let cores = Cores::choose().unwrap();
        let arguments = [];
        let started = Server::start(&[cores.server], Path::new("/bin/true"), &arguments);
        assert!(started.is_err());
    }
}
