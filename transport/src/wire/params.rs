//! Transport parameters: what each end announces about itself in the handshake, authenticated by
//! the session (`docs/wire.md`, table "Transport parameters").
//!
//! A sequence of `id (varint) ‖ length (varint) ‖ value (varint)`; unknown ids are skipped, a
//! repeated one is an error (the idea of RFC 9000 §18).

use alloc::vec::Vec;
use core::time::Duration;

use super::{Cursor, DecodeError, varint};
use crate::config::TransportConfig;
use crate::ids::ConnectionId;
use crate::limits;
use crate::messages::compression;
use crate::recv::packets::END_DELAY;

/// Largest shift of the header's Window Size. 2^16 units of 2^20 bytes.
pub const WINDOW_SHIFT_MAX: u8 = 20;

/// What one end announced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TransportParams {
    /// The connection ID it wants to receive; equal to the one outside the authenticated part.
    pub connection_id: ConnectionId,
    /// Zero: no timeout.
    pub idle_timeout: Duration,
    /// Connection credit at the start.
    pub max_data: u64,
    /// Credit of each stream at the start.
    pub max_stream_data: u64,
    /// Bidirectional streams granted at the start.
    pub max_streams_bidi: u64,
    /// Unidirectional streams granted at the start.
    pub max_streams_uni: u64,
    /// Longest reliable message it accepts.
    pub max_message_size: u64,
    /// Longest datagram it accepts.
    pub max_datagram_size: u64,
    /// Longest UDP payload it accepts.
    pub max_udp_payload: u64,
    /// Longest time it delays an acknowledgement.
    pub max_ack_delay: Duration,
    /// Shortest longest time that it can be asked for ([`crate::wire::frame::Frame::AckFrequency`]):
    /// what its timers are good for.
    pub min_ack_delay: Duration,
    /// Unit of the Window Size in its headers: 2^shift bytes.
    pub window_shift: u8,
    /// It takes messages compressed as LZ4 blocks (`docs/wire.md`, chapter "Compression").
    pub takes_lz4: bool,
}

/// The parameter that tells which compressions its sender takes: bit 0 is LZ4. Absent: none.
const COMPRESSION: u64 = 16;

impl TransportParams {
    /// What `config` announces.
    #[must_use]
    pub fn of(config: &TransportConfig, connection_id: ConnectionId) -> Self {
        Self {
            connection_id,
            idle_timeout: config.idle_timeout,
            max_data: config.initial_receive_window,
            max_stream_data: config.initial_stream_receive_window,
            max_streams_bidi: config.max_streams_bidi,
            max_streams_uni: config.max_streams_uni,
            max_message_size: config.max_message_size,
            max_datagram_size: config.max_datagram_size,
            max_udp_payload: config.mtu.max(config.mtu_max) as u64,
            max_ack_delay: config.max_ack_delay,
            // The longest is announced in whole milliseconds.
            min_ack_delay: if config.max_ack_delay < END_DELAY {
                Duration::ZERO
            } else {
                END_DELAY
            },
            window_shift: window_shift(config.receive_window),
            takes_lz4: config.accept_compression && compression::IS_AVAILABLE,
        }
    }

    /// What is assumed of a peer whose own parameters cannot be made sense of: it may be told that.
    pub(crate) const fn least(connection_id: ConnectionId) -> Self {
        Self {
            connection_id,
            idle_timeout: Duration::from_secs(1),
            max_data: 0,
            max_stream_data: 0,
            max_streams_bidi: 0,
            max_streams_uni: 0,
            max_message_size: 0,
            max_datagram_size: 0,
            max_udp_payload: limits::UDP_PAYLOAD_MIN as u64,
            max_ack_delay: Duration::ZERO,
            min_ack_delay: Duration::ZERO,
            window_shift: 0,
            takes_lz4: false,
        }
    }

