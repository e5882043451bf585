//! Processes on chosen cores, and what they cost.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use dunlin_peers::report::cpu_seconds;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::UsageWho;
use nix::unistd::{Pid, SysconfVar, sysconf};

/// The core of each end.
pub struct Cores {
    /// Where servers run.
    pub server: usize,
    /// Where clients run.
    pub client: usize,
}

impl Cores {
    /// The first two cores that this process may use; on one core, both ends share it.
    pub fn choose() -> io::Result<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        let mut cores =
            (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or_default());
        let server = cores
            .next()
            .ok_or_else(|| io::Error::other("no core may be used"))?;
        let client = cores.next().unwrap_or(server);
        Ok(Self { server, client })
    }
}

/// Starts a process that may run on `core` only: it inherits the affinity of this thread. Its stderr
/// is ours: a pipe that nobody empties would stop a talkative program.
fn spawn_on(core: usize, command: &mut Command) -> io::Result<Child> {
    let mut only = CpuSet::new();
    only.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &only)?;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
}

/// A server that is ready; killed when dropped.
pub struct Server {
    child: Child,
    /// Kept open: a server whose stdout is closed may die of its next line.
    _stdout: BufReader<ChildStdout>,
    /// The `NAME@host:port` of its ready line.
    pub address: String,
}

impl Server {
    /// Starts `program` and waits for its ready line.
    pub fn start(core: usize, program: &Path, arguments: &[String]) -> io::Result<Self> {
        let mut child = spawn_on(core, Command::new(program).args(arguments))?;
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        loop {
            line.clear();
            if stdout.read_line(&mut line)? == 0 {
                return Err(failure(program, &mut child));
            }
            if let Some(address) = line.split_whitespace().find(|word| word.contains('@')) {
                let address = address.to_owned();
                return Ok(Self {
                    child,
                    _stdout: stdout,
                    address,
                });
            }
        }
    }

    /// Processor time so far, user and system, of all threads, in seconds.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub fn cpu_seconds(&self) -> io::Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let ticks_per_second = sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100);
        ticks(&stat)
            .map(|ticks| ticks as f64 / ticks_per_second as f64)
            .ok_or_else(|| io::Error::other("the kernel's account of the server is unreadable"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// utime + stime of a `/proc/PID/stat` line. The program's name, in parentheses, may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Runs a client to its end; its stdout, and the processor time of the whole process.
pub fn run_client(
    core: usize,
    program: &Path,
    arguments: &[String],
    patience: Duration,
) -> io::Result<(String, f64)> {
    let before = cpu_seconds(UsageWho::RUSAGE_CHILDREN);
    let mut child = spawn_on(core, Command::new(program).args(arguments))?;
    let deadline = Instant::now() + patience;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > deadline {
            child.kill()?;
            return Err(failure(program, &mut child));
        }
        sleep(Duration::from_millis(20));
    };
    let cpu = cpu_seconds(UsageWho::RUSAGE_CHILDREN) - before;
    if !status.success() {
        return Err(failure(program, &mut child));
    }
    let mut output = String::new();
    if let Some(stdout) = &mut child.stdout {
        stdout.read_to_string(&mut output)?;
    }
    Ok((output, cpu))
}

/// Ends the child. What it had to say went to our stderr.
fn failure(program: &Path, child: &mut Child) -> io::Error {
    // Both fail only when it has ended already.
    let _ = child.kill();
    let _ = child.wait();
    io::Error::other(format!("{} failed or hung", program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_processor_time_behind_a_hostile_program_name() {
        let stat = "7 (a) b 1) S 1 7 7 0 -1 4194560 1 0 0 0 30 12 0 0 20 0 1 0 5 6 7";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7 (cut) S 1"), None);
    }
}
