//! Messages in both directions against plain lists.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use arbitrary::Arbitrary;

use super::{operations, pattern};
use crate::error::PeerViolation;
use crate::flow::ReceiveFlow;
use crate::ids::MessageId;
use crate::io::Delivery;
use crate::limits::{DATAGRAMS_IN_REASSEMBLY_MAX, MESSAGES_IN_REASSEMBLY_MAX};
use crate::messages::Label;
use crate::messages::fragment_size;
use crate::messages::incoming::{IncomingMessages, Position};
use crate::messages::outgoing::{OutgoingMessages, Part};
use crate::streams::Placed;
use crate::time::Instant;

/// Least bytes of a part of an outgoing message, and most messages: they keep the model quick.
const PART_MIN: usize = 20;
const MESSAGES_MAX: usize = 60;
/// Longest message accepted here.
const LONGEST: u64 = 3_000;
const WINDOW: u64 = 1 << 20;

#[derive(Arbitrary, Debug)]
enum Incoming {
    /// A fragment of the message with this number, as its honest sender cuts it.
    Fragment {
        id: u8,
        index: u8,
        reliable: bool,
    },
    /// A fragment whose claims are arbitrary.
    Claim {
        id: u8,
        index: u16,
        total: u16,
        length: u16,
        data: u8,
        reliable: bool,
    },
    Pop,
    PopDatagram,
}

/// `IncomingMessages` against lists of the fragments that came: each message once, complete, as
/// it was sent; contradictions are violations; bounds hold.
///
/// # Panics
/// When it is not so.
pub fn messages_in(data: &[u8]) {
    let mut run = Receiver::new();
    for operation in operations(data) {
        let kept = match operation {
            Incoming::Fragment {
                id,
                index,
                reliable,
            } => run.fragment(id, index, reliable),
            Incoming::Claim {
                id,
                index,
                total,
                length,
                data,
                reliable,
            } => {
                let at = Position {
                    id: MessageId(id.into()),
                    index: index % 12,
                    total: (total % 12).max(2),
                    length: u64::from(length) % (LONGEST + 200),
                    label: Label::default(),
                };
                run.claim(at, usize::from(data) * 4, reliable)
            }
            Incoming::Pop => run.pop(),
            Incoming::PopDatagram => run.pop_datagram(),
        };
        if !kept {
            // The connection would end here.
            return;
        }
        assert!(run.open.len() <= MESSAGES_IN_REASSEMBLY_MAX);
        assert!(run.flow.unread() <= WINDOW);
    }
}

/// Fragments and length of the message with this number, as an honest peer sends it.
fn shape(id: u8) -> (u16, u64) {
    let total = u16::from(id % 7) + 1;
    let length = u64::from(id) * 11 + u64::from(total);
    (total, length)
}

/// Which fragments of a message came, under which claim.
struct Came {
    total: u16,
    length: u64,
    indices: BTreeSet<u16>,
}

struct Receiver {
    messages: IncomingMessages,
    flow: ReceiveFlow,
    events: VecDeque<crate::Event>,
    open: BTreeMap<u64, Came>,
    done: BTreeSet<u64>,
    waiting: VecDeque<(u64, u64)>,
    open_datagrams: BTreeMap<u64, Came>,
    waiting_datagrams: VecDeque<(u64, u64)>,
}

impl Receiver {
    fn new() -> Self {
        Self {
            messages: IncomingMessages::new(LONGEST, LONGEST),
            flow: ReceiveFlow::new(WINDOW, WINDOW, 6),
            events: VecDeque::new(),
            open: BTreeMap::new(),
            done: BTreeSet::new(),
            waiting: VecDeque::new(),
            open_datagrams: BTreeMap::new(),
            waiting_datagrams: VecDeque::new(),
        }
    }

    fn fragment(&mut self, id: u8, index: u8, reliable: bool) -> bool {
        let (total, length) = shape(id);
        if total == 1 {
            return self.whole(id, length, reliable);
        }
        let at = Position {
            id: MessageId(id.into()),
            index: u16::from(index) % total,
            total,
            length,
            label: Label::default(),
        };
        let size = fragment_size(length, total);
        let rest = length.saturating_sub(u64::from(at.index) * size);
        self.claim(at, usize::try_from(rest.min(size)).unwrap_or(0), reliable)
    }

