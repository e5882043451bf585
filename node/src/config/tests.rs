//! Configurations as operators write them.

use std::collections::BTreeSet;
use std::time::Duration;

use dunlin_overlay::Roles;

use super::*;

fn toml(text: &str) -> Result<Config, Mistakes> {
    let draft = Draft::default().with_text(Path::new("n.toml"), text, Format::Toml);
    draft.finish()
}

fn json(text: &str) -> Result<Config, Mistakes> {
    let draft = Draft::default().with_text(Path::new("n.json"), text, Format::Json);
    draft.finish()
}

/// The file of seed Q, §8.
const Q: &str = r#"
[network.peers]
max_connections = 50
min_connections = 5
connection_timeout = 10
handshake_timeout = 5
discovery_interval = 300
bootstrap_nodes = [
    "bootstrap1.qudag.network:8000",
    "bootstrap2.qudag.network:8000",
]
dns_seeds = ["seed.qudag.network", "nodes.qudag.network"]

[network.reputation]
min_relay_reputation = 30
min_consensus_reputation = 50
auto_disconnect_threshold = 20
auto_ban_threshold = 10
decay_rate = 0.1
"#;

/// The file of seed P.
const P: &str = r#"{
  "host": "0.0.0.0",
  "port": 8888,
  "bootstrap_nodes": ["192.168.1.100:8888"],
  "gossip_fanout": 3,
  "gossip_interval": 1.0,
  "message_ttl": 10,
  "max_peers": 50,
  "min_peers": 5,
  "initial_trust_score": 0.5,
  "min_trust_threshold": 0.1,
  "trust_decay_rate": 0.01,
  "data_dir": "node_data",
  "log_level": "INFO"
}"#;

#[test]
fn reads_the_file_of_seed_q() {
    let config = toml(Q).unwrap();
    let peers = &config.peers;
    assert_eq!((peers.max_connections, peers.min_connections), (50, 5));
    assert_eq!(peers.connection_timeout, Duration::from_secs(10));
    assert_eq!(peers.handshake_timeout, Duration::from_secs(5));
    assert_eq!(peers.discovery_interval, Duration::from_secs(300));
    assert_eq!(peers.bootstrap_nodes.len(), 2);
    let seeds: Vec<_> = peers.dns_seeds.iter().map(ToString::to_string).collect();
    assert_eq!(
        seeds,
        ["seed.qudag.network:4600", "nodes.qudag.network:4600"]
    );
    assert_eq!(config.discovery().dns_seeds, peers.dns_seeds);
    assert_eq!(config.reputation, ReputationConfig::default());
    let overlay = config.overlay();
    assert_eq!((overlay.max_peers, overlay.min_peers), (50, 5));
    assert_eq!(overlay.exchange_interval, Duration::from_secs(300));
}

#[test]
fn reads_the_file_of_seed_p() {
    let config = json(P).unwrap();
    assert_eq!((config.port, config.peers.max_connections), (8888, 50));
    assert_eq!(config.data_dir.as_deref(), Some(Path::new("node_data")));
    assert_eq!(config.log.level, LogLevel::Info);
    assert_eq!(config.gossip.message_ttl, 10);
    assert_eq!(config.overlay().hop_limit, 10);
    assert_eq!(config.reputation.trust_decay_permille, 10);
    assert_eq!(config.overlay().reputation.initial_trust_permille, 500);
}

#[test]
fn what_is_generated_reads_back_as_what_it_was_made_of() {
    let seed_p = json(P).unwrap();
    for config in [Config::default(), seed_p, toml(Q).unwrap()] {
        let text = written(&config, Format::Toml);
        assert_eq!(toml(&text).unwrap(), config, "{text}");
        let text = written(&config, Format::Json);
        assert_eq!(json(&text).unwrap(), config, "{text}");
    }
}

#[test]
fn every_key_of_the_generated_file_is_explained_and_set_or_shown() {
    let text = written(&Config::default(), Format::Toml);
    for key in all_keys() {
        let name = key.path.rsplit('.').next().unwrap();
        let is_there = text.lines().any(|line| {
            line.trim_start_matches("# ")
                .starts_with(&format!("{name} ="))
        });
        assert!(is_there, "{key:?}");
    }
    assert!(
        text.lines().all(|line| line.chars().count() <= 110),
        "{text}"
    );
}

