//! Broadcasts and messages of the operator, and the topics that the node takes.

use dunlin_overlay::{PeerState, Priority, Topics};

use super::Operations;
use crate::clock::unix_millis;
use crate::control::model::{Code, PeerPriority, Problem, Telling, Told, TopicList};
use crate::control::records::from_hex;
use crate::control::snapshot::Snapshot;

impl Operations {
    /// Tells something to every node of the network.
    ///
    /// # Errors
    /// What the overlay refuses: name, length, rate.
    pub async fn broadcast(&self, telling: Telling) -> Result<Told, Problem> {
        let payload = payload_of(&telling)?;
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

    /// Tells something to one connected peer.
    ///
    /// # Errors
    /// No such peer, one that is not connected, or what the overlay refuses.
    pub async fn message(&self, text: &str, telling: Telling) -> Result<Told, Problem> {
        let payload = payload_of(&telling)?;
        let bytes = payload.len();
        let snapshot = Snapshot::take(&self.node).await?;
        let peer = snapshot.find(text)?;
        if peer.state != PeerState::Connected {
            return Err(Problem::new(
                Code::NotConnected,
                format!(
                    "{} is not connected; `dunlin peer why {text}` says why",
                    peer.id
                ),
            ));
        }
        let id = peer.id;
        self.node
            .with_overlay(move |overlay, now| overlay.send(now, id, &telling.name, &payload))
            .await
            .ok_or_else(Problem::stopping)??;
        Ok(Told {
            id: None,
            bytes,
            peers: 1,
        })
    }
}

fn payload_of(telling: &Telling) -> Result<Vec<u8>, Problem> {
    match (&telling.text, &telling.hex) {
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
