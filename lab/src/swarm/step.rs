//! One event of the simulation after the other.

use std::net::SocketAddr;
use std::time::Duration;

use dunlin_overlay::{
    Action, DialTarget, Direction, Event, Instant, LinkEnd, LinkEndCause, LinkInfo,
};

use super::adversary::Fate;
use super::judge::Reaction;
use super::links::{EndState, Link, Parcel, Side, link_and_side, link_id};
use super::scenario::LatencyRange;
use super::tamper::Tamperer;
use super::violation::{SwarmFailure, SwarmViolation};
use super::world::{FIRST_HOST, Happening, Life, Mark, PORT, Stream, Swarm};
use crate::trace::Record;

/// After so long without an answer a dial has failed: the handshake timeout of `dunlin-node`.
const DIAL_PATIENCE: Duration = Duration::from_secs(5);
/// Timers of one node at one instant that count as endless.
const TIMERS_PER_INSTANT_MAX: u32 = 1_000;
/// A node's list of links is cleared of those that are over when it has so many.
const PRUNE_LINKS_AT: usize = 128;

impl Swarm {
    /// Runs until `end`.
    ///
    /// # Errors
    /// What must not be.
    pub fn run_until(&mut self, end: Instant) -> Result<(), SwarmFailure> {
        while self.scheduler.next_time().is_some_and(|at| at <= end) {
            self.step()?;
        }
        self.now = self.now.max(end);
        Ok(())
    }

    /// Runs for a while.
    ///
    /// # Errors
    /// What must not be.
    pub fn run_for(&mut self, duration: Duration) -> Result<(), SwarmFailure> {
        self.run_until(self.now() + duration)
    }

    /// Runs until `done`, which is looked at every 100 ms; how long that took, or `None` when
    /// `limit` passed first.
    ///
    /// # Errors
    /// What must not be.
    pub fn run_until_done(
        &mut self,
        limit: Duration,
        done: impl Fn(&Self) -> bool,
    ) -> Result<Option<Duration>, SwarmFailure> {
        let start = self.now();
        loop {
            let took = self.now().saturating_duration_since(start);
            if done(self) {
                return Ok(Some(took));
            }
            if took >= limit {
                return Ok(None);
            }
            self.run_for(Duration::from_millis(100))?;
        }
    }

    /// One event; false when there is none any more.
    ///
    /// # Errors
    /// What must not be.
    pub fn step(&mut self) -> Result<bool, SwarmFailure> {
        let Some((now, happening)) = self.scheduler.pop() else {
            return Ok(false);
        };
        self.steps += 1;
        self.now = now;
        match happening {
            Happening::Timer { node } => self.on_timer(now, node)?,
            Happening::Up { link, side } => self.on_up(now, link, side)?,
            Happening::Arrival { link, side, parcel } => {
                self.on_arrival(now, link, side, parcel)?;
            }
            Happening::ClosedHere { link, side } => {
                self.tell_closed(now, link, side, LinkEndCause::ClosedLocally)?;
            }
            Happening::Proof { link, side } => self.on_proof(now, link, side)?,
            Happening::Notice { link, side, epoch } => self.on_notice(now, link, side, epoch)?,
            Happening::DialFailed { node, life, target } => {
                if self
                    .running_mut(node)
                    .is_some_and(|node| node.lives == life)
                {
                    self.dials_failed += 1;
                    self.mark(node, Mark::DialFailed, 0);
                    self.with(node, |overlay, now| {
                        overlay.handle_dial_failed(now, &target);
                    })?;
                }
            }
        }
        Ok(true)
    }

    /// `violation` at `node`, now.
    #[must_use]
    pub const fn failure(&self, node: usize, violation: SwarmViolation) -> SwarmFailure {
        SwarmFailure {
            violation,
            node,
            at: self.now(),
            step: self.steps,
        }
    }

