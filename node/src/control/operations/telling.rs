//! Broadcasts and messages of the operator, and the topics that the node takes.

use dunlin_overlay::{OverlayError, Priority, Topics};

use super::Operations;
use crate::clock::unix_millis;
use crate::control::model::{Code, PeerPriority, Problem, Telling, Told, TopicList};
use crate::control::records::from_hex;

impl Operations {
    /// Tells something to every node of the network.
    ///
    /// # Errors
    /// What the overlay refuses: name, length, rate.
    pub async fn broadcast(&self, telling: Telling) -> Result<Told, Problem> {
        if telling.via.is_some() {
            return Err(Problem::new(
                Code::BadRequest,
                "a broadcast goes to everybody: leave `via` out, or send a message",
            ));
        }
        let payload = payload_of(telling.text.as_ref(), telling.hex.as_ref())?;
        let bytes = payload.len();
        let priority = match telling.priority {
            PeerPriority::High => Priority::High,
            PeerPriority::Normal => Priority::Normal,
            PeerPriority::Low => Priority::Low,
        };
        let sent = self.node.with_overlay(move |overlay, now| {
            let topic = &telling.name;
            let id = overlay.broadcast_as(now, unix_millis(), topic, &payload, priority)?;
            Ok::<_, Problem>((id, overlay.stats().connected))
        });
        let (id, peers) = sent.await.ok_or_else(Problem::stopping)??;
        Ok(Told {
            id: Some(id.to_string()),
            bytes,
            peers,
        })
    }

    /// Of which topics the node takes broadcasts.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn topics(&self) -> Result<TopicList, Problem> {
        let topics = self
            .node
            .with_overlay(|overlay, _| overlay.topics().clone())
            .await
            .ok_or_else(Problem::stopping)?;
        let topics = match topics {
            Topics::All => None,
            Topics::Named(names) => Some(names),
        };
        Ok(TopicList { topics })
    }

    /// Takes broadcasts of these topics from now on, until the node ends.
    ///
    /// # Errors
    /// What the overlay refuses: a name, or too many.
    pub async fn set_topics(&self, list: TopicList) -> Result<TopicList, Problem> {
        let topics = list.topics.clone().map_or(Topics::All, Topics::Named);
        self.node
            .with_overlay(move |overlay, now| overlay.set_topics(now, topics))
            .await
            .ok_or_else(Problem::stopping)??;
        Ok(list)
    }

    /// Tells something to one connected peer, or, through a peer that relays, to any node.
    ///
    /// # Errors
    /// No such peer, one that is not connected, no such relay, or what the overlay refuses.
    pub async fn message(&self, text: &str, telling: Telling) -> Result<Told, Problem> {
        let payload = payload_of(telling.text.as_ref(), telling.hex.as_ref())?;
        let bytes = payload.len();
        let (peer, relay) = self.whom(text, telling.via.as_deref()).await?;
        let sent = self.node.with_overlay(move |overlay, now| match relay {
            Some(relay) => overlay.send_relayed(now, relay, peer, &telling.name, &payload),
            None => overlay.send(now, peer, &telling.name, &payload),
        });
        match sent.await.ok_or_else(Problem::stopping)? {
            Ok(()) => Ok(Told {
                id: None,
                bytes,
                peers: 1,
            }),
            Err(OverlayError::NotConnected(of)) if of == peer => Err(Problem::new(
                Code::NotConnected,
                format!(
                    "{peer} is not connected; `dunlin peer why {text}` says why, and --via any reaches it through a peer that relays"
                ),
            )),
            Err(error) => Err(error.into()),
        }
    }
}

/// The payload, given as text or in hexadecimal.
pub(super) fn payload_of(text: Option<&String>, hex: Option<&String>) -> Result<Vec<u8>, Problem> {
    match (text, hex) {
        (Some(text), None) => Ok(text.clone().into_bytes()),
        (None, Some(hex)) => from_hex(hex).ok_or_else(|| {
            Problem::new(
                Code::BadRequest,
                "`hex` is not hexadecimal: write two digits for each byte, for example 00ff",
            )
        }),
        _ => Err(Problem::new(
            Code::BadRequest,
            "give the payload once: as `text` or as `hex`",
        )),
    }
}
