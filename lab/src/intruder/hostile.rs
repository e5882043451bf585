//! A peer that breaks one rule after an honest handshake.

use std::collections::BTreeSet;
use std::time::Duration;

use dunlin_transport::ids::reconstruct;
use dunlin_transport::wire::ack::{self, EcnCounts};
use dunlin_transport::wire::frame::{self, Frame, Frames};
use dunlin_transport::wire::{Flags, Header, PacketType, extension};
use dunlin_transport::{
    CloseReason, ConnectionId, EndpointConfig, Instant, MessageId, PacketNumber, PeerViolation,
    Side, StreamDirection, StreamId, limits,
};

use super::forge;
use crate::meddled_pair::{MeddledPair, Meddler, Passage, Setting, address};
use crate::profile::Profile;
use crate::rng::Rng;
use crate::violation::Failure;
use crate::workload::{Plan, STREAM_CODE, fill, stream_key};

/// Kinds of broken rules.
pub(super) const KINDS: u64 = 10;

const MS: Duration = Duration::from_millis(1);
/// Streams of either direction that the victim grants.
const STREAMS: u64 = 3;
/// The victim's idle timeout.
const IDLE: Duration = Duration::from_secs(5);

/// What the script says next: so long after the last packet, this datagram.
type Script = Vec<(Duration, Vec<u8>)>;
/// Writes a script with the voice of the peer that is replaced.
type Author = Box<dyn FnOnce(&mut Voice) -> Script>;

/// Mutes node 0 once node 1 has been heard, and plays its script when node 1 sends data.
struct Puppeteer {
    make: Option<Author>,
    /// What was overheard of node 0.
    voice: Voice,
    heard: u32,
    /// What the victim sent after that: headers, and what lies behind them.
    answers: Vec<(Header, Vec<u8>)>,
    /// How long the script waits.
    patience: Duration,
}

/// What a hostile peer needs to speak as node 0.
struct Voice {
    /// Number of its next packet.
    number: u64,
    to: ConnectionId,
    window: u16,
    /// The largest number that the victim has used.
    victim: u64,
}

impl Voice {
    fn header(&mut self, kind: PacketType) -> Header {
        let mut header = Header::new(kind, self.to);
        header.sequence = PacketNumber(self.number).truncated();
        header.window = self.window;
        self.number += 1;
        header
    }

