//! One node: its program, its clock, and whether it has time.

use std::any::Any;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use dunlin_transport::{Endpoint, Instant, limits};

use super::clock::Clock;
use super::disk::Disk;
use super::host::{Application, EndpointHost, Host, Outgoing};
use crate::link::Datagram;
use crate::violation::Violation;

/// Bytes that a socket holds for a program that has no time: Linux's default for
/// net.core.rmem_default. What does not fit is lost.
pub const SOCKET_BUFFER: usize = 212_992;

/// What runs on a node.
pub(super) enum Program<A> {
    Endpoint(Box<EndpointHost<A>>),
    Other(Box<dyn Host + Send>),
    /// Between the end of one and the beginning of the next.
    Gone,
}

/// Something that a program has to deal with.
#[derive(Debug)]
pub(super) enum Input {
    Datagram(Box<Datagram>),
    TooBig { destination: SocketAddr, mtu: usize },
}

pub(super) struct Node<A> {
    pub(super) program: Program<A>,
    /// Where the others see it.
    pub(super) address: SocketAddr,
    /// The earliest timer that is scheduled.
    pub(super) armed: Option<Instant>,
    pub(super) alive: bool,
    pub(super) clock: Clock,
    pub(super) disk: Disk,
    /// What each input costs.
    pub(super) cost: Duration,
    /// Until when it has no time.
    pub(super) busy_until: Instant,
    /// It will be asked again when it has.
    pub(super) resumes: bool,
    /// A timer ran out meanwhile.
    pub(super) late_timer: bool,
    /// The link to the last destination, and the version of the routes it was found in.
    pub(super) last_route: Option<(SocketAddr, u32, u64)>,
    /// Its socket gathers datagrams into trains, as with UDP_GRO.
    pub(super) gathers: bool,
    inbox: VecDeque<Input>,
    inbox_bytes: usize,
}

impl<A> Node<A> {
    pub(super) fn new(program: Program<A>, address: SocketAddr) -> Self {
        Self {
            program,
            address,
            armed: None,
            alive: true,
            clock: Clock::IDEAL,
            disk: Disk::default(),
            cost: Duration::ZERO,
            busy_until: Instant::ZERO,
            resumes: false,
            late_timer: false,
            last_route: None,
            gathers: false,
            inbox: VecDeque::new(),
            inbox_bytes: 0,
        }
    }

    /// Whether an input has to wait: the program has no time, or others came before.
    pub(super) fn is_busy(&self, now: Instant) -> bool {
        self.busy_until > now || !self.inbox.is_empty()
    }

    /// Keeps an input for later; gives it back if the socket is full.
    pub(super) fn keep(&mut self, input: Input) -> Result<(), Input> {
        let bytes = size_of(&input);
        if self.inbox_bytes + bytes > SOCKET_BUFFER {
            return Err(input);
        }
        self.inbox_bytes += bytes;
        self.inbox.push_back(input);
        Ok(())
    }

    /// The next that was kept.
    pub(super) fn next_kept(&mut self) -> Option<Input> {
        let input = self.inbox.pop_front()?;
        self.inbox_bytes -= size_of(&input);
        Some(input)
    }

    /// Puts into `train`, which is empty, what was kept next and makes a train; false: the next thing is none, or
    /// this node does not gather.
    #[expect(clippy::vec_box, reason = "the boxes are what was kept")]
    pub(super) fn next_train(&mut self, train: &mut Vec<Box<Datagram>>) -> bool {
        let mut bytes = 0;
        while let Some(Input::Datagram(next)) = self.inbox.front().filter(|_| self.gathers) {
            let size = next.bytes.len();
            if !joins(train, next) || (bytes > 0 && bytes + size > limits::UDP_PAYLOAD_MAX) {
                break;
            }
            bytes += size;
            if let Some(Input::Datagram(next)) = self.next_kept() {
                train.push(next);
            }
        }
        !train.is_empty()
    }

