//! Tests of whole links; parts have theirs beside them.

use super::*;
use crate::rng::Ppm;

const MS: Duration = Duration::from_millis(1);

/// When datagrams of `length` bytes, one entering each `gap`, come out: (index, when).
fn run(elements: &[Element], count: u8, length: usize, gap: Duration) -> Vec<(u8, Duration)> {
    let mut link = Link::new(elements, Rng::new(5));
    let out = drive(&mut link, count, length, gap, None);
    out.into_iter()
        .map(|(at, datagram)| (datagram.bytes[0], at))
        .collect()
}

fn datagram(bytes: Vec<u8>, ecn: Option<EcnMark>) -> Box<Datagram> {
    Box::new(Datagram {
        bytes: bytes.into(),
        ecn,
        from: "10.0.0.1:1".parse().unwrap(),
        to: "10.0.0.2:1".parse().unwrap(),
    })
}

enum Event {
    Enter(Box<Datagram>),
    Hop(Hop),
    Wake(Wake),
}

/// Sends `count` datagrams over `link`; what came out, and when.
fn drive(
    link: &mut Link,
    count: u8,
    length: usize,
    gap: Duration,
    ecn: Option<EcnMark>,
) -> Vec<(Duration, Box<Datagram>)> {
    let mut scheduler = crate::scheduler::Scheduler::new();
    for index in 0..count {
        let mut bytes = vec![0; length];
        bytes[0] = index;
        let at = Instant::ZERO + gap * u32::from(index);
        scheduler.schedule(at, Event::Enter(datagram(bytes, ecn)));
    }
    let mut out = Vec::new();
    let mut onward = Onward::default();
    while let Some((at, event)) = scheduler.pop() {
        match event {
            Event::Enter(datagram) => link.enter(at, datagram, &mut onward),
            Event::Hop(hop) => {
                let since = at.saturating_duration_since(Instant::ZERO);
                out.extend(
                    link.advance(hop, &mut onward)
                        .map(|datagram| (since, datagram)),
                );
            }
            Event::Wake(wake) => link.on_wake(wake, &mut onward),
        }
        for hop in onward.hops.drain(..) {
            scheduler.schedule(hop.at, Event::Hop(hop));
        }
        for wake in onward.wakes.drain(..) {
            scheduler.schedule(wake.at, Event::Wake(wake));
        }
    }
    out
}

#[test]
fn a_fixed_delay_is_exact() {
    assert_eq!(
        run(&[Element::delay(7 * MS)], 2, 9, MS),
        [(0, 7 * MS), (1, 8 * MS)]
    );
}

#[test]
fn a_bottleneck_spaces_datagrams_and_drops_what_does_not_fit_its_queue() {
    // 1,000 bytes with headers at 8 Mbit/s: one each millisecond; three fit the queue.
    let rate = Element::Rate {
        bits_per_second: 8_000_000,
        queue_bytes: 3_000,
    };
    let out = run(std::slice::from_ref(&rate), 5, 972, Duration::ZERO);
    assert_eq!(out, [(0, MS), (1, 2 * MS), (2, 3 * MS)]);
    // Behind a delay it works on arrivals, not on departures.
    let out = run(&[Element::delay(5 * MS), rate], 2, 972, 2 * MS);
    assert_eq!(out, [(0, 6 * MS), (1, 8 * MS)]);
}

#[test]
fn loss_and_duplication_happen_as_often_as_asked() {
    let lost = 200 - run(&[Element::Loss(Ppm::percent(50))], 200, 9, MS).len();
    assert!((70..130).contains(&lost), "{lost}");
    assert!(run(&[Element::Loss(Ppm::ALWAYS)], 9, 9, MS).is_empty());
    assert_eq!(run(&[Element::Duplicate(Ppm::ALWAYS)], 9, 9, MS).len(), 18);
    let twice = [
        Element::Duplicate(Ppm::ALWAYS),
        Element::Duplicate(Ppm::ALWAYS),
    ];
    assert_eq!(run(&twice, 9, 9, MS).len(), 36);
}

