//! The laboratory on trial: mistakes are planted in the crates, one at a time, and the instruments
//! have to find each (ADR 0720).
//!
//! A [`Planted`] names a mistake; [`select`] plants it for the whole process. An [`Instrument`] turns
//! a seed into a run and says what it saw that must not be. [`hunt`] gives an instrument seeds until
//! it finds something. `lab/tests/planted.rs` does that for every mistake and writes the table of
//! `docs/assurance.md`.

mod fuzz;
mod hunt;
mod impostors;
mod instruments;
mod report;

pub use hunt::{Finding, hunt, quietly, replay, replay_afresh};
pub use instruments::{INSTRUMENTS, Instrument};
pub use report::{Row, assurance, names_in, with_table};

use dunlin_overlay::planted as overlay;
use dunlin_session::planted as session;
use dunlin_transport::planted as transport;
pub use dunlin_transport::planted::{Class, Entry};

/// Which crate a mistake is in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Layer {
    /// `dunlin-transport`.
    Transport,
    /// `dunlin-session`.
    Session,
    /// `dunlin-overlay`.
    Overlay,
}

/// A mistake in one of the crates.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Planted {
    /// In `dunlin-transport`.
    Transport(transport::Bug),
    /// In `dunlin-session`.
    Session(session::Bug),
    /// In `dunlin-overlay`.
    Overlay(overlay::Bug),
}

impl Planted {
    /// Every mistake, crate by crate.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let transport = transport::Bug::ALL.iter().copied().map(Self::Transport);
        let session = session::Bug::ALL.iter().copied().map(Self::Session);
        let overlay = overlay::Bug::ALL.iter().copied().map(Self::Overlay);
        transport.chain(session).chain(overlay).collect()
    }

    /// What the table says about it.
    #[must_use]
    pub const fn entry(self) -> &'static Entry {
        match self {
            Self::Transport(bug) => bug.entry(),
            Self::Session(bug) => bug.entry(),
            Self::Overlay(bug) => bug.entry(),
        }
    }

    /// The instruments that can judge it.
    #[must_use]
    pub fn instruments(self) -> Vec<&'static Instrument> {
        let layer = self.layer();
        let judges = |instrument: &&Instrument| instrument.layers.contains(&layer);
        INSTRUMENTS.iter().filter(judges).collect()
    }

    /// Which crate it is in.
    #[must_use]
    pub const fn layer(self) -> Layer {
        match self {
            Self::Transport(_) => Layer::Transport,
            Self::Session(_) => Layer::Session,
            Self::Overlay(_) => Layer::Overlay,
        }
    }
}

/// Plants a mistake for the whole process; None: everything is as it should be.
pub fn select(planted: Option<Planted>) {
    let (mut of_transport, mut of_session, mut of_overlay) = (None, None, None);
    match planted {
        None => {}
        Some(Planted::Transport(bug)) => of_transport = Some(bug),
        Some(Planted::Session(bug)) => of_session = Some(bug),
        Some(Planted::Overlay(bug)) => of_overlay = Some(bug),
    }
    transport::select(of_transport);
    session::select(of_session);
    overlay::select(of_overlay);
}