    /// A packet of control frames.
    fn frames(&mut self, frames: &[Frame<'_>]) -> Vec<u8> {
        let mut block = Vec::new();
        frames.iter().for_each(|frame| frame.emit(&mut block));
        let mut header = self.header(PacketType::Data);
        header.flags = Flags(0);
        forge::plain(header, &[], &block)
    }

    /// A fragment of a reliable message.
    fn fragment(
        &mut self,
        id: MessageId,
        [index, total]: [u16; 2],
        length: u64,
        data: &[u8],
    ) -> Vec<u8> {
        let mut header = self.header(PacketType::Fragment);
        header.flags = Flags::RELIABLE.with_if(index + 1 == total, Flags::END);
        header.fragment_id = PacketNumber(id.0).truncated();
        (header.fragment_index, header.fragment_total) = (index, total);
        let mut block = Vec::new();
        Frame::MessageLength(length).emit(&mut block);
        forge::plain(header, data, &block)
    }
}

impl Meddler for Puppeteer {
    fn on_datagram(&mut self, _: Instant, passage: Passage, out: &mut Vec<Passage>) {
        let Some((header, payload)) = forge::read(&passage.bytes) else {
            out.push(passage);
            return;
        };
        let handshake = matches!(header.kind, PacketType::Syn | PacketType::SynAck);
        if passage.to == 1 {
            // The confirm message and what shares its datagram are honest still.
            if self.heard == 0 {
                if !handshake {
                    self.voice.to = header.connection_id;
                    self.voice.window = header.window.max(self.voice.window);
                    self.voice.number = u64::from(header.sequence) + 10;
                }
                out.push(passage);
            }
            return;
        }
        if handshake {
            out.push(passage);
            return;
        }
        self.voice.victim = self.voice.victim.max(u64::from(header.sequence));
        self.answers.push((header, payload.to_vec()));
        self.heard += 1;
        let speaks = header.kind == PacketType::Data;
        if let Some(make) = self.make.take_if(|_| speaks) {
            let mut after = self.patience + passage.after * 2;
            for (pause, bytes) in make(&mut self.voice) {
                after += pause;
                out.push(Passage {
                    to: 1,
                    after,
                    source: address(0),
                    ecn: None,
                    bytes,
                });
            }
        }
    }
}

/// The run of a kind; `turn` varies it.
pub(super) fn run(kind: u64, turn: u64) -> Result<(), Failure> {
    let mut rng = Rng::new(turn).split(kind);
    match kind {
        0 => play(
            turn,
            &mut rng,
            ack_of_unsent,
            Some(PeerViolation::AckOfUnsentPacket),
        ),
        1 => play(
            turn,
            &mut rng,
            two_final_sizes,
            Some(PeerViolation::FinalSize),
        ),
        2 => play(
            turn,
            &mut rng,
            one_stream_too_many,
            Some(PeerViolation::StreamLimit),
        ),
        3 => play(
            turn,
            &mut rng,
            beyond_the_window,
            Some(PeerViolation::FlowControl),
        ),
        4 => play(
            turn,
            &mut rng,
            two_totals,
            Some(PeerViolation::FragmentMismatch),
        ),
        5 => play(
            turn,
            &mut rng,
            contradicting_copies,
            Some(PeerViolation::ContradictingData),
        ),
        6 => too_many_messages(turn, &mut rng),
        7 => flood_of_pings(turn, &mut rng),
        8 => falling_marks(turn, &mut rng),
        _ => garbage_from_the_dead(turn, &mut rng),
    }
}

fn pair(
    turn: u64,
    rng: &mut Rng,
    make: impl FnOnce(&mut Voice) -> Script + 'static,
) -> Result<MeddledPair<Puppeteer>, Failure> {
    let mut config = EndpointConfig::default();
    config.transport.idle_timeout = IDLE;
    config.transport.max_streams_bidi = STREAMS;
    config.transport.max_streams_uni = STREAMS;
    config.transport.receive_window = 65_536;
    config.transport.stream_receive_window = 16_384;
    config.transport.max_message_size = 60_000;
    config.transport.first_packet_number =
        Some(u32::try_from(rng.between(0, 1 << 30)).unwrap_or(0));
    let speaks = Plan {
        messages: vec![1_000; 6],
        ..Plan::default()
    };
    let setting = Setting {
        profile: Profile::Plain,
        config: [config.clone(), config],
        plans: [Plan::default(), speaks],
        delay: Duration::from_micros(rng.between(500, 20_000)),
    };
    let meddler = Puppeteer {
        make: Some(Box::new(make)),
        voice: Voice {
            number: 0,
            to: ConnectionId::NONE,
            window: 0,
            victim: 0,
        },
        heard: 0,
        answers: Vec::new(),
        patience: Duration::from_micros(rng.between(0, 30_000)),
    };
    MeddledPair::new(&setting, turn, meddler)
}

/// Plays a script that breaks a rule; the victim has to say which.
fn play(
    turn: u64,
    rng: &mut Rng,
    script: fn(&mut Voice, &mut Rng) -> Script,
    expected: Option<PeerViolation>,
) -> Result<(), Failure> {
    let mut of_script = rng.split(7);
    let mut pair = pair(turn, rng, move |voice| script(voice, &mut of_script))?;
    while pair.close_reason(1).is_none() && pair.step(Instant::ZERO + Duration::from_secs(2))? {}
    let said = match pair.close_reason(1) {
        Some(CloseReason::Violation(violation)) => Some(*violation),
        _ => None,
    };
    if said == expected {
        return Ok(());
    }
    let detail = format!("{:?}, not {expected:?}", pair.close_reason(1));
    Err(pair.unexpected(1, "a broken rule went unnoticed", detail))
}

fn ack_of_unsent(voice: &mut Voice, rng: &mut Rng) -> Script {
    let mut header = voice.header(PacketType::Ack);
    // Beyond what the victim can have sent meanwhile.
    let ahead = voice.victim + rng.between(100, 100_000);
    header.flags = Flags::ACK;
    header.acknowledgment = PacketNumber(ahead).truncated();
    let mut value = Vec::new();
    ack::encode(&mut value, Duration::ZERO, &[ahead..=ahead], None);
    let mut block = Vec::new();
    frame::write_ack(&mut block, &value);
    vec![(Duration::ZERO, forge::plain(header, &[], &block))]
}

fn stream(rng: &mut Rng, index: u64) -> StreamId {
    let directions = [
        StreamDirection::Bidirectional,
        StreamDirection::Unidirectional,
    ];
    let direction = rng.pick(&directions).copied();
    let direction = direction.unwrap_or(StreamDirection::Unidirectional);
    StreamId::new(Side::Initiator, direction, index)
}

fn two_final_sizes(voice: &mut Voice, rng: &mut Rng) -> Script {
    let index = rng.below(STREAMS);
    let id = stream(rng, index);
    // The beginning never comes, so the application cannot have read to the end meanwhile.
    let offset = rng.between(1, 1_000);
    let end = |offset| Frame::Stream {
        id,
        offset,
        fin: true,
        data: b"the end",
    };
    let other = offset + rng.between(1, 500);
    let again = match rng.below(2) {
        0 => end(other),
        _ => Frame::ResetStream {
            id,
            code: STREAM_CODE,
            final_size: other,
        },
    };
    // A reset to the same size would be none of the two.
    let first = if other == offset + 7 {
        end(offset + 1)
    } else {
        end(offset)
    };
    vec![
        (Duration::ZERO, voice.frames(&[first])),
        (MS, voice.frames(&[again])),
    ]
}

fn one_stream_too_many(voice: &mut Voice, rng: &mut Rng) -> Script {
    let id = stream(rng, STREAMS);
    let frame = Frame::Stream {
        id,
        offset: 0,
        fin: false,
        data: b"one too many",
    };
    vec![(Duration::ZERO, voice.frames(&[frame]))]
}

fn beyond_the_window(voice: &mut Voice, rng: &mut Rng) -> Script {
    let id = stream(rng, 0);
    let offset = 16_384 - rng.between(0, 9);
    let frame = Frame::Stream {
        id,
        offset,
        fin: false,
        data: b"ten bytes.",
    };
    vec![(Duration::ZERO, voice.frames(&[frame]))]
}

fn two_totals(voice: &mut Voice, rng: &mut Rng) -> Script {
    let id = MessageId(rng.below(50));
    let data = [7; 100];
    vec![
        (Duration::ZERO, voice.fragment(id, [0, 3], 300, &data)),
        // The same place by another count: 100 bytes of 200 in two.
        (MS, voice.fragment(id, [1, 2], 200, &data)),
    ]
}

/// A second copy of bytes that were not read says otherwise.
fn contradicting_copies(voice: &mut Voice, rng: &mut Rng) -> Script {
    let id = StreamId::new(Side::Initiator, StreamDirection::Unidirectional, 0);
    let length = rng.between(30, 600);
    let (from, to) = (
        rng.between(2, length / 2),
        rng.between(length / 2 + 1, length),
    );
    let mut genuine = vec![0; usize::try_from(length).unwrap_or(0)];
    fill(stream_key(Side::Initiator, id), 0, &mut genuine);
    let [start, end] = [from, to].map(|at| usize::try_from(at).unwrap_or(0));
    let first = genuine.get(start..end).unwrap_or_default().to_vec();
    let mut forged = genuine;
    forged.get_mut(start..end).unwrap_or_default().fill(0xee);
    let ahead = Frame::Stream {
        id,
        offset: from,
        fin: false,
        data: &first,
    };
    let all = Frame::Stream {
        id,
        offset: 0,
        fin: true,
        data: &forged,
    };
    vec![
        (Duration::ZERO, voice.frames(&[ahead])),
        (MS, voice.frames(&[all])),
    ]
}

/// One message more in reassembly than the limit is not received.
fn too_many_messages(turn: u64, rng: &mut Rng) -> Result<(), Failure> {
    let limit = limits::MESSAGES_IN_REASSEMBLY_MAX as u64;
    let more = rng.between(1, 5);
    let mut pair = pair(turn, rng, move |voice| {
        let fragment = |id| (MS / 10, voice.fragment(MessageId(id), [0, 2], 20, &[1; 10]));
        (0..limit + more).map(fragment).collect()
    })?;
    pair.run_until(Instant::ZERO + Duration::from_secs(1))?;
    let first = pair.meddler.voice.number - limit - more;
    let acknowledged = acknowledged(&pair.meddler);
    let count = acknowledged.range(first..).count() as u64;
    if count == limit {
        return Ok(());
    }
    let detail = format!("{count}, the limit is {limit}");
    Err(pair.unexpected(1, "messages taken into reassembly", detail))
}

/// Every number that the victim acknowledged.
fn acknowledged(meddler: &Puppeteer) -> BTreeSet<u64> {
    let mut numbers = BTreeSet::new();
    for (header, payload) in &meddler.answers {
        if !header.flags.contains(Flags::EXTENSION.with(Flags::ACK)) {
            continue;
        }
        let largest = reconstruct(header.acknowledgment, meddler.voice.number);
        let Ok((_, block)) = extension::split(payload) else {
            continue;
        };
        for frame in Frames::new(block).map_while(Result::ok) {
            if let Frame::Ack(ack) = frame {
                numbers.extend(ack.ranges(largest).map_while(Result::ok).flatten());
            }
        }
    }
    numbers
}

/// Many PINGs in one datagram get a bounded number of answers.
fn flood_of_pings(turn: u64, rng: &mut Rng) -> Result<(), Failure> {
    const TOKENS: u64 = 1_000;
    let count = rng.between(20, 60);
    let mut pair = pair(turn, rng, move |voice| {
        let pings = (TOKENS..TOKENS + count).flat_map(|token| {
            let header = voice.header(PacketType::Ping);
            forge::plain(header, &token.to_be_bytes(), &[])
        });
        vec![(Duration::ZERO, pings.collect())]
    })?;
    pair.run_until(Instant::ZERO + Duration::from_secs(1))?;
    // The honest peer has asked too, with another token.
    let is_answer = |header: &Header, payload: &[u8]| {
        let token = payload.first_chunk().copied().map(u64::from_be_bytes);
        header.kind == PacketType::Pong && token >= Some(TOKENS)
    };
    let answers = pair.meddler.answers.iter();
    let pongs = answers
        .filter(|(header, payload)| is_answer(header, payload))
        .count();
    if (1..=limits::QUEUED_PONGS_MAX).contains(&pongs) {
        return Ok(());
    }
    let detail = format!("{pongs} of {count}");
    Err(pair.unexpected(1, "answers to a flood of PINGs", detail))
}

/// Counts of marks that fall are old news: only a new highest count is congestion.
fn falling_marks(turn: u64, rng: &mut Rng) -> Result<(), Failure> {
    let counts: Vec<u64> = (0..4).map(|_| rng.below(6)).collect();
    let (mut highest, mut rises) = (0, 0);
    // Every second acknowledgement was overtaken by the one before it, and says nothing.
    for count in counts.iter().step_by(2) {
        rises += u64::from(*count > highest);
        highest = highest.max(*count);
    }
    let mut pair = pair(turn, rng, move |voice| {
        let first = voice.victim;
        let acknowledgement = |(largest, ce)| {
            let mut header = voice.header(PacketType::Ack);
            header.flags = Flags::ACK;
            header.acknowledgment = PacketNumber(largest).truncated();
            let marks = EcnCounts {
                ect0: 1,
                ect1: 0,
                ce,
            };
            let mut value = Vec::new();
            ack::encode(
                &mut value,
                Duration::ZERO,
                &[largest..=largest],
                Some(marks),
            );
            let mut block = Vec::new();
            frame::write_ack(&mut block, &value);
            (MS, forge::plain(header, &[], &block))
        };
        let numbers = [1, 0, 3, 2].map(|ahead| first + ahead);
        numbers
            .into_iter()
            .zip(counts)
            .map(acknowledgement)
            .collect()
    })?;
    pair.run_until(Instant::ZERO + Duration::from_secs(1))?;
    let events = pair.stats(1).congestion_signals;
    if events == rises {
        return Ok(());
    }
    let detail = format!(
        "{events} for {rises} rises: {:?} {:?}",
        pair.close_reason(1),
        pair.stats(1)
    );
    Err(pair.unexpected(1, "reactions to counts of marks", detail))
}

/// What does not open keeps nobody alive.
fn garbage_from_the_dead(turn: u64, rng: &mut Rng) -> Result<(), Failure> {
    let mut pair = pair(turn, rng, move |voice| {
        let garbage = |_| {
            let mut packet = voice.frames(&[]);
            if let Some(last) = packet.last_mut() {
                *last ^= 1;
            }
            (500 * MS, packet)
        };
        (0..40).map(garbage).collect()
    })?;
    pair.run_until(Instant::ZERO + IDLE * 2 + Duration::from_secs(2))?;
    if pair.close_reason(1) == Some(&CloseReason::TimedOut) {
        return Ok(());
    }
    let detail = format!("{:?}", pair.close_reason(1));
    Err(pair.unexpected(1, "garbage keeps a dead connection alive", detail))
}
