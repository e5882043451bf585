//! Fuzzes messages between peers; the body is `dunlin_overlay::fuzzing::overlay_message`.
#![cfg_attr(fuzzing, no_main)]

dunlin_fuzz::target!(dunlin_overlay::fuzzing::overlay_message);
