//! The store on real files.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use dunlin_overlay::saved::BanSubject;
use dunlin_session::NodeId;
use serde_json::json;

use super::limits::{
    BANS_MAX, EVIDENCE_MAX, EVIDENCE_PER_PEER_MAX, SEEN_MAX, STORY_MAX, STORY_PER_PEER_MAX,
    WORDS_LEN_MAX,
};
use super::*;

const NOW: u64 = 1_800_000_000_000;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("dunlin.db")
    }

    fn open(&self) -> (Store, Saved) {
        let (store, saved, moved) = Store::open(&self.file(), NOW).unwrap();
        assert_eq!(moved, None);
        (store, saved)
    }

    fn read(&self) -> StoreReader {
        StoreReader::open(&self.file()).unwrap()
    }

    /// The names of what is in the folder, in order.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

fn id(n: u8) -> NodeId {
    dunlin_session::Identity::from_seed([n; 32]).node_id()
}

fn peer(n: u8) -> SavedPeer {
    SavedPeer {
        id: id(n),
        addresses: vec![
            SocketAddrs::v4(n, 4600).into(),
            "[2001:db8::7]:4600".parse().unwrap(),
        ],
        record: Some(Bytes::from(vec![n; 300])),
        introducer: Some(id(n + 1)),
        tried: true,
        anchor: n == 1,
        seen_at: Some(NOW - 5),
        failures: 2,
        persistent: n == 1,
    }
}

struct SocketAddrs;

impl SocketAddrs {
    fn v4(n: u8, port: u16) -> (Ipv4Addr, u16) {
        (Ipv4Addr::new(192, 0, 2, n), port)
    }
}

fn ban(subject: BanSubject) -> SavedBan {
    SavedBan {
        subject,
        since: NOW,
        until: NOW + 60_000,
        reason: "sent rubbish".into(),
    }
}

fn reputation(n: u8) -> SavedReputation {
    let evidence = [(1.5, 0.25), (2.0, 0.0), (0.1, 9.0), (0.0, 0.0), (3.0, 1.0)];
    SavedReputation {
        peer: id(n),
        evidence,
        trust: 0.1 + f64::from(n) / 3.0,
        at: NOW,
    }
}

fn row(n: u8, words: &str, weight: Weight) -> StoryRow {
    StoryRow {
        unix_millis: NOW,
        peer: Some(id(n)),
        kind: "state".into(),
        words: words.into(),
        detail: Some(json!({ "from": "Connected" })),
        weight,
    }
}

fn broadcast(n: u8) -> BroadcastId {
    BroadcastId::from_bytes([n; 32])
}

#[tokio::test]
async fn what_was_saved_is_given_back_after_a_restart() {
    let place = Place::new();
    let (store, saved) = place.open();
    assert_eq!(saved, Saved::default());
    let bans = vec![
        ban(BanSubject::Peer(id(3))),
        ban(BanSubject::Address(IpAddr::V4(Ipv4Addr::LOCALHOST))),
        ban(BanSubject::Prefix("2001:db8::".parse().unwrap(), 48)),
    ];
    assert!(store.save_peers(vec![peer(1), peer(2)]));
    assert!(store.save_bans(bans.clone()));
    assert!(store.save_reputations(vec![reputation(1), reputation(2)], true));
    assert!(store.note_seen(NOW - 1, broadcast(1)));
    assert!(store.note_seen(NOW - 700_000, broadcast(2)));
    assert!(store.save_state("clean_end", "yes"));
    assert!(store.flush().await);
    drop(store);

    let (_store, saved) = place.open();
    assert_eq!(saved.peers, [peer(1), peer(2)]);
    assert_eq!(saved.reputations, [reputation(1), reputation(2)]);
    // The other one is too old to come back.
    assert_eq!(saved.seen, [(NOW - 1, broadcast(1))]);
    let mut found = saved.bans;
    found.sort_by_key(|ban| ban.subject);
    assert_eq!(found, bans);
    let state = place.read().state("clean_end").unwrap();
    assert_eq!(state.as_deref(), Some("yes"));
}

#[tokio::test]
async fn a_list_replaces_the_one_before_it() {
    let place = Place::new();
    let (store, _) = place.open();
    assert!(store.save_peers(vec![peer(1), peer(2)]));
    assert!(store.save_bans(vec![ban(BanSubject::Peer(id(3)))]));
    assert!(store.flush().await);
    let moved = SavedPeer {
        addresses: vec![SocketAddrs::v4(9, 9).into()],
        ..peer(2)
    };
    assert!(store.save_peers(vec![moved.clone()]));
    assert!(store.save_bans(Vec::new()));
    assert!(store.flush().await);
    let reader = place.read();
    assert_eq!(reader.peers().unwrap(), [moved]);
    assert_eq!(reader.bans().unwrap(), []);
    let places = |sql| reader.connection.query_row(sql, [], |row| row.get(0));
    let addresses: u32 = places("SELECT count(*) FROM addresses").unwrap();
    assert_eq!(addresses, 1, "the addresses of a peer leave with it");
}

