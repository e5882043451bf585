//! Two endpoints and somebody on the path between them.
//!
//! Where [`crate::pair`] draws faults from a seed, here a [`Meddler`] sees every datagram and decides
//! what becomes of it: passed on, held back, lost, copied from another address, replaced by one of
//! its own. Everything that a pair is checked for by the [`crate::watch`] is checked here too, and
//! one thing more: an address that is not an endpoint's never gets more bytes than it sent.
//!
//! Others who act on packets: [`crate::net::byzantine`] has boxes for any network, which see one path
//! and can neither hold a datagram back nor speak to an endpoint of their own accord;
//! [`crate::adversary`] is one end itself. Programs that only look are [`crate::capture::Tap`]s.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use dunlin_transport::{
    CloseReason, ConnectionHandle, EcnMark, Endpoint, EndpointConfig, Instant, Side, Stats, limits,
};

use crate::net::{Application, Net};
use crate::profile::Profile;
use crate::rng::Rng;
use crate::scheduler::Scheduler;
use crate::violation::{Failure, Violation};
use crate::watch::{Bounds, Ledger, Moment, Watch};
use crate::workload::{Agent, Plan};

/// Rounds of application and transmission after one input that count as endless.
const ROUNDS_MAX: u32 = 10_000;

/// A datagram on the path.
#[derive(Clone, Debug)]
pub struct Passage {
    /// The endpoint that gets it.
    pub to: usize,
    /// When, from now.
    pub after: Duration,
    /// Whose address it bears.
    pub source: SocketAddr,
    /// Its mark.
    pub ecn: Option<EcnMark>,
    /// Its payload.
    pub bytes: Vec<u8>,
}

/// Somebody on the path.
pub trait Meddler {
    /// `passage` would reach the other end as it stands. What comes out instead?
    fn on_datagram(&mut self, now: Instant, passage: Passage, out: &mut Vec<Passage>);

    /// A datagram was sent to an address that is no endpoint's.
    fn on_stray(&mut self, _now: Instant, _to: SocketAddr, _bytes: &[u8]) {}
}

/// Two settings, two plans, a profile and a delay: what a [`MeddledPair`] is made of.
#[derive(Clone, Debug)]
pub struct Setting {
    /// How packets are protected.
    pub profile: Profile,
    /// Settings of both ends.
    pub config: [EndpointConfig; 2],
    /// What each end does.
    pub plans: [Plan; 2],
    /// One-way delay.
    pub delay: Duration,
}

enum Happening {
    Arrival(Passage),
    Timer(usize),
}

struct End {
    endpoint: Endpoint,
    agent: Agent,
    armed: Option<Instant>,
}

/// A run in progress.
pub struct MeddledPair<M> {
    /// Who is on the path.
    pub meddler: M,
    scheduler: Scheduler<Happening>,
    ends: [End; 2],
    delay: Duration,
    watch: Watch,
    bounds: Bounds,
    stats: [Stats; 2],
    /// Bytes from and to addresses that are no endpoint's.
    strangers: BTreeMap<SocketAddr, [u64; 2]>,
    steps: u64,
}

