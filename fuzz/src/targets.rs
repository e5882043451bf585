//! The list of all targets: name, body, and how much memory one input may make it hold.

use crate::memory;

/// One fuzz target.
pub struct Target {
    /// Its name: of the binary, the folders of seeds and corpus, and the dictionary.
    pub name: &'static str,
    /// Its body; a panic is a finding.
    pub body: fn(&[u8]),
    /// What one input may make it hold at once.
    pub memory: Bound,
}

/// Bytes that may be held at once, beyond what was held before: `per_byte` for each byte of the
/// input, and `constant`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bound {
    /// Multiple of the input's size.
    pub per_byte: usize,
    /// What even an empty input may cost: buffers, endpoints, model.
    pub constant: usize,
}

impl Bound {
    /// The bound for an input of `length` bytes.
    #[must_use]
    pub const fn of(self, length: usize) -> usize {
        self.constant + self.per_byte * length
    }
}

impl Target {
    /// Runs the body over one input and checks the memory it held.
    ///
    /// # Panics
    /// When the body does, or when it held more than its bound.
    pub fn run(&self, data: &[u8]) {
        let held = memory::peak_of(|| (self.body)(data));
        let most = self.memory.of(data.len());
        assert!(
            held <= most,
            "{}: {held} bytes held for an input of {}, {most} allowed",
            self.name,
            data.len()
        );
    }
}

/// The target with this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Target> {
    ALL.iter().find(|target| target.name == name)
}

const KIB: usize = 1_024;
const MIB: usize = 1_024 * KIB;

macro_rules! targets {
    ($($name:ident: $body:path, $per_byte:expr, $constant:expr;)*) => {
        /// Every target, in the order of the layers.
        pub const ALL: &[Target] = &[$(Target {
            name: stringify!($name),
            body: $body,
            memory: Bound { per_byte: $per_byte, constant: $constant },
        }),*];
    };
}

targets! {
    header: dunlin_transport::fuzzing::header, 0, 0;
    wire_parts: dunlin_transport::fuzzing::wire_parts, 2, 256;
    ack_ranges: dunlin_transport::fuzzing::ack_ranges, 64, 4 * KIB;
    frames: dunlin_transport::fuzzing::frames, 256, 4 * KIB;
    params: dunlin_transport::fuzzing::params, 2, KIB;
    range_set: dunlin_transport::fuzzing::range_set, 64, 32 * KIB;
    received_packets: dunlin_transport::fuzzing::received_packets, 128, 16 * KIB;
    assembler: dunlin_transport::fuzzing::assembler, 32, 128 * KIB;
    send_buffer: dunlin_transport::fuzzing::send_buffer, 1_024, 128 * KIB;
    loss_recovery: dunlin_transport::fuzzing::loss_recovery, 1_024, 64 * KIB;
    pacer: dunlin_transport::fuzzing::pacer, 0, 0;
    flow_control: dunlin_transport::fuzzing::flow_control, 4, KIB;
    messages_in: dunlin_transport::fuzzing::messages_in, 512, 64 * KIB;
    messages_out: dunlin_transport::fuzzing::messages_out, 512, 64 * KIB;
    compression: dunlin_transport::fuzzing::compression, 8, 512 * KIB;
    carrier_framing: dunlin_transport::fuzzing::carrier_framing, 16, 512 * KIB;
    streams_pair: dunlin_transport::fuzzing::streams_pair, 2_048, 512 * KIB;
    streams_hostile: dunlin_transport::fuzzing::streams_hostile, 1_024, 256 * KIB;
    stream_fairness: dunlin_transport::fuzzing::stream_fairness, 2_048, 64 * KIB;
    half_open: dunlin_transport::fuzzing::half_open, 64, 4 * KIB;
    handshake_messages: dunlin_session::fuzzing::handshake_messages, 16, 64 * KIB;
    open_packet: dunlin_session::fuzzing::open_packet, 4, 16 * KIB;
    session_texts: bodies::session_texts, 8, 2 * KIB;
    providers: dunlin_session::fuzzing::providers, 16, 256 * KIB;
    overlay_message: dunlin_overlay::fuzzing::overlay_message, 16, 2 * KIB;
    overlay_record: dunlin_overlay::fuzzing::overlay_record, 8, 16 * KIB;
    overlay_operations: dunlin_overlay::fuzzing::overlay_operations, 1_024, 256 * KIB;
    seen_set: dunlin_overlay::fuzzing::seen_set, 64, 4 * KIB;
    token_bucket: dunlin_overlay::fuzzing::token_bucket, 32, 4 * KIB;
    connection_pair: dunlin_lab::fuzzing::connection_pair, 65_536, 4 * MIB;
    endpoints: dunlin_lab::fuzzing::endpoints, 16_384, MIB;
    event_queue: dunlin_lab::fuzzing::event_queue, 64, 4 * KIB;
    transfer_messages: dunlin_node::transfer::fuzzing::transfer_messages, 64, 4 * KIB;
    node_texts: bodies::node_texts, 512, 4 * KIB;
    command_line: dunlin_node::fuzzing::command_line, 256, 1_024 * KIB;
}

/// Targets that are several bodies on the same bytes.
mod bodies {
    pub(super) fn session_texts(data: &[u8]) {
        dunlin_session::fuzzing::node_id(data);
        dunlin_session::fuzzing::key_file(data);
    }

    pub(super) fn node_texts(data: &[u8]) {
        dunlin_node::fuzzing::command_values(data);
        dunlin_node::fuzzing::addresses(data);
        dunlin_node::fuzzing::known_peers_file(data);
        dunlin_node::fuzzing::transfer_paths(data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_grows_with_the_input() {
        let bound = Bound {
            per_byte: 3,
            constant: 10,
        };
        assert_eq!([bound.of(0), bound.of(7)], [10, 31]);
    }

    #[test]
    #[should_panic(expected = "held for an input of 2")]
    fn an_input_that_makes_its_target_hold_more_than_the_bound_is_a_finding() {
        let greedy = Target {
            name: "greedy",
            body: |data| drop(std::hint::black_box(vec![0_u8; data.len() * MIB])),
            memory: Bound {
                per_byte: KIB,
                constant: KIB,
            },
        };
        greedy.run(&[0; 2]);
    }
}
