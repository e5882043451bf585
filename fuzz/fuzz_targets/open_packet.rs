//! Fuzzes sealing and opening of packets; the body is `dunlin_session::fuzzing::open_packet`.
#![cfg_attr(fuzzing, no_main)]

dunlin_fuzz::target!(dunlin_session::fuzzing::open_packet);
