//! What attackers make an endpoint hold, counted by the allocator (attacks T4, T8 and T10).
//!
//! Counts are of the process, so the tests take turns. Each compares the most that was ever held
//! with what the limits promise.

use std::sync::Mutex;

use dunlin_lab::adversary::{Duel, plain_packet};
use dunlin_lab::profile::Profile;
use dunlin_lab::rng::Rng;
use dunlin_session::CipherSuite;
use dunlin_transport::wire::frame::Frame;
use dunlin_transport::wire::params::TransportParams;
use dunlin_transport::wire::{Flags, Header, PacketType};
use dunlin_transport::{
    CloseReason, ConnectionId, EndpointConfig, Event, Instant, Side, StreamDirection, StreamId,
    TransportConfig, limits,
};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;
static TURN: Mutex<()> = Mutex::new(());

const SEALED: Profile = Profile::Sealed(CipherSuite::Aes128Gcm);
const MIB: usize = 1 << 20;

/// The most bytes that `what` held at once beyond those before.
fn peak_of(what: impl FnOnce()) -> usize {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    what();
    ALLOCATOR.peak_usage().saturating_sub(before)
}

fn window() -> usize {
    usize::try_from(TransportConfig::default().receive_window).expect("64 bits")
}

fn duel() -> Duel {
    Duel::new(SEALED, &EndpointConfig::default(), 1).expect("an honest handshake")
}

fn is_unblamed(duel: &Duel) -> bool {
    let blamed = |event: &Event| matches!(event, Event::Closed(CloseReason::Violation(_)));
    !duel.events.iter().any(blamed)
}

fn fragment(duel: &mut Duel, id: u32, (index, total): (u16, u16), length: u64) {
    let mut header = duel.header(PacketType::Fragment);
    header.flags = Flags::RELIABLE;
    (
        header.fragment_id,
        header.fragment_index,
        header.fragment_total,
    ) = (id, index, total);
    let mut block = Vec::new();
    Frame::MessageLength(length).emit(&mut block);
    let size = usize::try_from(length.div_ceil(u64::from(total))).expect("small");
    duel.send(header, &vec![1; size], &block);
}

/// T8: fragments of long messages, one to each page: the worst that memory gets for a byte.
#[test]
fn scattered_fragments_hold_no_more_than_the_window_and_a_little() {
    let _turn = TURN.lock();
    let mut duel = duel();
    let peak = peak_of(|| {
        for id in 0..40 {
            for page in 0..4_000 {
                fragment(&mut duel, id, (page * 16, 65_535), 16 << 20);
                duel.drain();
                duel.sent.clear();
            }
        }
    });
    assert!(is_unblamed(&duel));
    assert!(peak < window() + 6 * MIB, "{peak} bytes");
}

/// T8: one byte on every stream that is granted, and gaps on all of them.
#[test]
fn a_byte_on_every_stream_costs_a_page_each_at_most() {
    let _turn = TURN.lock();
    let config = TransportConfig::default();
    let mut duel = duel();
    let peak = peak_of(|| {
        for round in 0..4 {
            for (direction, granted) in [
                (StreamDirection::Bidirectional, config.max_streams_bidi),
                (StreamDirection::Unidirectional, config.max_streams_uni),
            ] {
                for index in 0..granted {
                    duel.send_frames(&[Frame::Stream {
                        id: StreamId::new(Side::Initiator, direction, index),
                        offset: 2 * round + 1,
                        fin: false,
                        data: &[1],
                    }]);
                    duel.drain();
                    duel.sent.clear();
                    duel.events.clear();
                }
            }
        }
    });
    assert!(is_unblamed(&duel));
    let streams = usize::try_from(config.max_streams_bidi + config.max_streams_uni).expect("few");
    assert!(peak < streams * 8_192 + 2 * MIB, "{peak} bytes");
}

/// T8: gaps of one byte over the whole window of a stream.
#[test]
fn gaps_over_a_whole_window_cost_the_window_and_the_ranges() {
    let _turn = TURN.lock();
    let mut config = EndpointConfig::default();
    config.transport.initial_receive_window = 16 << 20;
    config.transport.initial_stream_receive_window = 16 << 20;
    let mut duel = Duel::new(SEALED, &config, 1).expect("an honest handshake");
    let id = StreamId::new(Side::Initiator, StreamDirection::Unidirectional, 0);
    let peak = peak_of(|| {
        for chunk in 0..400u64 {
            let pieces: Vec<Frame<'_>> = (0..100)
                .map(|n| Frame::Stream {
                    id,
                    offset: 1 + (chunk * 100 + n) * 419,
                    fin: false,
                    data: &[7],
                })
                .collect();
            duel.send_frames(&pieces);
            duel.drain();
        }
    });
    assert!(is_unblamed(&duel));
    assert!(peak < 20 * MIB, "{peak} bytes");
    let ranges = limits::REASSEMBLY_RANGES_MAX;
    assert!(peak > ranges * 16, "it stored something: {peak}");
}

/// T4: a flood of valid SYNs, each from an address of its own.
#[test]
fn a_flood_of_syns_costs_two_mebibytes_at_most() {
    let _turn = TURN.lock();
    let own = ConnectionId(77);
    let mut rng = Rng::new(1);
    let mut server = SEALED.endpoint(1, &EndpointConfig::default(), true, &mut rng);
    let mut initiator = SEALED.initiator(0, 1, &mut rng);
    let params = TransportParams::of(&TransportConfig::default(), own).encode();
    let payload = [&own.0.to_be_bytes()[..], &initiator.syn(&params, &[])].concat();
    let syn = plain_packet(Header::new(PacketType::Syn, ConnectionId::NONE), &payload);
    let mut held = Vec::new();
    let peak = peak_of(|| {
        for n in 0..20_000u32 {
            let [a, b, c, d] = (0x0b00_0000 + n).to_be_bytes();
            let from = ([a, b, c, d], 9).into();
            server.handle_datagram(Instant::ZERO, from, None, &mut syn.clone());
            let mut answer = Vec::new();
            server.poll_transmit(Instant::ZERO, 1, &mut answer);
            if n == 1_000 || n == 19_999 {
                held.push(ALLOCATOR.current_usage());
            }
        }
    });
    assert!(peak < 2 * MIB, "{peak} bytes");
    assert!(
        held[1].saturating_sub(held[0]) < 4_096,
        "{held:?}: a spoofed SYN under load leaves nothing"
    );
}

/// T10: what a peer that has made its handshake and is silent costs.
#[test]
fn a_silent_connection_costs_little() {
    let _turn = TURN.lock();
    let mut duels = Vec::new();
    let peak = peak_of(|| {
        for seed in 0..50 {
            duels.push(Duel::new(SEALED, &EndpointConfig::default(), seed).expect("a handshake"));
        }
    });
    let each = peak / 50;
    println!("{each} bytes for an endpoint, its one connection and the keys of both ends");
    assert!(each < 64 << 10, "{each} bytes");
}
