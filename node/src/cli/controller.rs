//! Which congestion controller a command sends with.

use clap::ValueEnum;
use dunlin_transport::congestion::ControllerChoice;

/// How much may be in flight (`docs/congestion.md`).
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Controllers {
    /// Halves at each loss (RFC 9002)
    NewReno,
    /// Grows by the time since the last loss (RFC 9438)
    #[default]
    Cubic,
    /// Models the path: bandwidth, delay, bearable volume (BBRv3)
    Bbr,
    /// The same for paths that lose packets without being full
    BbrTolerant,
}

impl From<Controllers> for ControllerChoice {
    fn from(controllers: Controllers) -> Self {
        match controllers {
            Controllers::NewReno => Self::NewReno,
            Controllers::Cubic => Self::Cubic,
            Controllers::Bbr => Self::Bbr,
            Controllers::BbrTolerant => Self::BbrTolerant,
        }
    }
}

#[cfg(test)]
mod tests {
    use dunlin_transport::congestion::Setup;

    use super::*;

    #[test]
    fn each_word_of_the_command_line_makes_the_controller_of_that_name() {
        let setup = Setup::new(1_200, 10);
        for (controllers, name) in [
            (Controllers::NewReno, "new-reno"),
            (Controllers::Cubic, "cubic"),
            (Controllers::Bbr, "bbr"),
            (Controllers::BbrTolerant, "bbr-tolerant"),
        ] {
            let word = controllers.to_possible_value().unwrap();
            assert_eq!(word.get_name(), name);
            let made = ControllerChoice::from(controllers).make(&setup);
            assert_eq!(made.name().replace('_', "-"), name);
        }
        let default = ControllerChoice::from(Controllers::default()).make(&setup);
        assert_eq!(
            default.name(),
            ControllerChoice::default().make(&setup).name()
        );
    }
}
