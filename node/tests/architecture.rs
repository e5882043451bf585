//! Which crate may depend on which, checked against `cargo metadata`.
//!
//! The picture that this enforces is in `ARCHITECTURE.md`: transport ← session ← overlay ← node,
//! with the laboratory beside them. A dependency against an arrow fails here and says which.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// One row of the picture.
struct Rule {
    crate_name: &'static str,
    /// Crates of ours that it may use.
    may_use: &'static [&'static str],
    /// Whether it may use tokio: not at all, behind the feature `tokio`, or as it likes.
    tokio: Tokio,
}

#[derive(PartialEq)]
enum Tokio {
    Never,
    BehindFeature,
    Freely,
}

const TRANSPORT: &str = "dunlin-transport";
const SESSION: &str = "dunlin-session";
const OVERLAY: &str = "dunlin-overlay";
const LAB: &str = "dunlin-lab";
const NODE: &str = "dunlin-node";
const FUZZ: &str = "dunlin-fuzz";
const BENCHES: &str = "dunlin-benches";

const RULES: [Rule; 7] = [
    Rule {
        crate_name: TRANSPORT,
        may_use: &[],
        tokio: Tokio::BehindFeature,
    },
    Rule {
        crate_name: SESSION,
        may_use: &[TRANSPORT],
        tokio: Tokio::Never,
    },
    Rule {
        crate_name: OVERLAY,
        may_use: &[SESSION],
        tokio: Tokio::Never,
    },
    Rule {
        crate_name: LAB,
        may_use: &[TRANSPORT, SESSION, OVERLAY],
        tokio: Tokio::Never,
    },
    Rule {
        crate_name: NODE,
        may_use: &[TRANSPORT, SESSION, OVERLAY, LAB],
        tokio: Tokio::Freely,
    },
    Rule {
        crate_name: FUZZ,
        may_use: &[TRANSPORT, SESSION, OVERLAY, LAB, NODE],
        tokio: Tokio::Never,
    },
    Rule {
        crate_name: BENCHES,
        may_use: &[TRANSPORT, SESSION, OVERLAY, LAB],
        tokio: Tokio::Freely,
    },
];

/// Ciphers, key agreement, signatures, TLS: the transport knows none of them.
const CRYPTOGRAPHY: [&str; 16] = [
    "aead",
    "aes",
    "aes-gcm",
    "aws-lc-rs",
    "chacha20",
    "chacha20poly1305",
    "ed25519-dalek",
    "hkdf",
    "libcrux-ml-kem",
    "ml-kem",
    "openssl",
    "ring",
    "rustls",
    "snow",
    "sodiumoxide",
    "x25519-dalek",
];

/// Sockets and event loops: only what drives the protocol may know them.
const SOCKETS: [&str; 4] = ["mio", "quinn-udp", "socket2", "tokio"];

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Normal,
    Build,
    Dev,
}

struct Dependency {
    name: String,
    kind: Kind,
    optional: bool,
}

struct Package {
    name: String,
    dependencies: Vec<Dependency>,
    /// Names of the features that switch on `dep:tokio` themselves.
    tokio_features: Vec<String>,
}

/// Everything in `packages` that the picture does not allow, one sentence each.
fn violations(packages: &[Package]) -> Vec<String> {
    let mut found = Vec::new();
    for package in packages {
        let Some(rule) = RULES.iter().find(|rule| rule.crate_name == package.name) else {
            found.push(format!("{} has no place in the picture", package.name));
            continue;
        };
        for dependency in &package.dependencies {
            found.extend(edge_violation(rule, package, dependency));
        }
        if rule.tokio == Tokio::BehindFeature
            && package
                .tokio_features
                .iter()
                .any(|feature| feature != "tokio")
        {
            found.push(format!(
                "{} switches tokio on by another feature",
                package.name
            ));
        }
    }
    for rule in &RULES {
        if !packages
            .iter()
            .any(|package| package.name == rule.crate_name)
        {
            found.push(format!(
                "{} is in the picture and not in the workspace",
                rule.crate_name
            ));
        }
    }
    found
}

fn edge_violation(rule: &Rule, package: &Package, dependency: &Dependency) -> Option<String> {
    let user = &package.name;
    let used = dependency.name.as_str();
    if used.starts_with("dunlin-") {
        // Tests of any crate may drive it in the laboratory, which is why a cycle through a
        // dev-dependency is fine.
        let in_lab = dependency.kind == Kind::Dev && used == LAB;
        let itself = dependency.kind == Kind::Dev && used == user;
        let allowed = rule.may_use.contains(&used) || in_lab || itself;
        return (!allowed).then(|| format!("{user} must not depend on {used}"));
    }
    if dependency.kind == Kind::Dev {
        return None;
    }
    if user == TRANSPORT && CRYPTOGRAPHY.contains(&used) {
        return Some(format!(
            "{user} knows no cipher and no key, but depends on {used}"
        ));
    }
    if !SOCKETS.contains(&used) {
        return None;
    }
    match rule.tokio {
        Tokio::Never => Some(format!(
            "{user} does no input or output, but depends on {used}"
        )),
        Tokio::BehindFeature if !dependency.optional => Some(format!(
            "{user} must take {used} only behind its feature `tokio`"
        )),
        Tokio::BehindFeature | Tokio::Freely => None,
    }
}