    fn whole(&mut self, id: u8, length: u64, reliable: bool) -> bool {
        let number = u64::from(id);
        let data: Vec<u8> = (0..length).map(|at| pattern(number, at)).collect();
        let id = MessageId(number);
        if !reliable {
            let result = self
                .messages
                .on_datagram((id, Label::default()), &data, &mut self.events);
            assert_eq!(result, Ok(()));
            self.waiting_datagrams.push_back((number, length));
            return true;
        }
        let result = self.messages.on_message(
            (id, Label::default()),
            &data,
            &mut self.flow,
            &mut self.events,
        );
        if self.open.contains_key(&number) {
            assert_eq!(result, Err(PeerViolation::FragmentMismatch));
            return false;
        }
        assert_eq!(result, Ok(Placed::Yes));
        if self.done.insert(number) {
            self.waiting.push_back((number, length));
        }
        true
    }

    /// A fragment of `bytes` bytes with these claims. False: a violation, as the model says too.
    fn claim(&mut self, at: Position, bytes: usize, reliable: bool) -> bool {
        let size = at.length.div_ceil(at.total.into());
        let start = u64::from(at.index) * size;
        let end = at.length.min(start + size);
        let data: Vec<u8> = (start..start + bytes as u64)
            .map(|offset| pattern(at.id.0, offset))
            .collect();
        let result = if reliable {
            self.messages
                .on_fragment(at, &data, &mut self.flow, &mut self.events)
        } else {
            self.messages
                .on_datagram_fragment(at, &data, &mut self.events)
                .map(|()| Placed::Yes)
        };
        if at.length > LONGEST {
            assert_eq!(result, Err(PeerViolation::MessageTooLarge));
            return false;
        }
        if bytes == 0 || end.checked_sub(start) != Some(bytes as u64) {
            assert_eq!(result, Err(PeerViolation::FragmentMismatch));
            return false;
        }
        let (open, most) = if reliable {
            (&mut self.open, MESSAGES_IN_REASSEMBLY_MAX)
        } else {
            (&mut self.open_datagrams, DATAGRAMS_IN_REASSEMBLY_MAX)
        };
        if reliable && self.done.contains(&at.id.0) {
            assert_eq!(result, Ok(Placed::Yes));
            return true;
        }
        if !open.contains_key(&at.id.0) && open.len() >= most {
            if reliable {
                assert_eq!(result, Ok(Placed::No));
                return true;
            }
            // The oldest gives way, unless this one is older.
            if open
                .first_key_value()
                .is_some_and(|(old, _)| *old > at.id.0)
            {
                assert_eq!(result, Ok(Placed::Yes));
                return true;
            }
            open.pop_first();
        }
        let came = open.entry(at.id.0).or_insert_with(|| Came {
            total: at.total,
            length: at.length,
            indices: BTreeSet::new(),
        });
        if (came.total, came.length) != (at.total, at.length) {
            assert_eq!(result, Err(PeerViolation::FragmentMismatch));
            return false;
        }
        assert_eq!(result, Ok(Placed::Yes));
        came.indices.insert(at.index);
        let needed = (0..at.total).filter(|index| u64::from(*index) * size < at.length);
        if needed.clone().count() == came.indices.len() {
            let length = came.length;
            open.remove(&at.id.0);
            if reliable {
                self.done.insert(at.id.0);
                self.waiting.push_back((at.id.0, length));
            } else {
                self.waiting_datagrams.push_back((at.id.0, length));
            }
        }
        true
    }

    fn pop(&mut self) -> bool {
        let message = self.messages.pop(&mut self.flow);
        check_popped(message, self.waiting.pop_front(), true);
        true
    }

    fn pop_datagram(&mut self) -> bool {
        check_popped(
            self.messages.pop_datagram(),
            self.waiting_datagrams.pop_front(),
            false,
        );
        true
    }
}

fn check_popped(message: Option<crate::Message>, expected: Option<(u64, u64)>, reliable: bool) {
    let got = message.as_ref().map(|it| (it.id.0, it.data.len() as u64));
    assert_eq!(got, expected);
    let Some(message) = message else { return };
    assert_eq!(message.reliable, reliable);
    let bytes = (0..).map(|at| pattern(message.id.0, at));
    assert!(message.data.iter().copied().zip(bytes).all(|(a, b)| a == b));
}

