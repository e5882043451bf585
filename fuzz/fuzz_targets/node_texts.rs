//! The target `node_texts` of `dunlin_fuzz::targets`.
#![cfg_attr(fuzzing, no_main)]

dunlin_fuzz::target!(node_texts);
