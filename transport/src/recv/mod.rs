//! The receiving half: which packets came ([`packets`]), and putting bytes in order
//! ([`assembler`]).

pub(crate) mod assembler;
mod bitmap;
pub(crate) mod packets;
