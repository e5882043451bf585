//! The target `messages_out` of `dunlin_fuzz::targets`.
#![cfg_attr(fuzzing, no_main)]

dunlin_fuzz::target!(messages_out);
