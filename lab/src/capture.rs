//! Captures of simulated networks: what crosses the border between endpoints and network, with
//! virtual time, for Wireshark.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use dunlin_transport::Instant;
use dunlin_transport::pcapng::{Captured, Interface, PcapNg};
use dunlin_transport::protect::Flow;

use crate::link::Datagram;
use crate::trace::Record;

/// Sees every datagram of a [`crate::net::Net`]; changes nothing, and nobody notices it.
pub trait Tap: Send {
    /// Node `node` has sent `datagram`, or got it.
    fn on_datagram(&mut self, now: Instant, record: Record, node: usize, datagram: &Datagram);
}

/// Where a capture is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vantage {
    /// At every node's exit: each datagram once, whatever becomes of it on the way.
    Sent,
    /// At one node: what it sends and what it gets, as a capture on that machine would show.
    Node(usize),
}

/// Writes a capture in pcap-ng. Virtual time begins at 1970-01-01.
pub struct PcapTap<W: Write> {
    vantage: Vantage,
    capture: Option<PcapNg<W>>,
    interface: Interface,
    problem: Problem,
}

/// What went wrong while a capture was written, if anything: the first error ended it.
#[derive(Clone, Debug, Default)]
pub struct Problem(Arc<Mutex<Option<io::Error>>>);

impl Problem {
    /// Takes the error.
    #[must_use]
    pub fn take(&self) -> Option<io::Error> {
        let mut error = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        error.take()
    }
}

impl<W: Write> PcapTap<W> {
    /// A capture into `out`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(out: W, vantage: Vantage) -> io::Result<Self> {
        let mut capture = PcapNg::new(out)?;
        let interface = match vantage {
            Vantage::Sent => capture.add_interface("simulation")?,
            Vantage::Node(node) => capture.add_interface(&format!("node {node}"))?,
        };
        Ok(Self {
            vantage,
            capture: Some(capture),
            interface,
            problem: Problem::default(),
        })
    }

    /// Where an error will be found.
    #[must_use]
    pub fn problem(&self) -> Problem {
        self.problem.clone()
    }
}

impl<W: Write + Send> Tap for PcapTap<W> {
    fn on_datagram(&mut self, now: Instant, record: Record, node: usize, datagram: &Datagram) {
        let wanted = match self.vantage {
            Vantage::Sent => record == Record::Sent,
            Vantage::Node(here) => here == node,
        };
        let Some(capture) = self.capture.as_mut().filter(|_| wanted) else {
            return;
        };
        let captured = Captured {
            at_nanos: now.as_nanos(),
            flow: match record {
                Record::Sent => Flow::Outgoing,
                Record::Delivered => Flow::Incoming,
            },
            from: datagram.from,
            to: datagram.to,
            ecn: datagram.ecn,
            payload: &datagram.bytes,
        };
        if let Err(error) = capture.write(self.interface, &captured) {
            self.capture = None;
            let mut first = self
                .problem
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert(error);
        }
    }
}

impl<W: Write> Drop for PcapTap<W> {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.capture.as_mut().map(PcapNg::flush) {
            let mut first = self
                .problem
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram() -> Datagram {
        Datagram {
            bytes: vec![1; 40].into(),
            ecn: None,
            from: ([10, 0, 0, 1], 4_433).into(),
            to: ([10, 0, 0, 2], 4_433).into(),
        }
    }

    /// A writer that shows how much it got, and fails after so many bytes.
    #[derive(Clone, Default)]
    struct Shown(Arc<Mutex<usize>>, Option<usize>);

    impl Write for Shown {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut written = self.0.lock().unwrap();
            if self.1.is_some_and(|most| *written + bytes.len() > most) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            *written += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_vantage_sees_what_belongs_to_it() {
        let seen = |vantage| {
            let shown = Shown::default();
            let mut tap = PcapTap::new(shown.clone(), vantage).unwrap();
            let empty = *shown.0.lock().unwrap();
            for (record, node) in [
                (Record::Sent, 0),
                (Record::Delivered, 1),
                (Record::Sent, 1),
                (Record::Delivered, 0),
                (Record::Sent, 0),
            ] {
                tap.on_datagram(Instant::ZERO, record, node, &datagram());
            }
            let written = *shown.0.lock().unwrap() - empty;
            // Block, IP and UDP headers, 40 bytes, options.
            written / (32 + 28 + 40 + 12)
        };
        assert_eq!(seen(Vantage::Sent), 3);
        assert_eq!(seen(Vantage::Node(0)), 3);
        assert_eq!(seen(Vantage::Node(1)), 2);
        assert_eq!(seen(Vantage::Node(2)), 0);
    }

    #[test]
    fn an_error_ends_the_capture_and_is_kept() {
        let shown = Shown(Arc::default(), Some(300));
        let mut tap = PcapTap::new(shown, Vantage::Sent).unwrap();
        let problem = tap.problem();
        for _ in 0..10 {
            tap.on_datagram(Instant::ZERO, Record::Sent, 0, &datagram());
        }
        let error = problem.take().expect("the writer failed");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(problem.take().is_none());
    }
}
