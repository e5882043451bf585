use alloc::boxed::Box;
use alloc::vec::Vec;

use super::super::testing::at;
use super::super::testing_path::Path;
use super::*;
use crate::send::loss::DeclaredLost;
use crate::send::rtt::LOCAL_RTT;

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
/// 80 Mbit/s: at 50 ms a bandwidth-delay product of 500 packets.
const RATE: u64 = 10_000_000;
const BDP: u64 = 500_000;

fn path(queue: u64) -> Path<Bbr> {
    Path::new(Bbr::new(&Setup::new(1_000, 10)), RATE, queue)
}

/// A pattern that loses `percent` of all packets.
fn random_loss(percent: u64) -> Box<dyn FnMut(u64) -> bool> {
    Box::new(move |number| {
        let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40 < (percent << 24) / 100
    })
}

#[test]
fn startup_finds_the_bandwidth_drains_and_begins_to_cycle() {
    let mut path = path(BDP * 4);
    path.run(SECOND * 2);
    // A drained queue needs no deceleration: DOWN is left at once.
    assert_eq!(path.phases, ["startup", "drain", "probe_bw_cruise"]);
    let rate = path.controller.max_rate.get();
    assert!((9_900_000..=10_100_000).contains(&rate), "{rate}");
    assert_eq!(path.controller.delay.minimum.unwrap().as_millis(), 50);
    assert_eq!(path.dropped, 0, "startup queues no more than a BDP or so");
}

#[test]
fn the_cycle_goes_through_all_its_states_in_order() {
    let mut path = path(BDP * 4);
    path.run(SECOND * 2);
    path.phases.clear();
    path.run(SECOND * 3);
    let cycle =
        ["cruise", "refill", "up", "down", "cruise"].map(|name| alloc::format!("probe_bw_{name}"));
    let seen: Vec<&str> = path.phases.clone();
    let start = seen
        .iter()
        .position(|name| *name == "probe_bw_cruise")
        .unwrap();
    assert_eq!(seen[start..start + 5], cycle, "{seen:?}");
}

#[test]
fn the_allowance_for_gathered_acknowledgements_is_bounded_within_a_machine_alone() {
    let mut bbr = Bbr::new(&Setup::new(1_000, 10));
    bbr.aggregation.extra = 1 << 30;
    assert_eq!(bbr.allowance(), 1 << 30, "no round trip is known");
    bbr.rate = 1_000_000_000;
    bbr.delay.minimum = Some(LOCAL_RTT);
    assert_eq!(bbr.allowance(), 1 << 30);
    bbr.delay.minimum = Some(MS / 2);
    assert_eq!(bbr.allowance(), 4 * 500_000);
    bbr.delay.minimum = Some(MS / 10);
    assert_eq!(bbr.allowance(), 1 << 20);
    bbr.aggregation.extra = 70_000;
    assert_eq!(bbr.allowance(), 70_000);
}

#[test]
fn a_path_without_loss_is_filled_with_a_short_queue() {
    let mut path = path(BDP * 4);
    path.run(SECOND * 5);
    let delivered = path.run(SECOND * 20);
    assert!(delivered > 20 * RATE * 95 / 100, "{delivered}");
    // While probing, three rounds at 1.25 queue nearly one BDP; otherwise there is none.
    assert!(path.waited < MS * 50, "{:?}", path.waited);
    while path.controller.state != State::Cruise {
        path.run(MS);
    }
    path.run(MS * 100);
    path.run(MS * 100);
    assert!(path.waited < MS, "{:?}", path.waited);
    assert_eq!(path.dropped, 0);
}

#[test]
fn probe_rtt_comes_every_five_seconds_and_ends() {
    let mut path = path(BDP * 4);
    path.run(SECOND * 30);
    let visits = path
        .phases
        .iter()
        .filter(|name| **name == "probe_rtt")
        .count();
    assert!((4..=6).contains(&visits), "{visits}");
    assert_ne!(path.controller.state, State::ProbeRtt);
    let mut longest = 0;
    let mut millis = 0;
    for _ in 0..7_000 {
        path.run(MS);
        millis = if path.controller.state == State::ProbeRtt {
            millis + 1
        } else {
            0
        };
        longest = longest.max(millis);
    }
    assert!((200..400).contains(&longest), "{longest} ms in ProbeRTT");
}

