//! From what arrives at a node to its program.

use dunlin_transport::Instant;

use super::node::Input;
use super::{Application, Happening, Net};
use crate::link::Datagram;
use crate::trace::Record;

impl<A: Application> Net<A> {
    /// A datagram is at the end of a link whose far node is `to`.
    pub(super) fn deliver(
        &mut self,
        now: Instant,
        to: usize,
        mut datagram: Box<Datagram>,
    ) -> Option<usize> {
        let expected = self.nodes.get(to).map(|node| node.address);
        let node = if expected == Some(datagram.to) {
            to
        } else {
            let claimed = self.routes.inward(now, datagram.from, datagram.to);
            let Some((node, inside)) = claimed else {
                self.stats.unclaimed += 1;
                self.recycle(datagram);
                return None;
            };
            datagram.to = inside;
            node
        };
        self.input(now, node, Input::Datagram(datagram))
    }

    /// A program gets an input, now or when it has time; one that gathers, when all has come that was to
    /// come at this instant.
    pub(super) fn input(&mut self, now: Instant, node: usize, input: Input) -> Option<usize> {
        let entry = self.nodes.get_mut(node)?;
        if !entry.alive {
            self.stats.to_the_dead += 1;
            self.recycle_input(input);
            return None;
        }
        if entry.is_busy(now) || entry.gathers {
            if let Err(input) = entry.keep(input) {
                self.stats.socket_full += 1;
                self.recycle_input(input);
            }
            self.resume_later(now, node);
            return None;
        }
        self.process(now, node, input);
        Some(node)
    }

    fn process(&mut self, now: Instant, node: usize, mut input: Input) {
        if let Input::Datagram(datagram) = &mut input {
            self.note_delivered(now, node, datagram);
        }
        let Some(entry) = self.nodes.get_mut(node) else {
            return;
        };
        entry.busy_until = now + entry.cost;
        entry.program.handle(entry.clock.read(now), &mut input);
        self.recycle_input(input);
    }

    /// What [`Node::next_train`](super::node::Node::next_train) took is one input.
    fn process_train(&mut self, now: Instant, node: usize) {
        let mut train = std::mem::take(&mut self.train);
        for datagram in &mut train {
            self.note_delivered(now, node, datagram);
        }
        if train.len() > 1 {
            self.stats.gathered += train.len() as u64;
        }
        if let Some(entry) = self.nodes.get_mut(node) {
            entry.busy_until = now + entry.cost;
            let local = entry.clock.read(now);
            entry.program.handle_train(local, &mut train);
        }
        train.drain(..).for_each(|datagram| self.recycle(datagram));
        self.train = train;
    }

    fn note_delivered(&mut self, now: Instant, node: usize, datagram: &mut Datagram) {
        self.stats.delivered += 1;
        let bytes = (datagram.bytes.len(), datagram.bytes.digest());
        self.trace.add_digest(now, Record::Delivered, node, bytes);
        if let Some(tap) = &mut self.tap {
            tap.on_datagram(now, Record::Delivered, node, datagram);
        }
    }

    pub(super) fn on_timer(&mut self, now: Instant, node: usize) -> Option<usize> {
        let entry = self.nodes.get_mut(node).filter(|node| node.alive)?;
        if entry.armed.is_none_or(|armed| armed > now) {
            return None;
        }
        entry.armed = None;
        if entry.is_busy(now) {
            entry.late_timer = true;
            self.resume_later(now, node);
            return None;
        }
        entry.busy_until = now + entry.cost;
        entry.program.handle_timeout(entry.clock.read(now));
        Some(node)
    }

    /// A node that had no time has some: it deals with one thing that waited, or one train.
    pub(super) fn on_resume(&mut self, now: Instant, node: usize) -> Option<usize> {
        let entry = self.nodes.get_mut(node).filter(|node| node.alive)?;
        entry.resumes = false;
        if entry.busy_until > now {
            self.resume_later(now, node);
            return None;
        }
        if entry.next_train(&mut self.train) {
            self.process_train(now, node);
        } else if let Some(input) = entry.next_kept() {
            self.process(now, node, input);
        } else if std::mem::take(&mut entry.late_timer) {
            entry.busy_until = now + entry.cost;
            entry.program.handle_timeout(entry.clock.read(now));
        } else {
            return None;
        }
        self.resume_later(now, node);
        Some(node)
    }

    pub(super) fn resume_later(&mut self, now: Instant, node: usize) {
        let Some(entry) = self.nodes.get_mut(node) else {
            return;
        };
        if entry.has_work() && !entry.resumes {
            entry.resumes = true;
            let at = entry.busy_until.max(now);
            self.scheduler.schedule(at, Happening::Resume { node });
        }
    }

    fn recycle_input(&mut self, input: Input) {
        if let Input::Datagram(datagram) = input {
            self.recycle(datagram);
        }
    }
}
