//! Logs of simulated connections: every record fits the schema of `docs/qlog.schema.json`, and the
//! log tells what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dunlin_lab::link::Element;
use dunlin_lab::net::Net;
use dunlin_lab::profile::Profile;
use dunlin_lab::rng::{Ppm, Rng};
use dunlin_lab::workload::{Agent, Ending, Fate, Plan, StreamPlan};
use dunlin_session::CipherSuite;
use dunlin_transport::qlog::{Memory, Qlog, QlogConfig};
use dunlin_transport::{EndpointConfig, Instant, Side, StreamDirection};
use jsonschema::Validator;
use serde_json::Value;

const MS: Duration = Duration::from_millis(1);

/// Which nodes write logs, and what else differs between runs.
struct Run {
    seed: u64,
    profile: Profile,
    logged: [bool; 2],
    rebind: bool,
    abort: bool,
    dead: bool,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            seed: 1,
            profile: Profile::Sealed(CipherSuite::Aes128Gcm),
            logged: [true, true],
            rebind: false,
            abort: false,
            dead: false,
        }
    }
}

struct Outcome {
    hash: u64,
    logs: [BTreeMap<String, Vec<u8>>; 2],
}

fn plans(run: &Run) -> [Plan; 2] {
    let stream = |bytes, answer, fate| StreamPlan {
        direction: StreamDirection::Bidirectional,
        bytes,
        answer,
        fate,
    };
    let ending = if run.abort {
        Ending::AbortAt(Instant::ZERO + 400 * MS)
    } else {
        Ending::WhenDone
    };
    let client = Plan {
        streams: vec![
            stream(400_000, 2_000, Fate::Finish),
            stream(20_000, 100, Fate::Reset(9_000)),
            stream(90_000, 100, Fate::Stop(3_000)),
        ],
        messages: vec![10, 50, 40_000],
        datagrams: vec![20, 5_000],
        ending: (!run.dead).then_some(ending),
        ..Plan::default()
    };
    let server = Plan {
        streams: vec![StreamPlan {
            direction: StreamDirection::Unidirectional,
            bytes: 30_000,
            answer: 0,
            fate: Fate::Finish,
        }],
        messages: vec![1_000],
        ..Plan::default()
    };
    [client, server]
}

/// Two nodes over a bad path.
fn simulate(run: &Run) -> Outcome {
    let mut rng = Rng::new(run.seed);
    let mut net = Net::new(rng.split(9));
    let [client, server] = plans(run);
    let mut config = EndpointConfig::default();
    config.transport.receive_window = 70_000;
    config.transport.stream_receive_window = 60_000;
    config.transport.keep_alive = Some(500 * MS);
    config.transport.idle_timeout = Duration::from_secs(5);
    let path = [
        Element::delay(15 * MS),
        Element::Loss(Ppm::percent(2)),
        Element::Corrupt(Ppm::percent(1)),
        Element::Duplicate(Ppm::percent(2)),
        Element::Reorder {
            chance: Ppm::percent(3),
            extra: 8 * MS,
        },
    ];
    let memories = [Memory::default(), Memory::default()];
    for (node, side) in [Side::Initiator, Side::Responder].into_iter().enumerate() {
        let mut rng = rng.split(node as u64);
        let mut endpoint = run.profile.endpoint(node, &config, node == 1, &mut rng);
        if run.logged[node] {
            let sinks = Box::new(memories[node].clone());
            let mut config = QlogConfig::default();
            // As the program has it; one of the two forms of the header.
            config.wall_clock_time = (node == 1).then(|| "2026-11-21T08:00:00.000001Z".into());
            endpoint.set_observer(Box::new(Qlog::new(sinks, config)));
        }
        let plans = [client.clone(), server.clone()];
        let (own, other) = (plans[node].clone(), plans[1 - node].clone());
        net.add(endpoint, Agent::new(node, side, own, other));
        net.link(node, 1 - node, &path);
    }
    if run.rebind {
        let address = Net::<Agent>::address_of(7);
        net.rebind_at(Instant::ZERO + 300 * MS, 0, address);
    }
    if run.dead {
        net.kill_at(Instant::ZERO + 200 * MS, 1);
    }
    let initiator = run.profile.initiator(0, 1, &mut rng);
    net.with(0, |now, endpoint, agent| {
        let handle = endpoint.connect(now, Net::<Agent>::address_of(1), initiator);
        agent.set_connection(handle.expect("the endpoint is new"));
    })
    .expect("nothing is wrong yet");
    let end = Instant::ZERO + Duration::from_secs(60);
    while net.next_time().is_some_and(|next| next < end) {
        net.step().expect("both ends are honest");
    }
    Outcome {
        hash: net.trace().hash(),
        logs: memories.map(|memory| memory.logs()),
    }
}

/// The records of a JSON text sequence (RFC 7464).
fn records(log: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(log).expect("a log is UTF-8");
    let mut pieces = text.split('\u{1e}');
    assert_eq!(pieces.next(), Some(""), "a log begins with a separator");
    pieces
        .map(|piece| {
            assert!(piece.ends_with('\n'), "a record ends with a line feed");
            serde_json::from_str(piece).expect("a record is JSON")
        })
        .collect()
}

fn validator() -> Validator {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/qlog.schema.json");
    let text = std::fs::read_to_string(path).expect("the schema is there");
    let schema = serde_json::from_str(&text).expect("the schema is JSON");
    jsonschema::validator_for(&schema).expect("the schema is one")
}

fn check(validator: &Validator, log: &[u8]) -> Vec<Value> {
    let records = records(log);
    for record in &records {
        if let Err(error) = validator.validate(record) {
            panic!("{error}\nat {}\nin {record}", error.instance_path());
        }
    }
    assert!(records[0].get("file_schema").is_some(), "the header");
    let times = records[1..].iter().map(|record| {
        let time = record.get("time").and_then(Value::as_f64);
        time.expect("every other record is an event")
    });
    assert!(times.is_sorted(), "time never goes back");
    records
}

