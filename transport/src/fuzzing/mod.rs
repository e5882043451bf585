//! Bodies of the fuzz targets of this crate. They run under libFuzzer (`fuzz/`) and, over seeded
//! inputs, as property tests on stable.
//!
//! Each takes any bytes and panics only when a property is broken. Two kinds:
//!
//! - [`codecs`]: the bytes are what a peer sends.
//! - the others: the bytes spell operations ([`arbitrary`]) on one structure, and the same
//!   operations go to a slow, obvious model; the two are compared after each one.

mod bytes;
pub mod codecs;
mod compression;
mod messages;
mod numbers;
mod recovery;
mod streams;
mod streams_alone;

#[cfg(feature = "tokio")]
pub use crate::driver::carrier_framing;
pub use crate::endpoint::fuzzing::half_open;
pub use bytes::{assembler, send_buffer};
pub use codecs::{ack_ranges, frames, header, params, wire_parts};
pub use compression::compression;
pub use messages::{messages_in, messages_out};
pub use numbers::{range_set, received_packets};
pub use recovery::{flow_control, loss_recovery, pacer};
pub use streams::streams_pair;
pub use streams_alone::{stream_fairness, streams_hostile};

use arbitrary::{Arbitrary, Unstructured};

/// Operations of one run; what remains of the input is ignored.
const OPERATIONS_MAX: usize = 2_048;

/// The operations that `data` spells, one after the other until it is used up.
pub(crate) fn operations<'a, T: Arbitrary<'a> + 'a>(data: &'a [u8]) -> impl Iterator<Item = T> {
    let mut input = Unstructured::new(data);
    core::iter::from_fn(move || {
        if input.is_empty() {
            return None;
        }
        T::arbitrary(&mut input).ok()
    })
    .take(OPERATIONS_MAX)
}

/// A byte that depends on its place, so that a byte in the wrong place is seen.
pub(crate) fn pattern(key: u64, offset: u64) -> u8 {
    let mixed = offset
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(key.wrapping_mul(0xff51_afd7_ed55_8ccd));
    let [.., byte] = mixed.rotate_left(29).to_be_bytes();
    byte
}

#[cfg(test)]
mod exhaustive;
#[cfg(test)]
mod tests;
