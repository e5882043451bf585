//! The streams of a connection: two ends with a faulty path between them, one end with a hostile
//! peer, and whose turn it is.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use arbitrary::Arbitrary;

use super::{operations, pattern};
use crate::config::TransportConfig;
use crate::error::{PeerViolation, ReadError};
use crate::flow::ReceiveFlow;
use crate::ids::{ConnectionId, Side, StreamDirection, StreamId};
use crate::io::Event;
use crate::send::buffer::Piece;
use crate::streams::{Control, Placed, Streams};
use crate::wire::params::TransportParams;

const WINDOW: u64 = 1 << 20;
/// Pieces and control frames in flight in one direction; then nothing more is sent.
const IN_FLIGHT_MAX: usize = 64;

fn config() -> TransportConfig {
    TransportConfig {
        max_streams_bidi: 3,
        max_streams_uni: 2,
        stream_receive_window: 16_384,
        ..TransportConfig::default()
    }
    .clamped()
}

fn streams(side: Side) -> Streams {
    let mut streams = Streams::new(side, &config());
    streams.on_params(&TransportParams::of(&config(), ConnectionId(1)));
    streams
}

const fn direction(unidirectional: bool) -> StreamDirection {
    if unidirectional {
        StreamDirection::Unidirectional
    } else {
        StreamDirection::Bidirectional
    }
}

#[derive(Arbitrary, Debug)]
enum Call {
    Open {
        unidirectional: bool,
    },
    Write {
        which: u8,
        length: u16,
    },
    Finish {
        which: u8,
    },
    Reset {
        which: u8,
    },
    Stop {
        which: u8,
    },
    Read {
        which: u8,
        max: u16,
    },
    Transmit {
        max: u16,
    },
    /// The other end gets a packet; whether we hear so, or believe it lost.
    Deliver {
        which: u8,
        heard: bool,
    },
    Lose {
        which: u8,
    },
}

/// Two ends and what is in flight between them, amid arbitrary calls, losses, reordering and wrong
/// verdicts: bytes are right and in order after each call, and once faults stop all arrives.
///
/// # Panics
/// When a property is broken.
pub fn streams_pair(data: &[u8]) {
    let mut ends = [End::new(Side::Initiator), End::new(Side::Responder)];
    for (at_second, call) in operations::<(bool, Call)>(data).take(600) {
        let [a, b] = &mut ends;
        let (end, other) = if at_second { (b, a) } else { (a, b) };
        match call {
            Call::Open { unidirectional } => end.open(unidirectional),
            Call::Write { which, length } => end.write(which, usize::from(length) % 9_000),
            Call::Finish { which } => end.finish(which),
            Call::Reset { which } => end.reset(which),
            Call::Stop { which } => end.stop(which),
            Call::Read { which, max } => end.read(which, usize::from(max) % 20_000 + 1, other),
            Call::Transmit { max } => end.transmit(usize::from(max) % 3_000 + 1),
            Call::Deliver { which, heard } => end.deliver(other, which, heard),
            Call::Lose { which } => end.lose(which),
        }
    }
    finish(&mut ends);
}

/// Faults stop: everything that was not abandoned arrives and ends.
fn finish(ends: &mut [End; 2]) {
    for _ in 0..10_000 {
        let [a, b] = ends;
        let idle = [exchange(a, b), exchange(b, a)];
        if idle == [true; 2] {
            a.check_delivered_to(b);
            b.check_delivered_to(a);
            return;
        }
    }
    panic!("streams do not come to rest");
}

/// One round in one direction. Whether nothing happened.
fn exchange(end: &mut End, other: &mut End) -> bool {
    while end.flight.len() < IN_FLIGHT_MAX && end.transmit_one(1_200) {}
    let idle = end.flight.is_empty();
    while !end.flight.is_empty() {
        end.deliver(other, 0, true);
    }
    let before = other.progress();
    for which in 0..=u8::try_from(other.reading.len()).unwrap_or(u8::MAX) {
        other.read(which, 100_000, end);
    }
    idle && before == other.progress()
}

enum Sent {
    Piece(StreamId, Piece, Vec<u8>),
    Control(Control),
}

