//! The receiving half: which packets came ([`packets`]), putting bytes in order
//! ([`assembler`]), and handing them on where they lie ([`lent`]).

pub(crate) mod assembler;
mod bitmap;
mod fetch;
pub(crate) mod lent;
pub(crate) mod packets;
mod told;
