//! The command line of `dunlin lab`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use dunlin_lab::experiment::pool::Shard;

use super::trace::TraceArgs;

/// `dunlin lab`.
#[derive(Args, Debug)]
pub struct LabArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: LabAction,
}

/// What to do in the laboratory.
#[derive(Subcommand, Debug)]
pub enum LabAction {
    /// Name every scenario that ships with the program
    List(ListArgs),
    /// Print the file of a scenario, to read or to change
    Show(ShowArgs),
    /// Run a scenario: table in the terminal, results.csv, results.json, report.html
    Run(RunArgs),
    /// Run one seed again and say what it was like
    Replay(ReplayArgs),
    /// Make a run that fails smaller: the same failure with less around it
    Shrink(ShrinkArgs),
    /// Put results or scenarios side by side
    Compare(CompareArgs),
    /// Join the outputs of shards into the results of the whole
    Merge(MergeArgs),
    /// Record a network of overlays for the dashboard: `dunlin simulate --recorded` plays it
    Record(RecordArgs),
}

/// `dunlin lab list`.
#[derive(Args, Clone, Copy, Debug)]
pub struct ListArgs {
    /// Print JSON: a list with an object for each scenario
    #[arg(long)]
    pub json: bool,
}

/// `dunlin lab record`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  dunlin lab record net.jsonl --nodes 1000 --seconds 30
  dunlin simulate --recorded net.jsonl

Nodes join during the first half, one broadcasts each second, and after three quarters of the time one
node in fifty is gone. A thousand nodes take about 15 seconds and 200 MB of memory, ten thousand ten times
that, whatever the time. When it is stopped with Ctrl-C, what was written so far can be played.")]
pub struct RecordArgs {
    /// The file to write
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// How many nodes, 2 to 100000
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub nodes: u32,
    /// Seconds of simulated time, 2 to 3600
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(2..=3_600))]
    pub seconds: u32,
    /// The seed; the same one gives the same file
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// `dunlin lab show`.
#[derive(Args, Debug)]
pub struct ShowArgs {
    /// Name of a scenario
    pub name: String,
}

/// Which runs.
#[derive(Args, Clone, Debug)]
pub struct SweepArgs {
    /// Set a parameter, or any key by its path; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Run this seed only
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    pub seed: Option<u64>,
    /// Run so many seeds (100: from 0 to 99) or a range (5..20: from 5 to 19) [default: as the scenario says]
    #[arg(long, value_name = "N|A..B")]
    pub seeds: Option<Seeds>,
    /// Threads to run on [default: all cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}

/// `dunlin lab run`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dunlin lab run bulk
  dunlin lab run bulk --set rate=20mbit --set 'loss=0.5%' --seeds 20
  dunlin lab run my.toml --seeds 1000 --shard 3/20 --out shard-3
  dunlin lab run bulk --set rtt=50ms --set loss=1% --seed 7 --pcap run.pcapng --qlog logs

Exit code 7: a run violated something, or a sentence under `hold` was false.")]
pub struct RunArgs {
    /// Name of a scenario, or a file
    #[arg(value_name = "NAME|FILE.toml")]
    pub scenario: String,
    /// Which runs.
    #[command(flatten)]
    pub sweep: SweepArgs,
    /// Run one part of the sweep, for `dunlin lab merge`
    #[arg(long, value_name = "I/N", value_parser = shard)]
    pub shard: Option<Shard>,
    /// Folder for the results; made when missing [default: dunlin-lab/NAME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write no files
    #[arg(long, conflicts_with = "out")]
    pub no_files: bool,
    /// What to print on stdout
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Traces of the run, which has to be one.
    #[command(flatten)]
    pub traces: TraceArgs,
}

/// `dunlin lab replay`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dunlin lab replay 4994
  dunlin lab replay 7 bulk --set 'loss=1%'
  dunlin lab replay 7 bulk --set rtt=50ms --set 'loss=1%' --trace | less
  dunlin lab replay 4994 --pcap run.pcapng --keylog keys --qlog logs

Exit code 7: the run violated something, or a sentence under `hold` about one seed was false.")]
pub struct ReplayArgs {
    /// The seed
    pub seed: u64,
    /// Name of a scenario, or a file
    #[arg(value_name = "NAME|FILE.toml", default_value = "torture")]
    pub scenario: String,
    /// Set a parameter, or any key by its path; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Print every packet, loss and change of state of both ends, with the time
    #[arg(long)]
    pub trace: bool,
    /// Traces of the run, which has to be one.
    #[command(flatten)]
    pub traces: TraceArgs,
}

/// `dunlin lab shrink`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dunlin lab shrink torture --seed 4994 --out small.toml
  dunlin lab shrink my.toml --seed 7 --set 'loss=1%' > small.toml

What is left is a scenario file: `dunlin lab replay SEED small.toml` repeats it. A torture seed stays
a seed, with a path of what was taken away; it belongs to this version. Of other scenarios flows,
faults, elements and settings are taken away, lengths and counts halved. A sentence about how much is
false of a scenario that hardly does anything, too: look at what is left.")]
pub struct ShrinkArgs {
    /// Name of a scenario, or a file
    #[arg(value_name = "NAME|FILE.toml", default_value = "torture")]
    pub scenario: String,
    /// The seed that fails
    #[arg(long, value_name = "N")]
    pub seed: u64,
    /// Set a parameter, or any key by its path; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Runs to spend at most
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub runs: u32,
    /// Write the scenario that is left into this file, not to stdout
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `dunlin lab compare`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dunlin lab compare before/results.json after/results.json
  dunlin lab compare bulk.toml bulk-codel.toml --seeds 20")]
pub struct CompareArgs {
    /// Results (results.json, or the folder it is in), names of scenarios, or files
    #[arg(value_name = "RESULT|SCENARIO", num_args = 2.., required = true)]
    pub sides: Vec<String>,
    /// Print JSON: a list with an object for each line of the table
    #[arg(long)]
    pub json: bool,
    /// Which runs of those that are scenarios.
    #[command(flatten)]
    pub sweep: SweepArgs,
}

/// `dunlin lab merge`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  dunlin lab merge shard-*/results.json --out whole")]
pub struct MergeArgs {
    /// Outputs of shards: results.json, or the folders they are in
    #[arg(value_name = "SHARD-OUTPUT", required = true)]
    pub parts: Vec<PathBuf>,
    /// Folder for the results; made when missing [default: dunlin-lab/NAME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// What to print on stdout
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// What is printed on stdout.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// For people
    Table,
    /// Every run as comma-separated values
    Csv,
    /// The results file
    Json,
    /// A table for a document: the last swept key across, the first figure under `show` in the cells
    Markdown,
}

/// A range of seeds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seeds {
    /// The first.
    pub from: u64,
    /// The one after the last.
    pub until: u64,
}

/// Why a range of seeds, or a shard, was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SweepError {
    /// Not a range of seeds.
    #[error("\"{0}\" is no number or range of seeds; write for example 100 or 5..20")]
    Seeds(String),
    /// More seeds than one call takes.
    #[error("\"{0}\" are more than {SEEDS_MAX} seeds; cut the range into several calls")]
    TooManySeeds(String),
    /// Not a shard.
    #[error("\"{0}\" is no shard; write for example 3/20 for the third of twenty")]
    Shard(String),
}