    pub(super) fn mark(&mut self, node: usize, mark: Mark, detail: u64) {
        let mut bytes = [mark as u8; 9];
        for (to, from) in bytes.iter_mut().skip(1).zip(detail.to_le_bytes()) {
            *to = from;
        }
        let now = self.now();
        self.trace.add(now, Record::Sent, node, &bytes);
    }

    fn on_timer(&mut self, now: Instant, node: usize) -> Result<(), SwarmFailure> {
        let Some(entry) = self.running_mut(node) else {
            return Ok(());
        };
        if entry.armed.is_none_or(|armed| armed > now) {
            return Ok(());
        }
        entry.armed = None;
        if entry.overlay.poll_timeout().is_some_and(|due| due <= now) {
            entry.timers_at_instant = match entry.timers_at_instant {
                (at, count) if at == now => (at, count + 1),
                _ => (now, 0),
            };
            if entry.timers_at_instant.1 > TIMERS_PER_INSTANT_MAX {
                return Err(self.failure(node, SwarmViolation::Livelock));
            }
            entry.overlay.handle_timeout(now);
            self.mark(node, Mark::Timer, 0);
        }
        self.settle(node)
    }

    fn on_up(&mut self, now: Instant, link: usize, side: Side) -> Result<(), SwarmFailure> {
        let (end, far) = (self.links[link].end(side), self.links[link].end(1 - side));
        let (node, far_node) = (end.node, far.node);
        if end.state != EndState::Coming {
            return Ok(());
        }
        if self.links[link].is_blocked() || self.nodes[node].life != Life::Running {
            self.links[link].end_mut(side).state = EndState::Closed;
            if side == 0 {
                let target = DialTarget {
                    address: Self::address_of(far_node),
                    id: Some(self.id_of(far_node)),
                };
                self.fail_dial(now, node, target);
            }
            return Ok(());
        }
        self.links[link].end_mut(side).state = EndState::Open;
        self.mark(node, Mark::Up, link as u64);
        let peer = &self.nodes[far_node].identity;
        let (id, public) = (peer.node_id(), *peer.public());
        let info = LinkInfo {
            id: link_id(link, side),
            direction: match side {
                0 => Direction::Outbound,
                _ => Direction::Inbound,
            },
            remote: Self::address_of(far_node),
            public,
        };
        self.with(node, |overlay, now| overlay.handle_connected(now, id, info))?;
        Ok(())
    }

    fn on_arrival(
        &mut self,
        now: Instant,
        link: usize,
        side: Side,
        parcel: Parcel,
    ) -> Result<(), SwarmFailure> {
        let is_blocked = self.links[link].is_blocked();
        let far_node = self.links[link].end(1 - side).node;
        let end = self.links[link].end_mut(side);
        if end.state == EndState::Closed {
            return Ok(());
        }
        if is_blocked {
            end.held.push(parcel);
            return Ok(());
        }
        let node = end.node;
        match parcel {
            Parcel::Message(bytes) => {
                self.messages += 1;
                self.bytes += bytes.len() as u64;
                self.trace.add(now, Record::Delivered, node, &bytes);
                let peer = self.id_of(far_node);
                self.with(node, |overlay, now| {
                    overlay.handle_message(now, peer, &bytes);
                })?;
            }
            Parcel::Close => {
                end.state = EndState::Closed;
                self.tell_closed(now, link, side, LinkEndCause::ClosedByPeer)?;
            }
        }
        Ok(())
    }

    /// Asks the other end of a link to prove its identity; the answer takes a round trip.
    fn challenge(&mut self, now: Instant, link: usize, side: Side) {
        if let Some(path) = self.links.get_mut(link) {
            let at = now + path.delay(&self.weather) + path.delay(&self.weather);
            self.scheduler.schedule(at, Happening::Proof { link, side });
        }
    }

