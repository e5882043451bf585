//! Databases that the tests make, and files that are none.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};

use super::limits::{FILE_LEN_MAX, KNOWN_MAX, NAME_LEN_MAX, SAMPLE_MAX};
use super::mmdb::{city, country, database};
use super::*;

fn open(bytes: &[u8]) -> Result<Database, DatabaseError> {
    Database::read(bytes, FILE_LEN_MAX)
}

fn cities(networks: &[(&str, Value)]) -> Database {
    open(&database("Test-City", networks)).unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A folder with a file of this content.
fn file(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.mmdb");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

#[test]
fn says_where_an_address_is_and_of_others_that_nothing_is_known() {
    let database = cities(&[
        (
            "203.0.113.0/25",
            city("DE", "Germany", "Berlin", 52.52, 13.4),
        ),
        (
            "2001:db8:7::/48",
            city("CL", "Chile", "Valdivia", -39.81, -73.25),
        ),
        ("198.51.100.0/24", country("JP", "Japan")),
    ]);
    let berlin = database.place(address("203.0.113.7"));
    assert_eq!(berlin.words, "Berlin, Germany");
    assert_eq!(berlin.country_code.as_deref(), Some("DE"));
    assert_eq!(berlin.latitude.zip(berlin.longitude), Some((52.52, 13.4)));
    assert_eq!(berlin.accuracy_km, Some(20));
    // The same address as IPv6 sees it.
    assert_eq!(database.place(address("::ffff:203.0.113.7")), berlin);
    let valdivia = database.place(address("2001:db8:7::1"));
    assert_eq!(valdivia.words, "Valdivia, Chile");
    assert_eq!(valdivia.latitude, Some(-39.81));
    let japan = database.place(address("198.51.100.1"));
    assert_eq!((&*japan.words, japan.latitude), ("Japan", None));
    for unknown in ["203.0.113.128", "127.0.0.1", "10.0.0.1", "::1", "fe80::1"] {
        let place = database.place(address(unknown));
        assert_eq!(place.words, "no place known", "{unknown}");
        assert_eq!((place.country, place.latitude), (None, None));
    }
}

#[test]
fn says_what_it_is_and_whether_it_has_coordinates() {
    let about = cities(&[("192.0.2.0/24", city("DE", "Germany", "Berlin", 52.5, 13.4))]).about();
    assert_eq!(about.kind, "Test-City");
    assert_eq!(about.built_at, "2026-11-01T00:00:00.000000Z");
    assert!(about.has_coordinates);
    let countries = database(
        "Test-Country",
        &[("192.0.2.0/24", country("DE", "Germany"))],
    );
    assert!(!open(&countries).unwrap().about().has_coordinates);
}

#[test]
fn takes_coordinates_as_float_and_refuses_those_that_are_none() {
    let at =
        |north: Value, east: Value| json!({ "location": { "latitude": north, "longitude": east } });
    let database = cities(&[
        (
            "192.0.2.0/28",
            at(json!("float 48.5"), json!("float -4.25")),
        ),
        ("192.0.2.16/28", at(json!(90.0), json!(-180.0))),
        ("192.0.2.32/28", at(json!(90.5), json!(0.0))),
        ("192.0.2.48/28", at(json!(0.0), json!(-180.5))),
        ("192.0.2.64/28", at(json!(f64::MAX), json!(0.0))),
        ("192.0.2.80/28", json!({ "location": { "latitude": 1.0 } })),
        ("192.0.2.96/28", at(json!("north"), json!("east"))),
    ]);
    let place = |host: u8| database.place(Ipv4Addr::new(192, 0, 2, host).into());
    let point = |host| place(host).latitude.zip(place(host).longitude);
    assert_eq!(point(1), Some((48.5, -4.25)));
    assert_eq!(place(1).words, "a place without a name");
    assert_eq!(point(17), Some((90.0, -180.0)), "at the limit");
    for host in [33, 49, 65, 81, 97] {
        assert_eq!(point(host), None, "{host}");
        assert_eq!(place(host).words, "no place known", "{host}");
        assert_eq!((place(host).latitude, place(host).longitude), (None, None));
    }
}

#[test]
fn names_are_cut_and_cleaned() {
    let name = |length| "é".repeat(length);
    let of = |text: &str| {
        let database = cities(&[("192.0.2.0/24", city("DE", text, "", 1.0, 1.0))]);
        database.place(address("192.0.2.1")).country.unwrap()
    };
    assert_eq!(of(&name(NAME_LEN_MAX)), name(NAME_LEN_MAX));
    assert_eq!(of(&name(NAME_LEN_MAX + 1)), name(NAME_LEN_MAX));
    assert_eq!(of("a\u{1b}[31mb\n"), "a[31mb");
    assert_eq!(of("\n"), "DE", "two letters where there is no name");
}

#[test]
fn a_file_that_is_not_there_or_is_none_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let told = |path: &std::path::Path| Database::open(path).unwrap_err().to_string();
    let missing = told(&folder.path().join("nowhere.mmdb"));
    assert!(
        missing.starts_with("which cannot be read: no such file"),
        "{missing}"
    );
    assert_eq!(told(folder.path()), "which is no file");
    for bytes in [&b""[..], b"network,country\n", &[0; 4_096]] {
        let (_folder, path) = file(bytes);
        let none = told(&path);
        assert!(none.starts_with("which is no MaxMind database: "), "{none}");
        assert!(none.contains("unpacked"), "{none}");
    }
    // Cut off anywhere, it is refused, or says less.
    let whole = database(
        "Test-City",
        &[("192.0.2.0/24", city("DE", "Germany", "Berlin", 1.0, 1.0))],
    );
    for length in 0..whole.len() {
        assert!(open(&whole[..length]).is_err(), "{length}");
    }
    let (_folder, path) = file(&whole);
    assert!(Database::open(&path).is_ok());
}

#[test]
fn a_database_of_something_else_is_refused_by_its_name() {
    let systems =
        json!({ "autonomous_system_number": 64_496, "autonomous_system_organization": "x" });
    let told = open(&database("Test-ASN", &[("192.0.2.0/24", systems)]));
    let told = told.unwrap_err().to_string();
    assert!(
        told.starts_with("a database of the kind \"Test-ASN\", which has neither countries"),
        "{told}"
    );
    let flat = json!({ "country": "DE" });
    assert!(matches!(
        open(&database("flat", &[("192.0.2.0/24", flat)])),
        Err(DatabaseError::NoPlaces(_))
    ));
    assert!(matches!(
        open(&database("empty", &[])),
        Err(DatabaseError::NoPlaces(_))
    ));
}

#[test]
fn a_file_may_have_so_many_bytes_and_not_one_more() {
    let bytes = database(
        "Test-Country",
        &[("192.0.2.0/24", country("DE", "Germany"))],
    );
    let length = u64::try_from(bytes.len()).unwrap();
    assert!(Database::read(&*bytes, length).is_ok());
    assert!(matches!(
        Database::read(&*bytes, length - 1),
        Err(DatabaseError::TooLong(most)) if most == length - 1
    ));
}

#[test]
fn so_many_records_are_looked_at_and_not_one_more() {
    let nothing = || json!({ "traits": {} });
    let of = |without: usize| {
        let names: Vec<String> = (0..=without)
            .map(|index| format!("10.{}.{}.0/24", index / 256, index % 256))
            .collect();
        let networks: Vec<(&str, Value)> = names
            .iter()
            .enumerate()
            .map(|(index, name)| match index == without {
                true => (name.as_str(), country("DE", "Germany")),
                false => (name.as_str(), nothing()),
            })
            .collect();
        open(&database("Test", &networks))
    };
    assert!(of(SAMPLE_MAX - 1).is_ok());
    assert!(matches!(of(SAMPLE_MAX), Err(DatabaseError::NoPlaces(_))));
}

#[test]
fn places_are_kept_up_to_a_bound_and_forgotten_with_their_database() {
    let places = Places::default();
    let at = |index: usize| {
        let [.., high, low] = index.to_be_bytes();
        Some(IpAddr::from([10, 0, high, low]))
    };
    assert_eq!(places.of(at(0)), None, "there is no database");
    assert_eq!(places.database(), None);
    let of = |name: &str| cities(&[("10.0.0.0/8", country("XX", name))]);
    places.use_database(Some(of("First")));
    assert_eq!(places.of(None).unwrap().words, "no place known");
    for index in 0..KNOWN_MAX {
        assert_eq!(places.of(at(index)).unwrap().words, "First");
    }
    assert_eq!(places.known(), KNOWN_MAX);
    assert!(places.of(at(0)).is_some());
    assert_eq!(places.known(), KNOWN_MAX, "it was known");
    assert!(places.of(at(KNOWN_MAX)).is_some());
    assert_eq!(places.known(), KNOWN_MAX, "the oldest has gone");
    let same = places.clone();
    same.use_database(Some(of("Second")));
    assert_eq!(places.of(at(0)).unwrap().words, "Second");
    same.use_database(None);
    assert_eq!((places.of(at(0)), places.known()), (None, 0));
}
