//! The links of a network: who is joined to whom, and what sits in between.

use std::collections::{BTreeMap, VecDeque};

use dunlin_transport::Instant;

use crate::link::{Datagram, Element, Hop, Link, Onward};
use crate::rng::Rng;
use crate::scheduler::Ticket;

/// A program on the path that reads and changes what passes: an attacker, or a broken box.
pub trait Middlebox: Send {
    /// A datagram passes. It may be changed; false: it goes no further. What is put into `extra`
    /// follows it.
    fn on_datagram(
        &mut self,
        now: Instant,
        datagram: &mut Datagram,
        extra: &mut Vec<Datagram>,
    ) -> bool;
}

pub(super) struct Entry {
    pub(super) link: Link,
    /// The node at its far end.
    pub(super) to: usize,
    /// Hops in the order of their times, each with its place among those of its instant; only the
    /// first is in the schedule.
    pub(super) lane: VecDeque<(Ticket, Hop)>,
    /// The link behind it, for what goes to one of these nodes; in front of one that several share:
    /// for all.
    onward: Onwards,
    middlebox: Option<Box<dyn Middlebox>>,
}

/// Where a datagram goes at the end of a link.
#[derive(Default)]
enum Onwards {
    /// To the program that has its address.
    #[default]
    Here,
    /// Onto this link.
    All(u32),
    /// Onto the link of the node it is for, if that has one.
    ByNode(BTreeMap<usize, u32>),
}

/// A way over a link that others use, too.
#[derive(Clone, Copy, Debug)]
pub struct Detour<'a> {
    /// In front of it, for this way alone.
    pub before: &'a [Element],
    /// The nodes whose link it is.
    pub shared: (usize, usize),
    /// Behind it, for this way alone.
    pub after: &'a [Element],
}

#[derive(Default)]
pub(super) struct Links {
    list: Vec<Entry>,
    index: BTreeMap<(usize, usize), u32>,
    /// For pairs without a link of their own.
    default: Option<(Vec<Element>, Rng)>,
}

impl Links {
    pub(super) fn get(&self, from: usize, to: usize) -> Option<&Link> {
        let number = self.index.get(&(from, to))?;
        self.list
            .get(usize::try_from(*number).ok()?)
            .map(|entry| &entry.link)
    }

    pub(super) fn at(&mut self, number: u32) -> Option<&mut Entry> {
        self.list.get_mut(usize::try_from(number).ok()?)
    }

    /// The number of the link from one node to another, made by the default if there is one.
    pub(super) fn find(&mut self, from: usize, to: usize) -> Option<u32> {
        if let Some(number) = self.index.get(&(from, to)) {
            return Some(*number);
        }
        let (elements, rng) = self.default.as_ref()?;
        // Always from the same state: which pair comes first changes nothing.
        let rng = rng.clone().split(label(from, to));
        let link = Link::new(elements, rng);
        Some(self.insert(from, to, link))
    }

    /// Lays a path; where there was one it is replaced.
    pub(super) fn lay(&mut self, from: usize, to: usize, elements: &[Element], rng: &mut Rng) {
        let rng = rng.split(label(from, to));
        match self.find_laid(from, to) {
            Some(entry) => entry.link.replace(elements),
            None => {
                self.insert(from, to, Link::new(elements, rng));
            }
        }
    }

    /// Lays a way over the link of another pair; false: there is no such link.
    pub(super) fn lay_over(
        &mut self,
        (from, to): (usize, usize),
        way: &Detour<'_>,
        rng: &mut Rng,
    ) -> bool {
        let Some(shared) = self.index.get(&way.shared).copied() else {
            return false;
        };
        let mut first = shared;
        if !way.before.is_empty() {
            first = self.push(to, Link::new(way.before, rng.split(label(from, to))));
            if let Some(entry) = self.at(first) {
                entry.onward = Onwards::All(shared);
            }
        }
        self.index.insert((from, to), first);
        if !way.after.is_empty() {
            let last = self.push(to, Link::new(way.after, rng.split(label(to, from))));
            if let Some(entry) = self.at(shared) {
                entry.onward.add(to, last);
            }
        }
        true
    }

    /// The link behind this one for what goes to a node, which `target` names.
    pub(super) fn behind(
        &self,
        number: u32,
        target: impl FnOnce() -> Option<usize>,
    ) -> Option<u32> {
        match &self.list.get(usize::try_from(number).ok()?)?.onward {
            Onwards::Here => None,
            Onwards::All(next) => Some(*next),
            Onwards::ByNode(by_node) => by_node.get(&target()?).copied(),
        }
    }

    pub(super) fn find_laid(&mut self, from: usize, to: usize) -> Option<&mut Entry> {
        let number = *self.index.get(&(from, to))?;
        self.at(number)
    }

    pub(super) fn set_default(&mut self, elements: &[Element], rng: Rng) {
        self.default = Some((elements.to_vec(), rng));
    }

    /// Puts a box at the beginning of a link; false: there is no such link.
    pub(super) fn intercept(&mut self, from: usize, to: usize, by: Box<dyn Middlebox>) -> bool {
        let entry = self
            .find(from, to)
            .and_then(|number| self.at(number))
            .map(|entry| entry.middlebox = Some(by));
        entry.is_some()
    }

    fn insert(&mut self, from: usize, to: usize, link: Link) -> u32 {
        let number = self.push(to, link);
        self.index.insert((from, to), number);
        number
    }

    fn push(&mut self, to: usize, link: Link) -> u32 {
        let number = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        self.list.push(Entry {
            link,
            to,
            lane: VecDeque::new(),
            onward: Onwards::Here,
            middlebox: None,
        });
        number
    }
}

impl Onwards {
    fn add(&mut self, node: usize, link: u32) {
        if let Self::ByNode(by_node) = self {
            by_node.insert(node, link);
        } else {
            *self = Self::ByNode(BTreeMap::from([(node, link)]));
        }
    }
}

impl Entry {
    /// A datagram enters, past the middlebox if there is one.
    pub(super) fn enter(&mut self, now: Instant, mut datagram: Box<Datagram>, onward: &mut Onward) {
        let Some(middlebox) = &mut self.middlebox else {
            self.link.enter(now, datagram, onward);
            return;
        };
        let mut extra = Vec::new();
        if middlebox.on_datagram(now, &mut datagram, &mut extra) {
            self.link.enter(now, datagram, onward);
        }
        for datagram in extra {
            self.link.enter(now, Box::new(datagram), onward);
        }
    }
}

const fn label(from: usize, to: usize) -> u64 {
    ((from as u64) << 32) | to as u64
}
