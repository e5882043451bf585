//! Both carriers at once (after RFC 8305): UDP begins, TCP joins after a head start, and whichever
//! completes the handshake first stays.
//!
//! The peer's application must not meet two connections. It meets one when a confirm message comes,
//! and an initiator sends that when it believes a SYN_ACK. So the two attempts share a [`Gate`], and
//! only the first that has a SYN_ACK to believe may do so; the other one stays in its opening and is
//! dropped there without a word, as if its SYN had been lost.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use super::Carrier;
use super::side::is_final;
use crate::driver::error::ConnectionError;
use crate::protect::{Established, HandshakeError, Initiator};

/// Lets one of two attempts through. A clone is the same gate.
#[derive(Clone, Default)]
pub(in crate::driver) struct Gate(Arc<AtomicU8>);

impl Gate {
    /// `initiator`, held to this gate.
    pub(in crate::driver) fn hold(
        &self,
        carrier: Carrier,
        initiator: Box<dyn Initiator>,
    ) -> Box<dyn Initiator> {
        Box::new(Gated {
            gate: self.clone(),
            carrier,
            initiator,
        })
    }

    /// Whether `carrier` is the first, or was.
    fn admits(&self, carrier: Carrier) -> bool {
        let name = match carrier {
            Carrier::Udp => 1,
            Carrier::Tcp => 2,
        };
        match self
            .0
            .compare_exchange(0, name, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => true,
            Err(first) => first == name,
        }
    }
}

/// An initiator that asks the gate before it believes a SYN_ACK.
struct Gated {
    gate: Gate,
    carrier: Carrier,
    initiator: Box<dyn Initiator>,
}

impl Initiator for Gated {
    fn syn(&mut self, params: &[u8], retry_token: &[u8]) -> Vec<u8> {
        self.initiator.syn(params, retry_token)
    }

    fn on_retry(&self, payload: &[u8]) -> Result<Vec<u8>, HandshakeError> {
        self.initiator.on_retry(payload)
    }

    fn on_syn_ack(&self, payload: &[u8]) -> Result<(Vec<u8>, Established), HandshakeError> {
        let believed = self.initiator.on_syn_ack(payload)?;
        if self.gate.admits(self.carrier) {
            Ok(believed)
        } else {
            Err(HandshakeError::Rejected("another carrier was faster"))
        }
    }
}

