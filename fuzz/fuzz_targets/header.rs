//! Fuzzes the packet header; the body is `dunlin_transport::fuzzing::header`.
#![cfg_attr(fuzzing, no_main)]

dunlin_fuzz::target!(dunlin_transport::fuzzing::header);
