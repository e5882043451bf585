use super::*;
use proptest::prelude::*;

/// A search, the number of the next packet, and the time.
struct Run {
    search: MtuSearch,
    next: u64,
    now: Instant,
    probes: u32,
}

impl Run {
    fn new(base: usize, ceiling: usize) -> Self {
        Self {
            search: MtuSearch::new(base, ceiling),
            next: 0,
            now: Instant::ZERO,
            probes: 0,
        }
    }

    fn number(&mut self) -> PacketNumber {
        self.next += 1;
        PacketNumber(self.next)
    }

    /// Sends one packet of `size` bytes.
    fn send(&mut self, size: usize, arrives: bool) -> Option<Change> {
        let number = self.number();
        if size == self.search.current() {
            self.search.on_full_packets(1);
        }
        if arrives {
            self.search.on_acked(number, size)
        } else {
            self.search.on_lost(number, size).1
        }
    }

    /// Full packets and probes over a path that carries `path` bytes, until the search ends.
    fn search(&mut self, path: usize) {
        for _ in 0..10_000 {
            self.send(self.search.current(), true);
            if let Some(size) = self.search.poll_probe(self.now) {
                let number = self.number();
                self.search.on_probe_sent(number, size);
                self.probes += 1;
                if size <= path {
                    assert_eq!(
                        self.search.on_acked(number, size),
                        Some(Change::Raised(size))
                    );
                } else {
                    assert_eq!(self.search.on_lost(number, size), (true, None));
                }
            }
            if self.search.is_finished() {
                return;
            }
        }
        panic!("the search does not end: {:?}", self.search);
    }
}

#[test]
fn usual_paths_are_found_exactly_with_a_handful_of_probes() {
    for (path, ceiling, probes) in [
        (1_472, 1_472, 3),
        (1_452, 65_507, 34),
        (8_972, 65_507, 40),
        (65_507, 65_507, 8),
        (65_487, 65_507, 16),
        (1_344, 1_472, 16),
    ] {
        let mut run = Run::new(1_344, ceiling);
        run.search(path);
        let found = run.search.current();
        assert!(
            found <= path && path - found < RESOLUTION,
            "{found} of {path}"
        );
        assert!(run.probes <= probes, "{} probes for {path}", run.probes);
    }
}

#[test]
fn one_lost_probe_proves_nothing_three_do() {
    let mut run = Run::new(1_344, 1_472);
    for expected in [1_404, 1_404, 1_404, 1_374] {
        for _ in 0..PACKETS_BETWEEN_PROBES {
            assert_eq!(run.search.poll_probe(run.now), None);
            run.send(1_344, true);
        }
        let size = run.search.poll_probe(run.now).unwrap();
        assert_eq!(size, expected);
        let number = run.number();
        run.search.on_probe_sent(number, size);
        assert_eq!(run.search.poll_probe(run.now), None, "one at a time");
        run.search.on_lost(number, size);
    }
}

#[test]
fn the_search_begins_again_after_ten_minutes() {
    let mut run = Run::new(1_344, 1_472);
    run.search(1_344);
    run.send(1_344, true);
    assert_eq!(run.search.poll_probe(run.now), None);
    run.now = run.now + RAISE_TIME;
    run.search.on_full_packets(1);
    for _ in 0..PACKETS_BETWEEN_PROBES {
        run.send(1_344, true);
    }
    assert_eq!(run.search.poll_probe(run.now), Some(1_404));
}

#[test]
fn a_black_hole_is_noticed_after_three_contrasts() {
    let mut run = Run::new(1_344, 1_472);
    run.search(1_472);
    let mut seen = 0;
    for round in 1..=3 {
        for _ in 0..10 {
            assert_eq!(run.send(1_472, false), None);
        }
        seen = round;
        if run.send(1_200, true) == Some(Change::Fallen(1_344)) {
            break;
        }
        assert!(round < 3, "not noticed");
    }
    assert_eq!(seen, 3);
    assert_eq!(run.search.current(), 1_344);
}