/// The members of this workspace as their manifests declare them; needs no network.
fn workspace() -> Vec<Package> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
            "--manifest-path",
        ])
        .arg(manifest)
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    list(&metadata["packages"]).iter().map(package).collect()
}

fn package(value: &Value) -> Package {
    let features = value["features"]
        .as_object()
        .expect("features are an object");
    let switches_tokio_on = |names: &Value| list(names).iter().any(|name| name == "dep:tokio");
    Package {
        name: text(&value["name"]),
        dependencies: list(&value["dependencies"])
            .iter()
            .map(dependency)
            .collect(),
        tokio_features: features
            .iter()
            .filter(|(_, names)| switches_tokio_on(names))
            .map(|(feature, _)| feature.clone())
            .collect(),
    }
}

fn dependency(value: &Value) -> Dependency {
    Dependency {
        name: text(&value["name"]),
        kind: match value["kind"].as_str() {
            None => Kind::Normal,
            Some("build") => Kind::Build,
            Some("dev") => Kind::Dev,
            Some(other) => panic!("unknown kind of dependency {other:?}"),
        },
        optional: value["optional"].as_bool().expect("optional is a boolean"),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

#[test]
fn the_workspace_follows_the_picture() {
    let packages = workspace();
    let edges: usize = packages
        .iter()
        .map(|package| package.dependencies.len())
        .sum();
    assert!(edges > 20, "only {edges} dependencies were read");
    assert_eq!(violations(&packages), Vec::<String>::new());
}

/// A workspace that follows the picture, as small as possible, with one dependency more.
fn with(user: &str, used: &str, kind: Kind, optional: bool) -> Vec<Package> {
    let mut packages: Vec<Package> = RULES
        .iter()
        .map(|rule| Package {
            name: rule.crate_name.to_owned(),
            dependencies: Vec::new(),
            tokio_features: Vec::new(),
        })
        .collect();
    let dependency = Dependency {
        name: used.to_owned(),
        kind,
        optional,
    };
    let package = packages.iter_mut().find(|package| package.name == user);
    package
        .expect("a crate of the picture")
        .dependencies
        .push(dependency);
    packages
}

#[test]
fn rejects_an_edge_against_the_arrows() {
    for (user, used) in [
        (TRANSPORT, SESSION),
        (TRANSPORT, LAB),
        (SESSION, OVERLAY),
        (OVERLAY, TRANSPORT),
        (OVERLAY, LAB),
        (LAB, NODE),
        (NODE, FUZZ),
        (BENCHES, NODE),
    ] {
        for kind in [Kind::Normal, Kind::Build] {
            let found = violations(&with(user, used, kind, false));
            assert_eq!(
                found,
                [format!("{user} must not depend on {used}")],
                "{kind:?}"
            );
        }
    }
}

#[test]
fn accepts_an_edge_along_the_arrows() {
    for (user, used) in [
        (SESSION, TRANSPORT),
        (OVERLAY, SESSION),
        (LAB, OVERLAY),
        (NODE, LAB),
        (FUZZ, NODE),
    ] {
        assert_eq!(
            violations(&with(user, used, Kind::Normal, false)),
            Vec::<String>::new()
        );
    }
}

#[test]
fn tests_may_use_the_laboratory_and_never_the_node() {
    for user in [TRANSPORT, SESSION, OVERLAY] {
        assert_eq!(
            violations(&with(user, LAB, Kind::Dev, false)),
            Vec::<String>::new()
        );
        assert_eq!(violations(&with(user, NODE, Kind::Dev, false)).len(), 1);
    }
}

#[test]
fn rejects_a_cipher_in_the_transport() {
    assert_eq!(
        violations(&with(TRANSPORT, "aws-lc-rs", Kind::Normal, true)).len(),
        1
    );
    assert_eq!(
        violations(&with(SESSION, "aws-lc-rs", Kind::Normal, false)).len(),
        0
    );
}

#[test]
fn rejects_sockets_outside_the_drivers() {
    for user in [SESSION, OVERLAY, LAB, FUZZ] {
        assert_eq!(
            violations(&with(user, "tokio", Kind::Normal, true)).len(),
            1,
            "{user}"
        );
        assert_eq!(
            violations(&with(user, "tokio", Kind::Dev, false)).len(),
            0,
            "{user}"
        );
    }
    assert_eq!(
        violations(&with(TRANSPORT, "quinn-udp", Kind::Normal, false)).len(),
        1
    );
    assert_eq!(
        violations(&with(TRANSPORT, "quinn-udp", Kind::Normal, true)).len(),
        0
    );
    assert_eq!(
        violations(&with(NODE, "tokio", Kind::Normal, false)).len(),
        0
    );
}

#[test]
fn rejects_tokio_behind_a_second_feature() {
    let mut packages = with(TRANSPORT, "tokio", Kind::Normal, true);
    packages[0].tokio_features = vec!["tokio".to_owned()];
    assert_eq!(violations(&packages), Vec::<String>::new());
    packages[0].tokio_features.push("std".to_owned());
    assert_eq!(violations(&packages).len(), 1);
}

#[test]
fn rejects_a_crate_that_is_not_in_the_picture() {
    let mut packages = with(NODE, LAB, Kind::Normal, false);
    packages[0].name = "dunlin-shortcut".to_owned();
    let found = violations(&packages);
    assert_eq!(
        found.len(),
        2,
        "the stranger and the missing transport: {found:?}"
    );
}
