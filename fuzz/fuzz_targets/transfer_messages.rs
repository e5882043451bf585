//! Fuzzes messages of the file transfer; the body is `dunlin_node::transfer::fuzzing::transfer_messages`.
#![cfg_attr(fuzzing, no_main)]

dunlin_fuzz::target!(dunlin_node::transfer::fuzzing::transfer_messages);