/// What an end knows of a stream it writes.
#[derive(Default)]
struct Writing {
    written: u64,
    finished: bool,
    abandoned: bool,
}

/// What it knows of one it reads.
#[derive(Default)]
struct Reading {
    read: u64,
    ended: bool,
    stopped: bool,
}

struct End {
    side: Side,
    streams: Streams,
    flow: ReceiveFlow,
    events: VecDeque<Event>,
    writing: BTreeMap<StreamId, Writing>,
    reading: BTreeMap<StreamId, Reading>,
    flight: Vec<Sent>,
}

/// Key of the bytes that `side` writes to stream `id`.
fn key(side: Side, id: StreamId) -> u64 {
    id.0 * 2 + u64::from(side == Side::Responder)
}

fn nth<V>(map: &BTreeMap<StreamId, V>, which: u8) -> Option<StreamId> {
    let index = usize::from(which) % map.len().max(1);
    map.keys().nth(index).copied()
}

impl End {
    fn new(side: Side) -> Self {
        Self {
            side,
            streams: streams(side),
            flow: ReceiveFlow::new(WINDOW, 6),
            events: VecDeque::new(),
            writing: BTreeMap::new(),
            reading: BTreeMap::new(),
            flight: Vec::new(),
        }
    }

    fn progress(&self) -> (u64, usize) {
        let read = self.reading.values().map(|it| it.read).sum();
        let ended = self.reading.values().filter(|it| it.ended).count();
        (read, ended)
    }

    fn open(&mut self, unidirectional: bool) {
        if let Some(id) = self.streams.open(direction(unidirectional)) {
            self.writing.insert(id, Writing::default());
            if !unidirectional {
                self.reading.insert(id, Reading::default());
            }
        }
    }

    fn write(&mut self, which: u8, length: usize) {
        let Some(id) = nth(&self.writing, which) else {
            return;
        };
        let key = key(self.side, id);
        let Some(stream) = self.writing.get_mut(&id) else {
            return;
        };
        let from = stream.written;
        let data: Vec<u8> = (from..from + length as u64)
            .map(|at| pattern(key, at))
            .collect();
        if let Ok(count) = self.streams.write(id, &data, 65_536) {
            assert!(!stream.finished && !stream.abandoned);
            stream.written += count as u64;
        }
    }

    fn finish(&mut self, which: u8) {
        if let Some(id) = nth(&self.writing, which)
            && self.streams.finish(id).is_ok()
            && let Some(stream) = self.writing.get_mut(&id)
        {
            assert!(!core::mem::replace(&mut stream.finished, true));
        }
    }

    fn reset(&mut self, which: u8) {
        if let Some(id) = nth(&self.writing, which)
            && self.streams.reset(id, 7).is_ok()
            && let Some(stream) = self.writing.get_mut(&id)
        {
            stream.abandoned = true;
        }
    }

    fn stop(&mut self, which: u8) {
        if let Some(id) = nth(&self.reading, which)
            && self.streams.stop(id, 9, &mut self.flow).is_ok()
            && let Some(stream) = self.reading.get_mut(&id)
        {
            stream.stopped = true;
        }
    }

    fn read(&mut self, which: u8, max: usize, other: &Self) {
        let Some(id) = nth(&self.reading, which) else {
            return;
        };
        let key = key(other.side, id);
        let written = other.writing.get(&id);
        let Some(stream) = self.reading.get_mut(&id) else {
            return;
        };
        let mut out = alloc::vec![0; max];
        match self.streams.read(id, &mut out, &mut self.flow) {
            Ok(0) => {
                assert!(written.is_some_and(|it| it.finished && it.written == stream.read));
                stream.ended = true;
            }
            Ok(count) => {
                assert!(!stream.ended && !stream.stopped);
                for byte in &out[..count] {
                    assert_eq!(
                        *byte,
                        pattern(key, stream.read),
                        "{id:?} at {}",
                        stream.read
                    );
                    stream.read += 1;
                }
                assert!(written.is_some_and(|it| stream.read <= it.written));
            }
            Err(ReadError::Reset(code)) => {
                assert!(written.is_some_and(|it| it.abandoned) && (code == 7 || code == 9));
                stream.ended = true;
            }
            Err(_) => {}
        }
    }

