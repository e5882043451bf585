//! Fuzzes an overlay under arbitrary operations of its surroundings; the body is `dunlin_overlay::fuzzing::overlay_operations`.
#![cfg_attr(fuzzing, no_main)]

dunlin_fuzz::target!(dunlin_overlay::fuzzing::overlay_operations);
