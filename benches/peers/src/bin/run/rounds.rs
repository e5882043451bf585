//! The order of the runs, and each run.

use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use dunlin_peers::report::Report;

use crate::contestants::Contestant;
use crate::process::{Client, Cores, Server, Usage};
use crate::samples::{Found, Idle, Sample};
use crate::tables::{LOSS, Table};

/// A run may take this much longer than it was told to.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long idle connections are left alone before their cost is looked at: handshakes are over, and
/// the first timers, too.
const SETTLING: Duration = Duration::from_millis(1_500);
/// How long they are watched.
const WATCHING: Duration = Duration::from_secs(2);

/// What is to be run.
pub struct Plan {
    /// Who takes part.
    pub contestants: Vec<Contestant>,
    /// How often each; idle connections at most three times, since memory hardly varies.
    pub rounds: usize,
    /// How long each time.
    pub seconds: f64,
    /// Idle connections.
    pub idle: usize,
    /// What to measure.
    pub tables: Vec<Table>,
    /// Whether the relay of [`Table::Loss`] may have real-time priority.
    pub may_have_priority: bool,
}

/// What came of a plan.
pub struct Outcome {
    /// Every measurement that succeeded, in order.
    pub samples: Vec<Sample>,
    /// What went wrong, one sentence each.
    pub failures: Vec<String>,
}

/// Runs the plan, table after table, contestants interleaved; tells its progress on stderr. Whoever
/// fails twice is left out of the rest of that table.
pub fn run(plan: &Plan, cores: &Cores, dunlin: &Path) -> Outcome {
    let mut outcome = Outcome {
        samples: Vec::new(),
        failures: Vec::new(),
    };
    for &table in &plan.tables {
        let mut taking_part: Vec<_> = plan
            .contestants
            .iter()
            .filter(|one| one.takes_part(table))
            .collect();
        let rounds = match table {
            Table::Idle => plan.rounds.min(3),
            _ => plan.rounds,
        };
        for round in 1..=rounds {
            taking_part.retain(|contestant| {
                let name = contestant.name.clone();
                eprintln!("{} {round}/{rounds}: {name}", table.name());
                let run = Run {
                    contestant,
                    table,
                    plan,
                    cores,
                };
                match run.measure(dunlin) {
                    Ok(found) => {
                        outcome.samples.push(Sample {
                            round,
                            table,
                            name,
                            found,
                        });
                        true
                    }
                    Err(error) => {
                        let failure = format!("{name}, {} {round}: {error}", table.name());
                        eprintln!("failed: {failure}");
                        let this = format!("{name}, {} ", table.name());
                        let again = |before: &String| before.starts_with(&this);
                        let first = !outcome.failures.iter().any(again);
                        outcome.failures.push(failure);
                        first
                    }
                }
            });
        }
    }
    outcome
}

/// One contestant in one round of a table.
struct Run<'a> {
    contestant: &'a Contestant,
    table: Table,
    plan: &'a Plan,
    cores: &'a Cores,
}

impl Run<'_> {
    fn measure(&self, dunlin: &Path) -> io::Result<Found> {
        match self.table {
            Table::Loss | Table::LossShared => self.with_and_without_loss(dunlin),
            Table::Idle => self.idle(),
            _ => {
                let server = self.server()?;
                self.with_client(&server, &server.address)
            }
        }
    }

    fn server(&self) -> io::Result<Server> {
        let arguments = self.contestant.server(self.table);
        Server::start(&[self.cores.server], &self.contestant.program, &arguments)
    }

    fn client(&self, address: &str) -> io::Result<Client> {
        let seconds = match self.table {
            Table::Idle => PATIENCE.as_secs_f64(),
            _ => self.plan.seconds,
        };
        let idle = self.plan.idle;
        let mut arguments = self.contestant.client(self.table, idle, seconds);
        arguments.push(address.to_owned());
        Client::start(&[self.cores.client], &self.contestant.program, &arguments)
    }

    fn with_client(&self, server: &Server, address: &str) -> io::Result<Found> {
        let before = server.usage()?;
        let mut client = self.client(address)?;
        let patience = Duration::from_secs_f64(self.plan.seconds) + PATIENCE;
        let report = client.report(patience)?;
        let cpu_client_s = client.wait(PATIENCE)?;
        Ok(Found {
            report,
            cpu_client_s,
            cpu_server_s: server.usage()?.cpu_s - before.cpu_s,
            idle: None,
            lossless: None,
        })
    }

    /// Without loss, with, with, without: what changes steadily meanwhile does not count. Rates are means of two.
    fn with_and_without_loss(&self, dunlin: &Path) -> io::Result<Found> {
        let before = self.through_relay(dunlin, "0%")?;
        let first = self.through_relay(dunlin, LOSS)?;
        let mut with = self.through_relay(dunlin, LOSS)?;
        let after = self.through_relay(dunlin, "0%")?;
        let mean = |one: &Found, other: &Found| {
            let rates = one.report.gbit_per_s.zip(other.report.gbit_per_s);
            rates.map(|(one, other)| f64::midpoint(one, other))
        };
        with.report.gbit_per_s = mean(&first, &with);
        with.lossless = mean(&before, &after);
        Ok(with)
    }

    fn through_relay(&self, dunlin: &Path, loss: &str) -> io::Result<Found> {
        let server = self.server()?;
        let (name, place) = server
            .address
            .rsplit_once('@')
            .unwrap_or(("", &server.address));
        let listen = ["relay", "--listen", "127.0.0.1:0"];
        let arguments = listen.into_iter().chain(["--to", place, "--loss", loss]);
        let arguments: Vec<_> = arguments.map(str::to_owned).collect();
        let cores = self.cores;
        let relay = match (self.table, self.plan.may_have_priority) {
            (Table::Loss, true) => Server::start_first(&cores.between, dunlin, &arguments)?,
            (Table::Loss, false) => Server::start(&cores.between, dunlin, &arguments)?,
            _ => Server::start(&[cores.server, cores.client], dunlin, &arguments)?,
        };
        let address = format!("{name}@{}", relay.address);
        self.with_client(&server, address.trim_start_matches('@'))
    }

    /// Connections that are open and not used: what both ends grew by, and what the server does.
    fn idle(&self) -> io::Result<Found> {
        let server = self.server()?;
        let before = server.usage()?;
        let client = self.client(&server.address)?;
        let client_before = client.usage()?;
        // It prints its report when all connections are open.
        let report: Report = client.report(PATIENCE)?;
        sleep(SETTLING);
        let (open, client_open) = (server.usage()?, client.usage()?);
        let since = Instant::now();
        sleep(WATCHING);
        let (after, elapsed) = (server.usage()?, since.elapsed());
        drop(client);
        let grown = |before: &Usage, after: &Usage| after.resident - before.resident;
        Ok(Found {
            cpu_client_s: client_open.cpu_s - client_before.cpu_s,
            cpu_server_s: open.cpu_s - before.cpu_s,
            idle: Some(Idle {
                server_bytes: grown(&before, &open),
                client_bytes: grown(&client_before, &client_open),
                server_cpu: (after.cpu_s - open.cpu_s) / elapsed.as_secs_f64(),
            }),
            report,
            lossless: None,
        })
    }
}