    /// The encoded parameters, at most [`limits::TRANSPORT_PARAMS_MAX`] bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(varint::MAX);
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(varint::MAX);
        let mut out = Vec::with_capacity(limits::TRANSPORT_PARAMS_MAX);
        let compression = self.takes_lz4.then_some((COMPRESSION, 1));
        let values = [
            (0, u64::from(self.connection_id.0)),
            (1, millis(self.idle_timeout)),
            (2, self.max_data),
            (3, self.max_stream_data),
            (4, self.max_streams_bidi),
            (5, self.max_streams_uni),
            (6, self.max_message_size),
            (7, self.max_datagram_size),
            (8, self.max_udp_payload),
            (9, millis(self.max_ack_delay)),
            (10, u64::from(self.window_shift)),
            (11, micros(self.min_ack_delay)),
        ];
        for (id, value) in values.into_iter().chain(compression) {
            varint::write(&mut out, id);
            varint::write(&mut out, varint::len(value) as u64);
            varint::write(&mut out, value);
        }
        out
    }

    /// Decodes and checks them.
    ///
    /// # Errors
    /// [`DecodeError::Parameter`] for a repeated, missing, oversized or impossible one.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > limits::TRANSPORT_PARAMS_MAX {
            return Err(DecodeError::Parameter);
        }
        let mut values = [None; 12];
        let mut compression = None;
        let mut cursor = Cursor::new(bytes);
        while cursor.remaining() > 0 {
            let id = cursor.varint()?;
            let length = usize::try_from(cursor.varint()?).map_err(|_| DecodeError::Parameter)?;
            let mut value = Cursor::new(cursor.slice(length)?);
            let slot = match id {
                COMPRESSION => Some(&mut compression),
                _ => usize::try_from(id).ok().and_then(|id| values.get_mut(id)),
            };
            if let Some(slot) = slot {
                if slot.replace(value.varint()?).is_some() {
                    return Err(DecodeError::Parameter);
                }
                value.finish().map_err(|_| DecodeError::Parameter)?;
            }
        }
        let get = |id: usize| {
            values
                .get(id)
                .copied()
                .flatten()
                .ok_or(DecodeError::Parameter)
        };
        let bounded = |id, max| get(id).and_then(|v| check(v <= max).map(|()| v));
        let max_udp_payload = get(8)?;
        check(max_udp_payload >= limits::UDP_PAYLOAD_MIN as u64)?;
        let max_ack_delay = bounded(9, 1 << 14)?;
        Ok(Self {
            connection_id: u32::try_from(get(0)?)
                .ok()
                .filter(|id| *id != 0)
                .map(ConnectionId)
                .ok_or(DecodeError::Parameter)?,
            idle_timeout: Duration::from_millis(get(1)?),
            max_data: bounded(2, limits::WINDOW_MAX)?,
            max_stream_data: bounded(3, limits::WINDOW_MAX)?,
            max_streams_bidi: bounded(4, limits::STREAMS_MAX)?,
            max_streams_uni: bounded(5, limits::STREAMS_MAX)?,
            max_message_size: bounded(6, limits::WINDOW_MAX)?,
            max_datagram_size: bounded(7, limits::WINDOW_MAX)?,
            max_udp_payload,
            max_ack_delay: Duration::from_millis(max_ack_delay),
            min_ack_delay: Duration::from_micros(bounded(11, max_ack_delay * 1_000)?),
            takes_lz4: compression.is_some_and(|methods: u64| methods & 1 != 0),
            window_shift: u8::try_from(bounded(10, u64::from(WINDOW_SHIFT_MAX))?)
                .map_err(|_| DecodeError::Parameter)?,
        })
    }
}

/// The smallest unit in which `window` is less than 2^14 units, a quarter of the field: so a limit
/// can be told apart from its predecessors by the low 16 bits (`docs/wire.md` W-FLW-2).
#[must_use]
pub const fn window_shift(window: u64) -> u8 {
    let mut shift = 0;
    while shift < WINDOW_SHIFT_MAX && window >> shift >= 1 << 14 {
        shift += 1;
    }
    shift
}