#[test]
fn losses_declared_after_the_small_packet_arrived_count_as_well() {
    let mut run = Run::new(1_344, 1_472);
    run.search(1_472);
    let mut change = None;
    for _ in 0..3 {
        let large: [PacketNumber; 4] = core::array::from_fn(|_| run.number());
        let small = run.number();
        assert_eq!(run.search.on_acked(small, 900), None);
        for number in large {
            change = change.or(run.search.on_lost(number, 1_472).1);
        }
    }
    assert_eq!(change, Some(Change::Fallen(1_344)));
}

#[test]
fn an_outage_that_takes_everything_is_no_black_hole() {
    let mut run = Run::new(1_344, 1_472);
    run.search(1_472);
    for _ in 0..1_000 {
        assert_eq!(run.send(1_472, false), None);
        assert_eq!(run.send(100, false), None);
    }
    assert_eq!(run.send(100, true), None);
    assert_eq!(run.send(1_472, true), None);
    assert_eq!(run.search.current(), 1_472);
}

#[test]
fn the_run_that_is_needed_follows_the_loss() {
    let needed = |percent: u64| {
        let mut search = MtuSearch::new(1_344, 1_472);
        search.loss = WHOLE * percent / 100;
        search.run_needed()
    };
    assert_eq!([0, 1, 5, 20, 50, 90].map(needed), [5, 5, 7, 13, 30, 30]);
}

#[test]
fn random_loss_of_a_fifth_never_shrinks_the_packets() {
    // A generator of its own, so that the test is the same everywhere.
    let mut state = 1_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % 100
    };
    for percent in [5, 10, 20] {
        let mut run = Run::new(1_344, 1_472);
        run.search(1_472);
        for packet in 0..200_000 {
            let size = if packet % 3 == 0 { 200 } else { 1_472 };
            let arrives = random() >= percent;
            assert_eq!(
                run.send(size, arrives),
                None,
                "{percent} %, packet {packet}"
            );
        }
    }
}

proptest! {
    #[test]
    fn a_run_counts_as_its_packets_one_by_one(
        steps in proptest::collection::vec((any::<bool>(), any::<bool>(), 1_u64..=64), 1..60),
    ) {
        let mut together = MtuSearch::new(1_200, 1_472);
        together.on_probe_sent(PacketNumber(0), 1_472);
        together.on_acked(PacketNumber(0), 1_472);
        let mut one_by_one = together.clone();
        let mut next = PacketNumber(1);
        for (is_large, arrives, count) in steps {
            let size = if is_large { together.current() } else { 1_000 };
            let numbers = (next.0..next.0 + count).map(PacketNumber);
            if arrives {
                let changes = numbers.filter_map(|number| one_by_one.on_acked(number, size));
                let change = changes.last();
                prop_assert_eq!(together.on_run_acked(next, count, size), change);
            } else {
                for number in numbers {
                    prop_assert_eq!(
                        together.on_lost(number, size),
                        one_by_one.on_lost(number, size)
                    );
                }
            }
            prop_assert_eq!(alloc::format!("{:?}", together), alloc::format!("{:?}", one_by_one));
            next = PacketNumber(next.0 + count);
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_size_stays_between_base_and_ceiling(
        base in 1_200_usize..9_000,
        more in 0_usize..60_000,
        steps in proptest::collection::vec((0u8..5, any::<bool>()), 0..400),
    ) {
        let ceiling = base + more;
        let mut run = Run::new(base, ceiling);
        for (kind, arrives) in steps {
            match kind {
                0 => { run.send(base, arrives); }
                1 => { run.send(run.search.current(), arrives); }
                2 => for _ in 0..PACKETS_BETWEEN_PROBES { run.search.on_full_packets(1); },
                3 => run.now = run.now + RAISE_TIME,
                _ => if let Some(size) = run.search.poll_probe(run.now) {
                    prop_assert!(size > run.search.current() && size <= ceiling);
                    let number = run.number();
                    run.search.on_probe_sent(number, size);
                    if arrives {
                        run.search.on_acked(number, size);
                    } else {
                        run.search.on_lost(number, size);
                    }
                },
            }
            prop_assert!((base..=ceiling).contains(&run.search.current()));
        }
    }
}
