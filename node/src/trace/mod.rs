//! Traces of live connections: qlog files, captures, key logs; and what `dunlin trace` reads.
//!
//! | module | what it does |
//! |---|---|
//! | [`background`] | files that are written by a thread, behind buffers of bounded size |
//! | [`writers`] | qlog, capture and key log on top of it, as a command asks for them |
//! | [`read`] | the records of a qlog file |
//! | [`summary`] | what they add up to, and series for pictures |

pub mod background;
pub mod read;
pub mod summary;
pub mod writers;

pub use writers::Traces;
