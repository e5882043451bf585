//! A file in the MaxMind DB format, and what it says of an address.

use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::Path;

use maxminddb::{Reader, WithinOptions};
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use super::limits::{FILE_LEN_MAX, NAME_LEN_MAX, SAMPLE_MAX};
use crate::control::model::{GeoDatabase, Place};
use crate::control::records::time;
use crate::failure::plain_reason;

/// What is said where a database says nothing.
const UNKNOWN: &str = "no place known";
/// What is said where it has coordinates alone.
const NAMELESS: &str = "a place without a name";

/// Why a file is not used. Each is the end of a sentence that begins with the name of the file.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The system does not give it.
    #[error("which cannot be read: {}", plain_reason(.0))]
    Unreadable(#[from] io::Error),
    /// It is a folder, a device, a pipe.
    #[error("which is no file")]
    NoFile,
    /// It is longer than a database may be.
    #[error("which is longer than {0} bytes")]
    TooLong(u64),
    /// It has another format.
    #[error(
        "which is no MaxMind database: a file such as GeoLite2-City.mmdb or dbip-city-lite.mmdb, unpacked, is one ({0})"
    )]
    NotMaxMind(#[source] maxminddb::MaxMindDbError),
    /// It tells something else of addresses.
    #[error(
        "a database of the kind \"{}\", which has neither countries (country.iso_code) nor coordinates (location.latitude); take one of cities or countries",
        .0.escape_debug()
    )]
    NoPlaces(String),
}

/// A database in memory.
pub struct Database {
    reader: Reader<Vec<u8>>,
    has_coordinates: bool,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reader.metadata().database_type)
    }
}

impl Database {
    /// Reads a file whole: a map of it would change under the reader when the operator renews the file.
    ///
    /// # Errors
    /// It is not there, too long, no database, or one that tells no places.
    pub fn open(path: &Path) -> Result<Self, DatabaseError> {
        // A pipe would make the program wait for somebody who writes.
        if !path.metadata()?.is_file() {
            return Err(DatabaseError::NoFile);
        }
        Self::read(File::open(path)?, FILE_LEN_MAX)
    }

    /// Reads a database of at most so many bytes.
    pub(super) fn read(file: impl Read, most: u64) -> Result<Self, DatabaseError> {
        let mut bytes = Vec::new();
        file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).is_ok_and(|len| len > most) {
            return Err(DatabaseError::TooLong(most));
        }
        let reader = Reader::from_source(bytes).map_err(DatabaseError::NotMaxMind)?;
        let (mut has_countries, mut has_coordinates) = (false, false);
        let records = reader.networks(WithinOptions::default());
        for found in records.into_iter().flatten().take(SAMPLE_MAX) {
            let record: Option<Record<'_>> =
                found.and_then(|found| found.decode()).unwrap_or_default();
            let place = record.map(Record::place).unwrap_or_default();
            has_countries |= place.country.is_some();
            has_coordinates |= place.latitude.is_some();
            if has_coordinates {
                break;
            }
        }
        if !has_countries && !has_coordinates {
            let kind = short(&reader.metadata().database_type);
            return Err(DatabaseError::NoPlaces(kind));
        }
        Ok(Self {
            reader,
            has_coordinates,
        })
    }

    /// What the database says of itself.
    #[must_use]
    pub fn about(&self) -> GeoDatabase {
        let metadata = self.reader.metadata();
        GeoDatabase {
            kind: short(&metadata.database_type),
            built_at: time(metadata.build_epoch.saturating_mul(1_000)),
            has_coordinates: self.has_coordinates,
        }
    }

    /// Where it says an address is. A record that cannot be read says nothing.
    #[must_use]
    pub fn place(&self, address: IpAddr) -> Place {
        let found = self.reader.lookup(address.to_canonical());
        let record = found.and_then(|found| found.decode::<Record<'_>>());
        let record = record.inspect_err(|error| tracing::debug!("no place of {address}: {error}"));
        let record = record.ok().flatten();
        record.map_or_else(nowhere, Record::place)
    }
}

/// A place of which nothing is known.
pub(super) fn nowhere() -> Place {
    Place {
        words: UNKNOWN.to_owned(),
        ..Place::default()
    }
}

/// What we read of a record. Other fields are passed over.
#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow, default)]
    city: Named<'a>,
    #[serde(borrow, default)]
    country: Named<'a>,
    #[serde(default)]
    location: Location,
}

#[derive(Default, Deserialize)]
struct Named<'a> {
    #[serde(default)]
    iso_code: Option<&'a str>,
    #[serde(borrow, default)]
    names: Names<'a>,
}

#[derive(Default, Deserialize)]
struct Names<'a> {
    #[serde(default)]
    en: Option<&'a str>,
}

#[derive(Default, Deserialize)]
struct Location {
    #[serde(default)]
    latitude: Option<Degrees>,
    #[serde(default)]
    longitude: Option<Degrees>,
    #[serde(default)]
    accuracy_radius: Option<u16>,
}

impl Record<'_> {
    fn place(self) -> Place {
        let text = |text: Option<&str>| text.map(short).filter(|text| !text.is_empty());
        let country_code = text(self.country.iso_code);
        let country = text(self.country.names.en).or_else(|| country_code.clone());
        let city = text(self.city.names.en);
        let within = |degrees: Option<Degrees>, most: f64| {
            let degrees = degrees.map(|degrees| degrees.0);
            degrees.filter(|degrees| degrees.abs() <= most)
        };
        let (latitude, longitude) = (
            within(self.location.latitude, 90.0),
            within(self.location.longitude, 180.0),
        );
        // One without the other is nowhere.
        let point = latitude.zip(longitude);
        let named: Vec<&str> = city.iter().chain(&country).map(String::as_str).collect();
        let words = match (named.as_slice(), point) {
            ([], None) => UNKNOWN.to_owned(),
            ([], Some(_)) => NAMELESS.to_owned(),
            (named, _) => named.join(", "),
        };
        Place {
            words,
            country_code,
            country,
            city,
            latitude: point.map(|(north, _)| north),
            longitude: point.map(|(_, east)| east),
            accuracy_km: self.location.accuracy_radius.filter(|_| point.is_some()),
        }
    }
}

/// A text of the database, without control characters and not too long.
fn short(text: &str) -> String {
    let letters = text.chars().filter(|letter| !letter.is_control());
    letters.take(NAME_LEN_MAX).collect()
}

/// A number of degrees. Databases have it as double or as float, and the reader takes no one for the other.
#[derive(Clone, Copy)]
struct Degrees(f64);

impl<'de> Deserialize<'de> for Degrees {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DegreesVisitor)
    }
}

struct DegreesVisitor;

impl Visitor<'_> for DegreesVisitor {
    type Value = Degrees;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a number of degrees")
    }

    fn visit_f64<E>(self, value: f64) -> Result<Degrees, E> {
        Ok(Degrees(value))
    }

    fn visit_f32<E>(self, value: f32) -> Result<Degrees, E> {
        Ok(Degrees(value.into()))
    }
}
