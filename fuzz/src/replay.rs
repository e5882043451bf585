//! Runs a target over files: a crash that was reported, or a corpus, without libFuzzer.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::targets::{self, Target};

/// `main` of the target with this name: runs it on the files that the command line names.
///
/// # Panics
/// When no target has that name.
#[must_use]
pub fn main(name: &str) -> ExitCode {
    let target = targets::find(name).expect("the target is listed");
    replay(target, std::env::args_os().skip(1).map(PathBuf::from))
}

/// Runs `target` on the content of every file among `paths`; of a folder, on every file directly in
/// it, by name. Prints how many ran. Fails when a path cannot be read or no path was given; a
/// crash of the body is the body's own panic.
fn replay(target: &Target, paths: impl IntoIterator<Item = PathBuf>) -> ExitCode {
    match replay_all(|data| target.run(data), paths) {
        Ok(0) => {
            eprintln!("name files or folders of inputs to replay");
            ExitCode::FAILURE
        }
        Ok(count) => {
            println!("{count} inputs ran without a panic");
            ExitCode::SUCCESS
        }
        Err((path, error)) => {
            eprintln!("cannot read {}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}

fn replay_all(
    run: impl Fn(&[u8]),
    paths: impl IntoIterator<Item = PathBuf>,
) -> Result<usize, (PathBuf, io::Error)> {
    let mut count = 0;
    for path in paths {
        for file in files_of(&path).map_err(|error| (path.clone(), error))? {
            let input = fs::read(&file).map_err(|error| (file.clone(), error))?;
            eprintln!("{}", file.display());
            run(&input);
            count += 1;
        }
    }
    Ok(count)
}

fn files_of(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuses_a_zero_byte(data: &[u8]) {
        assert!(!data.contains(&0), "zero byte");
    }

    #[test]
    fn runs_files_and_the_files_of_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        fs::create_dir(folder.path().join("not descended into")).unwrap();
        let paths = [folder.path().to_owned(), folder.path().join("a")];
        assert_eq!(replay_all(refuses_a_zero_byte, paths).unwrap(), 3);
    }

    #[test]
    #[should_panic(expected = "zero byte")]
    fn lets_the_panic_of_a_body_through() {
        let folder = tempfile::tempdir().unwrap();
        let crash = folder.path().join("crash");
        fs::write(&crash, [0]).unwrap();
        let _ = replay_all(refuses_a_zero_byte, [crash]);
    }

    #[test]
    fn names_the_path_that_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let (path, error) = replay_all(refuses_a_zero_byte, [missing.clone()]).unwrap_err();
        assert_eq!((path, error.kind()), (missing, io::ErrorKind::NotFound));
    }
}
