//! Fuzzes acknowledgement frames; the body is `dunlin_transport::fuzzing::ack_ranges`.
#![cfg_attr(fuzzing, no_main)]

dunlin_fuzz::target!(dunlin_transport::fuzzing::ack_ranges);
