//! Who runs, in which order, and what is kept of each run.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dunlin_peers::UDP_PAYLOAD;
use dunlin_peers::cli::{KeyExchange, Mode};
use dunlin_peers::report::Report;

use crate::process::{Cores, Server, run_client};

/// The modes in the order of the tables.
pub const MODES: [Mode; 3] = [Mode::Bulk, Mode::Rr, Mode::Handshake];

/// A program with the arguments that make it one row of a table.
pub struct Contestant {
    /// Name of the row.
    pub name: String,
    program: PathBuf,
    server: Vec<String>,
    client: Vec<String>,
    modes: &'static [Mode],
}

impl Contestant {
    /// Dunlin itself, with the keys of each end in a folder of its own below `keys`.
    pub fn dunlin(program: &Path, keys: &Path) -> Self {
        let arguments = |words: &[&str], end: &str| {
            let mut arguments = strings(words);
            arguments.extend(["--mtu".to_owned(), UDP_PAYLOAD.to_string()]);
            arguments.extend([
                "--data-dir".to_owned(),
                keys.join(end).display().to_string(),
            ]);
            arguments
        };
        Self {
            name: "dunlin".to_owned(),
            program: program.to_owned(),
            server: arguments(&["bench", "server", "--listen", "127.0.0.1:0"], "server"),
            client: arguments(&["bench", "client"], "client"),
            modes: &MODES,
        }
    }

    /// A peer: classical key exchange in every mode, hybrid where the handshake is measured.
    pub fn peer(name: &str, program: &Path) -> [Self; 2] {
        let row = |kx: KeyExchange, name: String, modes| Self {
            name,
            program: program.to_owned(),
            server: strings(&["server", "--listen", "127.0.0.1:0", "--kx", kx.name()]),
            client: strings(&["client", "--kx", kx.name()]),
            modes,
        };
        [
            row(KeyExchange::X25519, name.to_owned(), &MODES),
            row(
                KeyExchange::Hybrid,
                format!("{name} hybrid"),
                &[Mode::Handshake],
            ),
        ]
    }

    fn run(&self, mode: Mode, seconds: f64, cores: &Cores) -> io::Result<(Report, f64, f64)> {
        let server = Server::start(cores.server, &self.program, &self.server)?;
        let mut arguments = self.client.clone();
        arguments.push(server.address.clone());
        arguments.extend(strings(&["--mode", mode.name(), "--json", "--seconds"]));
        arguments.push(seconds.to_string());
        let patience = Duration::from_secs_f64(seconds) + Duration::from_secs(30);

        let cpu_before = server.cpu_seconds()?;
        let (output, cpu_client) = run_client(cores.client, &self.program, &arguments, patience)?;
        let cpu_server = server.cpu_seconds()? - cpu_before;
        let report = serde_json::from_str(&output).map_err(|error| {
            io::Error::other(format!("{} printed {output:?}: {error}", self.name))
        })?;
        Ok((report, cpu_client, cpu_server))
    }
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// What is to be run.
pub struct Plan {
    /// Who takes part.
    pub contestants: Vec<Contestant>,
    /// How often each.
    pub rounds: usize,
    /// How long each time.
    pub seconds: f64,
    /// What to measure.
    pub modes: Vec<Mode>,
}

/// One measurement.
pub struct Sample {
    /// Counts from 1.
    pub round: usize,
    /// What was measured.
    pub mode: Mode,
    /// Name of the contestant.
    pub name: String,
    /// What its client printed.
    pub report: Report,
    /// Processor time of the client process from start to end, in seconds.
    pub cpu_client_s: f64,
    /// Processor time of the server process while the client ran, in seconds.
    pub cpu_server_s: f64,
}

/// What came of a plan.
pub struct Outcome {
    /// Every measurement that succeeded, in order.
    pub samples: Vec<Sample>,
    /// What went wrong, one sentence each.
    pub failures: Vec<String>,
}

/// Runs the plan, mode after mode, contestants interleaved; tells its progress on stderr. Whoever
/// fails is left out of the rest of that mode.
pub fn run(plan: &Plan, cores: &Cores) -> Outcome {
    let mut outcome = Outcome {
        samples: Vec::new(),
        failures: Vec::new(),
    };
    for &mode in &plan.modes {
        let mut taking_part: Vec<_> = plan
            .contestants
            .iter()
            .filter(|one| one.modes.contains(&mode))
            .collect();
        for round in 1..=plan.rounds {
            taking_part.retain(|contestant| {
                let name = contestant.name.clone();
                eprintln!("{} {round}/{}: {name}", mode.name(), plan.rounds);
                match contestant.run(mode, plan.seconds, cores) {
                    Ok((report, cpu_client_s, cpu_server_s)) => {
                        let sample = Sample {
                            round,
                            mode,
                            name,
                            report,
                            cpu_client_s,
                            cpu_server_s,
                        };
                        outcome.samples.push(sample);
                        true
                    }
                    Err(error) => {
                        let failure = format!("{name}, {} {round}: {error}", mode.name());
                        eprintln!("failed: {failure}");
                        outcome.failures.push(failure);
                        false
                    }
                }
            });
        }
    }
    outcome
}