const fn check(condition: bool) -> Result<(), DecodeError> {
    if condition {
        Ok(())
    } else {
        Err(DecodeError::Parameter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn defaults_round_trip_within_the_limit() {
        let params = TransportParams::of(&TransportConfig::default(), ConnectionId(u32::MAX));
        let bytes = params.encode();
        assert!(bytes.len() <= limits::TRANSPORT_PARAMS_MAX);
        assert_eq!(TransportParams::decode(&bytes), Ok(params));
    }

    #[test]
    fn the_largest_configuration_fits_the_limit() {
        let huge = TransportConfig {
            receive_window: u64::MAX,
            stream_receive_window: u64::MAX,
            max_message_size: u64::MAX,
            max_datagram_size: u64::MAX,
            max_streams_bidi: u64::MAX,
            max_streams_uni: u64::MAX,
            idle_timeout: Duration::MAX,
            mtu: usize::MAX,
            mtu_max: usize::MAX,
            ..TransportConfig::default()
        }
        .clamped();
        let bytes = TransportParams::of(&huge, ConnectionId(u32::MAX)).encode();
        assert!(
            bytes.len() <= limits::TRANSPORT_PARAMS_MAX,
            "{}",
            bytes.len()
        );
        assert!(TransportParams::decode(&bytes).is_ok());
    }

    #[test]
    fn who_says_nothing_of_compression_takes_none() {
        let mut params = TransportParams::of(&TransportConfig::default(), ConnectionId(5));
        let bytes = params.encode();
        assert!(!TransportParams::decode(&bytes).unwrap().takes_lz4);
        params.takes_lz4 = true;
        let bytes = params.encode();
        assert!(bytes.len() <= limits::TRANSPORT_PARAMS_MAX);
        assert_eq!(TransportParams::decode(&bytes), Ok(params));
        // Other methods may come; the bit that is known counts.
        let with = |methods: u8| {
            let mut other = bytes[..bytes.len() - 1].to_vec();
            other.push(methods);
            TransportParams::decode(&other).map(|params| params.takes_lz4)
        };
        assert_eq!((with(0x3f), with(0x3e)), (Ok(true), Ok(false)));
    }

    #[test]
    fn parameters_at_their_limits_are_accepted_and_one_more_is_rejected() {
        type Set = fn(&mut TransportParams, u64);
        let bounded: [(u64, Set); 7] = [
            (limits::WINDOW_MAX, |it, value| it.max_data = value),
            (limits::WINDOW_MAX, |it, value| it.max_stream_data = value),
            (limits::STREAMS_MAX, |it, value| it.max_streams_bidi = value),
            (limits::STREAMS_MAX, |it, value| it.max_streams_uni = value),
            (limits::WINDOW_MAX, |it, value| it.max_message_size = value),
            (limits::WINDOW_MAX, |it, value| it.max_datagram_size = value),
            (1 << 14, |it, value| {
                it.max_ack_delay = Duration::from_millis(value);
            }),
        ];
        for (max, set) in bounded {
            let mut params = TransportParams::of(&TransportConfig::default(), ConnectionId(5));
            set(&mut params, max);
            assert_eq!(TransportParams::decode(&params.encode()), Ok(params));
            set(&mut params, max + 1);
            let beyond = TransportParams::decode(&params.encode());
            assert_eq!(beyond, Err(DecodeError::Parameter));
        }
        let mut bytes = TransportParams::of(&TransportConfig::default(), ConnectionId(5)).encode();
        while bytes.len() + 4 < limits::TRANSPORT_PARAMS_MAX {
            bytes.extend([63, 1, 0]);
        }
        let padding = limits::TRANSPORT_PARAMS_MAX - bytes.len() - 2;
        bytes.extend([62, u8::try_from(padding).unwrap()]);
        bytes.resize(limits::TRANSPORT_PARAMS_MAX, 0);
        assert!(TransportParams::decode(&bytes).is_ok());
        bytes.extend([63, 0]);
        assert_eq!(TransportParams::decode(&bytes), Err(DecodeError::Parameter));
    }

    #[test]
    fn skips_unknown_and_rejects_repeated_or_missing_parameters() {
        let params = TransportParams::of(&TransportConfig::default(), ConnectionId(5));
        let mut bytes = params.encode();
        bytes.extend([40, 2, 9, 9]);
        assert_eq!(TransportParams::decode(&bytes), Ok(params));
        bytes.extend([0, 1, 5]);
        assert_eq!(TransportParams::decode(&bytes), Err(DecodeError::Parameter));
        assert_eq!(TransportParams::decode(&[]), Err(DecodeError::Parameter));
    }

    #[test]
    fn a_longest_delay_below_a_millisecond_leaves_no_room_for_a_least_one() {
        let config = TransportConfig {
            max_ack_delay: Duration::from_micros(999),
            ..TransportConfig::default()
        };
        let bytes = TransportParams::of(&config, ConnectionId(5)).encode();
        let params = TransportParams::decode(&bytes).unwrap();
        assert_eq!(
            (params.min_ack_delay, params.max_ack_delay),
            (Duration::ZERO, Duration::ZERO)
        );
    }

    #[test]
    fn rejects_a_least_delay_of_acknowledgements_above_the_longest() {
        let mut params = TransportParams::of(&TransportConfig::default(), ConnectionId(5));
        params.min_ack_delay = params.max_ack_delay;
        assert_eq!(TransportParams::decode(&params.encode()), Ok(params));
        params.min_ack_delay += Duration::from_micros(1);
        assert_eq!(
            TransportParams::decode(&params.encode()),
            Err(DecodeError::Parameter)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_parameters_or_an_error(bytes: Vec<u8>) {
            if let Ok(params) = TransportParams::decode(&bytes) {
                prop_assert!(params.max_data <= limits::WINDOW_MAX);
            }
        }
    }

    #[test]
    fn window_shift_keeps_the_window_below_a_quarter_of_the_field() {
        for window in [0, 1, 16_383, 16_384, 16 << 20, limits::WINDOW_MAX] {
            assert!(window >> window_shift(window) < 1 << 14);
        }
    }
}
