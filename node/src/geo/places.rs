//! The database of a node, and what it has said of addresses.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::database::{Database, nowhere};
use super::limits::KNOWN_MAX;
use crate::control::model::{GeoDatabase, Place};

/// Where addresses are, as far as the operator's database says. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Places(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    database: Option<Database>,
    known: BTreeMap<IpAddr, Place>,
    /// The addresses of `known`, the one first that was looked up first.
    order: VecDeque<IpAddr>,
}

impl Places {
    /// Uses this database from now on, or none.
    pub fn use_database(&self, database: Option<Database>) {
        *self.state() = State {
            database,
            ..State::default()
        };
    }

    /// The database that is used.
    #[must_use]
    pub fn database(&self) -> Option<GeoDatabase> {
        self.state().database.as_ref().map(Database::about)
    }

    /// Where an address is; without an address nowhere. `None`: there is no database.
    #[must_use]
    pub fn of(&self, address: Option<IpAddr>) -> Option<Place> {
        let mut state = self.state();
        state.database.as_ref()?;
        Some(address.map_or_else(nowhere, |address| state.look_up(address)))
    }

    /// How many places are kept.
    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.state().known.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic inside leaves at most an address in `order` without a place.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn look_up(&mut self, address: IpAddr) -> Place {
        if let Some(place) = self.known.get(&address) {
            return place.clone();
        }
        let database = self.database.as_ref();
        let place = database.map_or_else(nowhere, |database| database.place(address));
        if self.order.len() >= KNOWN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(address);
        self.known.insert(address, place.clone());
        place
    }
}
