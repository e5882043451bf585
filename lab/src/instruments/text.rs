//! What connections do, a line for each thing that happens, for people: time in milliseconds by the
//! node's clock, node, what.
//!
//! A packet is shown as its type and number; what it carries follows. Numbers of loss recovery are
//! left out: [`dunlin_transport::qlog`] has them.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use dunlin_transport::Instant;
use dunlin_transport::trace::{
    ConnectionObserver, ConnectionStart, EndpointEvent, Observer, TraceEvent, TracedPacket,
};

/// Where the lines of all nodes go.
#[derive(Clone)]
pub struct Lines(Arc<Mutex<Box<dyn Write + Send>>>);

impl Lines {
    /// Lines into `out`. An error ends nothing: who closed the other end wants no more.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self(Arc::new(Mutex::new(out)))
    }

    /// Writes what waits.
    pub fn flush(&self) {
        let _ = self.out().flush();
    }

    /// What the endpoint of `node` tells, as lines.
    #[must_use]
    pub fn of(&self, node: usize) -> Box<dyn Observer> {
        Box::new(Teller {
            lines: self.clone(),
            node,
        })
    }

    fn out(&self) -> std::sync::MutexGuard<'_, Box<dyn Write + Send>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self, now: Instant, who: &str, what: &str) {
        let micros = now.as_nanos() / 1_000;
        let (ms, rest) = (micros / 1_000, micros % 1_000);
        let _ = writeln!(self.out(), "{ms:>8}.{rest:03} ms  {who}  {what}");
    }
}

struct Teller {
    lines: Lines,
    node: usize,
}

impl Observer for Teller {
    fn open(
        &mut self,
        now: Instant,
        start: &ConnectionStart,
    ) -> Option<Box<dyn ConnectionObserver>> {
        let who = format!("node {} {:08x}", self.node, start.local_cid.0);
        let what = format!("connection with {} as {:?}", start.remote, start.side);
        self.lines.line(now, &who, &what);
        let lines = self.lines.clone();
        Some(Box::new(ConnectionTeller { lines, who }))
    }

    fn on_endpoint_event(&mut self, now: Instant, event: &EndpointEvent) {
        let who = format!("node {}         ", self.node);
        self.lines.line(now, &who, &format!("{event:?}"));
    }
}

struct ConnectionTeller {
    lines: Lines,
    who: String,
}

impl ConnectionObserver for ConnectionTeller {
    fn on_event(&mut self, now: Instant, event: &TraceEvent<'_>) {
        if let Some(what) = told(event) {
            self.lines.line(now, &self.who, &what);
        }
    }
}

fn told(event: &TraceEvent<'_>) -> Option<String> {
    Some(match event {
        TraceEvent::PacketSent(sent) => format!("sent      {}", packet(sent)),
        TraceEvent::PacketReceived(received) => format!("received  {}", packet(received)),
        TraceEvent::PacketsAcked { numbers, .. } => {
            let (first, last) = (numbers.first, numbers.last);
            format!("acked     #{first} to #{last}")
        }
        TraceEvent::PacketLost {
            number, trigger, ..
        } => format!("lost      #{} by {trigger:?}", number.0),
        TraceEvent::Closed { reason } => format!("closed    {reason}"),
        TraceEvent::StateUpdated { new, .. } => format!("state     {new:?}"),
        TraceEvent::CongestionStateUpdated { new, .. } => format!("phase     {new:?}"),
        TraceEvent::MetricsUpdated { .. }
        | TraceEvent::ParametersSet { .. }
        | TraceEvent::LossTimerUpdated { .. } => return None,
        other => format!("{other:?}"),
    })
}

fn packet(packet: &TracedPacket<'_>) -> String {
    let mut text = format!(
        "{:?} #{}, {} bytes",
        packet.kind(),
        packet.number.0,
        packet.bytes
    );
    if let Some(piece) = packet.stream {
        let end = piece.offset + piece.length;
        let fin = if piece.fin { ", its end" } else { "" };
        let (id, offset) = (piece.id.0, piece.offset);
        text.push_str(&format!(", stream {id} from {offset} to {end}{fin}"));
    }
    if let Some(acked) = packet.largest_acked {
        text.push_str(&format!(", acknowledges #{}", acked.0));
    }
    for frame in packet.frames().flatten() {
        let shown = format!("{frame:?}");
        let name = shown.split([' ', '(', '{']).next().unwrap_or_default();
        if name != "Padding" {
            text.push_str(&format!(", {name}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instruments::Instruments;
    use crate::pair::Pair;
    use crate::scenario::Scenario;

    #[derive(Clone, Default)]
    struct Shown(Arc<Mutex<Vec<u8>>>);

    impl Write for Shown {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_run_tells_what_happened_and_stays_the_same() {
        let scenario = Scenario::from_seed(3);
        let plain = crate::pair::run(&scenario, 3).unwrap();
        let shown = Shown::default();
        let lines = Lines::new(Box::new(shown.clone()));
        let mut instruments = Instruments::default();
        instruments.observe(Box::new(move |node| lines.of(node)));
        let mut pair = Pair::observed(&scenario, 3, &mut instruments).unwrap();
        while !pair.is_finished() {
            pair.step().unwrap();
        }
        assert_eq!(pair.report().trace_hash, plain.trace_hash);
        let text = String::from_utf8(shown.0.lock().unwrap().clone()).unwrap();
        for wanted in ["node 0", "node 1", "sent      Syn #", "received  SynAck #"] {
            assert!(text.contains(wanted), "{wanted} in {text}");
        }
    }
}
