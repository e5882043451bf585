//! `dunlin lab record`.

use std::fs::File;
use std::io::BufWriter;

use super::present::{Bar, quoted};
use crate::cli::lab::RecordArgs;
use crate::commands::print_line;
use crate::failure::{Exit, Failure, plain_reason};
use crate::recording::write::{RecordError, Wish, record};
use crate::signals::Shutdown;

/// Records and says how to play it.
pub(super) fn run(args: &RecordArgs, shutdown: &Shutdown) -> Result<(), Failure> {
    let unwritable = |error: &std::io::Error| {
        let (path, reason) = (args.file.display(), plain_reason(error));
        let sentence = format!("cannot write {path}: {reason}; name another file");
        Failure::new(Exit::Local, sentence)
    };
    let file = File::create(&args.file).map_err(|error| unwritable(&error))?;
    let wish = Wish {
        nodes: usize::try_from(args.nodes).unwrap_or(usize::MAX),
        seed: args.seed,
        seconds: args.seconds,
    };
    let bar = Bar::of_seconds(args.seconds);
    let recorded = record(wish, &mut BufWriter::new(file), |_| {
        bar.step();
        !shutdown.is_requested()
    });
    bar.finish();
    recorded.map_err(|error| match error {
        RecordError::Output(error) => unwritable(&error),
        RecordError::Stopped(_) => {
            let path = quoted(&args.file.display().to_string());
            let how = format!("`dunlin simulate --recorded {path}` plays what there is");
            shutdown.interrupted(&format!("{error}; {how}"))
        }
        RecordError::Simulation(_) => Failure::new(Exit::Broken, error.to_string()),
    })?;
    let path = quoted(&args.file.display().to_string());
    print_line(&format!("dunlin simulate --recorded {path}"))
}