    /// Over a link that is blocked nothing comes; every node has the key of its name.
    fn on_proof(&mut self, _now: Instant, link: usize, side: Side) -> Result<(), SwarmFailure> {
        let path = &self.links[link];
        let (end, far) = (path.end(side), path.end(1 - side));
        if path.is_blocked() || end.state != EndState::Open || far.state != EndState::Open {
            return Ok(());
        }
        let (node, peer) = (end.node, self.id_of(far.node));
        self.with(node, |overlay, now| {
            overlay.handle_challenged(now, peer, link_id(link, side), true);
        })?;
        Ok(())
    }

    /// Tells a node's overlay that its end of a link is closed.
    pub(super) fn tell_closed(
        &mut self,
        _now: Instant,
        link: usize,
        side: Side,
        cause: LinkEndCause,
    ) -> Result<(), SwarmFailure> {
        let node = self.links[link].end(side).node;
        let peer = self.links[link].end(1 - side).node;
        let peer = self.id_of(peer);
        self.mark(node, Mark::Closed, link as u64);
        let ended = LinkEnd {
            link: link_id(link, side),
            cause,
        };
        self.with(node, |overlay, now| {
            overlay.handle_disconnected(now, peer, ended);
        })?;
        Ok(())
    }

    /// Carries out what a node wants, lets its application react, checks it, sets its timer.
    pub(super) fn settle(&mut self, node: usize) -> Result<(), SwarmFailure> {
        let now = self.now();
        loop {
            while let Some(action) = self.nodes[node].overlay.poll_action() {
                self.carry_out(now, node, action);
            }
            let Some(event) = self.nodes[node].overlay.poll_event() else {
                break;
            };
            let reaction = self.judge.on_event(now, node, &event);
            let reaction = match reaction {
                Err(violation) if self.is_excused(&event, &violation) => Reaction::None,
                reaction => reaction.map_err(|violation| self.failure(node, violation))?,
            };
            if let Reaction::Respond { peer, id, payload } = reaction {
                let overlay = &mut self.nodes[node].overlay;
                // The peer may have gone while its request waited among the events.
                let _ = overlay.respond(now, peer, id, &payload);
            }
            if self.keeps_events {
                self.nodes[node].events.push(event);
            }
        }
        let every = u64::from(self.climate.check_every);
        if every > 0 && self.steps.is_multiple_of(every) {
            self.check(node)?;
        }
        self.arm(node);
        Ok(())
    }