#[test]
fn reordering_lets_later_ones_overtake() {
    let chance = Ppm::percent(30);
    let out = run(
        &[Element::Reorder {
            chance,
            extra: 5 * MS,
        }],
        50,
        9,
        MS,
    );
    assert_eq!(out.len(), 50);
    assert!(!out.is_sorted_by_key(|(index, _)| *index));
}

#[test]
fn jitter_keeps_the_order_when_told_to() {
    let element = |in_order| Element::Delay {
        fixed: MS,
        jitter: 20 * MS,
        in_order,
    };
    assert!(run(&[element(true)], 50, 9, MS).is_sorted_by_key(|(index, _)| *index));
    assert!(!run(&[element(false)], 50, 9, MS).is_sorted_by_key(|(index, _)| *index));
}

#[test]
fn long_datagrams_vanish_at_the_mtu() {
    assert_eq!(run(&[Element::Mtu(100)], 1, 100, MS).len(), 1);
    assert_eq!(run(&[Element::Mtu(100)], 1, 101, MS).len(), 0);
}

#[test]
fn corruption_changes_bytes_but_not_the_length() {
    let mut rng = Rng::new(1);
    for _ in 0..100 {
        let mut bytes = vec![0; 40];
        corrupt(&mut bytes, &mut rng);
        assert_eq!(bytes.len(), 40);
    }
    let mut changed = vec![0; 40];
    corrupt(&mut changed, &mut Rng::new(2));
    assert_ne!(changed, vec![0; 40]);
    corrupt(&mut [], &mut rng);
}

/// 1,000 bytes with headers at 8 Mbit/s: one each millisecond.
const RATE: u64 = 8_000_000;
const LENGTH: usize = 972;

#[test]
fn a_served_drop_tail_queue_is_the_same_as_the_computed_one() {
    let fast = Element::Rate {
        bits_per_second: RATE,
        queue_bytes: 30_000,
    };
    // The one on the wire does not count here.
    let served = Element::bottleneck(RATE, Queue::DropTail(DropTail::new(29_000)));
    let path = |element: &Element| [Element::delay(3 * MS), element.clone(), Element::delay(MS)];
    // Gaps after which no datagram is half sent: the computed one counts the rest of it.
    for gap in [Duration::ZERO, MS, 2 * MS] {
        let all = run(&path(&fast), 100, LENGTH, gap);
        assert_eq!(run(&path(&served), 100, LENGTH, gap), all, "{gap:?}");
        assert_eq!(all.len() < 100, gap < MS, "{gap:?}");
    }
}

#[test]
fn codel_lets_a_burst_pass_and_drops_from_a_standing_queue_only() {
    let path = [Element::bottleneck(RATE, Queue::CoDel(CoDel::default()))];
    // A burst of 80 ms drains within an interval of 100 ms.
    assert_eq!(run(&path, 80, LENGTH, Duration::ZERO).len(), 80);
    // A fifth more than the rate for 200 ms: the queue stands above 5 ms for longer than 100.
    let mut link = Link::new(&path, Rng::new(1));
    let out = drive(&mut link, 240, LENGTH, MS * 5 / 6, None);
    let early = link.stats().queue_early;
    assert!((1..20).contains(&early), "{early}");
    assert_eq!(out.len() as u64 + early, 240);
    // ECN-capable ones are marked instead, and all arrive.
    let mut link = Link::new(&path, Rng::new(1));
    let out = drive(&mut link, 240, LENGTH, MS * 5 / 6, Some(EcnMark::Ect0));
    let marked = out
        .iter()
        .filter(|(_, datagram)| datagram.ecn == Some(EcnMark::Ce))
        .count();
    assert_eq!(out.len(), 240);
    assert_eq!(
        (link.stats().marked, link.stats().queue_early),
        (marked as u64, 0)
    );
    assert!(marked > 0);
}

