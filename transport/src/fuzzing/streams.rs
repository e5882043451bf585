//! The streams of a connection: two ends with a faulty path between them. What one end does alone is
//! in `streams_alone`.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use arbitrary::Arbitrary;

use super::{operations, pattern};
use crate::config::TransportConfig;
use crate::error::{PeerViolation, ReadError};
use crate::flow::ReceiveFlow;
use crate::ids::{ConnectionId, PacketNumber, Side, StreamDirection, StreamId};
use crate::io::Event;
use crate::send::buffer::Piece;
use crate::streams::{Control, Placed, Streams};
use crate::time::Instant;
use crate::wire::params::TransportParams;

pub(super) const WINDOW: u64 = 1 << 20;
/// Pieces and control frames in flight in one direction; then nothing more is sent.
const IN_FLIGHT_MAX: usize = 64;

pub(super) fn config() -> TransportConfig {
    TransportConfig {
        max_streams_bidi: 3,
        max_streams_uni: 2,
        stream_receive_window: 16_384,
        initial_stream_receive_window: 16_384,
        ..TransportConfig::default()
    }
    .clamped()
}

pub(super) fn streams(side: Side) -> Streams {
    let mut streams = Streams::new(side, &config());
    streams.on_params(&TransportParams::of(&config(), ConnectionId(1)));
    streams
}

pub(super) const fn direction(unidirectional: bool) -> StreamDirection {
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
            flow: ReceiveFlow::new(WINDOW, WINDOW, 6),
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

    fn poll_piece(&mut self, max: usize) -> Option<(StreamId, Piece)> {
        let urgency = self.streams.urgency(u64::MAX)?;
        self.streams.poll_piece(u64::MAX, urgency, |_, _| max)
    }

    fn transmit(&mut self, max: usize) {
        if self.flight.len() < IN_FLIGHT_MAX {
            self.transmit_one(max);
        }
    }

    fn transmit_one(&mut self, max: usize) -> bool {
        if let Some(control) = self.streams.poll_control(Instant::ZERO, Duration::ZERO) {
            self.flight.push(Sent::Control(control));
            return true;
        }
        let Some((id, piece)) = self.poll_piece(max) else {
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
                let told = (PacketNumber(0), limit);
                self.streams.on_max_stream_data(id, told, events)?;
            }
            Control::Grant { direction, count } => {
                let told = (PacketNumber(0), count);
                self.streams.on_max_streams(direction, told, events)?;
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
