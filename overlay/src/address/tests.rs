use proptest::prelude::*;

use super::*;

/// The example of rend-spec-v3 §1.
const ONION: &str = "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion";

fn id() -> NodeId {
    NodeId::from_bytes([7; 32])
}

fn every_mistake() -> Vec<(String, AddressError)> {
    let onion = |name: &str, why| AddressError::Onion {
        name: name.to_owned(),
        why,
    };
    let v2 = "expyuzz4wqqyqhjn.onion";
    let wrong = ONION.replace("pg6", "pg5");
    let short = "pg6mmjiy.onion";
    let foreign = ONION.replace("pg6", "pg1");
    let mut mistakes: Vec<(String, AddressError)> = [
        ("192.0.2.7", AddressError::PortMissing),
        ("[::1]", AddressError::PortMissing),
        ("h:0", AddressError::Port("0".into())),
        ("h:65536", AddressError::Port("65536".into())),
        ("h:+5", AddressError::Port("+5".into())),
        ("h:", AddressError::Port(String::new())),
        ("2001:db8::7:4600", AddressError::BracketsMissing),
        ("[::1:4600", AddressError::BracketOpen),
        ("[zz]:1", AddressError::Ipv6("zz".into())),
        ("192.0.2.700:1", AddressError::Host("192.0.2.700".into())),
        (":1", AddressError::Host(String::new())),
        ("a b:1", AddressError::Host("a b".into())),
        ("a..b:1", AddressError::Host("a..b".into())),
        ("@h:1", AddressError::Id(String::new())),
        ("dunlin1abc@h:1", AddressError::Id("dunlin1abc".into())),
        ("quantum://", AddressError::Id(String::new())),
        ("quantum://abc@h:1", AddressError::Id("abc".into())),
        ("tcp://h:1", AddressError::Scheme("tcp".into())),
    ]
    .into_iter()
    .map(|(text, error)| (text.to_owned(), error))
    .collect();
    mistakes.extend([
        (id().to_string(), AddressError::PlaceMissing),
        (format!("{v2}:1"), onion(v2, OnionError::Version2)),
        (format!("{short}:1"), onion(short, OnionError::Length(8))),
        (format!("{wrong}:1"), onion(&wrong, OnionError::Checksum)),
        (
            format!("{foreign}:1"),
            onion(&foreign, OnionError::Character),
        ),
    ]);
    let last = ONION.replace("yd.onion", "ya.onion");
    mistakes.push((format!("{last}:1"), onion(&last, OnionError::Version(0))));
    mistakes
}

#[test]
fn reads_every_documented_form() {
    let id = id();
    for text in [
        "192.0.2.7:4600".to_owned(),
        "[2001:db8::7]:4600".to_owned(),
        "localhost:1".to_owned(),
        "Host_1.example:65535".to_owned(),
        "host.example.:1".to_owned(),
        format!("{ONION}:80"),
        format!("{id}@192.0.2.7:4600"),
        format!("{id}@[::1]:4600"),
        format!("{id}@{ONION}:80"),
        format!("quantum://{id}"),
    ] {
        let address: PeerAddress = text.parse().unwrap();
        assert_eq!(address.to_string(), text);
    }
}

#[test]
fn a_self_certifying_address_is_the_id_with_or_without_a_place() {
    let id = id();
    let alone: PeerAddress = format!("quantum://{id}").parse().unwrap();
    assert_eq!((alone.id(), alone.place()), (Some(id), None));
    assert_eq!(alone, PeerAddress::of_node(id));
    let placed: PeerAddress = format!("QUANTUM://{id}@h:1").parse().unwrap();
    assert_eq!(placed, format!("{id}@h:1").parse().unwrap());
    assert_eq!(placed.id(), Some(id));
}

#[test]
fn an_onion_service_is_read_by_its_key_in_any_case_and_below_any_subdomain() {
    let place: HostPort = format!("{ONION}:80").parse().unwrap();
    let Host::Onion(onion) = place.host() else {
        panic!("{place:?}");
    };
    assert_eq!(OnionAddress::from_key(*onion.key()).to_string(), ONION);
    assert_eq!(place.socket_address(), None);
    let shouted = format!("www.{}:80", ONION.to_uppercase());
    assert_eq!(shouted.parse::<HostPort>(), Ok(place));
}

#[test]
fn rejects_each_mistake_with_its_own_reason() {
    for (text, error) in every_mistake() {
        assert_eq!(text.parse::<PeerAddress>(), Err(error), "{text}");
    }
}

#[test]
fn every_rejection_shows_an_address_that_would_be_accepted() {
    for (_, error) in every_mistake() {
        let sentence = error.to_string();
        let (_, example) = sentence.split_once("write for example ").unwrap();
        assert_eq!(example, error.example());
        assert!(example.parse::<PeerAddress>().is_ok(), "{sentence}");
    }
}

#[test]
fn accepts_a_name_at_the_limit_and_rejects_one_past_it() {
    let label = "a".repeat(63);
    let name = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    assert_eq!(name.len(), 253);
    assert!(format!("{name}:1").parse::<HostPort>().is_ok());
    assert!(format!("{name}a:1").parse::<HostPort>().is_err());
    assert!(format!("{label}a:1").parse::<HostPort>().is_err());
}

proptest! {
    #[test]
    fn no_text_panics_and_what_is_read_prints_back(text in "[\\[\\]:@./a-z0-9-]{0,24}") {
        if let Ok(address) = text.parse::<PeerAddress>() {
            prop_assert_eq!(address.to_string().parse(), Ok(address));
        }
    }

    #[test]
    fn every_onion_key_round_trips(key: [u8; 32]) {
        let onion = OnionAddress::from_key(key);
        let place: HostPort = format!("{onion}:1").parse().unwrap();
        prop_assert_eq!(place, HostPort::onion(onion, 1));
    }
}

#[test]
fn a_changed_letter_of_an_onion_service_is_noticed() {
    let mut unnoticed = 0;
    for at in 0..56 {
        for letter in "abcdefghijklmnopqrstuvwxyz234567".chars() {
            let mut other = ONION[..56].to_owned();
            other.replace_range(at..=at, &letter.to_string());
            let is_other = other != ONION[..56];
            unnoticed += u32::from(is_other && OnionAddress::from_letters(&other).is_ok());
        }
    }
    // A checksum of 16 bits lets one of 65,536 pass, and these are 1,736.
    assert!(unnoticed <= 1, "{unnoticed}");
}