    /// Whether something waits for the program to have time.
    pub(super) fn has_work(&self) -> bool {
        self.late_timer || !self.inbox.is_empty()
    }

    /// Forgets all that waits: the program is gone.
    pub(super) fn reset(&mut self) {
        self.inbox.clear();
        self.inbox_bytes = 0;
        self.late_timer = false;
        self.armed = None;
    }
}

/// Whether a datagram may stand behind those of a train: Linux's UDP_GRO joins what is from one source and has one
/// mark and one length, the last one may be shorter.
fn joins(train: &[Box<Datagram>], next: &Datagram) -> bool {
    let (Some(first), Some(last)) = (train.first(), train.last()) else {
        return true;
    };
    let (whole, size) = (first.bytes.len(), next.bytes.len());
    (first.from, first.to, first.ecn) == (next.from, next.to, next.ecn)
        && last.bytes.len() == whole
        && (1..=whole).contains(&size)
        && train.len() < limits::SEGMENTS_MAX
}

fn size_of(input: &Input) -> usize {
    match input {
        Input::Datagram(datagram) => datagram.bytes.len(),
        Input::TooBig { .. } => 0,
    }
}

impl<A: Application> Program<A> {
    pub(super) fn endpoint(endpoint: Endpoint, app: A) -> Self {
        Self::Endpoint(Box::new(EndpointHost::new(endpoint, app)))
    }

    pub(super) fn handle(&mut self, now: Instant, input: &mut Input) {
        let Some(host) = self.host() else { return };
        match input {
            Input::Datagram(datagram) => host.handle_datagram(now, datagram),
            Input::TooBig { destination, mtu } => host.handle_too_big(now, *destination, *mtu),
        }
    }

    pub(super) fn handle_train(&mut self, now: Instant, train: &mut [Box<Datagram>]) {
        if let Some(host) = self.host() {
            host.handle_train(now, train);
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::Endpoint(host) => host.handle_timeout(now),
            Self::Other(host) => {
                if host.poll_timeout().is_some_and(|due| due <= now) {
                    host.handle_timeout(now);
                }
            }
            Self::Gone => {}
        }
    }

    pub(super) fn on_progress(&mut self, now: Instant) -> Result<(), Violation> {
        match self {
            Self::Endpoint(host) => host.on_progress(now),
            Self::Other(host) => host.on_progress(now),
            Self::Gone => Ok(()),
        }
    }

    pub(super) fn poll_transmit(&mut self, now: Instant, buffer: &mut Vec<u8>) -> Option<Outgoing> {
        match self {
            Self::Endpoint(host) => host.poll_transmit(now, buffer),
            Self::Other(host) => host.poll_transmit(now, buffer),
            Self::Gone => None,
        }
    }

    pub(super) fn poll_timeout(&mut self) -> Option<Instant> {
        match self {
            Self::Endpoint(host) => host.poll_timeout(),
            Self::Other(host) => host.poll_timeout(),
            Self::Gone => None,
        }
    }

    pub(super) const fn as_endpoint(&self) -> Option<&EndpointHost<A>> {
        match self {
            Self::Endpoint(host) => Some(host),
            Self::Other(_) | Self::Gone => None,
        }
    }

    pub(super) const fn as_endpoint_mut(&mut self) -> Option<&mut EndpointHost<A>> {
        match self {
            Self::Endpoint(host) => Some(host),
            Self::Other(_) | Self::Gone => None,
        }
    }

    pub(super) fn as_other(&self) -> Option<&dyn Any> {
        match self {
            Self::Other(host) => host.as_any(),
            Self::Endpoint(_) | Self::Gone => None,
        }
    }

    fn host(&mut self) -> Option<&mut dyn Host> {
        match self {
            Self::Endpoint(host) => Some(host.as_mut()),
            Self::Other(host) => Some(host.as_mut()),
            Self::Gone => None,
        }
    }
}