    fn transmit(&mut self, max: usize) {
        if self.flight.len() < IN_FLIGHT_MAX {
            self.transmit_one(max);
        }
    }

    fn transmit_one(&mut self, max: usize) -> bool {
        if let Some(control) = self.streams.poll_control() {
            self.flight.push(Sent::Control(control));
            return true;
        }
        let Some((id, piece)) = self.streams.poll_piece(u64::MAX, |_, _| max) else {
            return false;
        };
        let mut bytes = Vec::new();
        self.streams.copy(id, &piece.range, &mut bytes);
        assert!(bytes.len() <= max);
        self.flight.push(Sent::Piece(id, piece, bytes));
        true
    }

    fn deliver(&mut self, to: &mut Self, which: u8, heard: bool) {
        if self.flight.is_empty() {
            return;
        }
        let sent = self.flight.remove(usize::from(which) % self.flight.len());
        let placed = to.receive(&sent);
        if heard && placed == Placed::Yes {
            match sent {
                Sent::Piece(id, piece, _) => {
                    let Piece { range, fin, .. } = piece;
                    self.streams
                        .on_acknowledged(id, range, fin, &mut self.events);
                }
                Sent::Control(control) => self.streams.on_control_acknowledged(&control),
            }
        } else {
            self.on_lost(sent);
        }
    }

    fn lose(&mut self, which: u8) {
        if !self.flight.is_empty() {
            let sent = self.flight.remove(usize::from(which) % self.flight.len());
            self.on_lost(sent);
        }
    }

    fn on_lost(&mut self, sent: Sent) {
        match sent {
            Sent::Piece(id, piece, _) => self.streams.on_lost(id, piece.range, piece.fin),
            Sent::Control(control) => self.streams.on_control_lost(&control),
        }
    }

    fn receive(&mut self, sent: &Sent) -> Placed {
        let result = match sent {
            Sent::Piece(id, piece, bytes) => self.streams.on_data(
                (*id, piece.range.start, piece.fin),
                bytes,
                &mut self.flow,
                &mut self.events,
            ),
            Sent::Control(control) => self.receive_control(control),
        };
        while let Some(event) = self.events.pop_front() {
            match event {
                Event::StreamsOpened(direction) => self.accept(direction),
                Event::StreamStopped(id, _) => {
                    if let Some(stream) = self.writing.get_mut(&id) {
                        stream.abandoned = true;
                    }
                }
                _ => {}
            }
        }
        result.expect("honest ends break no rule")
    }

    fn receive_control(&mut self, control: &Control) -> Result<Placed, PeerViolation> {
        let (flow, events) = (&mut self.flow, &mut self.events);
        match *control {
            Control::Reset {
                id,
                code,
                final_size,
            } => {
                self.streams
                    .on_reset(id, (code, final_size), flow, events)?;
            }
            Control::Stop { id, code } => self.streams.on_stop_sending(id, code, events)?,
            Control::Credit { id, limit } => {
                self.streams.on_max_stream_data(id, limit, events)?;
            }
            Control::Grant { direction, count } => {
                self.streams.on_max_streams(direction, count, events);
            }
        }
        Ok(Placed::Yes)
    }

    fn accept(&mut self, direction: StreamDirection) {
        while let Some(id) = self.streams.accept(direction) {
            self.reading.insert(id, Reading::default());
            if direction == StreamDirection::Bidirectional {
                self.writing.insert(id, Writing::default());
            }
        }
    }

    fn check_delivered_to(&self, other: &Self) {
        for (id, stream) in &self.writing {
            let seen = other.reading.get(id);
            let stopped = seen.is_some_and(|it| it.stopped);
            if stream.abandoned || stopped {
                continue;
            }
            let read = seen.map_or(0, |it| it.read);
            assert_eq!(read, stream.written, "{id:?} has not arrived");
            let ended = seen.is_some_and(|it| it.ended);
            assert_eq!(ended, stream.finished, "the end of {id:?}");
        }
        assert!(self.flow.unread() <= WINDOW);
    }
}

