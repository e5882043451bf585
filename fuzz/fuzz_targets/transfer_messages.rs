//! The target `transfer_messages` of `dunlin_fuzz::targets`.
#![cfg_attr(fuzzing, no_main)]

dunlin_fuzz::target!(transfer_messages);