#[test]
fn an_application_that_pauses_in_probe_rtt_does_not_stay_in_it() {
    let mut path = path(BDP * 4);
    while path.controller.state != State::ProbeRtt {
        path.run(MS);
    }
    path.supply = Some(10_000);
    path.run(SECOND * 3);
    assert_ne!(path.controller.state, State::ProbeRtt);
    path.supply = None;
    path.run(SECOND);
    let delivered = path.run(SECOND);
    assert!(delivered > RATE * 9 / 10, "{delivered}");
}

#[test]
fn a_slow_application_neither_ends_startup_nor_loses_the_bandwidth() {
    let mut path = path(BDP * 4);
    path.supply = Some(RATE / 20);
    path.run(SECOND * 3);
    assert_eq!(path.controller.state, State::Startup);
    assert!(!path.controller.pipe.reached);
    path.supply = None;
    path.run(SECOND * 3);
    let known = path.controller.max_rate.get();
    path.supply = Some(RATE / 20);
    path.run(SECOND * 20);
    let still = path.controller.max_rate.get();
    assert!(still >= known * 9 / 10, "{known} {still}");
}

#[test]
fn idleness_is_followed_by_the_known_pace_and_no_burst() {
    let mut path = path(BDP);
    path.run(SECOND * 4);
    path.supply = Some(1);
    path.run(SECOND * 60);
    path.supply = None;
    path.waited = Duration::ZERO;
    let dropped = path.dropped;
    let delivered = path.run(SECOND);
    assert_eq!(path.dropped, dropped);
    assert!(delivered > RATE * 8 / 10, "{delivered}");
}

#[test]
fn one_per_cent_of_loss_leaves_three_quarters() {
    let mut path = path(BDP);
    path.loses = random_loss(1);
    path.run(SECOND * 5);
    let delivered = path.run(SECOND * 30);
    assert!(delivered > 30 * RATE * 75 / 100, "{delivered}");
}

#[test]
fn the_tolerant_one_stands_five_per_cent_of_loss() {
    let mut path = Path::new(Bbr::tolerant(&Setup::new(1_000, 10)), RATE, BDP);
    path.loses = random_loss(5);
    path.run(SECOND * 20);
    let delivered = path.run(SECOND * 30);
    assert!(delivered > 30 * RATE * 60 / 100, "{delivered}");
}

#[test]
fn the_tolerant_one_takes_chance_for_nothing_within_a_machine() {
    let mut path = Path::new(Bbr::tolerant(&Setup::new(1_000, 10)), 10 * RATE, 20_000);
    // Twenty packets, and five thousand rounds a second.
    path.delay = MS / 5;
    path.loses = random_loss(1);
    path.run(SECOND * 3);
    let delivered = path.run(SECOND * 3);
    assert!(delivered > 30 * RATE * 95 / 100, "{delivered}");
}

#[test]
fn the_tolerant_one_yields_to_a_full_queue() {
    let mut path = Path::new(Bbr::tolerant(&Setup::new(1_000, 10)), RATE, BDP / 20);
    path.run(SECOND * 20);
    let (dropped, delivered) = (path.dropped, path.run(SECOND * 30));
    let dropped = path.dropped - dropped;
    assert!(
        dropped * 1_000 * 100 < delivered * 2,
        "{dropped} {delivered}"
    );
    assert_eq!(path.controller.noise.bearable(), 20);
    assert!(delivered > 30 * RATE * 80 / 100, "{delivered}");
}

