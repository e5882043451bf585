//! Paths as they travel: relative, UTF-8, names separated by `/`.
//!
//! A path from the network becomes a [`TransferPath`] only when joining it to a folder cannot
//! leave that folder by its text alone. (Symbolic links in the folder are the concern of
//! [`super::store`].)

use std::fmt;
use std::path::{Path, PathBuf};

use super::limits::{DEPTH_MAX, NAME_LEN_MAX, PATH_LEN_MAX};

/// Ending of a file that is not complete yet.
pub const PART_SUFFIX: &str = ".dunlin-part";

/// A relative path that stays inside the folder it is joined to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TransferPath(String);

impl TransferPath {
    /// Reads a path as it travels.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.len() > PATH_LEN_MAX {
            return Err(PathError::TooLong);
        }
        let mut depth = 0;
        for name in text.split('/') {
            check_name(name, Names::of_this_system())?;
            depth += 1;
        }
        if depth > DEPTH_MAX {
            return Err(PathError::TooDeep);
        }
        Ok(Self(text.to_owned()))
    }

    /// The path with `/` between names.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names, at least one.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The path below `folder`, in the form of this system.
    #[must_use]
    pub fn below(&self, folder: &Path) -> PathBuf {
        let mut path = folder.to_path_buf();
        path.extend(self.names());
        path
    }

    /// Where the file is kept below `folder` until it is complete. The ending is appended to the
    /// name; a name too long for that is replaced by its hash.
    #[must_use]
    pub fn part_below(&self, folder: &Path) -> PathBuf {
        let (parents, name) = self.0.rsplit_once('/').unwrap_or(("", &self.0));
        let mut path = folder.to_path_buf();
        path.extend(parents.split('/').filter(|name| !name.is_empty()));
        if name.len() + PART_SUFFIX.len() <= NAME_LEN_MAX {
            path.push(format!("{name}{PART_SUFFIX}"));
        } else {
            path.push(format!(
                "{}{PART_SUFFIX}",
                blake3::hash(name.as_bytes()).to_hex()
            ));
        }
        path
    }
}

impl fmt::Display for TransferPath {
    /// Control characters are escaped: a name must not move the cursor of who reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

/// The rule that a path breaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PathError {
    /// Longer than [`PATH_LEN_MAX`] bytes.
    #[error("the path is longer than {PATH_LEN_MAX} bytes")]
    TooLong,
    /// More than [`DEPTH_MAX`] names.
    #[error("the path has more than {DEPTH_MAX} names")]
    TooDeep,
    /// Absolute, or with an empty name, or empty.
    #[error("the path is absolute or has an empty name")]
    EmptyName,
    /// `.` or `..`.
    #[error("the path has a name that is \".\" or \"..\"")]
    Dots,
    /// A name longer than [`NAME_LEN_MAX`] bytes.
    #[error("the path has a name longer than {NAME_LEN_MAX} bytes")]
    NameTooLong,
    /// A NUL character.
    #[error("the path has a NUL character")]
    Nul,
    /// Ends in [`PART_SUFFIX`].
    #[error("the name ends in {PART_SUFFIX}, which marks unfinished files")]
    Reserved,
    /// Has a meaning of its own on Windows.
    #[error("the name means a device, a drive or a folder on this system")]
    WindowsName,
}

/// Which names have a meaning of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Names {
    /// Only `.` and `..`; a file may be called `aux.c` or `a:b`.
    Unix,
    /// Also `\`, `:`, device names and trailing points or spaces.
    Windows,
}

impl Names {
    const fn of_this_system() -> Self {
        if cfg!(windows) {
            Self::Windows
        } else {
            Self::Unix
        }
    }
}

fn check_name(name: &str, names: Names) -> Result<(), PathError> {
    if name.is_empty() {
        return Err(PathError::EmptyName);
    }
    if name == "." || name == ".." {
        return Err(PathError::Dots);
    }
    if name.len() > NAME_LEN_MAX {
        return Err(PathError::NameTooLong);
    }
    if name.contains('\0') {
        return Err(PathError::Nul);
    }
    if name.ends_with(PART_SUFFIX) {
        return Err(PathError::Reserved);
    }
    if names == Names::Windows && means_something_on_windows(name) {
        return Err(PathError::WindowsName);
    }
    Ok(())
}

