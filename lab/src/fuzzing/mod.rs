//! Endpoints driven by bytes: arbitrary calls, arbitrary treatment of packets.
//!
//! [`connection_pair`] is the body of a fuzz target and of a test that runs on stable. Each byte
//! chooses what happens next: a call at one end, or the fate of the next packet between them.
//! After every operation what was read is compared with what was written. When the bytes are used
//! up faults stop, and what was accepted has to arrive. [`endpoints`] does the same to a server
//! with many connections among strangers, [`event_queue`] to the queue of events.

mod drive;
mod end;
mod endpoints;
mod pair;
mod queue;

pub use endpoints::endpoints;
pub use pair::connection_pair;
pub use queue::event_queue;

/// The bytes of a run, from the first.
struct Input<'a> {
    bytes: std::slice::Iter<'a, u8>,
}

impl Input<'_> {
    fn next(&mut self) -> Option<u8> {
        self.bytes.next().copied()
    }

    /// The next byte; 0 at the end.
    fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    /// A length that is often small and sometimes large.
    fn length(&mut self) -> usize {
        let byte = usize::from(self.byte());
        if byte < 200 {
            byte
        } else {
            (byte - 199) * 1_000
        }
    }
}

#[cfg(test)]
mod tests {
    use dunlin_transport::protect::Random;

    use super::*;
    use crate::rng::Rng;

    #[test]
    fn arbitrary_operations_keep_every_promise() {
        for seed in crate::seed::seeds(400) {
            let _guard = crate::seed::SeedGuard::new("arbitrary_operations", seed);
            let mut rng = Rng::new(seed);
            let mut data = vec![0; usize::try_from(rng.between(0, 1_500)).unwrap()];
            rng.fill(&mut data);
            connection_pair(&data);
        }
    }

    fn seeded(seed: u64, longest: u64) -> Vec<u8> {
        let mut rng = Rng::new(seed);
        let mut data = vec![0; usize::try_from(rng.between(0, longest)).unwrap()];
        rng.fill(&mut data);
        data
    }

    #[test]
    fn the_queue_agrees_with_a_sorted_list() {
        for seed in 0..200 {
            event_queue(&seeded(seed, 600));
        }
    }

    #[test]
    fn arbitrary_operations_among_strangers_keep_every_promise() {
        for seed in crate::seed::seeds(150) {
            let _guard = crate::seed::SeedGuard::new("among_strangers", seed);
            endpoints(&seeded(seed, 600));
        }
    }

    #[test]
    fn no_input_is_too_short() {
        endpoints(&[]);
        endpoints(&[0xff; 64]);
        event_queue(&[]);
        connection_pair(&[]);
        connection_pair(&[0]);
        connection_pair(&[0xff; 64]);
    }
}
