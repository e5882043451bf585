//! What goes wrong in a network of overlays: nodes stop, stand still and come back; links and
//! whole parts of the network lose each other. Nobody is told; each end notices for itself.

use dunlin_overlay::{Instant, LinkEndCause};

use super::links::{EndState, Parcel, Side, block};
use super::scenario::Restart;
use super::violation::SwarmFailure;
use super::world::{Happening, Life, Mark, Swarm};

impl Swarm {
    /// A running node stops without a word; what it knew is gone.
    pub fn crash(&mut self, node: usize) {
        let Some(entry) = self.running_mut(node) else {
            return;
        };
        entry.life = Life::Stopped;
        entry.overdue.clear();
        let links = core::mem::take(&mut entry.links);
        self.judge.on_stop(node);
        self.mark(node, Mark::Stop, 0);
        for link in links {
            for side in [0, 1] {
                let end = self.links[link].end_mut(side);
                if end.node == node {
                    end.state = EndState::Closed;
                    end.held.clear();
                }
            }
            self.block(link, block::CUT);
        }
    }

    /// A running node stands still, as a machine that sleeps, until [`Self::restart`].
    pub fn pause(&mut self, node: usize) {
        let Some(entry) = self.running_mut(node) else {
            return;
        };
        entry.life = Life::Paused;
        let links = entry.links.clone();
        self.judge.on_pause(node);
        self.mark(node, Mark::Stop, 1);
        for link in links {
            let side = self.links[link].side_of(node);
            self.block(link, block::paused(side));
        }
    }

    /// A node that stands still goes on; one that stopped comes back, with its identity and, with
    /// [`Restart::KnownPeers`], the addresses of the peers that it had known. Nothing if it runs.
    ///
    /// # Errors
    /// What must not be.
    pub fn restart(&mut self, node: usize, how: Restart) -> Result<(), SwarmFailure> {
        match self.nodes[node].life {
            Life::Running => Ok(()),
            Life::Paused => self.resume(node),
            Life::Stopped => {
                let known: Vec<_> = match how {
                    Restart::KnownPeers => self.nodes[node]
                        .overlay
                        .peers()
                        .flat_map(|peer| peer.addresses)
                        .collect(),
                    Restart::Empty | Restart::Resumed => Vec::new(),
                };
                self.begin_life(node, &known)
            }
        }
    }

    fn resume(&mut self, node: usize) -> Result<(), SwarmFailure> {
        let now = self.now();
        let entry = &mut self.nodes[node];
        entry.life = Life::Running;
        entry.armed = None;
        let overdue = core::mem::take(&mut entry.overdue);
        let links = entry.links.clone();
        self.judge.on_start(now, node);
        self.mark(node, Mark::Start, 0);
        for (link, side) in overdue {
            self.give_up(now, link, side)?;
        }
        for link in links {
            let side = self.links[link].side_of(node);
            self.unblock(link, block::paused(side));
        }
        self.settle(node)
    }

    /// The network falls into two parts: the nodes for which `part` is true, and the others.
    pub fn partition(&mut self, part: impl Fn(usize) -> bool) {
        self.heal();
        self.parts = Some((0..self.nodes.len()).map(part).collect());
        for link in 0..self.links.len() {
            let [a, b] = [0, 1].map(|side| self.links[link].end(side).node);
            if self.is_apart(a, b) && !self.links[link].is_over() {
                self.block(link, block::PARTITION);
            }
        }
    }

    /// The parts of the network find together again.
    pub fn heal(&mut self) {
        if self.parts.take().is_some() {
            for link in 0..self.links.len() {
                self.unblock(link, block::PARTITION);
            }
        }
    }

    /// Breaks every link between two nodes for good. True: there was one.
    pub fn cut(&mut self, a: usize, b: usize) -> bool {
        let links = self.nodes.get(a).map(|node| node.links.clone());
        let mut found = false;
        for link in links.unwrap_or_default() {
            let far = self.links[link].end(1 - self.links[link].side_of(a)).node;
            if far == b && !self.links[link].is_over() {
                self.block(link, block::CUT);
                found = true;
            }
        }
        found
    }

    fn block(&mut self, link: usize, reason: u8) {
        if self.links[link].block(reason) {
            self.expect_notices(link);
        }
    }

    fn expect_notices(&mut self, link: usize) {
        let now = self.now();
        let path = &mut self.links[link];
        for side in [0, 1] {
            let epoch = path.epoch();
            if path.end(side).state != EndState::Closed {
                let at = path.notice(now, &self.weather);
                self.scheduler
                    .schedule(at, Happening::Notice { link, side, epoch });
            }
        }
    }

    fn unblock(&mut self, link: usize, reason: u8) {
        if !self.links[link].unblock(reason) {
            return;
        }
        let now = self.now();
        for side in [0, 1] {
            // What was held comes with the next retransmission.
            let held = core::mem::take(&mut self.links[link].end_mut(side).held);
            for parcel in held {
                let at = match parcel {
                    Parcel::Message(_) => self.links[link].send(now, 1 - side, &self.weather),
                    Parcel::Close => self.links[link].close(now, 1 - side, &self.weather),
                };
                self.arrive(at, link, side, parcel);
            }
        }
        let is_half_open = [0, 1]
            .map(|side| self.links[link].end(side).state)
            .contains(&EndState::Closed);
        if is_half_open {
            // The end that gave up says nothing more; the other one has to notice.
            self.expect_notices(link);
        }
    }

    pub(super) fn on_notice(
        &mut self,
        now: Instant,
        link: usize,
        side: Side,
        epoch: u32,
    ) -> Result<(), SwarmFailure> {
        if self.links[link].epoch() != epoch {
            return Ok(());
        }
        let node = &mut self.nodes[self.links[link].end(side).node];
        if node.life == Life::Paused {
            node.overdue.push((link, side));
            return Ok(());
        }
        self.give_up(now, link, side)
    }

    fn give_up(&mut self, now: Instant, link: usize, side: Side) -> Result<(), SwarmFailure> {
        let end = self.links[link].end_mut(side);
        let was_open = end.state == EndState::Open;
        end.state = EndState::Closed;
        end.held.clear();
        if was_open {
            self.tell_closed(now, link, side, LinkEndCause::TimedOut)?;
        }
        Ok(())
    }
}