/// Separators, drives, streams, wildcards, control characters, trailing points and spaces, and
/// device names with or without an ending.
fn means_something_on_windows(name: &str) -> bool {
    let stem = name
        .split('.')
        .next()
        .unwrap_or(name)
        .trim_end()
        .to_ascii_uppercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|rest| {
            matches!(rest.as_bytes(), [b'0'..=b'9']) || ["¹", "²", "³"].contains(&rest)
        })
    };
    let device = matches!(
        stem.as_str(),
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$"
    ) || numbered("COM")
        || numbered("LPT");
    let special = |c: char| c.is_control() || "\\/:*?\"<>|".contains(c);
    device || name.ends_with(['.', ' ']) || name.contains(special)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Component;

    #[test]
    fn accepts_ordinary_names_of_every_script() {
        for text in [
            "a",
            "a/b.txt",
            "photos/Überfahrt/写真 1.jpg",
            "...",
            "a/.hidden",
            "aux.c",
            "a:b",
        ] {
            assert_eq!(TransferPath::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn rejects_every_way_out_of_the_folder() {
        for (text, error) in [
            ("", PathError::EmptyName),
            ("/etc/passwd", PathError::EmptyName),
            ("a//b", PathError::EmptyName),
            ("a/", PathError::EmptyName),
            ("..", PathError::Dots),
            ("a/../../b", PathError::Dots),
            ("./a", PathError::Dots),
            ("a\0b", PathError::Nul),
            ("a/b.dunlin-part", PathError::Reserved),
        ] {
            assert_eq!(TransferPath::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn rejects_names_depths_and_lengths_one_past_the_limit() {
        let name = "n".repeat(NAME_LEN_MAX);
        assert!(TransferPath::parse(&name).is_ok());
        assert_eq!(
            TransferPath::parse(&format!("{name}n")),
            Err(PathError::NameTooLong)
        );

        let deep = vec!["d"; DEPTH_MAX].join("/");
        assert!(TransferPath::parse(&deep).is_ok());
        assert_eq!(
            TransferPath::parse(&format!("{deep}/d")),
            Err(PathError::TooDeep)
        );

        let long = [name.as_str(); PATH_LEN_MAX / (NAME_LEN_MAX + 1) - 1].join("/")
            + "/"
            + &"y".repeat(200);
        let rest = PATH_LEN_MAX - long.len() - 1;
        let full = format!("{long}/{}", "x".repeat(rest));
        assert_eq!(full.len(), PATH_LEN_MAX);
        assert!(TransferPath::parse(&full).is_ok());
        assert_eq!(
            TransferPath::parse(&format!("{full}x")),
            Err(PathError::TooLong)
        );
    }

    #[test]
    fn rejects_windows_devices_where_they_are_devices() {
        for name in [
            "con", "NUL.txt", "Com1", "LPT9.log", "a:b", "a\\b", "end.", "end ", "a*", "COM¹",
        ] {
            assert_eq!(
                check_name(name, Names::Windows),
                Err(PathError::WindowsName),
                "{name}"
            );
            assert_eq!(check_name(name, Names::Unix), Ok(()), "{name}");
        }
        for name in ["console", "com10", "nul1", "a.b.c"] {
            assert_eq!(check_name(name, Names::Windows), Ok(()), "{name}");
        }
    }

    #[test]
    fn the_part_of_a_file_lies_beside_it_under_a_possible_name() {
        let folder = Path::new("out");
        let path = TransferPath::parse("a/b.txt").unwrap();
        assert_eq!(
            path.part_below(folder),
            Path::new("out/a/b.txt.dunlin-part")
        );
        let long = TransferPath::parse(&"n".repeat(NAME_LEN_MAX)).unwrap();
        let part = long.part_below(folder);
        assert!(part.file_name().unwrap().len() <= NAME_LEN_MAX);
        assert!(part.to_str().unwrap().ends_with(PART_SUFFIX));
    }

    #[test]
    fn display_escapes_control_characters() {
        let path = TransferPath::parse("a\u{1b}[2Jb\n").unwrap();
        assert_eq!(path.to_string(), "a\\u{1b}[2Jb\\n");
    }

    proptest! {
        #[test]
        fn an_accepted_path_has_only_normal_components(text in "[a./\\\\:\0]{0,12}") {
            if let Ok(path) = TransferPath::parse(&text) {
                let local = path.below(Path::new(""));
                prop_assert!(local.components().all(|part| matches!(part, Component::Normal(_))));
                prop_assert_eq!(local.components().count(), path.names().count());
            }
        }
    }
}
