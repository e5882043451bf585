//! The streams of one end: with a hostile peer, and whose turn it is.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use arbitrary::Arbitrary;

use super::streams::{WINDOW, config, direction, streams};
use super::{operations, pattern};
use crate::error::{PeerViolation, ReadError};
use crate::flow::ReceiveFlow;
use crate::ids::{ConnectionId, PacketNumber, Side, StreamId};
use crate::io::Event;
use crate::options::Priority;
use crate::send::buffer::Piece;
use crate::streams::{Streams, TURN};
use crate::time::Instant;
use crate::wire::params::TransportParams;

/// The urgency of all streams here.
const URGENCY: usize = Priority::STREAM.slot();
/// Longest piece that leaves at once.
const PIECE_MAX: usize = 1_500;

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
        flow: ReceiveFlow::new(65_536, 65_536, 3),
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
                self.streams.on_max_stream_data(
                    peers(id),
                    (PacketNumber(0), limit.into()),
                    events,
                )?;
            }
            Hostile::Grant {
                unidirectional,
                count,
            } => {
                let told = (PacketNumber(0), count.into());
                self.streams
                    .on_max_streams(direction(unidirectional), told, events)?;
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
        if let Some(control) = self.streams.poll_control(Instant::ZERO, Duration::ZERO) {
            self.streams.on_control_acknowledged(&control);
            self.half_over += 1;
        }
        let polled = self
            .streams
            .poll_piece(u64::MAX, URGENCY, |_, _| usize::from(max) + 1);
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

/// Round robin: while a stream waits with something to send, no other one sends more than the bytes
/// of a turn and the rest of a piece.
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
    // For each stream that waits: the bytes that others have sent since.
    let mut passed: BTreeMap<StreamId, BTreeMap<StreamId, u64>> = BTreeMap::new();
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
                let max = usize::from(max) % PIECE_MAX + 1;
                let Some((id, piece)) = streams.poll_piece(credit, URGENCY, |_, _| max) else {
                    continue;
                };
                if credit > 0 {
                    on_turn(&mut passed, id, piece.range.end - piece.range.start);
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

/// `id` sent `bytes`: it begins to wait anew, everybody else has waited so much longer.
fn on_turn(passed: &mut BTreeMap<StreamId, BTreeMap<StreamId, u64>>, id: StreamId, bytes: u64) {
    // Whether it has more to send is not known from outside: it counts as waiting again only when
    // it is written to.
    passed.remove(&id);
    for (waiting, turns) in passed {
        let count = turns.entry(id).or_insert(0);
        *count += bytes;
        assert!(
            *count < TURN + PIECE_MAX as u64,
            "{waiting:?} waits while {id:?} has sent {count} bytes"
        );
    }
}
