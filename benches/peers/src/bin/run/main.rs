//! Runs Dunlin and its peers against themselves under equal conditions and compares them.
//!
//! Server and client are processes of their own, each held to one core. Rounds are interleaved
//! (A B C, A B C, …), so that a machine whose speed drifts treats all alike. Processor time comes
//! from the operating system, not from the programs. See `docs/benchmarks.md`.

mod machine;
mod process;
mod rounds;
mod summary;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;
use dunlin_peers::cli::Mode;

use crate::process::Cores;
use crate::rounds::{Contestant, MODES, Outcome, Plan};

/// Compares the throughput, latency, handshakes and processor time of Dunlin and its peers.
#[derive(Parser)]
struct Arguments {
    /// The dunlin program, built with --release.
    #[arg(long, default_value = "../../target/release/dunlin")]
    dunlin: PathBuf,
    /// Three rounds of two seconds instead of nine of five: a look, not a result.
    #[arg(long)]
    quick: bool,
    /// Rounds.
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds of one measurement.
    #[arg(long)]
    seconds: Option<f64>,
    /// What to measure; may be given more than once. Everything without it.
    #[arg(long = "mode", value_enum)]
    modes: Vec<Mode>,
    /// Folder for peers.csv and peers.md.
    #[arg(long, default_value = "results")]
    out: PathBuf,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<()> {
    build_peers()?;
    let cores = Cores::choose()?;
    let folder = std::env::current_exe()?;
    let folder = folder.parent().unwrap_or(Path::new("."));
    let keys = tempfile::tempdir()?;
    let mut contestants = Vec::new();
    if arguments.dunlin.is_file() {
        contestants.push(Contestant::dunlin(&arguments.dunlin, keys.path()));
    } else {
        eprintln!(
            "notice: there is no {}; build it with `cargo build --release` in the root folder, or \
             name it with --dunlin. Going on without dunlin.",
            arguments.dunlin.display()
        );
    }
    for peer in ["quinn", "tls"] {
        let program = folder.join(format!("{peer}-peer"));
        contestants.extend(Contestant::peer(peer, &program));
    }
    let plan = Plan {
        contestants,
        rounds: arguments
            .rounds
            .unwrap_or(if arguments.quick { 3 } else { 9 }),
        seconds: arguments
            .seconds
            .unwrap_or(if arguments.quick { 2.0 } else { 5.0 }),
        modes: if arguments.modes.is_empty() {
            MODES.to_vec()
        } else {
            arguments.modes.clone()
        },
    };

    let conditions = machine::conditions(&plan, &cores, &arguments.dunlin);
    let Outcome { samples, failures } = rounds::run(&plan, &cores);
    let markdown = format!("{conditions}{}", summary::markdown(&samples));
    fs::create_dir_all(&arguments.out)?;
    fs::write(arguments.out.join("peers.csv"), summary::csv(&samples))?;
    fs::write(arguments.out.join("peers.md"), &markdown)?;
    println!("{markdown}");
    eprintln!("written to {}", arguments.out.display());
    if failures.is_empty() {
        Ok(())
    } else {
        Err(io::Error::other(failures.join("; ")))
    }
}

/// Brings the peer programs beside this one up to date.
fn build_peers() -> io::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--bins", "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other("the peers do not build"))
    }
}
