//! Two endpoints, a scenario, and everything that must hold.
//!
//! Safety is checked after every event: what is read was written, nothing comes twice, nobody
//! holds more than its limits allow. Liveness at the end: once the faults have stopped, everything
//! planned happens within a bound of virtual time and of events, the connection ends as planned,
//! and both endpoints forget it.

use dunlin_transport::{CloseReason, ConnectionHandle, Endpoint, Instant, Side, Stats};

use crate::instruments::Instruments;
use crate::net::Net;
use crate::rng::Rng;
use crate::scenario::{HEALED, Scenario};
use crate::violation::{Failure, Violation};
use crate::watch::{Bounds, Ledger, Moment, Watch};
use crate::workload::{Accepted, Agent, CLOSE_CODE, End, Ending};

/// Patiences for the ends to forget a connection that is over for both applications.
const LINGERS: u32 = 4;

/// What a run was like.
#[derive(Clone, Debug)]
pub struct Report {
    /// Fingerprint of everything that crossed the network.
    pub trace_hash: u64,
    /// Virtual time at which both endpoints were idle.
    pub finished_at: Instant,
    /// Events.
    pub steps: u64,
    /// Datagrams handed to the network.
    pub datagrams: u64,
    /// Counters of both connections as last seen.
    pub stats: [Stats; 2],
    /// Stream bytes read, both directions.
    pub stream_bytes: u64,
    /// Messages received, both directions.
    pub messages: usize,
}

/// Runs `scenario` with the randomness of `seed`.
///
/// # Errors
/// What happened that must not, or did not that must.
pub fn run(scenario: &Scenario, seed: u64) -> Result<Report, Failure> {
    let mut pair = Pair::new(scenario, seed)?;
    while !pair.is_finished() {
        pair.step()?;
    }
    pair.check_ending()?;
    Ok(pair.report())
}

/// A run in progress.
pub struct Pair<'a> {
    scenario: &'a Scenario,
    net: Net<Agent>,
    released: [bool; 2],
    rebound: bool,
    watch: Watch,
    bounds: Bounds,
    stats: [Stats; 2],
}

impl<'a> Pair<'a> {
    /// Both endpoints, their paths, and the SYN on its way.
    ///
    /// # Errors
    /// The first step failed.
    pub fn new(scenario: &'a Scenario, seed: u64) -> Result<Self, Failure> {
        Self::observed(scenario, seed, &mut Instruments::default())
    }

    /// [`Self::new`] under observation.
    ///
    /// # Errors
    /// The first step failed.
    pub fn observed(
        scenario: &'a Scenario,
        seed: u64,
        instruments: &mut Instruments,
    ) -> Result<Self, Failure> {
        let mut rng = Rng::new(seed);
        let mut net = Net::new(rng.split(2));
        let watch = Watch::new(Ledger::new(&scenario.config));
        for (node, side) in [Side::Initiator, Side::Responder].into_iter().enumerate() {
            let config = &scenario.config[node];
            let mut rng = rng.split(node as u64);
            let key_log = instruments.key_log();
            let acceptor = scenario.profile.acceptor_logged(node, &mut rng, key_log);
            let acceptor = (node == 1).then(|| watch.acceptor(node, acceptor));
            let mut endpoint = Endpoint::new(config.clone(), Box::new(rng.split(1)), acceptor);
            instruments.listen(node, &mut endpoint);
            let (own, other) = (
                scenario.plans[node].clone(),
                scenario.plans[1 - node].clone(),
            );
            net.add(endpoint, Agent::new(node, side, own, other));
            if scenario.gathers[node] {
                net.gather(node);
            }
            net.link(node, 1 - node, &scenario.path[node]);
            net.replace_link_at(scenario.heal_at, node, 1 - node, &HEALED);
        }
        instruments.attach(&mut net);
        scenario.apply_faults(&mut net);
        if let Some((node, at)) = scenario.death {
            net.kill_at(at, node);
        }
        let remote = Net::<Agent>::address_of(1);
        let key_log = instruments.key_log();
        let initiator = scenario.profile.initiator_logged((0, 1), &mut rng, key_log);
        let initiator = watch.initiator(0, initiator);
        let connected = net.with(0, |now, endpoint, agent| {
            let connected = endpoint.connect(now, remote, initiator);
            connected.map(|handle| agent.set_connection(handle))
        })?;
        if let Some(Err(error)) = connected {
            let answer = error.to_string();
            return Err(net.failure(Violation::Interface {
                node: 0,
                what: "connect",
                answer,
            }));
        }
        Ok(Self {
            scenario,
            net,
            released: [false; 2],
            rebound: false,
            watch,
            bounds: Bounds::new(&scenario.config),
            stats: [Stats::default(); 2],
        })
    }

