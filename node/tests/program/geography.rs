//! Where peers are, by a database of the operator, between real processes: their addresses are of 127.0.0.0/8,
//! and a database that the test makes has places for parts of it.

use std::path::Path;

use serde_json::{Value, json};

use crate::control::{json as json_of, start, told};
use crate::http::get;
use crate::mmdb::{city, country, database};
use crate::neighbours::{configured, meets, start_at};
use crate::process::{DEADLINE, Finished, Lab, Running, dunlin, run, until};

/// Networks of this machine as if they were elsewhere. 127.0.0.0/16 is nowhere.
pub(crate) fn cities() -> Vec<u8> {
    let networks = [
        ("127.3.0.0/16", city("DE", "Germany", "Berlin", 52.52, 13.4)),
        (
            "127.4.0.0/16",
            city("CL", "Chile", "Valdivia", -39.81, -73.25),
        ),
        (
            "127.5.0.0/16",
            city("NZ", "New Zealand", "Nelson", -41.27, 173.28),
        ),
    ];
    database("Test-City", &networks)
}

fn countries() -> Vec<u8> {
    let germany = ("127.3.0.0/16", country("DE", "Germany"));
    database(
        "Test-Country",
        &[germany, ("127.4.0.0/16", country("CL", "Chile"))],
    )
}

/// A configuration with this database.
pub(crate) fn config(path: &Path) -> String {
    format!("[dashboard]\ngeo_database = {:?}\n", path.to_str().unwrap())
}

fn geography(lab: &Lab, name: &str) -> Value {
    get(&lab.path(name).join("control.sock"), "/api/v1/geo")
}

