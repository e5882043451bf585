//! Evidence in plain words, for logs, the audit trail and the CLI. The words are for people; programs
//! compare the values.

use core::fmt::{Display, Formatter, Result};

use super::evidence::{Component, Evidence, Interaction};

impl Display for Component {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(self.name())
    }
}

impl Display for Interaction {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Availability => "availability",
            Self::Response => "responses",
            Self::Message => "messages",
            Self::Consensus => "consensus",
            Self::Relay => "relaying",
        })
    }
}

impl Display for Evidence {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Answered(rtt) => {
                let micros = rtt.as_micros();
                let (millis, tenths) = (micros / 1_000, micros % 1_000 / 100);
                write!(
                    f,
                    "it answered a ping; round trips take {millis}.{tenths} ms"
                )
            }
            Self::Unanswered => f.write_str("it did not answer a ping in time"),
            Self::Silent => f.write_str("it fell silent"),
            Self::LinkLost(cause) => write!(f, "its link ended without a goodbye: {cause}"),
            Self::ValidBroadcast => f.write_str("it brought a valid broadcast"),
            Self::Violation(violation) => write!(f, "it {violation}"),
            Self::SignedInvalid(id) => {
                write!(f, "it signed broadcast {id}, which the application rejects")
            }
            &Self::Relay {
                brought,
                withheld,
                broken,
                mute,
            } => write_relay(f, [brought, withheld, broken, mute]),
            Self::Reported {
                interaction,
                success,
                severity,
            } => {
                let verdict = if *success { "good" } else { "bad" };
                write!(
                    f,
                    "the application reports {verdict} {interaction}, severity {severity} of 100"
                )
            }
        }
    }
}

/// What a peer did when it was relied upon, without what did not happen.
fn write_relay(f: &mut Formatter<'_>, counts: [u32; 4]) -> Result {
    let words = [
        "brought",
        "not pushed as a parent",
        "announced and not brought",
        "times mute",
    ];
    f.write_str("broadcasts that it was relied upon for:")?;
    let mut separator = " ";
    for (count, words) in counts.into_iter().zip(words) {
        if count > 0 {
            write!(f, "{separator}{count} {words}")?;
            separator = ", ";
        }
    }
    if separator == " " {
        f.write_str(" none")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::error::{DecodeError, PeerViolation};
    use crate::event::LinkEndCause;
    use crate::types::BroadcastId;

    #[test]
    fn evidence_reads_as_a_sentence_about_the_peer() {
        let id = BroadcastId::of_body(b"x");
        let relay = |brought, withheld, broken, mute| Evidence::Relay {
            brought,
            withheld,
            broken,
            mute,
        };
        let violation = PeerViolation::Malformed(DecodeError::TrailingBytes);
        let sentences = [
            (
                Evidence::Answered(Duration::from_micros(12_345)),
                "it answered a ping; round trips take 12.3 ms".to_owned(),
            ),
            (
                Evidence::LinkLost(LinkEndCause::TimedOut),
                "its link ended without a goodbye: nothing came for too long".to_owned(),
            ),
            (
                Evidence::Violation(violation),
                "it sent a message that does not decode: bytes follow the message".to_owned(),
            ),
            (
                Evidence::SignedInvalid(id),
                format!("it signed broadcast {id}, which the application rejects"),
            ),
            (
                relay(9, 0, 1, 0),
                "broadcasts that it was relied upon for: 9 brought, 1 announced and not brought"
                    .to_owned(),
            ),
            (
                relay(0, 0, 0, 0),
                "broadcasts that it was relied upon for: none".to_owned(),
            ),
            (
                Evidence::Reported {
                    interaction: Interaction::Consensus,
                    success: false,
                    severity: 40,
                },
                "the application reports bad consensus, severity 40 of 100".to_owned(),
            ),
        ];
        for (evidence, sentence) in sentences {
            assert_eq!(evidence.to_string(), sentence);
        }
        let names = Component::ALL.map(|component| component.to_string());
        assert_eq!(names, Component::ALL.map(Component::name));
    }
}