#[test]
fn codel_drops_follow_the_square_root_law() {
    // All at once: the queue stands for a quarter of a second. With an interval of 20 ms the first
    // drop comes 20 ms after the first that waited 5 ms, the one after the n-th 20 ms / sqrt(n)
    // later: at 25, 45, 59.1, 70.7, 80.7, 89.6, 97.8 ms.
    let queue = CoDel {
        ecn: false,
        interval: 20 * MS,
        ..CoDel::default()
    };
    let path = [Element::bottleneck(RATE, Queue::CoDel(queue))];
    let out = run(&path, 250, LENGTH, Duration::ZERO);
    let missing = (0..250_u8).filter(|index| !out.iter().any(|(sent, _)| sent == index));
    // One is sent each millisecond; those dropped before took no time.
    let times: Vec<_> = missing
        .enumerate()
        .map(|(before, index)| usize::from(index) - before)
        .collect();
    assert_eq!(times[..7], [25, 45, 60, 71, 81, 90, 98]);
}

#[test]
fn dual_pi2_keeps_l4s_short_and_marks_it_and_leaves_the_classic_queue_its_share() {
    let path = [Element::bottleneck(
        RATE,
        Queue::DualPi2(DualPi2::default()),
    )];
    let overload = |ecn| {
        let mut link = Link::new(&path, Rng::new(1));
        let out = drive(&mut link, 250, LENGTH, MS * 5 / 6, ecn);
        (out, link.stats())
    };
    // L4S: everything over a millisecond is marked, nothing dropped.
    let (out, stats) = overload(Some(EcnMark::Ect1));
    assert_eq!((out.len(), stats.queue_early), (250, 0));
    assert!(stats.marked > 150, "{stats:?}");
    // Classic without ECN: dropped now and then, and rarely.
    let (out, stats) = overload(None);
    assert_eq!(stats.marked, 0);
    assert!((1..30).contains(&stats.queue_early), "{stats:?}");
    assert_eq!(out.len() as u64, 250 - stats.queue_early);
    // Classic with ECN: as rarely, and marked.
    let (out, stats) = overload(Some(EcnMark::Ect0));
    assert_eq!((out.len(), stats.queue_early), (250, 0));
    assert!((1..30).contains(&stats.marked), "{stats:?}");
}

#[test]
fn ecn_is_marked_above_a_threshold_and_bleached() {
    let queue = DropTail {
        bytes: 100_000,
        mark_above: Some(5_000),
    };
    let mut link = Link::new(
        &[Element::bottleneck(RATE, Queue::DropTail(queue))],
        Rng::new(1),
    );
    let out = drive(&mut link, 10, LENGTH, Duration::ZERO, Some(EcnMark::Ect0));
    // One on the wire, six wait with up to five before them: the rest found more.
    let marks: Vec<_> = out
        .iter()
        .map(|(_, datagram)| datagram.ecn == Some(EcnMark::Ce))
        .collect();
    assert_eq!(
        marks,
        [
            false, false, false, false, false, false, false, true, true, true
        ]
    );
    for ecn in [
        None,
        Some(EcnMark::Ect0),
        Some(EcnMark::Ect1),
        Some(EcnMark::Ce),
    ] {
        let after = |element| {
            let mut link = Link::new(&[element], Rng::new(1));
            let out = drive(&mut link, 1, 9, MS, ecn);
            (out[0].1.ecn, link.stats().marked, link.stats().bleached)
        };
        let capable = matches!(ecn, Some(EcnMark::Ect0 | EcnMark::Ect1));
        let marked = ecn.map(|_| EcnMark::Ce);
        assert_eq!(
            after(Element::EcnMark(Ppm::ALWAYS)),
            (marked, u64::from(capable), 0)
        );
        let bleached = u64::from(ecn.is_some());
        assert_eq!(after(Element::EcnBleach(Ppm::ALWAYS)), (None, 0, bleached));
    }
}