#[tokio::test]
async fn a_reputation_that_is_the_same_an_instant_later_is_left_as_it_is() {
    let place = Place::new();
    let (store, _) = place.open();
    const HOUR: u64 = 3_600_000;
    for (later, kept) in [(0, 0), (HOUR - 1, 0), (HOUR, HOUR), (HOUR + 1, HOUR)] {
        let mut told = reputation(1);
        told.at += later;
        assert!(store.save_reputations(vec![told], false));
        assert!(store.flush().await);
        assert_eq!(place.read().reputations().unwrap()[0].at, NOW + kept);
    }
}

#[tokio::test]
async fn the_story_is_read_in_order_and_filtered_while_the_node_writes_it() {
    let place = Place::new();
    let (store, _) = place.open();
    for (n, words, weight) in [
        (1, "first", Weight::Ordinary),
        (2, "of another", Weight::Evidence),
        (1, "second", Weight::Verdict),
    ] {
        let mut row = row(n, words, weight);
        row.unix_millis += u64::from(words == "second");
        assert!(store.tell(row));
    }
    assert!(store.flush().await);
    let reader = place.read();
    let words = |filter: StoryFilter| -> Vec<String> {
        let rows = reader.story(&filter).unwrap();
        rows.into_iter().map(|row| row.words).collect()
    };
    let of_one = StoryFilter {
        peer: Some(id(1)),
        ..StoryFilter::default()
    };
    assert_eq!(words(of_one), ["first", "second"]);
    let newest = StoryFilter {
        limit: 1,
        ..StoryFilter::default()
    };
    assert_eq!(words(newest), ["second"]);
    let of_no_kind = StoryFilter {
        kind: Some("ban".into()),
        ..StoryFilter::default()
    };
    assert_eq!(words(of_no_kind), [""; 0]);
    let all = reader.story(&StoryFilter::default()).unwrap();
    assert_eq!(all[0], row(1, "first", Weight::Ordinary));
}

#[tokio::test]
async fn one_row_more_than_a_peer_may_have_costs_its_oldest() {
    let place = Place::new();
    let (store, _) = place.open();
    for (weight, most) in [
        (Weight::Ordinary, STORY_PER_PEER_MAX),
        (Weight::Evidence, EVIDENCE_PER_PEER_MAX),
    ] {
        for n in 0..=most {
            while !store.tell(row(1, &n.to_string(), weight)) {
                assert!(store.flush().await);
            }
        }
    }
    assert!(store.tell(row(2, "of another", Weight::Ordinary)));
    assert!(store.flush().await);
    let reader = place.read();
    for (table, most) in [
        ("story", STORY_PER_PEER_MAX),
        ("evidence", EVIDENCE_PER_PEER_MAX),
    ] {
        let sql = format!("SELECT count(*), min(row) FROM {table} WHERE peer = ?1");
        let of_one = reader
            .connection
            .query_row(&sql, [id(1).to_string()], |row| {
                Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?))
            });
        assert_eq!(of_one.unwrap(), (most, 2), "{table}");
    }
}

/// Rows that are numbered as if many others had been before them.
fn fill(place: &Place, sql: &str) {
    let connection = Connection::open(place.file()).unwrap();
    connection.execute_batch(sql).unwrap();
}

#[tokio::test]
async fn one_row_more_than_there_may_be_costs_the_oldest() {
    let place = Place::new();
    drop(place.open());
    for (table, most) in [("story", STORY_MAX), ("evidence", EVIDENCE_MAX)] {
        for number in [1, most - 1] {
            fill(
                &place,
                &format!("INSERT INTO {table} VALUES ({number}, 1, NULL, 'k', 'w', NULL)"),
            );
        }
    }
    let (store, _) = place.open();
    let oldest = |table: &str| -> u64 {
        let sql = format!("SELECT min(row) FROM {table}");
        let reader = place.read();
        reader
            .connection
            .query_row(&sql, [], |row| row.get(0))
            .unwrap()
    };
    for (weight, table) in [(Weight::Ordinary, "story"), (Weight::Evidence, "evidence")] {
        assert!(store.tell(row(1, "at the limit", weight)));
        assert!(store.flush().await);
        assert_eq!(oldest(table), 1);
        assert!(store.tell(row(1, "one past it", weight)));
        assert!(store.flush().await);
        assert!(oldest(table) > 1);
    }
}