#[test]
fn a_bandwidth_that_falls_to_a_tenth_is_learnt() {
    let mut path = path(BDP);
    path.run(SECOND * 5);
    path.rate = RATE / 10;
    path.run(SECOND * 15);
    let rate = path.controller.max_rate.get();
    assert!(rate < RATE / 8, "{rate}");
    path.run(SECOND * 10);
    assert!(path.waited < MS * 150, "{:?}", path.waited);
}

#[test]
fn a_bandwidth_that_rises_tenfold_is_found() {
    let mut path = path(BDP);
    path.rate = RATE / 10;
    path.run(SECOND * 10);
    path.rate = RATE;
    path.run(SECOND * 40);
    let delivered = path.run(SECOND * 5);
    assert!(delivered > 5 * RATE * 9 / 10, "{delivered}");
}

#[test]
fn a_queue_that_marks_is_kept_short() {
    let unmarked = {
        let mut path = path(BDP * 4);
        path.run(SECOND * 20);
        path.waited
    };
    let mut path = path(BDP * 4);
    path.marks_above = BDP / 20;
    path.run(SECOND * 20);
    let delivered = path.run(SECOND * 10);
    assert!(path.waited < unmarked, "{:?} {unmarked:?}", path.waited);
    assert!(delivered > 10 * RATE * 7 / 10, "{delivered}");
}

#[test]
fn a_path_of_less_than_a_packet_a_round_trip_works() {
    let mut path = path(10_000);
    path.rate = 10_000;
    path.run(SECOND * 30);
    assert!(path.controller.window() >= 4_000);
    let delivered = path.run(SECOND * 30);
    assert!(delivered > 250_000, "{delivered}");
}

#[test]
fn a_spurious_loss_that_ended_startup_brings_it_back() {
    let mut bbr = Bbr::new(&Setup::new(1_000, 10));
    bbr.volume_bound = 5_000;
    bbr.recovery.begin(
        &Congestion {
            now: at(100),
            kind: CongestionKind::Loss,
            sent_at: at(50),
            bytes: 1_000,
            in_flight: 9_000,
        },
        (),
    );
    bbr.undo.state = Some(State::Startup);
    bbr.pipe.reached = true;
    bbr.state = State::Drain;
    let spurious = SpuriousLoss {
        now: at(110),
        lost: DeclaredLost {
            at: at(100),
            bytes: 1_000,
        },
    };
    bbr.on_spurious_loss(&spurious);
    assert_eq!((bbr.state, bbr.pipe.reached), (State::Startup, false));
    bbr.state = State::Drain;
    bbr.on_spurious_loss(&spurious);
    assert_eq!(bbr.state, State::Drain, "once");
}

#[test]
fn losses_alone_never_take_the_window_below_four_packets() {
    let mut path = path(BDP);
    path.run(SECOND);
    path.loses = random_loss(60);
    path.run(SECOND * 20);
    assert!(path.controller.window() >= 4_000);
    path.controller.on_congestion(&Congestion {
        now: path.now,
        kind: CongestionKind::Persistent,
        sent_at: path.now,
        bytes: 1_000,
        in_flight: 0,
    });
    assert_eq!(
        path.controller.window(),
        1_000,
        "until something is acknowledged"
    );
}

#[test]
fn the_volume_at_which_losses_crossed_the_threshold() {
    // 2 % of 100,000 is 2,000; 1,500 were lost before: 500 / 0.98 more.
    assert_eq!(model::volume_at_loss(20, 100_000, 1_500), 100_510);
    assert_eq!(model::volume_at_loss(20, 100_000, 5_000), 100_000);
    assert_eq!(model::volume_at_loss(20, u64::MAX - 1, 0), u64::MAX);
}

#[test]
fn waits_between_probes_differ_by_seed_and_repeat_with_it() {
    let waits = |seed| {
        let mut bbr = Bbr::new(&Setup {
            seed,
            ..Setup::new(1_000, 10)
        });
        core::array::from_fn::<_, 4, _>(|_| bbr.next_random())
    };
    assert_eq!(waits(7), waits(7));
    assert_ne!(waits(7), waits(8));
}
