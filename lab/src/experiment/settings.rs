//! Settings of a scenario file as the transport takes them.

use dunlin_session::CipherSuite;
use dunlin_transport::congestion::ControllerChoice;
use dunlin_transport::{EndpointConfig, TransportConfig};

use super::model::{Controller, Experiment, ProfileName, Settings};
use crate::profile::Profile;

impl Settings {
    /// Writes what is given over `config`.
    pub fn apply(&self, config: &mut TransportConfig) {
        let size = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        set(
            &mut config.idle_timeout,
            self.idle_timeout.map(|time| time.0),
        );
        set(
            &mut config.keep_alive,
            self.keep_alive.map(|time| Some(time.0)),
        );
        set(
            &mut config.handshake_timeout,
            self.handshake_timeout.map(|time| time.0),
        );
        set(
            &mut config.receive_window,
            self.receive_window.map(|size| size.0),
        );
        set(
            &mut config.stream_receive_window,
            self.stream_receive_window.map(|size| size.0),
        );
        set(&mut config.send_buffer, self.send_buffer.map(|size| size.0));
        set(
            &mut config.max_message_size,
            self.max_message_size.map(|size| size.0),
        );
        set(
            &mut config.max_datagram_size,
            self.max_datagram_size.map(|size| size.0),
        );
        set(&mut config.max_streams_bidi, self.max_streams_bidi);
        set(&mut config.max_streams_uni, self.max_streams_uni);
        set(&mut config.mtu, self.mtu.map(|mtu| size(mtu.0)));
        set(
            &mut config.max_ack_delay,
            self.max_ack_delay.map(|time| time.0),
        );
        set(&mut config.initial_rtt, self.initial_rtt.map(|time| time.0));
        set(
            &mut config.initial_window_packets,
            self.initial_window_packets,
        );
        set(
            &mut config.controller,
            self.controller.map(Controller::choice),
        );
    }
}

fn set<T>(setting: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *setting = value;
    }
}

impl Controller {
    const fn choice(self) -> ControllerChoice {
        match self {
            Self::NewReno => ControllerChoice::NewReno,
            Self::Cubic => ControllerChoice::Cubic,
            Self::Bbr => ControllerChoice::Bbr,
            Self::BbrTolerant => ControllerChoice::BbrTolerant,
        }
    }
}

impl Experiment {
    /// Settings of client and server.
    #[must_use]
    pub fn configs(&self) -> [EndpointConfig; 2] {
        [&self.client, &self.server].map(|own| {
            let mut config = EndpointConfig::default();
            self.transport.apply(&mut config.transport);
            own.apply(&mut config.transport);
            config
        })
    }
}

impl ProfileName {
    /// The profile of this name.
    #[must_use]
    pub const fn profile(self) -> Profile {
        match self {
            Self::Plain => Profile::Plain,
            Self::Sealed => Profile::Sealed(CipherSuite::Aes128Gcm),
            Self::SealedChacha20 => Profile::Sealed(CipherSuite::ChaCha20Poly1305),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::units::Time;

    #[test]
    fn the_end_overrides_what_both_share() {
        let text = "name='n'\ntitle='t'\nkind='pair'\n[transport]\nmtu=1200\nidle_timeout='5s'\n\
                    [server]\nmtu=1300\n";
        let experiment: Experiment = toml::from_str(text).unwrap();
        let [client, server] = experiment.configs();
        assert_eq!((client.transport.mtu, server.transport.mtu), (1_200, 1_300));
        let idle = Duration::from_secs(5);
        assert_eq!(server.transport.idle_timeout, idle);
        let default = TransportConfig::default();
        assert_eq!(client.transport.send_buffer, default.send_buffer);
        assert_eq!(experiment.duration, Time(Duration::from_secs(10)));
    }
}
