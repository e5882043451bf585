//! Which controller a connection gets.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

use super::{Bbr, Controller, Cubic, NewReno};
use crate::time::Instant;

/// What a controller is made from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Setup {
    /// The time.
    pub now: Instant,
    /// UDP payload bytes of a full packet.
    pub mtu: usize,
    /// Bytes that may be in flight at first.
    pub initial_window: u64,
    /// Randomness: different for each connection, the same in a replay.
    pub seed: u64,
}

impl Setup {
    /// A setup at the origin of time: `initial_packets` packets of `mtu` bytes.
    #[must_use]
    pub const fn new(mtu: usize, initial_packets: u64) -> Self {
        Self {
            now: Instant::ZERO,
            mtu,
            initial_window: initial_packets * mtu as u64,
            seed: 0,
        }
    }
}

/// Makes controllers. Any `Fn(&Setup) -> Box<dyn Controller>` is one.
pub trait ControllerFactory: Send + Sync {
    /// A controller for a new connection.
    fn make(&self, setup: &Setup) -> Box<dyn Controller>;
}

impl<F: Fn(&Setup) -> Box<dyn Controller> + Send + Sync> ControllerFactory for F {
    fn make(&self, setup: &Setup) -> Box<dyn Controller> {
        self(setup)
    }
}

/// The controller of new connections.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum ControllerChoice {
    /// [`NewReno`].
    NewReno,
    /// [`Cubic`] with HyStart++.
    #[default]
    Cubic,
    /// [`Bbr`].
    Bbr,
    /// [`Bbr::tolerant`].
    BbrTolerant,
    /// One of the application's own.
    Custom(Arc<dyn ControllerFactory>),
}

impl ControllerChoice {
    /// A controller of the application's own.
    #[must_use]
    pub fn custom(factory: impl ControllerFactory + 'static) -> Self {
        Self::Custom(Arc::new(factory))
    }

    /// A controller for a new connection.
    #[must_use]
    pub fn make(&self, setup: &Setup) -> Box<dyn Controller> {
        match self {
            Self::NewReno => Box::new(NewReno::new(setup)),
            Self::Cubic => Box::new(Cubic::new(setup)),
            Self::Bbr => Box::new(Bbr::new(setup)),
            Self::BbrTolerant => Box::new(Bbr::tolerant(setup)),
            Self::Custom(factory) => factory.make(setup),
        }
    }
}

impl fmt::Debug for ControllerChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NewReno => "NewReno",
            Self::Cubic => "Cubic",
            Self::Bbr => "Bbr",
            Self::BbrTolerant => "BbrTolerant",
            Self::Custom(_) => "Custom",
        })
    }
}
