//! Which carriers a command uses.

use clap::ValueEnum;
use dunlin_transport::driver::CarrierChoice;

/// What packets travel over.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Carriers {
    /// Both: UDP first, TCP soon after, and the first to answer stays
    #[default]
    Race,
    /// UDP alone
    Udp,
    /// TCP alone
    Tcp,
}

impl From<Carriers> for CarrierChoice {
    fn from(carriers: Carriers) -> Self {
        match carriers {
            Carriers::Race => Self::Race,
            Carriers::Udp => Self::UdpOnly,
            Carriers::Tcp => Self::TcpOnly,
        }
    }
}
