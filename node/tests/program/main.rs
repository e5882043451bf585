//! The real program, two processes at a time.
//!
//! Nothing here waits for a fixed time: processes are waited for by what they print, by their exit
//! or by the files they write, each with a deadline that only a failure reaches.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod baseline;
mod browser;
mod carrier;
mod control;
mod controller;
mod dashboard;
mod faults;
#[cfg(unix)]
mod full_disk;
mod identity;
mod kill;
mod lab;
mod lossy;
mod network;
mod process;
mod refusals;
mod start;
mod traces;
mod transfer;
mod webdriver;