    /// Checks the invariants of a node.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(&self, node: usize) -> Result<(), SwarmFailure> {
        let overlay = &self.nodes[node].overlay;
        let checked = overlay.check_invariants().map_err(SwarmViolation::from);
        let stats = overlay.stats();
        let checked = checked.and(match (stats.actions_dropped, stats.events_dropped) {
            (0, 0) => Ok(()),
            (actions, events) => Err(SwarmViolation::Dropped { actions, events }),
        });
        checked.map_err(|violation| self.failure(node, violation))
    }

    /// Whether a node may say so, because somebody is hostile.
    fn is_excused(&self, event: &Event, violation: &SwarmViolation) -> bool {
        let is_true = match event {
            Event::PeerViolation { peer, .. } => self.is_corrupt_id(*peer),
            _ => false,
        };
        Tamperer::excuses(violation) && (self.tamperer.is_some() || is_true)
    }

    fn arm(&mut self, node: usize) {
        let entry = &mut self.nodes[node];
        if let Some(due) = entry.overlay.poll_timeout()
            && entry.armed.is_none_or(|armed| due < armed)
        {
            entry.armed = Some(due);
            self.scheduler.schedule(due, Happening::Timer { node });
        }
    }

    fn carry_out(&mut self, now: Instant, node: usize, action: Action) {
        match action {
            Action::Dial(target) => self.dial(now, node, target),
            Action::Send { link, bytes, .. } => {
                let (link, side) = link_and_side(link);
                let Some(path) = self.links.get_mut(link) else {
                    return;
                };
                let to = path.end(1 - side).node;
                let mut tamperer = self.tamperer.as_deref_mut();
                let may_pass = tamperer
                    .as_mut()
                    .is_none_or(|tamperer| tamperer.on_message(node, to, &bytes));
                if path.end(side).state != EndState::Open || !may_pass {
                    return;
                }
                let to_adversary = self.meddlers.contains_key(&to);
                let fate = match self.meddlers.get_mut(&node) {
                    Some(meddler) => meddler.meddle(now, to_adversary, bytes),
                    None => Fate::Sent(bytes),
                };
                let (bytes, delay) = match fate {
                    Fate::Sent(bytes) => (bytes, Duration::ZERO),
                    Fate::Late(bytes, delay) => (bytes, delay),
                    Fate::Dropped => return,
                };
                let at = path.send(now, side, &self.weather) + delay;
                self.arrive(at, link, 1 - side, Parcel::Message(bytes));
            }
            Action::ChallengePeer { link, .. } => {
                let (link, side) = link_and_side(link);
                self.challenge(now, link, side);
            }
            Action::CloseLink { link, .. } => {
                let (link, side) = link_and_side(link);
                let Some(path) = self.links.get_mut(link) else {
                    return;
                };
                if path.end(side).state == EndState::Open {
                    let at = path.close(now, side, &self.weather);
                    self.arrive(at, link, 1 - side, Parcel::Close);
                    self.scheduler
                        .schedule(now, Happening::ClosedHere { link, side });
                }
            }
        }
    }

    pub(super) fn arrive(&mut self, at: Instant, link: usize, side: Side, parcel: Parcel) {
        self.scheduler
            .schedule(at, Happening::Arrival { link, side, parcel });
    }

    fn dial(&mut self, now: Instant, node: usize, target: DialTarget) {
        let Some(peer) = self.answering(node, &target) else {
            return self.fail_dial(now, node, target);
        };
        let index = self.links.len();
        let rng = self.stream(Stream::Link, index, 0);
        let mut link = Link::new(node, peer, self.latency(node, peer), rng);
        let [opener, answerer] = link.handshake(now, &self.weather);
        self.links.push(link);
        for node in [node, peer] {
            let links = &self.links;
            let of_node = &mut self.nodes[node].links;
            if of_node.len() >= PRUNE_LINKS_AT {
                of_node.retain(|&link| !links[link].is_over());
            }
            of_node.push(index);
        }
        for (side, at) in [(0, opener), (1, answerer)] {
            self.scheduler
                .schedule(at, Happening::Up { link: index, side });
        }
    }

    /// Who answers a dial.
    fn answering(&self, node: usize, target: &DialTarget) -> Option<usize> {
        let SocketAddr::V4(address) = target.address else {
            return None;
        };
        let host = u32::from(*address.ip()).wrapping_sub(FIRST_HOST);
        let peer = usize::try_from(host).ok()?;
        let entry = self.nodes.get(peer)?;
        let is_it = target.id.is_none_or(|id| id == self.id_of(peer));
        let answers = address.port() == PORT && entry.life == Life::Running && is_it;
        let tamperer = self.tamperer.as_ref();
        let may_dial = tamperer.is_none_or(|tamperer| tamperer.may_dial(node, peer));
        (answers && may_dial && !self.is_apart(node, peer)).then_some(peer)
    }

    /// Whether a partition lies between two nodes.
    pub(super) fn is_apart(&self, a: usize, b: usize) -> bool {
        self.parts
            .as_ref()
            .is_some_and(|parts| parts.get(a) != parts.get(b))
    }

    fn fail_dial(&mut self, now: Instant, node: usize, target: DialTarget) {
        let life = self.nodes[node].lives;
        let target = Box::new(target);
        self.scheduler.schedule(
            now + DIAL_PATIENCE,
            Happening::DialFailed { node, life, target },
        );
    }

    /// The one-way delay between two nodes, the same in both directions and every time.
    fn latency(&self, a: usize, b: usize) -> Duration {
        let mut rng = self.stream(Stream::Latency, a.min(b), a.max(b) as u64);
        let LatencyRange { min, max } = self.climate.latency;
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 2);
        Duration::from_nanos(rng.between(nanos(min), nanos(max.max(min))))
    }
}