    /// The network.
    #[must_use]
    pub const fn net(&self) -> &Net<Agent> {
        &self.net
    }

    fn dead(&self) -> Option<usize> {
        self.scenario
            .death
            .filter(|(_, at)| self.net.now() >= *at)
            .map(|(node, _)| node)
    }

    fn agent(&self, node: usize) -> &Agent {
        self.net
            .app(node)
            .expect("both nodes were added at the start")
    }

    /// Whether both endpoints (the living, if one is dead) have nothing left.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let dead = self.dead();
        // A death that is still to come belongs to the run.
        (self.scenario.death.is_none() || dead.is_some())
            && (0..2).filter(|node| Some(*node) != dead).all(|node| {
                self.net.endpoint(node).is_some_and(Endpoint::is_idle)
                    && (self.released[node] || self.agent(node).connection().is_none())
            })
            && (self.released.contains(&true) || dead.is_some())
    }

    /// One event and the checks after it.
    ///
    /// # Errors
    /// A check failed, or time, steps or events ran out.
    pub fn step(&mut self) -> Result<(), Failure> {
        if let Some(next) = self.net.next_time() {
            self.watch.ledger().set_time(next);
        }
        match self.net.step()? {
            None => return Err(self.unfinished("nothing is left to happen")),
            Some(None) => {}
            Some(Some(node)) => {
                self.check_node(node)
                    .map_err(|violation| self.net.failure(violation))?;
                self.release_if_over(node)?;
                self.rebind_if_due();
            }
        }
        // Who answered a FIN stays for probe timeouts that it may have measured in a full queue.
        let over = [0, 1].map(|node| self.agent(node).close_reason().is_some());
        let lingers = if over == [true; 2] { LINGERS } else { 1 };
        if self.net.now() > self.scenario.heal_at + self.scenario.patience * lingers {
            return Err(self.unfinished("virtual time ran out"));
        }
        if self.net.steps() > self.scenario.steps_max {
            return Err(self.unfinished("too many events"));
        }
        Ok(())
    }

    fn rebind_if_due(&mut self) {
        let connected = self.agent(0).is_connected() && self.agent(1).is_connected();
        if let (Some((node, after)), true, false) = (self.scenario.rebind, connected, self.rebound)
        {
            self.rebound = true;
            let address = Net::<Agent>::address_of(node + 2);
            self.net.rebind_at(self.net.now() + after, node, address);
        }
    }

    fn release_if_over(&mut self, node: usize) -> Result<(), Failure> {
        let agent = self.agent(node);
        if let (false, Some(_), Some(handle)) = (
            self.released[node],
            agent.close_reason(),
            agent.connection(),
        ) {
            self.released[node] = true;
            self.net
                .with(node, |_, endpoint, _| endpoint.release(handle))?;
        }
        Ok(())
    }

    /// What must hold at every moment.
    fn check_node(&mut self, node: usize) -> Result<(), Violation> {
        let (agent, peer) = (self.agent(node), self.agent(1 - node));
        for (id, read) in agent.read() {
            let written = peer.written().get(id).copied().unwrap_or_default();
            let (received, accepted, stream) = (read.received, written.accepted, id.0);
            if received > accepted {
                return Err(Violation::StreamFromNowhere {
                    node,
                    stream,
                    received,
                    accepted,
                });
            }
            let how = match read.end {
                Some(End::Finished) if !written.ended => "before its writer ended it",
                Some(End::Finished) if received < accepted => "before its last byte",
                Some(End::Reset) if !written.ended => "reset, and its writer did not reset it",
                _ => continue,
            };
            return Err(Violation::StreamEnd {
                node,
                stream,
                received,
                how,
            });
        }
        if agent.messages_received() > peer.messages_sent() {
            let message = agent.messages_received() as u64;
            return Err(Violation::Message {
                node,
                message,
                how: "was not sent yet",
            });
        }
        if let Some(reason @ (CloseReason::Violation(_) | CloseReason::TransportReset { .. })) =
            agent.close_reason()
        {
            let (reason, expected) = (Some(reason.clone()), "no protocol violation");
            return Err(Violation::Ending {
                node,
                reason,
                expected,
            });
        }
        self.check_connection(node)
    }

    fn check_connection(&mut self, node: usize) -> Result<(), Violation> {
        let Some(handle) = self.agent(node).connection() else {
            return Ok(());
        };
        let connection = self
            .net
            .endpoint(node)
            .and_then(|endpoint| endpoint.connection(handle));
        let stranger = |peer| !self.scenario.profile.is_peer(peer, 1 - node);
        let peer = connection.and_then(dunlin_transport::Connection::peer);
        if peer.is_some_and(stranger) {
            return Err(Violation::Stranger { node });
        }
        let stats = connection.map(dunlin_transport::Connection::stats);
        self.stats[node] = stats.unwrap_or(self.stats[node]);
        let moment = Moment {
            node,
            now: self.net.now(),
            deadline: self.net.deadline(node),
            rtt_floor: self.scenario.rtt_floor(self.net.now()),
            slack: self.scenario.clock_slack(self.net.now()),
            peer_closed: matches!(
                self.agent(node).close_reason(),
                Some(CloseReason::Peer { .. })
            ),
        };
        self.check_wire(&moment, handle)?;
        stats.map_or(Ok(()), |stats| self.check_held(node, &stats))
    }

    /// What crossed the wire, and the endpoint's figures about it.
    fn check_wire(&mut self, moment: &Moment, handle: ConnectionHandle) -> Result<(), Violation> {
        // Behind a NAT that forgets, each address of the peer opens for itself.
        let one_address = self.scenario.nat.is_none();
        let half_open = self.net.endpoint(1).map_or(0, Endpoint::half_open_count);
        if half_open > 1 && one_address {
            let (node, what) = (1, "half-open handshakes of one peer");
            let (held, limit) = (half_open as u64, 1);
            return Err(Violation::Memory {
                node,
                what,
                held,
                limit,
            });
        }
        let endpoint = self.net.endpoint(moment.node);
        let connection = endpoint.and_then(|endpoint| endpoint.connection(handle));
        let mut ledger = self.watch.ledger();
        self.bounds.check(moment, connection, &mut ledger)
    }

    /// Nobody holds more than its limits, and nothing once everything was read.
    fn check_held(&self, node: usize, stats: &Stats) -> Result<(), Violation> {
        let config = self.scenario.config[node].transport.clone().clamped();
        let longest = self.scenario.plans[node]
            .messages
            .iter()
            .max()
            .copied()
            .unwrap_or(0) as u64;
        for (what, held, limit) in [
            (
                "data that waits for the application",
                stats.bytes_unread,
                if self.agent(node).missing_reads().is_none() {
                    0
                } else {
                    config.receive_window
                },
            ),
            (
                "data that waits for the peer",
                stats.bytes_buffered,
                config.send_buffer.max(longest),
            ),
        ] {
            if held > limit {
                return Err(Violation::Memory {
                    node,
                    what,
                    held,
                    limit,
                });
            }
        }
        Ok(())
    }

    fn unfinished(&self, why: &str) -> Failure {
        let missing = |node: usize| {
            let agent = self.agent(node);
            match (agent.close_reason(), agent.missing()) {
                (Some(reason), _) => format!("closed: {reason}"),
                (None, Some(missing)) => format!("waits for {missing}"),
                (None, None) => "is done".into(),
            }
        };
        let what = format!("{why}; node 0 {}; node 1 {}", missing(0), missing(1));
        self.net.failure(Violation::NotFinished { what })
    }

    /// What must be true of the end.
    pub(crate) fn check_ending(&self) -> Result<(), Failure> {
        self.ending_violation()
            .map_or(Ok(()), |violation| Err(self.net.failure(violation)))
    }

    fn ending_violation(&self) -> Option<Violation> {
        if let Some(dead) = self.dead() {
            let node = 1 - dead;
            let agent = self.agent(node);
            let right = match agent.close_reason() {
                Some(CloseReason::TimedOut) => true,
                Some(CloseReason::HandshakeTimeout { .. }) => !agent.is_connected(),
                None => agent.connection().is_none(),
                _ => false,
            };
            return (!right).then(|| self.wrong_end(node, "a timeout"));
        }
        let plans = self.scenario.plans.iter().enumerate();
        let (node, ending) = plans
            .flat_map(|(node, plan)| Some((node, plan.ending?)))
            .next()?;
        let (closer, peer) = (self.agent(node), self.agent(1 - node));
        if closer.close_reason() != Some(&CloseReason::Local) {
            return Some(self.wrong_end(node, "the local end"));
        }
        match (ending, peer.close_reason()) {
            (
                Ending::AbortAt(_),
                Some(CloseReason::Reset {
                    code: CLOSE_CODE, ..
                }),
            ) => None,
            (Ending::AbortAt(_), Some(CloseReason::TimedOut)) => None,
            // Aborted before the answering side saw the handshake complete.
            (Ending::AbortAt(_), None) if !peer.is_connected() => None,
            (Ending::AbortAt(_), _) => Some(self.wrong_end(1 - node, "a reset")),
            (
                _,
                Some(CloseReason::Peer {
                    code: CLOSE_CODE, ..
                }),
            ) => {
                let accepted = closer.accepted_at_close()?;
                lost_at_close(accepted, peer).or_else(|| {
                    let missing = peer
                        .missing_reads()
                        .filter(|_| ending == Ending::WhenDone)?;
                    Some(Violation::NotFinished { what: missing })
                })
            }
            _ => Some(self.wrong_end(1 - node, "the peer's close")),
        }
    }

    fn wrong_end(&self, node: usize, expected: &'static str) -> Violation {
        Violation::Ending {
            node,
            reason: self.agent(node).close_reason().cloned(),
            expected,
        }
    }

    pub(crate) fn report(&self) -> Report {
        let agents = [self.agent(0), self.agent(1)];
        let reads = agents.iter().flat_map(|agent| agent.read().values());
        Report {
            trace_hash: self.net.trace().hash(),
            finished_at: self.net.now(),
            steps: self.net.steps(),
            datagrams: self.net.datagrams(),
            stats: self.stats,
            stream_bytes: reads.map(|read| read.received).sum(),
            messages: agents.iter().map(|agent| agent.messages_received()).sum(),
        }
    }
}

