//! Databases in the MaxMind DB format, version 2, made for tests: a tree of IPv6 with IPv4 below `::/96`,
//! records of 32 bits, data without pointers.

use std::net::IpAddr;

use serde_json::{Value, json};

/// Zero bytes between tree and data.
const GAP: usize = 16;
/// What the metadata begin with.
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
/// 2026-11-01, in seconds since the Unix epoch.
const BUILT: u64 = 1_793_491_200;

/// Where a record of the tree leads.
#[derive(Clone, Copy)]
enum Way {
    Nowhere,
    Node(usize),
    /// A place in the data.
    Data(usize),
}

/// A database of this kind that says `data` of the addresses of each network. Networks do not overlap.
pub(crate) fn database(kind: &str, networks: &[(&str, Value)]) -> Vec<u8> {
    let (mut nodes, mut data) = (vec![[Way::Nowhere; 2]], Vec::new());
    for (network, said) in networks {
        let (address, length) = network.split_once('/').unwrap();
        let (bits, length) = match address.parse().unwrap() {
            IpAddr::V4(v4) => (
                u128::from(v4.to_bits()),
                length.parse::<usize>().unwrap() + 96,
            ),
            IpAddr::V6(v6) => (v6.to_bits(), length.parse().unwrap()),
        };
        let place = data.len();
        encode(said, &mut data);
        let mut node = 0;
        for depth in 0..length {
            let side = usize::from((bits >> (127 - depth)) & 1 == 1);
            if depth + 1 == length {
                nodes[node][side] = Way::Data(place);
            } else if let Way::Node(next) = nodes[node][side] {
                node = next;
            } else {
                let next = nodes.len();
                nodes.push([Way::Nowhere; 2]);
                nodes[node][side] = Way::Node(next);
                node = next;
            }
        }
    }
    let count = nodes.len();
    let mut file = Vec::new();
    for way in nodes.into_iter().flatten() {
        let number = match way {
            Way::Nowhere => count,
            Way::Node(node) => node,
            Way::Data(place) => count + GAP + place,
        };
        file.extend(u32::try_from(number).unwrap().to_be_bytes());
    }
    file.extend([0; GAP]);
    file.extend(data);
    file.extend(MARKER);
    let about = json!({
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": BUILT,
        "database_type": kind,
        "description": { "en": "made for a test" },
        "ip_version": 6,
        "languages": [],
        "node_count": count,
        "record_size": 32,
    });
    encode(&about, &mut file);
    file
}

/// What a database of cities says.
pub(crate) fn city(code: &str, country: &str, city: &str, north: f64, east: f64) -> Value {
    json!({
        "city": { "names": { "en": city } },
        "continent": { "code": "XX" },
        "country": { "iso_code": code, "names": { "de": "anders", "en": country } },
        "location": { "accuracy_radius": 20, "latitude": north, "longitude": east, "time_zone": "x" },
    })
}

/// What a database of countries says.
pub(crate) fn country(code: &str, name: &str) -> Value {
    json!({ "country": { "iso_code": code, "names": { "en": name } } })
}

/// Types by their numbers. Whole numbers have the type that the format gives to the field: those of the
/// metadata that are long, and others of 16 bits. A text that begins with `float ` is a float.
fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::String(text) if text.starts_with("float ") => {
            let number: f32 = text["float ".len()..].parse().unwrap();
            head(15, 4, out);
            out.extend(number.to_be_bytes());
        }
        Value::String(text) => {
            head(2, text.len(), out);
            out.extend(text.as_bytes());
        }
        Value::Number(number) if number.is_f64() => {
            head(3, 8, out);
            out.extend(number.as_f64().unwrap().to_be_bytes());
        }
        Value::Number(number) => {
            let number = number.as_u64().unwrap();
            let bytes = number.to_be_bytes();
            let bytes = &bytes[usize::try_from(number.leading_zeros() / 8).unwrap()..];
            head(5, bytes.len(), out);
            out.extend(bytes);
        }
        Value::Object(fields) => {
            head(7, fields.len(), out);
            for (name, value) in fields {
                encode(&Value::String(name.clone()), out);
                match name.as_str() {
                    "build_epoch" => long(9, value, out),
                    "node_count" => long(6, value, out),
                    _ => encode(value, out),
                }
            }
        }
        Value::Array(items) => {
            head(11, items.len(), out);
            items.iter().for_each(|item| encode(item, out));
        }
        Value::Bool(_) | Value::Null => panic!("no test needs {value}"),
    }
}

/// A whole number of the type with this number.
fn long(kind: u8, value: &Value, out: &mut Vec<u8>) {
    let bytes = value.as_u64().unwrap().to_be_bytes();
    let bytes = if kind == 6 { &bytes[4..] } else { &bytes[..] };
    head(kind, bytes.len(), out);
    out.extend(bytes);
}

/// Type and size of what follows: types above 7 stand in a byte of their own.
fn head(kind: u8, size: usize, out: &mut Vec<u8>) {
    let (size, more) = match size {
        0..29 => (u8::try_from(size).unwrap(), None),
        _ => (29, Some(u8::try_from(size - 29).unwrap())),
    };
    if kind > 7 {
        out.extend([size, kind - 7]);
    } else {
        out.push((kind << 5) | size);
    }
    out.extend(more);
}
