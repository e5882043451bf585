//! Runs Dunlin and its peers against themselves under equal conditions and compares them.
//!
//! Server and client are processes of their own, each held to one core. Rounds are interleaved
//! (A B C, A B C, …), so that a machine whose speed drifts treats all alike. Processor time comes
//! from the operating system, not from the programs. See `docs/benchmarks.md`.

mod charts;
mod contestants;
mod machine;
mod process;
mod rounds;
mod samples;
mod summary;
mod tables;
mod verdicts;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::Parser;

use crate::contestants::Contestant;
use crate::process::{Cores, may_have_priority};
use crate::rounds::{Outcome, Plan};
use crate::tables::Table;

/// Compares the throughput, latency, handshakes, memory and processor time of Dunlin and its peers.
#[derive(Parser)]
struct Arguments {
    /// The dunlin program, built with --release; without it, it is built.
    #[arg(long)]
    dunlin: Option<PathBuf>,
    /// One round of 0.3 seconds and 500 idle connections: whether all works, not a result.
    #[arg(long)]
    quick: bool,
    /// Rounds [default: 9].
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds of one measurement [default: 0.6].
    #[arg(long)]
    seconds: Option<f64>,
    /// Idle connections [default: 10000].
    #[arg(long)]
    idle: Option<usize>,
    /// What to measure, separated by commas. Everything without it.
    #[arg(long = "table", value_enum, value_delimiter = ',')]
    tables: Vec<Table>,
    /// Only the tables with a bound.
    #[arg(long, conflicts_with = "tables")]
    judged: bool,
    /// Who takes part, separated by commas: dunlin, plain, carried, tolerant, quinn, noq, s2n,
    /// quiche, tls, kcp, enet, blast. All without it.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Folder for peers.csv, peers.md and the charts.
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
    let with_quiche = has_what_quiche_needs();
    build(Path::new(env!("CARGO_MANIFEST_DIR")), |cargo| {
        cargo.arg("--bins");
        if with_quiche {
            cargo.args(["--features", "quiche"]);
        }
    })?;
    let folder = std::env::current_exe()?;
    let folder = folder.parent().unwrap_or(Path::new("."));
    let dunlin = match &arguments.dunlin {
        Some(program) => program.clone(),
        None => build_dunlin(folder)?,
    };
    let cores = Cores::choose()?;
    let keys = tempfile::tempdir()?;
    let plan = plan(arguments, &dunlin, keys.path(), folder, with_quiche);

    let conditions = machine::conditions(&plan, &cores, &dunlin);
    let Outcome { samples, failures } = rounds::run(&plan, &cores, &dunlin);
    let verdicts = verdicts::markdown(&samples);
    let failed = summary::failures(&failures);
    let tables = summary::markdown(&samples);
    let markdown = format!("{conditions}{verdicts}{failed}{tables}");
    fs::create_dir_all(&arguments.out)?;
    fs::write(arguments.out.join("peers.csv"), summary::csv(&samples))?;
    fs::write(arguments.out.join("peers.md"), &markdown)?;
    for table in Table::ALL {
        let drawn = charts::svg(&samples, table).map_err(io::Error::other)?;
        if let Some(drawn) = drawn {
            fs::write(arguments.out.join(format!("{}.svg", table.name())), drawn)?;
        }
    }
    println!("{markdown}");
    eprintln!("written to {}", arguments.out.display());
    // What others cannot do is a result; what Dunlin cannot do is a fault.
    let own: Vec<_> = failures
        .into_iter()
        .filter(|failure| failure.starts_with("dunlin"))
        .collect();
    if own.is_empty() {
        Ok(())
    } else {
        Err(io::Error::other(own.join("; ")))
    }
}

fn plan(
    arguments: &Arguments,
    dunlin: &Path,
    keys: &Path,
    folder: &Path,
    with_quiche: bool,
) -> Plan {
    let mut contestants: Vec<_> = Contestant::dunlin(dunlin, keys).into();
    contestants.extend(Contestant::peers(folder));
    let wanted = |peer: &str| arguments.only.is_empty() || arguments.only.iter().any(|p| p == peer);
    contestants.retain(|one| wanted(one.peer) && (with_quiche || one.peer != "quiche"));
    let tables = match (arguments.judged, arguments.tables.is_empty()) {
        (true, _) => Table::JUDGED.to_vec(),
        (false, true) => Table::ALL.to_vec(),
        (false, false) => arguments.tables.clone(),
    };
    let (rounds, seconds, idle) = match arguments.quick {
        true => (1, 0.3, 500),
        false => (9, 0.6, 10_000),
    };
    Plan {
        contestants,
        rounds: arguments.rounds.unwrap_or(rounds),
        seconds: arguments.seconds.unwrap_or(seconds),
        idle: arguments.idle.unwrap_or(idle),
        tables,
        may_have_priority: may_have_priority(),
    }
}

/// Runs `cargo build --release` in `folder`, with more arguments.
fn build(folder: &Path, more: impl FnOnce(&mut Command)) -> io::Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release"]).current_dir(folder);
    more(&mut cargo);
    if cargo.status()?.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!(
            "{} does not build",
            folder.display()
        )))
    }
}

/// Builds the program of the workspace around this one, into the same folder as the peers.
fn build_dunlin(folder: &Path) -> io::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = folder.parent().unwrap_or(folder);
    build(&root, |cargo| {
        cargo
            .args(["-p", "dunlin-node", "--target-dir"])
            .arg(target);
    })?;
    Ok(folder.join("dunlin"))
}

/// Whether BoringSSL can be built here; says what is missing.
fn has_what_quiche_needs() -> bool {
    let answers = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        let silent = command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let output = silent
            .output()
            .ok()
            .filter(|output| output.status.success());
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let libclang = answers("ldconfig", &["-p"]).is_some_and(|all| all.contains("libclang"))
        || std::env::var_os("LIBCLANG_PATH").is_some();
    let cmake = answers("cmake", &["--version"]).is_some();
    if !(cmake && libclang) {
        eprintln!(
            "notice: quiche is left out: its BoringSSL needs cmake ({}) and libclang ({}); on \
             Debian: apt-get install cmake libclang-dev",
            if cmake { "found" } else { "missing" },
            if libclang { "found" } else { "missing" },
        );
    }
    cmake && libclang
}
