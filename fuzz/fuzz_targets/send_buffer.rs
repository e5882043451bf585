//! The target `send_buffer` of `dunlin_fuzz::targets`.
#![cfg_attr(fuzzing, no_main)]

dunlin_fuzz::target!(send_buffer);