/// What had been accepted when a graceful close began and did not reach `peer`.
fn lost_at_close(accepted: &Accepted, peer: &Agent) -> Option<Violation> {
    for (id, bytes) in &accepted.streams {
        let read = peer.read().get(id).copied().unwrap_or_default();
        if read.received < *bytes && read.end != Some(End::Stopped) {
            let what = format!("{id:?}: {} of {bytes} bytes arrived", read.received);
            return Some(Violation::LostAtClose { what });
        }
    }
    let received = peer.messages_received();
    (received < accepted.messages).then(|| Violation::LostAtClose {
        what: format!("{received} of {} messages arrived", accepted.messages),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dunlin_transport::StreamDirection;

    use super::*;
    use crate::link::Element;
    use crate::workload::{Fate, StreamPlan};

    fn small_transfer() -> Scenario {
        let mut scenario = Scenario::new(&[Element::delay(Duration::from_millis(25))]);
        scenario.plans[0].streams = vec![StreamPlan {
            direction: StreamDirection::Bidirectional,
            bytes: 100_000,
            answer: 50_000,
            fate: Fate::Finish,
        }];
        scenario.plans[1].messages = vec![0, 1, 5_000];
        scenario
    }

    #[test]
    fn a_clean_path_moves_everything() {
        let report = run(&small_transfer(), 1).unwrap();
        assert_eq!((report.stream_bytes, report.messages), (150_000, 3));
        assert_eq!(report.stats.map(|stats| stats.packets_lost), [0, 0]);
    }

    #[test]
    fn the_checks_can_fail() {
        let mut scenario = small_transfer();
        scenario.patience = Duration::ZERO;
        scenario.heal_at = Instant::ZERO + Duration::from_millis(60);
        let failure = run(&scenario, 1).unwrap_err();
        assert!(
            matches!(failure.violation, Violation::NotFinished { .. }),
            "{failure}"
        );
    }
}