#[test]
fn mistakes_are_told_with_file_line_and_what_would_be_right() {
    for (text, told) in [
        (
            "\n[network.peers]\nmax_connections = 0",
            "n.toml:3: network.peers.max_connections is 0, and has to be a whole number from 1 to 256",
        ),
        (
            "max_peers = \"ten\"",
            "n.toml:1: max_peers is \"ten\", and has to be a whole number from 1 to 256",
        ),
        (
            "[network.peers]\nmax_conections = 9",
            "n.toml:2: network.peers.max_conections is no key; did you mean network.peers.max_connections?",
        ),
        (
            "[peers]\nmin_connections = 9",
            "n.toml:2: peers.min_connections is no key; did you mean network.peers.min_connections?",
        ),
        (
            "colour = 9",
            "n.toml:1: colour is no key; `dunlin generate-config -` prints all that there are",
        ),
        (
            "max_peers = 9\n[network.peers]\nmax_connections = 9",
            "n.toml:3: network.peers.max_connections is set twice: line 1 sets network.peers.max_connections too",
        ),
        (
            "host = \"example.org\"",
            "n.toml:1: host is \"example.org\", and has to be an IP address such as \"0.0.0.0\" or \"::1\"",
        ),
        (
            "log.level = \"loud\"",
            "n.toml:1: log.level is \"loud\", and has to be one of \"error\", \"warn\", \"warning\", \"info\", \"debug\", \"trace\"",
        ),
        (
            "max_peers = 3",
            "n.toml:1: network.peers.max_connections is 3, and has to be at least 4 (network.peers.min_connections)",
        ),
        (
            "[network.reputation]\nauto_ban_threshold = 21",
            "n.toml:2: network.reputation.auto_ban_threshold is 21, and has to be at most 20 (network.reputation.auto_disconnect_threshold)",
        ),
        (
            "dns_seeds = 1\n[network.peers]\ndns_seeds = [\"a b\"]",
            "n.toml:1: dns_seeds is no key; did you mean network.peers.dns_seeds? (1 more; `dunlin config check FILE` tells all)",
        ),
    ] {
        assert_eq!(toml(text).unwrap_err().to_string(), told);
    }
    let told = toml("bootstrap_nodes = [\"192.0.2.7\"]")
        .unwrap_err()
        .to_string();
    assert!(
        told.starts_with("n.toml:1: bootstrap_nodes has \"192.0.2.7\": "),
        "{told}"
    );
    assert!(told.contains("192.0.2.7:4600"), "{told}");
    let told = toml("log.filter = \"=[\"").unwrap_err().to_string();
    assert!(told.contains("is no filter"), "{told}");
    let told = toml("a = ").unwrap_err().to_string();
    assert!(told.starts_with("n.toml:1: this is not TOML: "), "{told}");
}

#[test]
fn roles_and_groups_read_back_as_they_were_written_and_mistakes_name_what_may_be_there() {
    let config = toml(
        "roles = [\"relay\", \"Validator\"]\n[network.peers]\n\
         groups = [\"the cellar=3 10.1.0.0/16  198.51.100.0/24\"]\n",
    );
    let config = config.unwrap();
    assert_eq!(config.overlay().roles, Roles::VALIDATOR.union(Roles::RELAY));
    let group = &config.overlay().admission.groups[0];
    assert_eq!(
        (&*group.name, group.max, group.prefixes.len()),
        ("the cellar", 3, 2)
    );
    assert_eq!(toml(&written(&config, Format::Toml)).unwrap(), config);
    let ranges = " 10.0.0.0/8".repeat(65);
    for (text, told) in [
        (
            "roles = [\"king\"]".to_owned(),
            "roles has \"king\", and has to be of \"validator\", \"full\"",
        ),
        (
            "network.peers.groups = [\"cellar\"]".to_owned(),
            "the number is missing",
        ),
        (
            "network.peers.groups = [\"cellar=three 10.0.0.0/8\"]".to_owned(),
            "the number is missing",
        ),
        (
            "network.peers.groups = [\"cellar=3\"]".to_owned(),
            "1 to 64 ranges",
        ),
        (
            format!("network.peers.groups = [\"cellar=3{ranges}\"]"),
            "1 to 64 ranges",
        ),
        (
            "network.peers.groups = [\"cellar=3 10.0.0.0/33\"]".to_owned(),
            "0 to 32 bits",
        ),
    ] {
        let refused = toml(&text).unwrap_err().to_string();
        assert!(refused.contains(told), "{refused}");
    }
}

