//! The receiving half: which packets came ([`packets`]), and putting bytes in order
//! ([`assembler`]).

pub mod assembler;
pub mod packets;
