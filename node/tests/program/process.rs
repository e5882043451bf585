//! Starting, watching and ending the program.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

/// What no step of a test takes unless something is wrong.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// What stopping takes at most. Two seconds are promised, and forced after 1.6 s; a machine that is
/// busy with other tests gets more, far below what a program that ignores the signal would take.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(15);

/// The program under test.
pub(crate) fn dunlin() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dunlin"));
    command
        .env_remove("DUNLIN_LOG")
        .env_remove("RUST_LOG")
        .env_remove("DUNLIN_DATA_DIR")
        .env_remove("DUNLIN_CONFIG")
        .env_remove("DUNLIN_KEYLOG");
    command.stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub(crate) fn run(command: &mut Command) -> Finished {
    Finished::from(command.output().expect("the program starts"))
}

/// A process that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }
}

impl Finished {
    /// The failure that a person reads: exactly one sentence, the last line of stderr.
    pub(crate) fn sentence(&self) -> &str {
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        let told: Vec<_> = self
            .stderr
            .lines()
            .filter(|line| line.starts_with("dunlin: "))
            .collect();
        assert_eq!(told.len(), 1, "{}", self.stderr);
        told[0]
    }
}

/// A running process; killed when dropped.
pub(crate) struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: PathBuf,
    _folder: tempfile::TempDir,
}

impl Running {
    /// Starts `command`. What it writes to stderr goes to a file, so that no pipe fills up.
    pub(crate) fn start(command: &mut Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stderr = folder.path().join("stderr");
        let file = std::fs::File::create(&stderr).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(file).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            stdout,
            stderr,
            _folder: folder,
        }
    }

    /// The next line of stdout.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "the program ended: {}", self.stderr());
        line.trim_end().to_owned()
    }

    /// Its process ID.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap()
    }

    /// Sends a signal by name, such as `INT`.
    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(
            Command::new("sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success()
        );
    }

    /// SIGKILL, at once: without another process in between.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the end; the rest of stdout comes with it.
    pub(crate) fn finish(mut self) -> Finished {
        let status = wait(&mut self.child, DEADLINE).expect("the program ends in time");
        let mut stdout = String::new();
        self.stdout.read_to_string(&mut stdout).unwrap();
        Finished {
            code: status.code(),
            stdout,
            stderr: self.stderr(),
        }
    }

    /// Waits for the end, at most so long.
    pub(crate) fn finish_within(mut self, limit: Duration) -> Option<Finished> {
        wait(&mut self.child, limit)?;
        Some(self.finish())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let mut ended = None;
    until(limit, || {
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    ended
}

/// Looks again and again until `done`; whether it was within `limit`.
#[expect(
    clippy::disallowed_methods,
    reason = "another process is watched: there is nothing to await"
)]
pub(crate) fn until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let start = std::time::Instant::now();
    while !done() {
        if start.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

/// A folder with keys and files for one test.
pub(crate) struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A receiver into `inbox`, and the line that it prints.
    pub(crate) fn receiver(&self, options: &[&str]) -> (Running, String) {
        let mut command = dunlin();
        command
            .args(["recv", "--listen", "127.0.0.1:0", "--out"])
            .arg(self.path("inbox"))
            .arg("--data-dir")
            .arg(self.path("receiver"))
            .args(options);
        let mut receiver = Running::start(&mut command);
        let line = receiver.line();
        (receiver, line)
    }

    /// A sender with a key of its own.
    pub(crate) fn sender(&self, what: &Path, to: &str) -> Command {
        let mut command = dunlin();
        command
            .arg("send")
            .arg(what)
            .arg(to)
            .arg("--data-dir")
            .arg(self.path("sender"));
        command
    }

    /// A file of so many bytes without a pattern.
    pub(crate) fn file(&self, name: &str, len: usize) -> PathBuf {
        let mut bytes = vec![0; len];
        blake3::Hasher::new()
            .update(name.as_bytes())
            .finalize_xof()
            .fill(&mut bytes);
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Whether a file arrived as it was sent.
    pub(crate) fn arrived(&self, sent: &Path) -> bool {
        let received = self.path("inbox").join(sent.file_name().unwrap());
        received.exists() && std::fs::read(sent).unwrap() == std::fs::read(received).unwrap()
    }
}
