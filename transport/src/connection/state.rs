//! The life cycle of a connection, as one table (`docs/wire.md`, chapter "Life cycle").
//!
//! The responder's half-open state is not here: before the initiator has proven its address there
//! is no connection, only an entry of the endpoint's table.

/// Where a connection stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum State {
    /// SYN sent, no answer believed yet.
    SynSent,
    /// Data flows.
    Established,
    /// The application has closed; everything accepted is still being delivered.
    Closing,
    /// Everything was delivered; FIN sent, waiting for FIN_ACK.
    FinSent,
    /// The peer's FIN was answered; a repeated FIN is answered again.
    TimeWait,
    /// We ended it at once; packets of the peer are answered with RST.
    Reset,
    /// Over.
    Closed,
}

/// What moves it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Input {
    /// The handshake is complete.
    HandshakeDone,
    /// The application closes.
    LocalClose,
    /// Everything accepted was acknowledged.
    AllDelivered,
    /// A FIN came.
    FinReceived,
    /// A FIN_ACK came.
    FinAckReceived,
    /// The application aborts, or the peer broke a rule.
    Abort,
    /// An RST was believed, the handshake failed, or nothing came for too long.
    Lost,
    /// The time to answer stragglers is over.
    LingerOver,
}

impl State {
    /// All states.
    pub const ALL: [Self; 7] = [
        Self::SynSent,
        Self::Established,
        Self::Closing,
        Self::FinSent,
        Self::TimeWait,
        Self::Reset,
        Self::Closed,
    ];

    /// The state after `input`; None when `input` means nothing here and is ignored.
    #[must_use]
    pub const fn next(self, input: Input) -> Option<Self> {
        match (self, input) {
            (Self::SynSent, Input::HandshakeDone) => Some(Self::Established),
            (Self::SynSent, Input::LocalClose | Input::Abort | Input::Lost) => Some(Self::Closed),
            (Self::Established, Input::LocalClose) => Some(Self::Closing),
            (Self::Closing, Input::AllDelivered) => Some(Self::FinSent),
            (Self::Established | Self::Closing | Self::FinSent, Input::FinReceived) => {
                Some(Self::TimeWait)
            }
            (Self::FinSent, Input::FinAckReceived) => Some(Self::Closed),
            (Self::Established | Self::Closing | Self::FinSent, Input::Abort) => Some(Self::Reset),
            (Self::Established | Self::Closing | Self::FinSent | Self::TimeWait, Input::Lost) => {
                Some(Self::Closed)
            }
            (Self::TimeWait | Self::Reset, Input::LingerOver) => Some(Self::Closed),
            _ => None,
        }
    }

    /// Whether the application may still send.
    #[must_use]
    pub const fn accepts_data(self) -> bool {
        matches!(self, Self::Established)
    }

    /// Whether packets with data leave and are acknowledged.
    #[must_use]
    pub const fn is_transferring(self) -> bool {
        matches!(self, Self::Established | Self::Closing | Self::FinSent)
    }
}

/// Inputs in the order of the pinned table.
#[cfg(test)]
const INPUTS: [Input; 8] = [
    Input::HandshakeDone,
    Input::LocalClose,
    Input::AllDelivered,
    Input::FinReceived,
    Input::FinAckReceived,
    Input::Abort,
    Input::Lost,
    Input::LingerOver,
];

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;

    /// The whole table, state by state; `.` is an input that is ignored.
    const TABLE: [&str; 7] = [
        "SynSent: Established Closed . . . Closed Closed .",
        "Established: . Closing . TimeWait . Reset Closed .",
        "Closing: . . FinSent TimeWait . Reset Closed .",
        "FinSent: . . . TimeWait Closed Reset Closed .",
        "TimeWait: . . . . . . Closed Closed",
        "Reset: . . . . . . . Closed",
        "Closed: . . . . . . . .",
    ];

    #[test]
    fn transition_table_is_pinned() {
        let row = |state: State| {
            let cells = INPUTS.iter().map(|input| match state.next(*input) {
                Some(next) => format!(" {next:?}"),
                None => String::from(" ."),
            });
            format!("{state:?}:{}", cells.collect::<String>())
        };
        assert_eq!(State::ALL.map(row), TABLE);
    }

    #[test]
    fn closed_is_final_and_every_state_leads_there() {
        for state in State::ALL {
            let mut reached = alloc::vec![state];
            let mut index = 0;
            while let Some(state) = reached.get(index).copied() {
                for next in INPUTS.iter().filter_map(|input| state.next(*input)) {
                    if !reached.contains(&next) {
                        reached.push(next);
                    }
                }
                index += 1;
            }
            assert!(reached.contains(&State::Closed), "{state:?}");
        }
        assert!(
            INPUTS
                .iter()
                .all(|input| State::Closed.next(*input).is_none())
        );
    }
}