#[tokio::test]
async fn what_was_delivered_is_remembered_up_to_a_bound() {
    let place = Place::new();
    drop(place.open());
    let slack = SEEN_MAX + SEEN_MAX / 16;
    fill(
        &place,
        &format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {slack})
             INSERT INTO seen SELECT i, zeroblob(32) FROM n"
        ),
    );
    let (store, _) = place.open();
    let count = || -> usize {
        let reader = place.read();
        let sql = "SELECT count(*) FROM seen";
        reader
            .connection
            .query_row(sql, [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(count(), slack);
    assert!(store.note_seen(NOW, broadcast(1)));
    assert!(store.flush().await);
    assert_eq!(count(), SEEN_MAX);
    let kept = place.read().seen(NOW).unwrap();
    assert_eq!(kept, [(NOW, broadcast(1))], "the oldest ones left");
}

#[tokio::test]
async fn long_words_are_cut_and_a_long_detail_is_left_out() {
    let place = Place::new();
    let (store, _) = place.open();
    let mut long = row(1, &"é".repeat(WORDS_LEN_MAX), Weight::Ordinary);
    long.detail = Some(json!("x".repeat(limits::DETAIL_LEN_MAX)));
    assert!(store.tell(long));
    assert!(store.flush().await);
    let rows = place.read().story(&StoryFilter::default()).unwrap();
    assert_eq!(rows[0].words.len(), WORDS_LEN_MAX);
    assert_eq!(rows[0].detail, None);
}

#[tokio::test]
async fn more_bans_than_are_kept_are_cut() {
    let place = Place::new();
    let (store, _) = place.open();
    let address = |n: usize| IpAddr::V4(Ipv4Addr::from(u32::try_from(n).unwrap()));
    let bans = (0..=BANS_MAX).map(|n| ban(BanSubject::Address(address(n))));
    assert!(store.save_bans(bans.collect()));
    assert!(store.flush().await);
    assert_eq!(place.read().bans().unwrap().len(), BANS_MAX);
}

#[tokio::test]
async fn rows_that_make_no_sense_are_left_out() {
    let place = Place::new();
    drop(place.open());
    fill(
        &place,
        "INSERT INTO peers VALUES ('nobody', NULL, 1, 1, 1, -7, NULL, 0);
         INSERT INTO bans VALUES ('prefix', '10.0.0.0/33', 1, 2, 'r'), ('address', 'here', 1, 2, 'r');
         INSERT INTO seen VALUES (9000000000000000, x'00');",
    );
    let (_store, saved) = place.open();
    assert_eq!(saved, Saved::default());
}

#[test]
fn a_file_of_a_later_version_is_refused_and_left_alone() {
    let place = Place::new();
    drop(place.open());
    fill(&place, "PRAGMA user_version = 99");
    let before = std::fs::read(place.file()).unwrap();
    let told = Store::open(&place.file(), NOW).unwrap_err().to_string();
    assert!(told.contains("later version of dunlin"), "{told}");
    assert!(told.contains("--data-dir"), "{told}");
    let read = StoreReader::open(&place.file()).unwrap_err().to_string();
    assert_eq!(told, read);
    assert_eq!(std::fs::read(place.file()).unwrap(), before);
}

#[test]
fn a_file_that_is_no_database_is_moved_aside() {
    let place = Place::new();
    std::fs::write(
        place.file(),
        "these are not the bytes you look for".repeat(99),
    )
    .unwrap();
    let (store, saved, moved) = Store::open(&place.file(), NOW).unwrap();
    let told = moved.expect("it was moved").to_string();
    assert!(told.contains("dunlin.db.corrupt-1800000000"), "{told}");
    assert_eq!(saved, Saved::default());
    drop(store);
    assert_eq!(place.names(), ["dunlin.db", "dunlin.db.corrupt-1800000000"]);
}

#[test]
fn a_file_with_a_damaged_page_is_moved_aside_beside_an_earlier_one() {
    let place = Place::new();
    drop(place.open());
    let sound = std::fs::read(place.file()).unwrap();
    for round in 0..2 {
        let mut bytes = sound.clone();
        // The second page and the rest; the header stays as it was.
        bytes[4_096..].fill(0x5a);
        std::fs::write(place.file(), bytes).unwrap();
        let (_, _, moved) = Store::open(&place.file(), NOW).unwrap();
        assert!(moved.is_some(), "round {round}");
    }
    let names = place.names();
    assert!(
        names.contains(&"dunlin.db.corrupt-1800000000".into()),
        "{names:?}"
    );
    assert!(
        names.contains(&"dunlin.db.corrupt-1800000000-1".into()),
        "{names:?}"
    );
}

#[test]
fn a_file_that_is_not_there_cannot_be_read() {
    let place = Place::new();
    let told = StoreReader::open(&place.file()).unwrap_err().to_string();
    assert!(told.contains("no node has run"), "{told}");
    assert_eq!(place.names(), [""; 0], "looking makes nothing");
}

#[tokio::test]
async fn who_reads_cannot_write() {
    let place = Place::new();
    let (_store, _) = place.open();
    let refused = place.read().connection.execute("DELETE FROM bans", []);
    assert!(refused.is_err());
}

#[cfg(unix)]
#[test]
fn the_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let (_store, _) = place.open();
    for name in place.names() {
        let mode = std::fs::metadata(place.0.path().join(&name)).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600, "{name}");
    }
}