fn variables(list: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| (String::from(*name), String::from(*value));
    list.iter().map(owned).collect()
}

#[test]
fn the_environment_goes_before_the_file_and_flags_before_both() {
    let draft = Draft::default()
        .with_text(
            Path::new("n.toml"),
            "port = 1\nmax_peers = 10\nhost = \"127.0.0.1\"",
            Format::Toml,
        )
        .with_environment(variables(&[
            ("DUNLIN_PORT", "2"),
            ("DUNLIN_NETWORK_PEERS_MAX_CONNECTIONS", "20"),
            ("DUNLIN_NETWORK_PEERS_BOOTSTRAP_NODES", "h:1, h:2"),
            ("DUNLIN_LOG", "debug"),
            ("DUNLIN_DATA_DIR", ""),
            ("PATH", "x"),
        ]))
        .with_flag("port", Some("3".into()))
        .with_flag("host", None);
    let config = draft.finish().unwrap();
    assert_eq!(config.port, 3);
    assert_eq!(config.peers.max_connections, 20);
    assert_eq!(config.peers.bootstrap_nodes.len(), 2);
    assert_eq!(config.host.to_string(), "127.0.0.1");
    assert_eq!(config.log.filter.as_deref(), Some("debug"));
    assert_eq!(config.data_dir, None, "an empty variable is none");
}

#[test]
fn a_bad_or_misspelt_variable_is_refused_and_a_foreign_one_is_not() {
    let told = |name: &str, value: &str| {
        let draft = Draft::default().with_environment(variables(&[(name, value)]));
        draft.finish().map_err(|mistakes| mistakes.to_string())
    };
    assert_eq!(
        told("DUNLIN_PORT", "many").unwrap_err(),
        "DUNLIN_PORT: is \"many\", and has to be a whole number from 0 to 65535"
    );
    assert_eq!(
        told("DUNLIN_NETWORK_PEERS_MAX_CONECTIONS", "9").unwrap_err(),
        "DUNLIN_NETWORK_PEERS_MAX_CONECTIONS: is no variable of dunlin; did you mean DUNLIN_NETWORK_PEERS_MAX_CONNECTIONS?"
    );
    for foreign in ["DUNLIN_SEEDS", "DUNLIN_KEYLOG", "DUNLIN_NETWORK"] {
        assert!(told(foreign, "x").is_ok(), "{foreign}");
    }
}

#[test]
fn names_are_unique_and_every_key_takes_its_default() {
    let mut names = BTreeSet::new();
    for key in all_keys() {
        for name in [key.path].iter().chain(key.aliases) {
            assert!(names.insert(*name), "{name} is there twice");
        }
        let default = Config::default();
        let value = key.get(&default);
        if value != Setting::Unset {
            let mut config = Config::default();
            (key.set)(&mut config, value).unwrap();
            assert_eq!(config, default, "{key:?}");
        }
    }
}

#[test]
fn changes_are_named_and_live_ones_are_known() {
    let new = toml("port = 1\nlog.level = \"debug\"").unwrap();
    let changed = changes(&Config::default(), &new);
    let told: Vec<_> = changed.iter().map(|key| (key.path, key.is_live)).collect();
    assert_eq!(told, [("port", false), ("log.level", true)]);
}

#[test]
fn the_manual_names_every_key_with_its_variable_and_bounds() {
    let manual = include_str!("../../../docs/config.md");
    for key in all_keys() {
        let row = manual
            .lines()
            .find(|line| line.starts_with(&format!("| `{}`", key.path)));
        let row = row.unwrap_or_else(|| panic!("docs/config.md lacks {}", key.path));
        for alias in key.aliases {
            assert!(row.contains(alias), "{row} lacks {alias}");
        }
        assert_eq!(row.contains("live"), key.is_live, "{row}");
    }
}
