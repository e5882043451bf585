//! Keys outside of `[network]`: the node itself and its logs.

use dunlin_overlay::Roles;
use dunlin_transport::limits::SHARDS_MAX;

use super::{Key, MISFIT, key};
use crate::config::model::{LogFormat, LogLevel};
use crate::config::shape::{Setting, Shape};
use crate::control::snapshot::{ROLES, role_names};

/// The key of the database of places.
pub(in crate::config) const GEO_DATABASE: &str = "dashboard.geo_database";

const PATH: Shape = Shape::Text(4_096, "folder/name");

/// The keys, in the order of the generated file.
pub(super) const KEYS: &[Key] = &[
    key(
        "host",
        Shape::Text(45, "0.0.0.0"),
        "Address to listen on; 0.0.0.0 takes every interface.",
        |config| Setting::Text(config.host.to_string()),
        |config, value| {
            let text = value.text()?;
            config.host = text.parse().map_err(|_| {
                format!(
                    "is \"{}\", and has to be an IP address such as \"0.0.0.0\" or \"::1\"",
                    text.escape_debug()
                )
            })?;
            Ok(())
        },
    )
    .from("P"),
    key(
        "port",
        Shape::Integer(0, 65_535),
        "UDP and TCP port to listen on; 0 lets the system choose.",
        |config| Setting::Integer(config.port.into()),
        |config, value| {
            config.port = value.integer()?;
            Ok(())
        },
    ),
    key(
        "data_dir",
        PATH,
        "Folder of the identity key and the store. Without it: $XDG_DATA_HOME/dunlin or ~/.local/share/dunlin.",
        |config| Setting::of_path(config.data_dir.as_ref()),
        |config, value| {
            config.data_dir = Some(value.text()?.into());
            Ok(())
        },
    )
    .from("XDG base directories"),
    key(
        "passphrase_file",
        PATH,
        "File whose contents seal the identity key; mode 0600.",
        |config| Setting::of_path(config.passphrase_file.as_ref()),
        |config, value| {
            config.passphrase_file = Some(value.text()?.into());
            Ok(())
        },
    ),
    key(
        "inbox",
        PATH,
        "Folder for files that peers send. Without it they are refused.",
        |config| Setting::of_path(config.inbox.as_ref()),
        |config, value| {
            config.inbox = Some(value.text()?.into());
            Ok(())
        },
    ),
    key(
        "api",
        Shape::Text(64, "127.0.0.1:4680"),
        "Address of the API over TCP, with the token in api.token. Without it: only a socket in data_dir.",
        |config| match config.api {
            Some(address) => Setting::Text(address.to_string()),
            None => Setting::Unset,
        },
        |config, value| {
            let text = value.text()?;
            let address = text.parse().map_err(|_| {
                format!(
                    "is \"{}\", and has to be an address and a port such as \"127.0.0.1:4680\"",
                    text.escape_debug()
                )
            })?;
            config.api = Some(address);
            Ok(())
        },
    ),
    key(
        "network_name",
        Shape::Text(dunlin_overlay::limits::NETWORK_LEN_MAX, "dunlin"),
        "Name of the network; nodes of another network are met with silence.",
        |config| Setting::Text(config.network_name.clone()),
        |config, value| {
            config.network_name = value.text()?;
            Ok(())
        },
    ),
    key(
        "roles",
        Shape::List(ROLES.len(), "full"),
        "What this node says it is: validator, full, light, bridge, relay, archive. A relay passes messages on between its peers; the others are only shown.",
        |config| Setting::List(role_names(config.roles)),
        |config, value| {
            config.roles = roles(&value.list()?)?;
            Ok(())
        },
    ),
    key(
        "carrier",
        Shape::Choice(&["race", "udp", "tcp"]),
        "What carries packets: race takes UDP and falls back to TCP.",
        |config| Setting::of_word(&config.carrier),
        |config, value| {
            config.carrier = value.word()?;
            Ok(())
        },
    ),
    key(
        "shards",
        Shape::Integer(1, SHARDS_MAX as u64),
        "Parts of the UDP port that work side by side, each with its share of the connections; about as many as processors for a node with hundreds of busy peers. Linux only: elsewhere there is one.",
        |config| Setting::Integer(config.shards.into()),
        |config, value| {
            config.shards = value.integer()?;
            Ok(())
        },
    ),
    key(
        "controller",
        Shape::Choice(&["new-reno", "cubic", "bbr", "bbr-tolerant"]),
        "Congestion controller of all connections.",
        |config| Setting::of_word(&config.controller),
        |config, value| {
            config.controller = value.word()?;
            Ok(())
        },
    )
    .from("docs/congestion.md"),
    key(
        "post_quantum",
        Shape::Choice(&["off", "preferred", "required"]),
        "Whether peers have to prove a post-quantum key.",
        |config| Setting::of_word(&config.post_quantum),
        |config, value| {
            config.post_quantum = value.word()?;
            Ok(())
        },
    ),
    key(
        "key_exchange",
        Shape::Choice(&["hybrid", "classical"]),
        "What the keys of connections come from: X25519 with ML-KEM-768, or X25519 alone.",
        |config| Setting::of_word(&config.key_exchange),
        |config, value| {
            config.key_exchange = value.word()?;
            Ok(())
        },
    ),
    key(
        GEO_DATABASE,
        PATH,
        "File in the MaxMind DB format (.mmdb) that says where addresses are: countries, or cities with coordinates. With it the dashboard has a map. Read again on SIGHUP.",
        |config| Setting::of_path(config.geo_database.as_ref()),
        |config, value| {
            config.geo_database = Some(value.text()?.into());
            Ok(())
        },
    )
    .live(),
    key(
        "log.level",
        Shape::Choice(&["error", "warn", "warning", "info", "debug", "trace"]),
        "Lines of at least this level.",
        |config| Setting::Text(config.log.level.word().into()),
        |config, value| {
            config.log.level = LogLevel::of_word(&value.text()?).ok_or(MISFIT)?;
            Ok(())
        },
    )
    .or(&["log_level"])
    .from("P")
    .live(),
    key(
        "log.filter",
        Shape::Text(1_024, "info,dunlin_node::network=debug"),
        "A filter by module that takes the place of the level. DUNLIN_LOG sets it too.",
        |config| Setting::of_optional(config.log.filter.clone()),
        |config, value| {
            let filter = value.text()?;
            tracing_subscriber::EnvFilter::try_new(&filter).map_err(|error| {
                format!(
                    "is \"{}\", which is no filter ({error}); write for example \"info,dunlin_overlay=debug\"",
                    filter.escape_debug()
                )
            })?;
            config.log.filter = Some(filter);
            Ok(())
        },
    )
    .live(),
    key(
        "log.format",
        Shape::Choice(&["text", "json"]),
        "How lines look: text for people, or one JSON object a line.",
        |config| Setting::Text(config.log.format.word().into()),
        |config, value| {
            config.log.format = match value.text()?.as_str() {
                "json" => LogFormat::Json,
                _ => LogFormat::Text,
            };
            Ok(())
        },
    ),
    key(
        "log.repeats_per_minute",
        Shape::Integer(0, 1_000_000),
        "Lines from one place of the program that may come in a minute, so that no peer floods the log; the rest is counted. 0: no bound.",
        |config| Setting::Integer(config.log.repeats_per_minute.into()),
        |config, value| {
            config.log.repeats_per_minute = value.integer()?;
            Ok(())
        },
    )
    .live(),
];

/// The roles that these words name.
fn roles(words: &[String]) -> Result<Roles, String> {
    let mut roles = Roles::default();
    for word in words {
        let known = ROLES
            .iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(word));
        let (role, _) = known.ok_or_else(|| {
            let names = ROLES.map(|(_, name)| name).join("\", \"");
            let word = word.escape_debug();
            format!("has \"{word}\", and has to be of \"{names}\"")
        })?;
        roles = roles.union(*role);
    }
    Ok(roles)
}

impl LogLevel {
    /// Its word in a file and in a filter.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        Some(match word {
            "error" => Self::Error,
            "warn" | "warning" => Self::Warn,
            "info" => Self::Info,
            "debug" => Self::Debug,
            "trace" => Self::Trace,
            _ => return None,
        })
    }
}

impl LogFormat {
    /// Its word in a file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}
