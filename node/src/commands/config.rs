//! `dunlin config check`.

use crate::cli::config::{ConfigAction, ConfigArgs};
use crate::commands::{note, print_line};
use crate::config::{Draft, Mistake, Origin};
use crate::failure::{Exit, Failure};

/// Tells what is wrong with a file.
pub(super) fn run(args: &ConfigArgs) -> Result<(), Failure> {
    let ConfigAction::Check { file } = &args.action;
    let path = file.display();
    let Err(mistakes) = Draft::default().with_file(file).and_then(Draft::finish) else {
        return print_line(&format!("{path} is sound"));
    };
    // Nothing was found in a file that cannot be read.
    if let [
        Mistake {
            origin: Origin::File { line: 0, .. },
            ..
        },
    ] = &*mistakes.0
    {
        return Err(mistakes.into());
    }
    for mistake in &mistakes.0 {
        note(&mistake.to_string());
    }
    let count = match mistakes.0.len() {
        1 => "1 mistake".into(),
        all => format!("{all} mistakes"),
    };
    Err(Failure::new(
        Exit::Usage,
        format!("{path} has {count}; `dunlin start` would not use it"),
    ))
}
