//! `dunlin completions` and `dunlin man`, made from the table of commands.

use std::io::Write as _;

use crate::cli::command;
use crate::cli::control::{CompletionsArgs, ManArgs};
use crate::commands::note;
use crate::control::client::file_failure;
use crate::failure::{Exit, Failure, plain_reason};

/// Prints a completion script.
pub(in crate::commands) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "dunlin", &mut script);
    print(&script)
}

/// Prints the manual page, or writes one for each command.
pub(in crate::commands) fn man(args: &ManArgs) -> Result<(), Failure> {
    let Some(folder) = &args.out else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command())
            .render(&mut page)
            .map_err(|error| stdout_failure(&error))?;
        return print(&page);
    };
    std::fs::create_dir_all(folder).map_err(|error| file_failure(folder, &error))?;
    clap_mangen::generate_to(command(), folder).map_err(|error| file_failure(folder, &error))?;
    note(&format!("the pages are in {}", folder.display()));
    Ok(())
}

fn print(bytes: &[u8]) -> Result<(), Failure> {
    let written = std::io::stdout().write_all(bytes);
    written.map_err(|error| stdout_failure(&error))
}

fn stdout_failure(error: &std::io::Error) -> Failure {
    Failure::new(
        Exit::Failed,
        format!(
            "cannot write to stdout ({}); is its reader still there?",
            plain_reason(error)
        ),
    )
}