#[derive(Arbitrary, Debug)]
enum Hostile {
    Data {
        id: u8,
        offset: u16,
        length: u16,
        fin: bool,
    },
    FarData {
        id: u16,
        low: u32,
    },
    Reset {
        id: u8,
        size: u16,
    },
    Stop {
        id: u8,
    },
    Credit {
        id: u8,
        limit: u32,
    },
    Grant {
        unidirectional: bool,
        count: u8,
    },
    Open {
        unidirectional: bool,
    },
    Write {
        id: u8,
        length: u8,
    },
    Read {
        id: u8,
        max: u16,
    },
    StopReading {
        id: u8,
    },
    Transmit {
        max: u8,
    },
}

/// One end whose peer says anything: no panic, no more streams than granted, no more bytes than the
/// window; what is read is what was sent.
///
/// # Panics
/// When a property is broken.
pub fn streams_hostile(data: &[u8]) {
    let mut victim = Victim {
        streams: streams(Side::Initiator),
        flow: ReceiveFlow::new(65_536, 3),
        events: VecDeque::new(),
        read: BTreeMap::new(),
        accepted: 0,
        half_over: 0,
    };
    for operation in operations(data) {
        if victim.operate(&operation).is_err() {
            // The connection ends here.
            return;
        }
        victim.events.clear();
        assert!(victim.flow.unread() <= 65_536, "more than the window");
        for unidirectional in [false, true] {
            while victim.streams.accept(direction(unidirectional)).is_some() {
                victim.accepted += 1;
            }
        }
        // Each stream that is granted anew has ended on both halves.
        assert!(victim.accepted <= 5 + victim.half_over);
    }
}

struct Victim {
    streams: Streams,
    flow: ReceiveFlow,
    events: VecDeque<Event>,
    read: BTreeMap<StreamId, u64>,
    accepted: usize,
    half_over: usize,
}

impl Victim {
    fn operate(&mut self, operation: &Hostile) -> Result<(), PeerViolation> {
        let (flow, events) = (&mut self.flow, &mut self.events);
        let peers = |id: u8| StreamId(u64::from(id % 24));
        match *operation {
            Hostile::Data {
                id,
                offset,
                length,
                fin,
            } => {
                let (id, offset) = (peers(id), u64::from(offset));
                let data: Vec<u8> = (offset..offset + u64::from(length % 5_000))
                    .map(|at| pattern(id.0, at))
                    .collect();
                self.streams
                    .on_data((id, offset, fin), &data, flow, events)?;
            }
            Hostile::FarData { id, low } => {
                let id = self.streams.full_id(id.into());
                let offset = self.streams.full_offset(id, low);
                self.streams.on_data(
                    (id, offset, false),
                    &[pattern(id.0, offset)],
                    flow,
                    events,
                )?;
            }
            Hostile::Reset { id, size } => {
                let size = u64::from(size);
                self.streams.on_reset(peers(id), (1, size), flow, events)?;
            }
            Hostile::Stop { id } => self.streams.on_stop_sending(peers(id), 2, events)?,
            Hostile::Credit { id, limit } => {
                self.streams
                    .on_max_stream_data(peers(id), limit.into(), events)?;
            }
            Hostile::Grant {
                unidirectional,
                count,
            } => {
                self.streams
                    .on_max_streams(direction(unidirectional), count.into(), events);
            }
            Hostile::Open { unidirectional } => {
                self.streams.open(direction(unidirectional));
            }
            Hostile::Write { id, length } => {
                let data = [5; 255];
                let _ = self
                    .streams
                    .write(peers(id), &data[..usize::from(length)], 65_536);
            }
            Hostile::Read { id, max } => self.read(peers(id), max.into()),
            Hostile::StopReading { id } => {
                if self.streams.stop(peers(id), 3, flow).is_ok() {
                    self.half_over += 1;
                }
            }
            Hostile::Transmit { max } => self.transmit(max),
        }
        Ok(())
    }

    fn read(&mut self, id: StreamId, max: usize) {
        let mut out = alloc::vec![0; max];
        match self.streams.read(id, &mut out, &mut self.flow) {
            Ok(0) if max > 0 => self.half_over += 1,
            Ok(count) => {
                let read = self.read.entry(id).or_default();
                for byte in &out[..count] {
                    assert_eq!(*byte, pattern(id.0, *read));
                    *read += 1;
                }
            }
            Err(ReadError::Reset(_)) => self.half_over += 1,
            Err(_) => {}
        }
    }

