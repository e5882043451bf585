//! Fuzzes every step of the handshake; the body is `dunlin_session::fuzzing::handshake_messages`.
#![cfg_attr(fuzzing, no_main)]

dunlin_fuzz::target!(dunlin_session::fuzzing::handshake_messages);
