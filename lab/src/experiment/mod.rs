//! Experiments: scenario files, sweeps over parameters and seeds, tables and reports.
//!
//! A file becomes a [`document::Document`] (values that know their lines), then a [`study::Study`]
//! (every combination of parameters as a typed [`model::Experiment`]), then jobs for a pool of
//! threads ([`pool`]), then an [`outcome::Outcome`] (results, joined from shards if need be), which
//! [`hold`] judges and [`table`] and [`report`] show. One run is one (parameters, seed) and gives
//! named integers ([`result`]): tables are the same to the byte on every machine, with any number of
//! threads and in any order of shards.
//!
//! This is the one room of the laboratory that starts threads; nothing in a run depends on them. It
//! reads no files and writes none: texts come in and go out. `docs/lab-scenarios.md` is its manual.

pub mod check;
pub mod compare;
pub mod document;
pub mod error;
pub mod expression;
pub mod hold;
pub mod library;
pub mod markdown;
pub mod model;
pub mod outcome;
mod pair;
pub mod pool;
pub mod quantity;
pub mod report;
pub mod result;
pub mod run;
mod settings;
pub mod shrink;
pub mod study;
pub mod summary;
mod swarm;
pub mod table;
mod torture;