impl<M: Meddler> MeddledPair<M> {
    /// Both ends, and the SYN on its way.
    ///
    /// # Errors
    /// The first step failed.
    pub fn new(setting: &Setting, seed: u64, meddler: M) -> Result<Self, Failure> {
        let mut rng = Rng::new(seed);
        let watch = Watch::new(Ledger::new(&setting.config));
        let mut end = |node: usize, side| {
            let mut rng = rng.split(node as u64);
            let acceptor = setting.profile.acceptor(node, &mut rng);
            let acceptor = (node == 1).then(|| watch.acceptor(node, acceptor));
            let [own, peer] = [node, 1 - node].map(|index| setting.plans[index].clone());
            let config = setting.config[node].clone();
            End {
                endpoint: Endpoint::new(config, Box::new(rng.split(1)), acceptor),
                agent: Agent::new(node, side, own, peer),
                armed: None,
            }
        };
        let ends = [end(0, Side::Initiator), end(1, Side::Responder)];
        let initiator = setting.profile.initiator(0, 1, &mut rng);
        let initiator = watch.initiator(0, initiator);
        let mut pair = Self {
            meddler,
            scheduler: Scheduler::new(),
            ends,
            delay: setting.delay,
            watch,
            bounds: Bounds::new(&setting.config),
            stats: [Stats::default(); 2],
            strangers: BTreeMap::new(),
            steps: 0,
        };
        let end = &mut pair.ends[0];
        match end.endpoint.connect(Instant::ZERO, address(1), initiator) {
            Ok(handle) => end.agent.set_connection(handle),
            Err(error) => {
                let (what, answer) = ("connect", error.to_string());
                return Err(pair.failure(Violation::Interface {
                    node: 0,
                    what,
                    answer,
                }));
            }
        }
        pair.settle(0)?;
        Ok(pair)
    }

