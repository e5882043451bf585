//! The folders of this crate and what is in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

pub(crate) fn names_in(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("the folder is readable");
    let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("names are UTF-8");
    entries
        .map(|entry| name(entry.expect("the entry is readable")))
        .collect()
}