    /// What we send arrives and is acknowledged.
    fn transmit(&mut self, max: u8) {
        if let Some(control) = self.streams.poll_control() {
            self.streams.on_control_acknowledged(&control);
            self.half_over += 1;
        }
        let polled = self
            .streams
            .poll_piece(u64::MAX, |_, _| usize::from(max) + 1);
        if let Some((id, Piece { range, fin, .. })) = polled {
            self.streams
                .on_acknowledged(id, range, fin, &mut self.events);
            self.half_over += usize::from(fin);
        }
    }
}

#[derive(Arbitrary, Debug)]
enum Turn {
    Open { unidirectional: bool },
    Write { which: u8, length: u16 },
    Finish { which: u8 },
    Poll { max: u16, credit: u16 },
    Lose { which: u8 },
    Acknowledge { which: u8 },
}

/// Round robin: while a stream waits with something to send, no other one gets two turns.
///
/// # Panics
/// When a stream is passed over.
pub fn stream_fairness(data: &[u8]) {
    let mut streams = Streams::new(Side::Initiator, &config());
    streams.on_params(&TransportParams {
        max_streams_bidi: 40,
        max_streams_uni: 40,
        max_stream_data: WINDOW,
        ..TransportParams::of(&config(), ConnectionId(1))
    });
    let mut ids: Vec<StreamId> = Vec::new();
    let mut flight: Vec<(StreamId, Piece)> = Vec::new();
    // For each stream that waits: the turns that others have had since.
    let mut passed: BTreeMap<StreamId, BTreeMap<StreamId, u32>> = BTreeMap::new();
    let mut events = VecDeque::new();
    for turn in operations(data) {
        match turn {
            Turn::Open { unidirectional } => ids.extend(streams.open(direction(unidirectional))),
            Turn::Write { which, length } => {
                if let Some(id) = ids.get(usize::from(which) % ids.len().max(1)) {
                    let bytes = alloc::vec![1; usize::from(length) % 5_000 + 1];
                    if streams.write(*id, &bytes, 1 << 20).is_ok() {
                        passed.entry(*id).or_default();
                    }
                }
            }
            Turn::Finish { which } => {
                if let Some(id) = ids.get(usize::from(which) % ids.len().max(1)) {
                    let _ = streams.finish(*id);
                }
            }
            Turn::Poll { max, credit } => {
                let credit = if credit % 4 == 0 { 0 } else { u64::MAX };
                let max = usize::from(max) % 1_500 + 1;
                let Some((id, piece)) = streams.poll_piece(credit, |_, _| max) else {
                    continue;
                };
                if credit > 0 {
                    on_turn(&mut passed, id);
                } else {
                    // Whoever needs credit for new bytes could not take its turn.
                    passed.clear();
                }
                flight.push((id, piece));
            }
            Turn::Lose { which } => {
                if !flight.is_empty() {
                    let (id, piece) = flight.swap_remove(usize::from(which) % flight.len());
                    let (range, fin) = (piece.range, piece.fin);
                    streams.on_lost(id, range, fin);
                }
            }
            Turn::Acknowledge { which } => {
                if !flight.is_empty() {
                    let (id, piece) = flight.swap_remove(usize::from(which) % flight.len());
                    let (range, fin) = (piece.range, piece.fin);
                    streams.on_acknowledged(id, range, fin, &mut events);
                }
            }
        }
    }
}

/// `id` had a turn: it begins to wait anew, everybody else has waited one turn of it longer.
fn on_turn(passed: &mut BTreeMap<StreamId, BTreeMap<StreamId, u32>>, id: StreamId) {
    // Whether it has more to send is not known from outside: it counts as waiting again only when
    // it is written to.
    passed.remove(&id);
    for (waiting, turns) in passed {
        let count = turns.entry(id).or_insert(0);
        *count += 1;
        assert!(
            *count <= 1,
            "{waiting:?} waits while {id:?} has a second turn"
        );
    }
}
