//! What goes wrong with nodes and paths, and when.

use std::net::SocketAddr;
use std::time::Duration;

use dunlin_transport::{Endpoint, Instant};

use super::clock::Clock;
use super::host::Application;
use super::node::Program;
use super::routes::Partition;
use super::{Happening, Net};
use crate::link::Element;

/// Makes the next life of a node from the application that its last one left.
pub(super) type Factory<A> = Box<dyn FnOnce(Instant, A) -> (Endpoint, A) + Send>;

/// Something that changes at a time.
pub(super) enum Change<A> {
    Rebind {
        node: usize,
        address: SocketAddr,
    },
    Kill {
        node: usize,
    },
    Restart {
        node: usize,
        factory: Factory<A>,
    },
    Pause {
        node: usize,
        until: Instant,
    },
    Slow {
        node: usize,
        cost: Duration,
    },
    DiskFull {
        node: usize,
        is_full: bool,
    },
    ForgetNat {
        nat: usize,
        every: Option<Duration>,
    },
    Replace {
        from: usize,
        to: usize,
        elements: Vec<Element>,
    },
}

/// Faults to come.
impl<A: Application> Net<A> {
    /// Changes a path at `at`. What is on its way stays on the old one.
    pub fn replace_link_at(&mut self, at: Instant, from: usize, to: usize, elements: &[Element]) {
        let elements = elements.to_vec();
        self.change_at(at, Change::Replace { from, to, elements });
    }

    /// From `at` on the node is seen under another address, as behind a NAT that forgot it; what
    /// is sent to the old one is lost.
    pub fn rebind_at(&mut self, at: Instant, node: usize, address: SocketAddr) {
        self.change_at(at, Change::Rebind { node, address });
    }

    /// From `at` on the node neither sends nor receives nor runs.
    pub fn kill_at(&mut self, at: Instant, node: usize) {
        self.change_at(at, Change::Kill { node });
    }

    /// At `at` the node begins a new life: `factory` gets the time (on the node's clock) and the
    /// application of the last one, keeps of it what the node had on its disk (or reads that from
    /// [`Net::disk`]), and gives an endpoint and an application. Works on the living (a restart) and on the dead.
    pub fn restart_at(
        &mut self,
        at: Instant,
        node: usize,
        factory: impl FnOnce(Instant, A) -> (Endpoint, A) + Send + 'static,
    ) {
        let factory = Box::new(factory);
        self.change_at(at, Change::Restart { node, factory });
    }

    /// The node does nothing from `at` until `until`, as a process that is stopped or a machine
    /// that sleeps. What arrives waits in its socket ([`super::SOCKET_BUFFER`]) and is dealt with
    /// then, timers last.
    pub fn pause_at(&mut self, at: Instant, until: Instant, node: usize) {
        self.change_at(at, Change::Pause { node, until });
    }

    /// From `at` on each datagram and each timer costs the node so much time, during which it
    /// does nothing else.
    pub fn slow_at(&mut self, at: Instant, node: usize, cost: Duration) {
        self.change_at(at, Change::Slow { node, cost });
    }

    /// From `at` until `until` there is no room on the node's disk: what its program wants to keep
    /// there is refused, and a restart finds the older state.
    pub fn disk_full_at(&mut self, at: Instant, until: Instant, node: usize) {
        for (at, is_full) in [(at, true), (until, false)] {
            self.change_at(at, Change::DiskFull { node, is_full });
        }
    }

    /// Sets the node's clock; before the run begins, since a clock does not jump.
    pub fn set_clock(&mut self, node: usize, clock: Clock) {
        if let Some(entry) = self.nodes.get_mut(node) {
            entry.clock = clock;
        }
    }

    /// At `at`, and then as often as `every` says, the NAT forgets all it knows.
    pub fn forget_nat_at(&mut self, at: Instant, nat: usize, every: Option<Duration>) {
        self.change_at(at, Change::ForgetNat { nat, every });
    }

    /// From `from` until `until` nothing that is sent passes between the nodes of `group` and all
    /// others.
    pub fn partition(&mut self, from: Instant, until: Instant, group: &[usize]) {
        self.routes.version += 1;
        self.routes.partitions.push(Partition {
            from,
            until,
            group: group.iter().copied().collect(),
        });
    }

    fn change_at(&mut self, at: Instant, change: Change<A>) {
        self.scheduler
            .schedule(at, Happening::Change(Box::new(change)));
    }

    /// Makes a change; the node that has to be settled after it.
    pub(super) fn change(&mut self, now: Instant, change: Change<A>) -> Option<usize> {
        match change {
            Change::Rebind { node, address } => {
                let entry = self.nodes.get_mut(node)?;
                self.routes.remove(&entry.address);
                entry.address = address;
                self.routes.insert(address, node);
            }
            Change::Kill { node } => {
                let entry = self.nodes.get_mut(node)?;
                entry.alive = false;
                entry.reset();
            }
            Change::Restart { node, factory } => {
                let entry = self.nodes.get_mut(node)?;
                let before = std::mem::replace(&mut entry.program, Program::Gone);
                let Program::Endpoint(before) = before else {
                    entry.program = before;
                    return None;
                };
                let (endpoint, app) = factory(entry.clock.read(now), before.app);
                entry.program = Program::endpoint(endpoint, app);
                entry.alive = true;
                entry.busy_until = now;
                entry.reset();
                return Some(node);
            }
            Change::Pause { node, until } => {
                let entry = self.nodes.get_mut(node)?;
                entry.busy_until = entry.busy_until.max(until);
            }
            Change::Slow { node, cost } => self.nodes.get_mut(node)?.cost = cost,
            Change::DiskFull { node, is_full } => self.nodes.get(node)?.disk.set_full(is_full),
            Change::ForgetNat { nat, every } => {
                self.routes.nat(nat)?.forget();
                if let Some(every) = every.filter(|every| !every.is_zero()) {
                    let every_next = Some(every);
                    self.forget_nat_at(now + every, nat, every_next);
                }
            }
            Change::Replace { from, to, elements } => {
                self.links.find_laid(from, to)?.link.replace(&elements);
            }
        }
        None
    }
}
