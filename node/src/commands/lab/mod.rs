//! `dunlin lab`: experiments in virtual time. What an experiment is, and how it runs, is in
//! `dunlin_lab::experiment`; here are files, threads to wait for, and what a person sees.

mod compare;
mod files;
mod list;
mod merge;
mod present;
mod record;
mod replay;
mod run;
mod scenario;
mod shrink;
mod traces;

use crate::cli::lab::LabAction;
use crate::failure::{Exit, Failure};
use crate::signals::Shutdown;

/// Does what is asked. Experiments keep threads busy: they run beside the runtime.
pub(super) async fn run(action: LabAction, shutdown: Shutdown) -> Result<(), Failure> {
    let work = move || match action {
        LabAction::List(args) => list::list(args),
        LabAction::Show(args) => list::show(&args),
        LabAction::Run(args) => run::run(&args, &shutdown),
        LabAction::Replay(args) => replay::run(&args, &shutdown),
        LabAction::Shrink(args) => shrink::run(&args, &shutdown),
        LabAction::Compare(args) => compare::run(&args, &shutdown),
        LabAction::Merge(args) => merge::run(&args),
        LabAction::Record(args) => record::run(&args, &shutdown),
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
        let sentence =
            "the laboratory itself failed; the lines above say where, please report them";
        Err(Failure::new(Exit::Failed, sentence))
    })
}
