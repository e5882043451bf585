//! Handlers that every node has: requests to them are answered in the task of the node, whoever listens.
//! Requests to other names are for the application.

use dunlin_overlay::Overlay;
use serde_json::json;

/// Answers with what it was asked, byte for byte.
const ECHO: &str = "echo";
/// Answers with what this node says of itself, as JSON. It tells a peer nothing that the hello has not
/// told already, but for the number of peers.
const NODE_INFO: &str = "node-info";

/// Whether every node answers requests to this name.
#[must_use]
pub fn is_built_in(name: &str) -> bool {
    [ECHO, NODE_INFO].contains(&name)
}

/// The answer to a request; `None`: the name is for the application.
pub(super) fn answer(overlay: &Overlay, name: &str, payload: &[u8]) -> Option<Vec<u8>> {
    match name {
        ECHO => Some(payload.to_vec()),
        NODE_INFO => {
            let info = json!({
                "id": overlay.node_id().to_string(),
                "network": overlay.network(),
                "version": env!("CARGO_PKG_VERSION"),
                "connected": overlay.stats().connected,
            });
            Some(info.to_string().into_bytes())
        }
        _ => None,
    }
}
