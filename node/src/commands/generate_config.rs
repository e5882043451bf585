//! `dunlin generate-config`.

use std::io::Write;
use std::path::Path;

use crate::cli::config::GenerateConfigArgs;
use crate::commands::note;
use crate::config::{Draft, Format, format_of, written};
use crate::failure::{Exit, Failure, plain_reason};

/// Writes a configuration file.
pub(super) fn run(args: &GenerateConfigArgs) -> Result<(), Failure> {
    let config = Draft::default()
        .with_flag("host", args.host.map(|host| host.to_string()))
        .with_flag("port", args.port.map(|port| port.to_string()))
        .with_flag("bootstrap_nodes", super::start::joined(&args.bootstrap))
        .finish()?;
    let format = args
        .format
        .map_or_else(|| format_of(&args.file), Format::from);
    let text = written(&config, format);
    if args.file == Path::new("-") {
        return std::io::stdout()
            .write_all(text.as_bytes())
            .map_err(|error| refused(&args.file, &error));
    }
    // One that is there holds somebody's decisions.
    let file = std::fs::File::create_new(&args.file);
    let mut file = file.map_err(|error| refused(&args.file, &error))?;
    file.write_all(text.as_bytes()).map_err(|error| {
        // Half a file would be in the way of the next try; what failed is told already.
        let _ = std::fs::remove_file(&args.file);
        refused(&args.file, &error)
    })?;
    note(&format!(
        "wrote {}; use it with `dunlin start --config {}`",
        args.file.display(),
        args.file.display()
    ));
    Ok(())
}

fn refused(path: &Path, error: &std::io::Error) -> Failure {
    let path = path.display();
    let sentence = if error.kind() == std::io::ErrorKind::AlreadyExists {
        format!("{path} exists and is left alone; name another file, or move it away")
    } else {
        format!("cannot write {path}: {}", plain_reason(error))
    };
    Failure::new(Exit::Local, sentence)
}
