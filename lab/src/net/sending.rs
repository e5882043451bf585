//! From a program's batch to hops on links.

use std::net::SocketAddr;

use dunlin_transport::Instant;

use super::{Application, Happening, Net};
use crate::link::Datagram;
use crate::payload::Payload;
use crate::trace::Record;

impl<A: Application> Net<A> {
    /// Sends one batch; false: there was none.
    pub(super) fn transmit(&mut self, now: Instant, node: usize) -> bool {
        let Some(entry) = self.nodes.get_mut(node).filter(|node| node.alive) else {
            return false;
        };
        let local = entry.clock.read(now);
        let Some(outgoing) = entry.program.poll_transmit(local, &mut self.buffer) else {
            return false;
        };
        let claimed = outgoing.source.unwrap_or(entry.address);
        let transmit = outgoing.transmit;
        let Some((link, from)) = self.route(now, node, claimed, transmit.destination) else {
            self.stats.unroutable += 1;
            return true;
        };
        let segment = transmit.segment_size.unwrap_or(transmit.size).max(1);
        let buffer = std::mem::take(&mut self.buffer);
        for bytes in buffer[..transmit.size.min(buffer.len())].chunks(segment) {
            self.stats.sent += 1;
            let to = transmit.destination;
            let mut datagram = self.spare.pop().unwrap_or_else(|| blank(from, to));
            (datagram.from, datagram.to) = (from, to);
            datagram.ecn = transmit.ecn;
            datagram.bytes.set(bytes);
            let bytes = (bytes.len(), datagram.bytes.digest());
            self.trace.add_digest(now, Record::Sent, node, bytes);
            if let Some(tap) = &mut self.tap {
                tap.on_datagram(now, Record::Sent, node, &datagram);
            }
            if let Some(entry) = self.links.at(link) {
                entry.enter(now, datagram, &mut self.onward);
            }
            self.schedule_onward(link);
        }
        self.buffer = buffer;
        true
    }

    /// The link that leads to an address, and the source that is seen there.
    fn route(
        &mut self,
        now: Instant,
        node: usize,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Option<(u32, SocketAddr)> {
        let entry = self.nodes.get_mut(node)?;
        if let Some((known, link, version)) = entry.last_route
            && known == to
            && version == self.routes.version
        {
            return Some((link, from));
        }
        let route = self.routes.outward(now, node, from, to)?;
        let link = self.links.find(node, route.target)?;
        if self.routes.is_plain() {
            entry.last_route = Some((to, link, self.routes.version));
        }
        Some((link, route.source))
    }

    pub(super) fn schedule_onward(&mut self, link: u32) {
        if let Some(entry) = self.links.at(link) {
            for hop in self.onward.hops.drain(..) {
                let at = hop.at;
                // Taken now by those that wait in the lane too: hops of one instant happen in the
                // order in which they came here, whichever of the two ways they take.
                let ticket = self.scheduler.reserve();
                match entry.lane.back().map(|(_, last)| last.at) {
                    Some(last) if last > at => {
                        let happening = Happening::Hop { link, hop };
                        self.scheduler.schedule_with(ticket, at, happening);
                    }
                    Some(_) => entry.lane.push_back((ticket, hop)),
                    None => {
                        entry.lane.push_back((ticket, hop));
                        let happening = Happening::Lane { link };
                        self.scheduler.schedule_with(ticket, at, happening);
                    }
                }
            }
        }
        for wake in self.onward.wakes.drain(..) {
            self.scheduler
                .schedule(wake.at, Happening::Wake { link, wake });
        }
        for notice in self.onward.notices.drain(..) {
            self.scheduler
                .schedule(notice.at, Happening::TooBig(notice));
        }
        while let Some(datagram) = self.onward.spent.pop() {
            self.recycle(datagram);
        }
    }
}

/// A datagram without bytes.
fn blank(from: SocketAddr, to: SocketAddr) -> Box<Datagram> {
    let bytes = Payload::default();
    let ecn = None;
    Box::new(Datagram {
        bytes,
        ecn,
        from,
        to,
    })
}
