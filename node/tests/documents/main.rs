//! What is written about the program, held against the program.
//!
//! Links and anchors lead somewhere, the book has every page, code that a page shows is the code in
//! the repository, and commands that are marked as runnable are run. The document of the API is held
//! against a running node, and so is what `packaging/` says of it. How to mark a block:
//! `CONTRIBUTING.md`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod book;
#[cfg(unix)]
mod commands;
mod links;
mod markdown;
#[cfg(unix)]
mod openapi;
#[cfg(unix)]
mod packaging;
#[expect(dead_code, reason = "the tests of the program use more of it")]
#[path = "../program/process.rs"]
mod process;
#[cfg(unix)]
mod session;