/// A store whose connection was changed before its thread began.
fn with_connection(place: &Place, change: impl FnOnce(&Connection)) -> Store {
    let (connection, _) = open::for_writing(&place.file(), 1).unwrap();
    change(&connection);
    let mirror = Mirror::of(&connection).unwrap();
    Store::start(&place.file(), connection, mirror).unwrap()
}

#[tokio::test]
async fn a_full_disk_is_survived_and_says_that_nothing_was_written() {
    let place = Place::new();
    let store = with_connection(&place, |connection| {
        let pages: u32 = connection
            .query_row("PRAGMA page_count", [], |row| row.get(0))
            .unwrap();
        connection
            .pragma_update(None, "max_page_count", pages + 2)
            .unwrap();
    });
    assert!(store.save_state("large", &"x".repeat(100_000)));
    assert!(!store.flush().await, "there is no room for it");
    assert!(store.save_bans(vec![ban(BanSubject::Peer(id(3)))]));
    assert!(!store.flush().await);
    let stats = store.stats();
    assert_eq!((stats.commits, stats.rows_lost), (0, 0));
    assert!(stats.failures >= 2);
}

#[tokio::test]
async fn what_was_refused_is_written_when_the_disk_is_willing_again() {
    let place = Place::new();
    let store = with_connection(&place, |connection| {
        connection.busy_timeout(Duration::from_millis(1)).unwrap();
    });
    let other = Connection::open(place.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let bans = vec![ban(BanSubject::Peer(id(3)))];
    assert!(store.save_bans(bans.clone()));
    assert!(!store.flush().await, "another program holds the file");
    other.execute_batch("ROLLBACK").unwrap();
    assert!(store.flush().await);
    assert_eq!(place.read().bans().unwrap(), bans);
}

#[tokio::test]
async fn a_full_queue_refuses_rows_and_still_takes_bans() {
    let place = Place::new();
    let store = with_connection(&place, |_| {});
    let other = Connection::open(place.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // The thread waits for the other program now, or will before it takes the next.
    assert!(store.save_bans(Vec::new()));
    let taken = (0..2 * QUEUE_MAX).take_while(|_| store.tell(row(1, "w", Weight::Ordinary)));
    let taken = taken.count();
    assert!(taken >= ORDINARY_MAX - 1, "{taken}");
    assert!(taken <= QUEUE_MAX + 1, "{taken}");
    assert!(store.save_bans(vec![ban(BanSubject::Peer(id(3)))]));
    assert_eq!(store.stats().rows_lost, 1);
    other.execute_batch("ROLLBACK").unwrap();
    while !store.flush().await {}
    assert_eq!(place.read().bans().unwrap().len(), 1);
}

#[test]
fn a_file_that_is_damaged_under_a_running_node_is_replaced_by_what_memory_holds() {
    let place = Place::new();
    let bans = vec![ban(BanSubject::Peer(id(3)))];
    let (mut connection, _) = open::for_writing(&place.file(), 1).unwrap();
    let mut mirror = Mirror::default();
    let mut batch = write::Batch {
        bans: Some(bans.clone()),
        ..write::Batch::default()
    };
    write::commit(&mut connection, &mut mirror, &mut batch).unwrap();
    let (orders, ordered) = sync_channel(QUEUE_MAX);
    let mut writer = Writer::new(place.file(), connection, mirror, Arc::default());
    writer.replace().unwrap();
    orders
        .send(Order::State("key".into(), "value".into()))
        .unwrap();
    drop(orders);
    writer.run(&ordered);
    assert_eq!(place.read().bans().unwrap(), bans);
    assert!(place.names().iter().any(|name| name.contains(".corrupt-")));
}
