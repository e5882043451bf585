//! Where peers are, by the database of the operator.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where an address is, as far as a database says. It may be wrong by hundreds of kilometres.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// For people: city and country, or `no place known`.
    pub words: String,
    /// Two letters (ISO 3166-1).
    pub country_code: Option<String>,
    /// Its name, or else its two letters.
    pub country: Option<String>,
    /// The city.
    pub city: Option<String>,
    /// Degrees to the north, -90 to 90.
    pub latitude: Option<f64>,
    /// Degrees to the east, -180 to 180.
    pub longitude: Option<f64>,
    /// So many kilometres around there it may be, as the database says.
    pub accuracy_km: Option<u16>,
}

/// The connected peers by place.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Geography {
    /// The database; without one nothing else is told.
    pub database: Option<GeoDatabase>,
    /// Connected peers with their places, in the order of their IDs, at most 256.
    pub peers: Vec<PlacedPeer>,
    /// Connected peers beyond these.
    pub left_out: usize,
    /// Countries of all connected peers, those with the most first.
    pub countries: Vec<Country>,
    /// Connected peers of which no country is known.
    pub without_country: usize,
}

/// A database of places.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct GeoDatabase {
    /// What it calls itself, such as `GeoLite2-City`.
    pub kind: String,
    /// When it was made.
    pub built_at: String,
    /// Whether it has coordinates, or countries alone.
    pub has_coordinates: bool,
}

/// A connected peer and its place.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PlacedPeer {
    /// Its ID.
    pub id: String,
    /// Its address on the link.
    pub address: Option<String>,
    /// Smoothed round-trip time in milliseconds.
    pub latency_ms: Option<f64>,
    /// Where that address is.
    pub place: Place,
}

/// A country with connected peers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Country {
    /// Two letters (ISO 3166-1), if the database has them.
    pub code: Option<String>,
    /// Its name, or else its two letters.
    pub name: String,
    /// How many connected peers are there.
    pub peers: usize,
    /// The median of their round-trip times in milliseconds.
    pub median_latency_ms: Option<f64>,
}
