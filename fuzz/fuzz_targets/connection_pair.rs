//! Fuzzes a pair of connections with calls and packet faults; the body is
//! `dunlin_lab::fuzzing::connection_pair`.
#![cfg_attr(fuzzing, no_main)]

dunlin_fuzz::target!(dunlin_lab::fuzzing::connection_pair);