#[derive(Arbitrary, Debug)]
enum Outgoing {
    Push {
        length: u16,
        part_max: u8,
    },
    PushDatagram {
        length: u16,
        part_max: u8,
        expires: bool,
    },
    /// The next reliable part leaves, within this credit.
    Take {
        credit: u16,
    },
    TakeDatagram,
    Acknowledge {
        which: u8,
    },
    Lose {
        which: u8,
    },
    LateAcknowledge {
        which: u8,
    },
    Wait,
}

/// `OutgoingMessages` against a list of messages and the state of each part.
///
/// # Panics
/// When they differ.
pub fn messages_out(data: &[u8]) {
    let mut run = Sender::default();
    for operation in operations(data) {
        match operation {
            Outgoing::Push { length, part_max } => {
                run.push(
                    usize::from(length) % 2_000,
                    usize::from(part_max) + PART_MIN,
                );
            }
            Outgoing::PushDatagram {
                length,
                part_max,
                expires,
            } => {
                run.push_datagram(
                    usize::from(length) % 2_000,
                    usize::from(part_max) + PART_MIN,
                    expires,
                );
            }
            Outgoing::Take { credit } => run.take(credit.into()),
            Outgoing::TakeDatagram => run.take_datagram(),
            Outgoing::Acknowledge { which } => {
                if let Some(part) = remove(&mut run.in_flight, which) {
                    run.acknowledge(&part);
                }
            }
            Outgoing::Lose { which } => {
                if let Some(part) = remove(&mut run.in_flight, which) {
                    run.lose(part);
                }
            }
            Outgoing::LateAcknowledge { which } => {
                if let Some(part) = remove(&mut run.declared_lost, which) {
                    run.acknowledge(&part);
                }
            }
            Outgoing::Wait => run.now = run.now + core::time::Duration::from_millis(1),
        }
        run.check();
    }
    run.deliver_the_rest();
}

