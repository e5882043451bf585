//! The bodies over generated inputs, on a stable compiler.

use alloc::vec::Vec;

use proptest::prelude::*;

/// Bytes that look like packets: the right first bytes, a known type, small fields.
fn near_misses() -> impl Strategy<Value = Vec<u8>> {
    let magic = proptest::collection::vec(any::<u8>(), 0..80).prop_map(|mut bytes| {
        for (byte, value) in bytes
            .iter_mut()
            .zip([crate::wire::MAGIC, crate::wire::VERSION])
        {
            *byte = value;
        }
        if let Some(kind) = bytes.get_mut(2) {
            *kind %= 14;
        }
        bytes
    });
    let small = proptest::collection::vec(0u8..16, 0..120);
    prop_oneof![any::<Vec<u8>>(), magic, small]
}

/// Bytes that spell operations: any, and small numbers that meet each other more often.
fn operations() -> impl Strategy<Value = Vec<u8>> {
    let narrow = prop_oneof![any::<u8>(), 0u8..8];
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..1_500),
        proptest::collection::vec(narrow, 0..1_500),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn codecs_hold_on_generated_inputs(data in near_misses()) {
        super::header(&data);
        super::wire_parts(&data);
        super::ack_ranges(&data);
        super::frames(&data);
        super::params(&data);
        super::compression(&data);
        #[cfg(feature = "tokio")]
        super::carrier_framing(&data);
    }
}

macro_rules! holds {
    ($($body:ident),*) => {$(
        mod $body {
            use super::*;

            proptest! {
                #![proptest_config(ProptestConfig::with_cases(100))]

                #[test]
                fn agrees_with_its_model(data in operations()) {
                    crate::fuzzing::$body(&data);
                }
            }
        }
    )*};
}

holds!(
    range_set,
    received_packets,
    assembler,
    send_buffer,
    loss_recovery,
    pacer,
    flow_control,
    messages_in,
    messages_out,
    streams_pair,
    streams_hostile,
    stream_fairness,
    half_open
);