/// Seeds of one call: their list and results are held in memory.
pub const SEEDS_MAX: u64 = 10_000_000;

impl FromStr for Seeds {
    type Err = SweepError;

    fn from_str(text: &str) -> Result<Self, SweepError> {
        let wrong = || SweepError::Seeds(text.to_owned());
        let number = |text: &str| text.trim().parse::<u64>().map_err(|_| wrong());
        let (from, until) = match text.split_once("..") {
            Some((from, until)) => (number(from)?, number(until)?),
            None => (0, number(text)?),
        };
        match until.checked_sub(from) {
            None | Some(0) => Err(wrong()),
            Some(count) if count > SEEDS_MAX => Err(SweepError::TooManySeeds(text.into())),
            Some(_) => Ok(Self { from, until }),
        }
    }
}

/// Reads `3/20`.
///
/// # Errors
/// It is no shard, or outside 1/n to n/n.
pub fn shard(text: &str) -> Result<Shard, SweepError> {
    let wrong = || SweepError::Shard(text.to_owned());
    let (index, of) = text.split_once('/').ok_or_else(wrong)?;
    let index = index.trim().parse().map_err(|_| wrong())?;
    let of = of.trim().parse().map_err(|_| wrong())?;
    if (1..=of).contains(&index) {
        Ok(Shard { index, of })
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn seeds_are_a_number_or_a_range() {
        let seeds = |from, until| Ok(Seeds { from, until });
        assert_eq!("100".parse(), seeds(0, 100));
        assert_eq!("5..20".parse(), seeds(5, 20));
        for text in ["0", "", "20..5", "5..5", "a..b", "-1", "1..=3"] {
            assert!(text.parse::<Seeds>().is_err(), "{text}");
        }
        assert!(matches!(
            "99999999999".parse::<Seeds>(),
            Err(SweepError::TooManySeeds(_))
        ));
    }

    #[test]
    fn shards_count_from_one() {
        assert_eq!(shard("3/20"), Ok(Shard { index: 3, of: 20 }));
        assert_eq!(shard("20/20"), Ok(Shard { index: 20, of: 20 }));
        for text in ["0/20", "21/20", "3", "3/", "x/y", "1/0"] {
            assert!(shard(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_the_lines_of_the_documentation() {
        for line in [
            "dunlin lab list",
            "dunlin lab show bulk",
            "dunlin lab run bulk --set loss=1% --set a.b[0].c=2 --seeds 5..20 --threads 2",
            "dunlin lab run f.toml --shard 3/20 --out d --format csv",
            "dunlin lab replay 7",
            "dunlin lab replay 7 bulk --set loss=1%",
            "dunlin lab replay 7 --trace --pcap f --qlog d --keylog k",
            "dunlin lab run bulk --seed 7 --pcap f",
            "dunlin lab shrink --seed 7",
            "dunlin lab shrink f.toml --seed 7 --set loss=1% --runs 9 --out g.toml",
            "dunlin lab compare a b c --seeds 3",
            "dunlin lab merge a b --out c",
            "dunlin lab record f --nodes 10 --seconds 5 --seed 3",
        ] {
            let parsed = Cli::try_parse_from(line.split_whitespace());
            assert!(parsed.is_ok(), "{line}: {parsed:?}");
        }
        for line in [
            "dunlin lab run",
            "dunlin lab run bulk --seed 1 --seeds 5",
            "dunlin lab run bulk --threads 0",
            "dunlin lab shrink torture",
            "dunlin lab compare a",
            "dunlin lab merge",
        ] {
            assert!(
                Cli::try_parse_from(line.split_whitespace()).is_err(),
                "{line}"
            );
        }
    }
}
