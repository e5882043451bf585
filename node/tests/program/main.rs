//! The real program, two processes at a time.
//!
//! Nothing here waits for a fixed time: processes are waited for by what they print, by their exit
//! or by the files they write, each with a deadline that only a failure reaches. Modules that send
//! signals or speak to the Unix socket are for systems that have these. [`checklist`] names the tests of
//! each command.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod baseline;
#[cfg(unix)]
mod browser;
mod carrier;
#[cfg(unix)]
mod checklist;
#[cfg(unix)]
mod commands;
#[cfg(unix)]
mod control;
mod controller;
#[cfg(unix)]
mod dashboard;
#[cfg(unix)]
mod faults;
#[cfg(unix)]
mod full_disk;
#[cfg(target_os = "linux")]
mod geography;
#[cfg(unix)]
mod hostile;
#[cfg(unix)]
mod http;
mod identity;
mod kill;
mod lab;
#[cfg(unix)]
mod load;
mod lossy;
#[cfg(target_os = "linux")]
mod mmdb;
#[cfg(unix)]
mod neighbours;
mod network;
mod process;
#[cfg(unix)]
mod recorded;
#[cfg(unix)]
mod refusals;
mod start;
#[cfg(unix)]
mod story;
#[cfg(unix)]
mod talking;
mod traces;
#[cfg(unix)]
mod transfer;
#[cfg(unix)]
mod verdict;
#[cfg(unix)]
mod visitor;
#[cfg(unix)]
mod webdriver;
