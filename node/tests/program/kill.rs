//! SIGKILL in the middle of writing: what was said to be on the disk is there.
//!
//! The process that is killed is this test program itself, started for one test that does its work only
//! when a variable names a store.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Command, Stdio};

use dunlin_node::store::{Store, StoreReader, StoryFilter, StoryRow, Weight};
use dunlin_overlay::saved::{BanSubject, SavedBan, SavedReputation};

const VARIABLE: &str = "DUNLIN_TEST_STORE";
const CHILD: &str = "kill::the_process_that_is_killed";
const ROUNDS: u32 = 8;

fn ban(n: u32) -> SavedBan {
    SavedBan {
        subject: BanSubject::Address(IpAddr::V4(Ipv4Addr::from(n))),
        since: 1,
        until: u64::MAX >> 1,
        reason: format!("number {n}"),
    }
}

/// Bans one address after the other and says each time when the ban is on the disk.
#[test]
fn the_process_that_is_killed() {
    let Some(path) = std::env::var_os(VARIABLE) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let (store, saved, moved) = Store::open(Path::new(&path), 1).unwrap();
    assert_eq!(moved, None, "a kill damages nothing");
    let mut bans = saved.bans;
    bans.sort_by_key(|ban| ban.subject);
    let peer = dunlin_session::Identity::from_seed([1; 32]).node_id();
    for n in u32::try_from(bans.len()).unwrap().. {
        bans.push(ban(n));
        assert!(store.save_bans(bans.clone()));
        let reputation = SavedReputation {
            peer,
            evidence: [(f64::from(n), 0.0); 5],
            trust: 0.5,
            at: n.into(),
        };
        assert!(store.save_reputations(vec![reputation], true));
        store.tell(StoryRow {
            unix_millis: n.into(),
            peer: Some(peer),
            kind: "ban".into(),
            words: n.to_string(),
            detail: None,
            weight: Weight::Evidence,
        });
        assert!(runtime.block_on(store.flush()));
        println!("saved {n}");
    }
}

#[test]
fn no_ban_trust_or_evidence_that_was_said_to_be_saved_is_lost_by_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dunlin.db");
    let mut last = 0;
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([CHILD, "--exact", "--nocapture"])
            .env(VARIABLE, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let saved = lines.map_while(Result::ok);
        let mut saved = saved.filter_map(|line| line.strip_prefix("saved ")?.parse::<u32>().ok());
        // Another moment in each round: the kill falls into whatever is being written then.
        let wanted = last + 3 + 7 * round % 5;
        last = saved.find(|n| *n >= wanted).expect("it writes");
        child.kill().unwrap();
        child.wait().unwrap();

        let store = StoreReader::open(&path).unwrap();
        let bans = store.bans().unwrap();
        for n in 0..=last {
            assert!(bans.contains(&ban(n)), "round {round}: ban {n} of {last}");
        }
        let trust = store.reputations().unwrap();
        assert!(trust[0].at >= u64::from(last), "round {round}");
        let newest = store.story(&StoryFilter::default()).unwrap();
        let newest = newest.last().unwrap();
        assert!(newest.unix_millis >= u64::from(last), "round {round}");
    }
}
