//! The target `streams_hostile` of `dunlin_fuzz::targets`.
#![cfg_attr(fuzzing, no_main)]

dunlin_fuzz::target!(streams_hostile);
