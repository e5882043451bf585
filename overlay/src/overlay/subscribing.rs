//! Topics: which broadcasts the application gets, and what neighbours take.
//!
//! A node passes broadcasts of all topics on, so that those who take a topic need not be neighbours of each
//! other; only what is delivered depends on what it takes (ADR 0351). Neighbours are told, as in the
//! subscriptions of GossipSub (Vyzovitis et al. 2020, §2): for now for applications and operators to see.

use std::collections::BTreeSet;

use dunlin_session::NodeId;

use super::Overlay;
use crate::Instant;
use crate::error::{OverlayError, PeerViolation};
use crate::topics::Topics;
use crate::types::is_valid_name;
use crate::wire::{Message, TopicList};

impl Overlay {
    /// Takes broadcasts of a topic from now on; those that came before are not delivered. False: it was taken
    /// already, as every topic is by a node that takes all.
    ///
    /// # Errors
    /// [`OverlayError::InvalidName`], [`OverlayError::TooManyTopics`], or
    /// [`OverlayError::ShuttingDown`].
    pub fn subscribe(&mut self, now: Instant, topic: &str) -> Result<bool, OverlayError> {
        let mut topics = self.config.topics.clone();
        let is_new = match &mut topics {
            Topics::All => false,
            Topics::Named(names) => names.insert(topic.to_owned()),
        };
        if !is_valid_name(topic) {
            return Err(OverlayError::InvalidName);
        }
        self.set_topics(now, topics)?;
        Ok(is_new)
    }

    /// Takes broadcasts of a topic no more. False: it was not taken by its name; a node that takes all topics
    /// goes on doing so, until [`Self::set_topics`] names them.
    pub fn unsubscribe(&mut self, _now: Instant, topic: &str) -> bool {
        let was_taken = match &mut self.config.topics {
            Topics::All => false,
            Topics::Named(names) => names.remove(topic),
        };
        if was_taken {
            self.tell_topics();
        }
        was_taken
    }

    /// Takes exactly these topics from now on.
    ///
    /// # Errors
    /// As [`Self::subscribe`]; nothing has changed then.
    pub fn set_topics(&mut self, _now: Instant, topics: Topics) -> Result<(), OverlayError> {
        if self.shutting_down {
            return Err(OverlayError::ShuttingDown);
        }
        if let Topics::Named(names) = &topics
            && !names.iter().all(|name| is_valid_name(name))
        {
            return Err(OverlayError::InvalidName);
        }
        if !topics.is_bounded() {
            return Err(OverlayError::TooManyTopics);
        }
        if topics != self.config.topics {
            self.config.topics = topics;
            self.tell_topics();
        }
        Ok(())
    }

    /// What is taken.
    #[must_use]
    pub fn topics(&self) -> &Topics {
        &self.config.topics
    }

    /// What a connected peer takes, as it says; all, if it says nothing. `None`: it is not connected.
    #[must_use]
    pub fn topics_of(&self, peer: NodeId) -> Option<&Topics> {
        let neighbour = self.gossip.neighbours.get(&peer);
        neighbour.map(|neighbour| &neighbour.topics)
    }

    /// Whether broadcasts of this topic reach the application.
    pub(super) fn is_taken(&self, topic: &str) -> bool {
        match &self.config.topics {
            Topics::All => self.is_handled(topic),
            named @ Topics::Named(_) => named.has(topic),
        }
    }

    /// Tells a neighbour of a new link, unless what it takes it for is true.
    pub(super) fn tell_topics_to(&mut self, peer: NodeId) {
        if self.config.topics != Topics::All {
            self.send_topics(peer);
        }
    }

    fn tell_topics(&mut self) {
        let neighbours = self.gossip.neighbours.iter();
        let gossiping = neighbours.filter(|(_, neighbour)| neighbour.gossips);
        let peers: Vec<NodeId> = gossiping.map(|(peer, _)| peer).collect();
        for peer in peers {
            self.send_topics(peer);
        }
    }

    fn send_topics(&mut self, peer: NodeId) {
        let names: Vec<&str> = match &self.config.topics {
            Topics::All => Vec::new(),
            Topics::Named(names) => names.iter().map(String::as_str).collect(),
        };
        let is_all = self.config.topics == Topics::All;
        let bytes = Message::Topics(TopicList { is_all, names }).encode_to_keep();
        self.send_bytes(peer, bytes);
    }

    /// A neighbour says what it takes.
    pub(super) fn on_topics(&mut self, now: Instant, peer: NodeId, list: &TopicList<'_>) {
        if !list.names.iter().all(|name| is_valid_name(name)) {
            return self.on_violation(now, peer, PeerViolation::OutOfBounds);
        }
        let names = || list.names.iter().map(|&name| name.to_owned());
        let topics = match list.is_all {
            true => Topics::All,
            false => Topics::Named(BTreeSet::from_iter(names())),
        };
        if let Some(neighbour) = self.gossip.neighbours.get_mut(&peer) {
            neighbour.topics = topics;
        }
    }
}