    /// The time.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.scheduler.now()
    }

    /// An end's application.
    #[must_use]
    pub const fn agent(&self, node: usize) -> &Agent {
        &self.ends[node].agent
    }

    /// An end's endpoint.
    #[must_use]
    pub const fn endpoint(&self, node: usize) -> &Endpoint {
        &self.ends[node].endpoint
    }

    /// An end's counters as last seen.
    #[must_use]
    pub const fn stats(&self, node: usize) -> &Stats {
        &self.stats[node]
    }

    /// The ledger.
    #[must_use]
    pub const fn watch(&self) -> &Watch {
        &self.watch
    }

    /// How an end's connection ended.
    #[must_use]
    pub const fn close_reason(&self, node: usize) -> Option<&CloseReason> {
        self.agent(node).close_reason()
    }

    /// `violation`, here and now.
    #[must_use]
    pub const fn failure(&self, violation: Violation) -> Failure {
        Failure {
            violation,
            at: self.scheduler.now(),
            step: self.steps,
        }
    }

    /// What a run of the family found to be otherwise than it must.
    #[must_use]
    pub fn unexpected(&self, node: usize, what: &'static str, detail: String) -> Failure {
        self.failure(Violation::Wire { node, what, detail })
    }

    /// The next event, unless nothing happens before `until`: then false.
    ///
    /// # Errors
    /// A check failed.
    pub fn step(&mut self, until: Instant) -> Result<bool, Failure> {
        if self.scheduler.next_time().is_none_or(|next| next > until) {
            return Ok(false);
        }
        let Some((now, happening)) = self.scheduler.pop() else {
            return Ok(false);
        };
        self.steps += 1;
        self.watch.ledger().set_time(now);
        let node = match happening {
            Happening::Arrival(mut passage) => {
                if ![address(0), address(1)].contains(&passage.source) {
                    let [from, _] = self.strangers.entry(passage.source).or_default();
                    *from += passage.bytes.len() as u64;
                }
                let end = &mut self.ends[passage.to];
                end.endpoint
                    .handle_datagram(now, passage.source, passage.ecn, &mut passage.bytes);
                passage.to
            }
            Happening::Timer(node) => {
                let end = &mut self.ends[node];
                if end.armed.is_none_or(|armed| armed > now) {
                    return Ok(true);
                }
                end.armed = None;
                if end.endpoint.poll_timeout().is_some_and(|due| due <= now) {
                    end.endpoint.handle_timeout(now);
                }
                node
            }
        };
        self.settle(node)?;
        self.check(node)
            .map_err(|violation| self.failure(violation))?;
        Ok(true)
    }

    /// Runs until `until`.
    ///
    /// # Errors
    /// A check failed.
    pub fn run_until(&mut self, until: Instant) -> Result<(), Failure> {
        while self.step(until)? {}
        Ok(())
    }

    /// Runs until both ends have heard that it is over, at most until `until`.
    ///
    /// # Errors
    /// A check failed, or `until` came first.
    pub fn run_to_end(&mut self, until: Instant) -> Result<(), Failure> {
        while self
            .ends
            .iter()
            .any(|end| end.agent.close_reason().is_none())
        {
            if !self.step(until)? {
                let missing = |end: &End| match end.agent.close_reason() {
                    Some(reason) => format!("closed: {reason}"),
                    None => end.agent.missing().unwrap_or_else(|| "is done".into()),
                };
                let [zero, one] = self.ends.each_ref().map(missing);
                let what = format!("too slow; node 0: {zero}; node 1: {one}");
                return Err(self.failure(Violation::NotFinished { what }));
            }
        }
        Ok(())
    }

    fn settle(&mut self, node: usize) -> Result<(), Failure> {
        let now = self.scheduler.now();
        for _ in 0..ROUNDS_MAX {
            let end = &mut self.ends[node];
            if let Err(violation) = end.agent.on_progress(now, &mut end.endpoint) {
                return Err(self.failure(violation));
            }
            if !self.transmit(now, node)? {
                let end = &mut self.ends[node];
                let wanted = [end.endpoint.poll_timeout(), end.agent.wake_time()];
                let wanted = wanted.into_iter().flatten().min();
                if let Some(due) = wanted.filter(|due| end.armed.is_none_or(|armed| *due < armed)) {
                    end.armed = Some(due);
                    self.scheduler.schedule(due, Happening::Timer(node));
                }
                return Ok(());
            }
        }
        Err(self.failure(Violation::Livelock { node }))
    }

    fn transmit(&mut self, now: Instant, node: usize) -> Result<bool, Failure> {
        let mut buffer = Vec::new();
        let endpoint = &mut self.ends[node].endpoint;
        let Some(transmit) = endpoint.poll_transmit(now, limits::SEGMENTS_MAX, &mut buffer) else {
            return Ok(false);
        };
        buffer.truncate(transmit.size);
        if transmit.destination != address(1 - node) {
            self.meddler.on_stray(now, transmit.destination, &buffer);
            let [from, to] = self.strangers.entry(transmit.destination).or_default();
            *to += transmit.size as u64;
            if to > from {
                let detail = format!("{to} bytes for {from}");
                let what = "more bytes to an unproven address than came from it";
                return Err(self.unexpected(node, what, detail));
            }
            return Ok(true);
        }
        let mut out = Vec::new();
        let segment = transmit.segment_size.unwrap_or(transmit.size).max(1);
        for bytes in buffer.chunks(segment) {
            let passage = Passage {
                to: 1 - node,
                after: self.delay,
                source: address(node),
                ecn: transmit.ecn,
                bytes: bytes.to_vec(),
            };
            self.meddler.on_datagram(now, passage, &mut out);
        }
        for passage in out {
            self.scheduler
                .schedule(now + passage.after, Happening::Arrival(passage));
        }
        Ok(true)
    }

    fn check(&mut self, node: usize) -> Result<(), Violation> {
        let end = &mut self.ends[node];
        let Some(handle): Option<ConnectionHandle> = end.agent.connection() else {
            return Ok(());
        };
        let moment = Moment {
            node,
            now: self.scheduler.now(),
            deadline: end.endpoint.poll_timeout(),
            rtt_floor: self.delay * 2,
            slack: Duration::ZERO,
            peer_closed: matches!(end.agent.close_reason(), Some(CloseReason::Peer { .. })),
        };
        let connection = end.endpoint.connection(handle);
        if let Some(connection) = connection {
            self.stats[node] = connection.stats();
        }
        let mut ledger = self.watch.ledger();
        self.bounds.check(&moment, connection, &mut ledger)
    }
}

/// The address of an end, or of a stranger from 2 on.
#[must_use]
pub fn address(node: usize) -> SocketAddr {
    Net::<Agent>::address_of(node)
}
