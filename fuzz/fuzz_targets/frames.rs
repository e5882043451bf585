//! Fuzzes frames and the extension block; the body is `dunlin_transport::fuzzing::frames`.
#![cfg_attr(fuzzing, no_main)]

dunlin_fuzz::target!(dunlin_transport::fuzzing::frames);