fn remove(parts: &mut Vec<Part>, which: u8) -> Option<Part> {
    if parts.is_empty() {
        return None;
    }
    let index = usize::from(which) % parts.len();
    Some(parts.swap_remove(index))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PartState {
    Unsent,
    InFlight,
    Lost,
    Acknowledged,
}

struct Message {
    length: usize,
    parts: Vec<PartState>,
}

impl Message {
    fn is_complete(&self) -> bool {
        self.parts.iter().all(|it| *it == PartState::Acknowledged)
    }

    fn part(&self, index: usize) -> core::ops::Range<usize> {
        let size = self.length.div_ceil(self.parts.len());
        (index * size).min(self.length)..(index * size + size).min(self.length)
    }
}

#[derive(Default)]
struct Sender {
    messages: OutgoingMessages,
    now: Instant,
    model: Vec<Message>,
    /// Datagrams that wait: number, length, parts, parts sent, time of expiry.
    datagrams: VecDeque<(u64, usize, usize, usize, Option<Instant>)>,
    datagrams_pushed: u64,
    expired: u64,
    in_flight: Vec<Part>,
    declared_lost: Vec<Part>,
}

impl Sender {
    fn push(&mut self, length: usize, part_max: usize) {
        if self.model.len() >= MESSAGES_MAX {
            return;
        }
        let number = self.model.len() as u64;
        let data: Vec<u8> = (0..length as u64).map(|at| pattern(number, at)).collect();
        let id = self
            .messages
            .push(data, part_max, &Delivery::Reliable.into());
        assert_eq!(id, MessageId(number));
        let parts = alloc::vec![PartState::Unsent; length.div_ceil(part_max).max(1)];
        self.model.push(Message { length, parts });
    }

    fn push_datagram(&mut self, length: usize, part_max: usize, expires: bool) {
        let number = self.datagrams_pushed;
        self.datagrams_pushed += 1;
        let data: Vec<u8> = (0..length as u64).map(|at| pattern(number, at)).collect();
        let expires = expires.then_some(self.now + core::time::Duration::from_millis(2));
        let id = self
            .messages
            .push(data, part_max, &Delivery::Unreliable { expires }.into());
        assert_eq!(id, MessageId(number));
        if self.datagrams.len() >= crate::limits::QUEUED_DATAGRAMS_MAX {
            self.datagrams.pop_front();
            self.expired += 1;
        }
        let parts = length.div_ceil(part_max).max(1);
        self.datagrams
            .push_back((number, length, parts, 0, expires));
    }

    /// The part to send next: the lowest lost one of the lowest message, else the next new one.
    fn expected(&self, credit: usize) -> Option<(usize, usize, bool)> {
        let find = |state| {
            self.model.iter().enumerate().find_map(|(id, message)| {
                let index = message.parts.iter().position(|part| *part == state)?;
                Some((id, index))
            })
        };
        if let Some((id, index)) = find(PartState::Lost) {
            return Some((id, index, false));
        }
        let (id, index) = find(PartState::Unsent)?;
        (self.model[id].part(index).len() <= credit).then_some((id, index, true))
    }

    fn take(&mut self, credit: usize) {
        let expected = self.expected(credit);
        let part = self.messages.peek_reliable(credit as u64);
        let got = part.map(|part| (part.id.0, usize::from(part.index), part.is_new));
        assert_eq!(
            got,
            expected.map(|(id, index, is_new)| (id as u64, index, is_new))
        );
        assert_eq!(
            self.messages.has_work(credit as u64),
            expected.is_some() || !self.datagrams.is_empty()
        );
        let (Some(part), Some((id, index, _))) = (part, expected) else {
            return;
        };
        let mut out = Vec::new();
        self.messages.take(&part, &mut out);
        let range = self.model[id].part(index);
        assert_eq!(part.len, range.len());
        let bytes = range.map(|at| pattern(id as u64, at as u64));
        assert!(out.iter().copied().eq(bytes), "the bytes of {part:?}");
        self.model[id].parts[index] = PartState::InFlight;
        self.in_flight.push(part);
    }

    fn take_datagram(&mut self) {
        let part = self.messages.peek_datagram(self.now);
        while let Some((.., sent, expires)) = self.datagrams.front()
            && *sent == 0
            && expires.is_some_and(|expires| self.now > expires)
        {
            self.datagrams.pop_front();
            self.expired += 1;
        }
        let Some((number, length, parts, sent, _)) = self.datagrams.front_mut() else {
            assert_eq!(part, None);
            return;
        };
        let part = part.expect("a datagram waits");
        assert_eq!((part.id.0, usize::from(part.index)), (*number, *sent));
        let mut out = Vec::new();
        self.messages.take(&part, &mut out);
        let size = length.div_ceil(*parts);
        let range = (*sent * size).min(*length)..(*sent * size + size).min(*length);
        assert!(
            out.iter()
                .copied()
                .eq(range.map(|at| pattern(*number, at as u64)))
        );
        *sent += 1;
        if sent == parts {
            self.datagrams.pop_front();
        }
    }

    fn state(&mut self, part: &Part) -> (&mut PartState, usize) {
        let id = usize::try_from(part.id.0).unwrap_or(usize::MAX);
        (&mut self.model[id].parts[usize::from(part.index)], id)
    }

    fn acknowledge(&mut self, part: &Part) {
        let (state, id) = self.state(part);
        let before = *state;
        *state = PartState::Acknowledged;
        let complete = self.messages.on_acknowledged(part.id, part.index);
        // Told once, with the last part.
        let news = before != PartState::Acknowledged && self.model[id].is_complete();
        assert_eq!(complete, news);
    }

    fn lose(&mut self, part: Part) {
        let (state, _) = self.state(&part);
        if *state != PartState::Acknowledged {
            *state = PartState::Lost;
        }
        self.messages.on_lost(part.id, part.index);
        self.declared_lost.push(part);
    }

    fn check(&self) {
        let open = self.model.iter().filter(|message| !message.is_complete());
        let bytes: usize = open.clone().map(|message| message.length).sum();
        assert_eq!(self.messages.buffered(), bytes as u64);
        assert_eq!(self.messages.expired(), self.expired);
        let drained = open.count() == 0 && self.datagrams.is_empty();
        assert_eq!(self.messages.is_drained(), drained);
    }

    fn deliver_the_rest(mut self) {
        let parts: usize = self.model.iter().map(|message| message.parts.len()).sum();
        for _ in 0..=parts {
            while let Some(part) = self.in_flight.pop() {
                self.acknowledge(&part);
            }
            self.take(usize::MAX);
        }
        while !self.datagrams.is_empty() {
            self.take_datagram();
        }
        assert!(self.messages.is_drained());
    }
}