fn name(record: &Value) -> &str {
    record.get("name").and_then(Value::as_str).unwrap_or("")
}

fn of<'a>(records: &'a [Value], wanted: &str) -> Vec<&'a Value> {
    let wanted = format!("dunlin:{wanted}");
    let matching = records.iter().filter(|record| name(record) == wanted);
    matching.map(|record| &record["data"]).collect()
}

#[test]
fn every_record_of_varied_runs_fits_the_schema() {
    let validator = validator();
    let chacha = Profile::Sealed(CipherSuite::ChaCha20Poly1305);
    let runs = [
        Run::default(),
        Run {
            rebind: true,
            seed: 2,
            ..Run::default()
        },
        Run {
            profile: chacha,
            abort: true,
            seed: 3,
            ..Run::default()
        },
        Run {
            profile: Profile::Plain,
            seed: 4,
            ..Run::default()
        },
        Run {
            profile: Profile::Plain,
            dead: true,
            seed: 5,
            ..Run::default()
        },
    ];
    let mut seen = BTreeSet::new();
    for run in &runs {
        for logs in simulate(run).logs {
            assert!(!logs.is_empty());
            for log in logs.values() {
                let records = check(&validator, log);
                seen.extend(records.iter().map(|record| name(record).to_owned()));
            }
        }
    }
    let missing: Vec<_> = [
        "connection_started",
        "connection_state_updated",
        "connection_closed",
        "parameters_set",
        "packet_sent",
        "packet_received",
        "packet_dropped",
        "packets_acked",
        "packet_lost",
        "spurious_loss",
        "congestion_signal",
        "recovery_metrics_updated",
        "congestion_state_updated",
        "mtu_updated",
        "path_updated",
        "key_updated",
        "stream_updated",
        "blocked_updated",
        "loss_timer_updated",
        "timer_expired",
        "syn_answered",
    ]
    .into_iter()
    .filter(|event| !seen.contains(&format!("dunlin:{event}")))
    .collect();
    assert!(missing.is_empty(), "never seen: {missing:?}");
}

#[test]
fn the_schema_refuses_a_record_that_is_wrong_anywhere() {
    let validator = validator();
    let logs = simulate(&Run::default()).logs;
    let log = logs[0].values().find(|log| !log.is_empty());
    let records = check(&validator, log.expect("the client wrote a log"));
    let mut kinds = BTreeSet::new();
    for record in records.iter().skip(1) {
        if !kinds.insert(name(record).to_owned()) {
            continue;
        }
        for field in record["data"].as_object().expect("an object").keys() {
            let mut wrong = record.clone();
            wrong["data"][field] = serde_json::json!({ "not": "this" });
            assert!(!validator.is_valid(&wrong), "{wrong}");
        }
        let mut unknown = record.clone();
        unknown["data"]["surprise"] = 1.into();
        assert!(!validator.is_valid(&unknown), "{unknown}");
        let mut renamed = record.clone();
        renamed["name"] = "dunlin:something_else".into();
        assert!(!validator.is_valid(&renamed), "{renamed}");
        let mut timeless = record.clone();
        timeless["time"] = "soon".into();
        assert!(!validator.is_valid(&timeless), "{timeless}");
    }
    assert!(kinds.len() > 10, "{kinds:?}");
    for field in ["file_schema", "serialization_format", "trace"] {
        let mut header = records[0].clone();
        header.as_object_mut().expect("an object").remove(field);
        assert!(!validator.is_valid(&header), "{header}");
    }
}

#[test]
fn a_log_changes_nothing_and_the_same_seed_writes_the_same_log() {
    let with = simulate(&Run::default());
    let again = simulate(&Run::default());
    let without = simulate(&Run {
        logged: [false, false],
        ..Run::default()
    });
    assert_eq!(with.hash, without.hash);
    assert!(with.logs == again.logs, "the logs differ");
}

#[test]
fn the_numbers_of_a_log_agree_with_each_other_and_with_the_other_end() {
    let outcome = simulate(&Run::default());
    let validator = validator();
    let [client, server] = outcome.logs.map(|logs| {
        let (_, log) = logs
            .into_iter()
            .find(|(name, _)| name != "endpoint.sqlog")
            .expect("a connection");
        check(&validator, &log)
    });
    // Both logs are of one group, from both ends of it.
    let group = |records: &[Value]| records[0]["trace"]["common_fields"]["group_id"].clone();
    assert_eq!(group(&client), group(&server));
    let numbers = |records: &[Value], event: &str| -> Vec<u64> {
        let packets = of(records, event);
        let number = |data: &&Value| data["header"]["packet_number"].as_u64();
        packets.iter().filter_map(number).collect()
    };
    let sent = numbers(&client, "packet_sent");
    assert!(
        sent.windows(2).all(|pair| pair[0] < pair[1]),
        "numbers rise"
    );
    let received: BTreeSet<_> = numbers(&server, "packet_received").into_iter().collect();
    let sent: BTreeSet<_> = sent.into_iter().collect();
    assert!(received.is_subset(&sent), "what came was sent");
    let lost = of(&client, "packet_lost");
    assert!(!lost.is_empty());
    for data in lost {
        assert!(sent.contains(&data["number"].as_u64().expect("a number")));
    }
    let closed = of(&client, "connection_closed");
    assert_eq!(closed.len(), 1);
    assert_eq!(closed[0]["trigger"], "local");
    let updates = of(&client, "key_updated");
    assert!(!updates.is_empty(), "keys change every 200 packets");
}