/// Runs both attempts, `tcp` after `head_start` or when `udp` has failed before that. The loser is
/// dropped when this returns.
///
/// # Errors
/// The peer's own answer, if there was one; else what became of UDP.
pub(in crate::driver) async fn race<C>(
    udp: impl Future<Output = Result<C, ConnectionError>>,
    tcp: impl Future<Output = Result<C, ConnectionError>>,
    head_start: Duration,
) -> Result<(C, Carrier), ConnectionError> {
    let (mut udp, mut tcp) = (pin!(udp), pin!(tcp));
    let mut waits = pin!(tokio::time::sleep(head_start));
    let mut tcp_runs = head_start.is_zero();
    let (mut udp_error, mut tcp_failed) = (None, false);
    loop {
        tokio::select! {
            biased;
            result = &mut udp, if udp_error.is_none() => match result {
                Ok(connection) => return Ok((connection, Carrier::Udp)),
                Err(error) if is_final(&error) => return Err(error),
                Err(error) => {
                    udp_error = Some(error);
                    tcp_runs = true;
                }
            },
            result = &mut tcp, if tcp_runs && !tcp_failed => match result {
                Ok(connection) => return Ok((connection, Carrier::Tcp)),
                Err(error) if is_final(&error) => return Err(error),
                Err(error) => {
                    tracing::debug!(%error, "the attempt over TCP failed");
                    tcp_failed = true;
                }
            },
            () = &mut waits, if !tcp_runs => tcp_runs = true,
        }
        if let Some(error) = udp_error.take_if(|_| tcp_failed) {
            return Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::CloseReason;
    use crate::plain::{PlainAcceptor, PlainInitiator};
    use crate::protect::{Acceptor, Random, Syn, SynDecision};
    use crate::{Instant, driver::OsRandom};
    use std::future::{pending, ready};
    use std::io::ErrorKind;

    type Attempt = Result<u8, ConnectionError>;

    const SILENCE: ConnectionError = ConnectionError::Closed(CloseReason::HandshakeTimeout {
        peer_speaks_other_version: false,
    });
    const REFUSED: Attempt = Err(ConnectionError::Tcp(ErrorKind::ConnectionRefused));
    const HOUR: Duration = Duration::from_secs(3_600);

    #[tokio::test]
    async fn udp_wins_when_both_are_ready_and_tcp_when_udp_is_silent() {
        let both = race(ready(Ok(1)), ready(Ok(2)), Duration::ZERO).await;
        assert_eq!(both, Ok((1, Carrier::Udp)));
        let silent = race(pending::<Attempt>(), ready(Ok(2)), Duration::ZERO).await;
        assert_eq!(silent, Ok((2, Carrier::Tcp)));
    }

    #[tokio::test(start_paused = true)]
    async fn tcp_joins_after_the_head_start_and_not_before() {
        let head_start = Duration::from_millis(250);
        let silent = || race(pending::<Attempt>(), ready(Ok(2)), head_start);
        let within = |millis| tokio::time::timeout(Duration::from_millis(millis), silent());
        assert!(within(249).await.is_err());
        assert_eq!(within(251).await, Ok(Ok((2, Carrier::Tcp))));
    }

    #[tokio::test(start_paused = true)]
    async fn tcp_joins_at_once_when_udp_fails() {
        let failed = race(ready(Err(SILENCE)), ready(Ok(2)), HOUR);
        let won = tokio::time::timeout(Duration::from_millis(1), failed).await;
        assert_eq!(won, Ok(Ok((2, Carrier::Tcp))));
    }

    #[tokio::test]
    async fn the_peers_own_answer_ends_the_race() {
        let reset = ConnectionError::Closed(CloseReason::Handshake("not you"));
        let ended = race(ready(Err(reset.clone())), pending::<Attempt>(), HOUR).await;
        assert_eq!(ended, Err(reset.clone()));
        let ended = race(
            pending::<Attempt>(),
            ready(Err(reset.clone())),
            Duration::ZERO,
        )
        .await;
        assert_eq!(ended, Err(reset));
    }

    #[tokio::test]
    async fn a_lost_race_tells_what_became_of_udp() {
        let lost = race(ready(Err(SILENCE)), ready(REFUSED), Duration::ZERO).await;
        assert_eq!(lost, Err(SILENCE));
        let tcp_first = race(
            async {
                tokio::task::yield_now().await;
                Err(SILENCE)
            },
            ready(REFUSED),
            Duration::ZERO,
        );
        assert_eq!(tcp_first.await, Err(SILENCE));
    }

    #[test]
    fn the_gate_lets_one_carrier_believe_its_answer() {
        let gate = Gate::default();
        let answered = |carrier| {
            let mut initiator = gate.hold(carrier, Box::new(PlainInitiator::new()));
            let payload = initiator.syn(&[1, 2, 3], &[]);
            let syn = Syn {
                from: ([127, 0, 0, 1], 9).into(),
                payload: &payload,
                under_load: false,
            };
            let random: &mut dyn Random = &mut OsRandom;
            let decision = PlainAcceptor::new().on_syn(Instant::ZERO, &syn, &[4, 5], random);
            let SynDecision::Accept(responder) = decision else {
                panic!("the plain profile accepts everything")
            };
            let answer = responder.syn_ack().to_vec();
            (initiator, answer)
        };
        let (tcp, tcp_answer) = answered(Carrier::Tcp);
        let (udp, udp_answer) = answered(Carrier::Udp);
        assert!(
            tcp.on_syn_ack(&[]).is_err(),
            "garbage does not take the gate"
        );
        assert!(udp.on_syn_ack(&udp_answer).is_ok());
        assert!(tcp.on_syn_ack(&tcp_answer).is_err());
        assert!(udp.on_syn_ack(&udp_answer).is_ok(), "a repeated answer");
    }
}