#[test]
fn peers_are_where_the_database_of_the_operator_has_their_addresses() {
    let lab = Lab::new();
    let file = lab.path("places.mmdb");
    std::fs::write(&file, cities()).unwrap();
    let (mut hub, id, at) = configured(&lab, "hub", &config(&file), &[]);
    let seed = format!("{id}@{at}");
    let (_berlin, berlin) = start_at(&lab, "berlin", "127.3.0.1", &seed);
    let (_valdivia, valdivia) = start_at(&lab, "valdivia", "127.4.0.1", &seed);
    let (_nowhere, nowhere) = start_at(&lab, "nowhere", "127.0.0.1", &seed);
    for peer in [&berlin, &valdivia, &nowhere] {
        meets(&lab, "hub", peer);
    }
    let told_of = |peer: &str| told(&lab, "hub", &["peer", "info", peer]);
    let line = |peer: &str| {
        let page = told_of(peer);
        let line = page.lines().find(|line| line.starts_with("place "));
        line.unwrap_or_else(|| panic!("{page}")).to_owned()
    };
    assert_eq!(
        line(&berlin),
        "place         Berlin, Germany (52.52, 13.40, to 20 km)"
    );
    assert_eq!(line(&nowhere), "place         no place known");
    let info = json_of(&lab, "hub", &["peer", "info", &valdivia, "--json"]);
    assert_eq!(info["place"]["country_code"], "CL", "{info}");
    assert_eq!(info["place"]["longitude"], -73.25, "{info}");
    let all = geography(&lab, "hub");
    let about = json!({ "kind": "Test-City", "built_at": "2026-11-01T00:00:00.000000Z", "has_coordinates": true });
    assert_eq!(all["database"], about, "{all}");
    assert_eq!(all["peers"].as_array().unwrap().len(), 3, "{all}");
    assert_eq!(
        (&all["without_country"], &all["left_out"]),
        (&json!(1), &json!(0))
    );
    let names: Vec<_> = all["countries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| &of["name"])
        .collect();
    assert_eq!(names, ["Chile", "Germany"], "{all}");
    // Who has no database tells no places, and says so.
    assert_eq!(geography(&lab, "berlin")["database"], Value::Null);
    assert!(!told(&lab, "berlin", &["peer", "info", &id]).contains("place"));

    // A database that was renewed is read on SIGHUP.
    std::fs::write(&file, countries()).unwrap();
    hub.signal("HUP");
    let is_new = || geography(&lab, "hub")["database"]["kind"] == "Test-Country";
    assert!(until(DEADLINE, is_new), "{}", hub.stderr());
    assert_eq!(geography(&lab, "hub")["database"]["has_coordinates"], false);
    assert_eq!(line(&berlin), "place         Germany");
    // One that is none is not taken, and the places stay.
    std::fs::write(&file, "country\n").unwrap();
    hub.signal("HUP");
    let is_told = || {
        let log = hub.stderr();
        log.contains("the configuration is not taken") && log.contains("is no MaxMind database")
    };
    assert!(until(DEADLINE, is_told), "{}", hub.stderr());
    assert_eq!(line(&berlin), "place         Germany");
    // Without the key there are no places.
    std::fs::write(lab.path("hub.toml"), "").unwrap();
    hub.signal("HUP");
    let is_gone = || geography(&lab, "hub")["database"].is_null();
    assert!(until(DEADLINE, is_gone), "{}", hub.stderr());
    hub.kill();
}

#[test]
fn a_variable_of_the_environment_names_the_database_too() {
    let lab = Lab::new();
    let file = lab.path("places.mmdb");
    std::fs::write(&file, countries()).unwrap();
    let mut command = dunlin();
    command.args(["start", "--host", "127.0.0.1", "--port", "0", "--data-dir"]);
    command
        .arg(lab.path("node"))
        .env("DUNLIN_DASHBOARD_GEO_DATABASE", &file);
    let mut node = Running::start(&mut command);
    node.line();
    assert_eq!(geography(&lab, "node")["database"]["kind"], "Test-Country");
    assert!(
        node.stderr()
            .contains("places of peers are by Test-Country"),
        "{}",
        node.stderr()
    );
    let (_other, ..) = start(&lab, "other", &[]);
    assert_eq!(geography(&lab, "other")["peers"], json!([]));
}

#[test]
fn a_database_that_cannot_be_used_is_told_before_the_node_starts() {
    let lab = Lab::new();
    let systems = json!({ "autonomous_system_number": 64_496 });
    let systems = database("Test-ASN", &[("127.0.0.0/8", systems)]);
    std::fs::write(lab.path("text.mmdb"), "remember the milk\n").unwrap();
    std::fs::write(lab.path("systems.mmdb"), systems).unwrap();
    std::fs::create_dir(lab.path("folder.mmdb")).unwrap();
    for (name, told) in [
        (
            "nowhere.mmdb",
            "nowhere.mmdb\", which cannot be read: no such file",
        ),
        ("folder.mmdb", "folder.mmdb\", which is no file"),
        (
            "text.mmdb",
            "text.mmdb\", which is no MaxMind database: a file such as GeoLite2-City.mmdb",
        ),
        (
            "systems.mmdb",
            "systems.mmdb\", a database of the kind \"Test-ASN\", which has neither countries (country.iso_code) nor \
             coordinates (location.latitude); take one of cities or countries",
        ),
    ] {
        let file = lab.path("n.toml");
        std::fs::write(&file, config(&lab.path(name))).unwrap();
        let of_line = "n.toml:2: dashboard.geo_database is \"";
        let check = |finished: &Finished| {
            assert_eq!(finished.code, Some(2), "{finished:?}");
            assert!(finished.stderr.contains(of_line), "{finished:?}");
            assert!(finished.stderr.contains(told), "{told}: {finished:?}");
        };
        check(&run(dunlin().args(["config", "check"]).arg(&file)));
        let mut start = dunlin();
        start
            .args(["start", "--host", "127.0.0.1", "--port", "0", "--config"])
            .arg(&file);
        let started = run(start.arg("--data-dir").arg(lab.path("node")));
        check(&started);
        started.sentence();
        assert!(!lab.path("node").exists(), "nothing was begun");
    }
}
