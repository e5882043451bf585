//! What a person sees of an experiment: a bar, a table, what failed and how to see it again.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};

use dunlin_lab::experiment::hold::Verdict;
use dunlin_lab::experiment::markdown::markdown;
use dunlin_lab::experiment::outcome::{Judgement, Outcome};
use dunlin_lab::experiment::result::RunResult;
use dunlin_lab::experiment::study::Study;
use dunlin_lab::experiment::table::{csv, judgements, table, text};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::lab::Format;
use crate::commands::{note, print_line};
use crate::failure::{Exit, Failure};

const TEMPLATE: &str = "{bar:30} {pos}/{len} runs, {elapsed} so far, {eta} left {msg}";
const SECONDS: &str = "{bar:30} {pos}/{len} s of simulated time, {elapsed} so far, {eta} left";

/// Progress on stderr, if that is a terminal.
pub(super) struct Bar {
    bar: ProgressBar,
    done: AtomicU64,
    failed: AtomicU64,
}

impl Bar {
    /// A bar of so many runs.
    pub(super) fn new(runs: u64) -> Self {
        Self::with(TEMPLATE, runs)
    }

    /// A bar of so many seconds of one simulation.
    pub(super) fn of_seconds(seconds: u32) -> Self {
        Self::with(SECONDS, seconds.into())
    }

    fn with(template: &str, steps: u64) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr_with_hz(8))
        } else {
            ProgressBar::hidden()
        };
        let style = ProgressStyle::with_template(template);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self {
            bar,
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// A run is over.
    pub(super) fn done(&self, result: &RunResult) {
        self.done.fetch_add(1, Ordering::Relaxed);
        if result.violation.is_some() {
            let failed = self.failed.fetch_add(1, Ordering::Relaxed) + 1;
            self.bar.set_message(format!("({failed} failed)"));
        }
        self.bar.inc(1);
    }

    /// A second is over.
    pub(super) fn step(&self) {
        self.bar.inc(1);
    }

    /// Removes the bar; how many runs were done.
    pub(super) fn finish(&self) -> u64 {
        self.bar.finish_and_clear();
        self.done.load(Ordering::Relaxed)
    }
}

/// Prints results on stdout in the form that is asked for.
pub(super) fn print(
    outcome: &Outcome,
    study: &Study,
    judged: &[Judgement],
    format: Format,
) -> Result<(), Failure> {
    match format {
        Format::Csv => print_line(csv(outcome).trim_end()),
        Format::Markdown => print_line(markdown(outcome, study).trim_end()),
        Format::Json => print_line(outcome.to_json().trim_end()),
        Format::Table => {
            print_line(&format!("{}: {}\n", outcome.scenario, study.head().title))?;
            print_line(text(&table(outcome, study)).trim_end())?;
            let held = judgements(outcome, judged);
            if !held.rows.is_empty() {
                print_line(&format!("\n{}", text(&held).trim_end()))?;
            }
            Ok(())
        }
    }
}

/// Names each run that failed with the command that repeats it, and fails if there is one.
/// `scenario` is how the user calls it.
pub(super) fn verdict(
    outcome: &Outcome,
    judged: &[Judgement],
    scenario: &str,
) -> Result<(), Failure> {
    let mut runs = 0;
    for run in &outcome.runs {
        if let Some(violation) = &run.violation {
            runs += 1;
            note(&format!("seed {}: {violation}", run.seed));
            note(&format!(
                "  {}",
                replay(outcome, scenario, run.case, run.seed)
            ));
        }
    }
    let mut sentences = 0;
    for judgement in judged {
        if let Verdict::Broken { seeds, seen } = &judgement.verdict {
            sentences += 1;
            note(&format!("\"{}\" is false: {seen}", judgement.sentence));
            for seed in seeds {
                note(&format!(
                    "  {}",
                    replay(outcome, scenario, judgement.case, *seed)
                ));
            }
        }
    }
    let sentence = match (runs, sentences) {
        (0, 0) => return Ok(()),
        (0, sentences) => format!(
            "{sentences} of {} sentences were false",
            count_meant(judged)
        ),
        (runs, 0) => format!("{runs} of {} runs violated a promise", outcome.runs.len()),
        (runs, sentences) => format!(
            "{runs} of {} runs violated a promise, and {sentences} of {} sentences were false",
            outcome.runs.len(),
            count_meant(judged)
        ),
    };
    let hint = "the lines above repeat each of them";
    Err(Failure::new(Exit::Broken, format!("{sentence}; {hint}")))
}

fn count_meant(judged: &[Judgement]) -> usize {
    let meant = |judgement: &&Judgement| judgement.verdict != Verdict::NotMeant;
    judged.iter().filter(meant).count()
}

/// The command that repeats a run.
fn replay(outcome: &Outcome, scenario: &str, case: usize, seed: u64) -> String {
    let mut command = format!("dunlin lab replay {seed} {}", quoted(scenario));
    let swept = outcome.cases.get(case).into_iter().flatten();
    let swept = swept.map(|(key, value)| format!("{key}={value}"));
    for set in outcome.sets.iter().cloned().chain(swept) {
        command.push_str(" --set ");
        command.push_str(&quoted(&set));
    }
    command
}

/// A word as a shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=%:,".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_shell() {
        assert_eq!(quoted("loss=1%"), "loss=1%");
        assert_eq!(
            quoted("path.forward[0].loss=1%"),
            "'path.forward[0].loss=1%'"
        );
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }

    #[test]
    fn the_template_of_the_bar_is_valid() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
        assert!(ProgressStyle::with_template(SECONDS).is_ok());
    }
}