#[test]
fn blackouts_and_policers_drop_and_count() {
    let dark = Blackout::Periodic(Periodic {
        first: 10 * MS,
        length: 5 * MS,
        every: 20 * MS,
    });
    // It counts when a datagram gets there, not when it was sent.
    let mut link = Link::new(
        &[Element::delay(5 * MS), Element::Blackout(dark)],
        Rng::new(1),
    );
    let out = drive(&mut link, 20, 9, MS, None);
    let indices: Vec<_> = out.iter().map(|(_, datagram)| datagram.bytes[0]).collect();
    assert_eq!(
        indices,
        [(0..5).collect::<Vec<_>>(), (10..20).collect()].concat()
    );
    assert_eq!(link.stats().blacked_out, 5);
    let policer = Element::Policer {
        bits_per_second: RATE / 2,
        burst_bytes: 4_000,
    };
    let mut link = Link::new(&[policer], Rng::new(1));
    let out = drive(&mut link, 104, LENGTH, MS, None);
    assert!((54..=57).contains(&out.len()), "{}", out.len());
    assert_eq!(link.stats().policed, 104 - out.len() as u64);
}

#[test]
fn a_router_with_icmp_tells_the_sender_after_the_way_back() {
    let mut link = Link::new(
        &[Element::delay(7 * MS), Element::MtuWithIcmp(500)],
        Rng::new(1),
    );
    let (from, to) = ("10.0.0.1:1".parse().unwrap(), "10.0.0.2:1".parse().unwrap());
    let mut onward = Onward::default();
    for length in [500, 501] {
        let datagram = datagram(vec![0; length], None);
        link.enter(Instant::ZERO + MS, datagram, &mut onward);
    }
    assert_eq!(onward.hops.len(), 1);
    let notice = TooBig {
        at: Instant::ZERO + 15 * MS,
        to: from,
        destination: to,
        mtu: 500,
    };
    assert_eq!(onward.notices, [notice]);
    assert_eq!((link.stats().too_long, link.stats().too_big_told), (1, 1));
}

#[test]
fn a_replaced_path_finishes_what_is_on_it() {
    let mut link = Link::new(
        &[
            Element::delay(20 * MS),
            Element::bottleneck(RATE, Queue::CoDel(CoDel::default())),
        ],
        Rng::new(1),
    );
    let mut onward = Onward::default();
    let datagram = datagram(vec![0; LENGTH], None);
    for _ in 0..2 {
        link.enter(Instant::ZERO, datagram.clone(), &mut onward);
    }
    link.replace(&[Element::delay(MS)]);
    link.enter(Instant::ZERO, datagram, &mut onward);
    let mut out = Vec::new();
    while !(onward.hops.is_empty() && onward.wakes.is_empty()) {
        onward.hops.sort_by_key(|hop| std::cmp::Reverse(hop.at));
        let next = onward
            .hops
            .pop()
            .expect("a wake comes with the hop before it");
        let at = next.at;
        if link.advance(next, &mut onward).is_some() {
            out.push(at.saturating_duration_since(Instant::ZERO));
        }
        for wake in std::mem::take(&mut onward.wakes) {
            if onward
                .hops
                .iter()
                .all(|hop| hop.at > wake.at || hop.position == 2)
            {
                link.on_wake(wake, &mut onward);
            } else {
                onward.wakes.push(wake);
            }
        }
    }
    assert_eq!(out, [MS, 21 * MS, 22 * MS]);
    assert!(link.old.is_empty());
}

#[test]
fn a_link_tells_what_waits_on_it() {
    let served = Element::bottleneck(RATE, Queue::DropTail(DropTail::new(100_000)));
    let fast = Element::Rate {
        bits_per_second: RATE,
        queue_bytes: 100_000,
    };
    for element in [fast, served] {
        let mut link = Link::new(&[element], Rng::new(1));
        let mut onward = Onward::default();
        assert_eq!(link.backlog(Instant::ZERO), Backlog::default());
        for _ in 0..3 {
            let datagram = datagram(vec![0; LENGTH], None);
            link.enter(Instant::ZERO, datagram, &mut onward);
        }
        let backlog = link.backlog(Instant::ZERO);
        assert_eq!((backlog.bytes, backlog.wait), (3_000, 3 * MS));
    }
}
