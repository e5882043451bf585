//! What happens to a node, as lines of its log.

use dunlin_overlay::Event;

use crate::store::ban_columns;

/// Writes one line for what an operator wants to know. `node` is its number where a process has several.
pub(super) fn write(event: &Event, node: Option<usize>) {
    match event {
        Event::PeerUp { peer } => tracing::info!(node, "peer up: {peer}"),
        Event::PeerDown { peer, reason } => {
            tracing::info!(node, "peer down: {peer} ({reason})");
        }
        Event::Broadcast {
            origin,
            topic,
            payload,
            hops,
            ..
        } => tracing::info!(
            node,
            "broadcast from {origin} on {}: {} bytes, {hops} hops",
            topic.escape_debug(),
            payload.len()
        ),
        Event::Banned { ban } => {
            let (_, subject) = ban_columns(&ban.subject);
            tracing::warn!(node, "{subject} is banned: {}", ban.reason);
        }
        Event::Unbanned { subject, .. } => {
            let (_, subject) = ban_columns(subject);
            tracing::info!(node, "{subject} is not banned any more");
        }
        Event::PeerViolation { peer, violation } => {
            tracing::warn!(node, "{peer} broke a rule: {violation}");
        }
        other => tracing::debug!(node, ?other, "event"),
    }
}
