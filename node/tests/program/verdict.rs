//! A ban that the node pronounces by itself is on the disk before its peer hears of it.

use std::time::Duration;

use dunlin_node::stack::{Keys, Wire, dialler};
use dunlin_node::store::StoreReader;
use dunlin_overlay::saved::BanSubject;

use crate::control::{json, start, told};
use crate::process::Lab;

/// How a goodbye begins (`docs/overlay.md`): a pair, the first of which is its kind.
const GOODBYE: [u8; 2] = [0x82, 11];
const ROUNDS: usize = 6;

/// Breaks the rules of the node at `address` until it says goodbye; whom it banned.
async fn misbehave(address: &str, id: &str) -> BanSubject {
    let keys = Keys::throwaway();
    let address = address.parse().unwrap();
    let patience = Duration::from_secs(10);
    let endpoint = dialler(address, Wire::default(), patience, keys.traces()).unwrap();
    let initiator = keys.initiator(Some(id.parse().unwrap()));
    let connection = endpoint.connect(address, initiator).await.unwrap();
    for _ in 0..8 {
        connection.send_message(vec![0xff]).await.unwrap();
    }
    loop {
        let message = connection.receive_message().await;
        let message = message.expect("there is a goodbye before the end");
        if message.data.starts_with(&GOODBYE) {
            return BanSubject::Peer(keys.node_id());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_that_a_node_pronounces_itself_survives_a_kill_at_its_first_sign() {
    let lab = Lab::new();
    let mut banned = Vec::new();
    for round in 0..ROUNDS {
        let (mut node, id, address) = start(&lab, "node", &[]);
        banned.push(misbehave(&address, &id).await);
        node.kill();
        let store = StoreReader::open(&lab.path("node").join("dunlin.db")).unwrap();
        let saved: Vec<_> = store
            .bans()
            .unwrap()
            .iter()
            .map(|ban| ban.subject)
            .collect();
        for subject in &banned {
            assert!(
                saved.contains(subject),
                "round {round}: {subject} in {saved:?}"
            );
        }
    }
    let (_node, _, _) = start(&lab, "node", &[]);
    let bans = json(&lab, "node", &["peer", "bans", "--json"]);
    assert_eq!(bans["bans"].as_array().unwrap().len(), ROUNDS, "{bans}");
    let story = told(&lab, "node", &["peer", "why", &banned[0].to_string()]);
    assert!(story.contains("too many violations"), "{story}");
}
