//! What must hold of every controller, whatever happens to it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::ids::PacketNumber;
use crate::send::loss::DeclaredLost;
use crate::wire::ack::EcnCounts;

const ALL: [ControllerChoice; 4] = [
    ControllerChoice::NewReno,
    ControllerChoice::Cubic,
    ControllerChoice::Bbr,
    ControllerChoice::BbrTolerant,
];

/// One event: its kind, how long after the one before, and what it carries.
type Step = (u8, u64, u64, u64, u64, bool);

fn step() -> impl Strategy<Value = Step> {
    let nanos = prop_oneof![
        0u64..1_000_000,
        0u64..10_000_000_000,
        0u64..10_000_000_000_000
    ];
    let bytes = prop_oneof![0u64..3_000, 0u64..1 << 40];
    (
        0u8..7,
        nanos,
        bytes.clone(),
        bytes.clone(),
        bytes,
        any::<bool>(),
    )
}

/// A controller to which things happen.
struct Player {
    controller: Box<dyn Controller>,
    rtt: RttEstimator,
    now: Instant,
    number: u64,
    delivered: u64,
    lost: u64,
}

impl Player {
    fn new(choice: &ControllerChoice) -> Self {
        Self {
            controller: choice.make(&Setup::new(1_200, 10)),
            rtt: RttEstimator::new(Duration::from_millis(333)),
            now: Instant::ZERO,
            number: 0,
            delivered: 0,
            lost: 0,
        }
    }

    fn step(&mut self, step: Step) {
        let (kind, nanos, a, b, c, flag) = step;
        let before = self.now;
        self.now = self.now + Duration::from_nanos(nanos);
        self.number += 1;
        let now = self.now;
        match kind {
            0 => self.controller.on_sent(&Sent {
                now,
                number: PacketNumber(self.number),
                bytes: a,
                in_flight: b,
                idle: flag.then(|| Duration::from_nanos(c)),
                app_limited: flag,
            }),
            1 | 2 => self.ack(before, step),
            3 => self.lose(before, step),
            4 => self.controller.on_congestion(&Congestion {
                now,
                kind: match a % 4 {
                    0 => CongestionKind::Persistent,
                    1 => CongestionKind::Ecn,
                    _ => CongestionKind::Loss,
                },
                sent_at: before,
                bytes: b,
                in_flight: c,
            }),
            5 => self.controller.on_spurious_loss(&SpuriousLoss {
                now,
                lost: DeclaredLost {
                    at: before,
                    bytes: a,
                },
            }),
            _ => self.controller.on_probe_timeout(now, 1),
        }
    }

    fn ack(&mut self, sent_at: Instant, (kind, nanos, a, b, c, flag): Step) {
        self.rtt
            .on_sample(Duration::from_nanos(nanos), Duration::ZERO);
        self.delivered += a;
        self.controller.on_acked(&Acked {
            now: self.now,
            largest: PacketNumber(self.number),
            largest_sent_at: sent_at,
            bytes: a,
            in_flight_before: b,
            in_flight: c,
            rtt: &self.rtt,
            rate: RateSample {
                delivered_total: self.delivered,
                lost_total: self.lost,
                prior_delivered: self.delivered.saturating_sub(b),
                delivered: b.min(self.delivered),
                lost: c.min(self.lost),
                in_flight_at_send: b,
                interval: Duration::from_nanos(nanos),
                bytes_per_second: flag.then_some(c.saturating_mul(nanos)),
                app_limited: kind == 2,
            },
            window_limited: flag,
            ecn: (a % 3 == 0).then_some(EcnSample {
                counts: EcnCounts::default(),
                newly_marked: a % 2,
            }),
        });
    }

    fn lose(&mut self, sent_at: Instant, (_, _, a, b, c, flag): Step) {
        self.lost += a;
        self.controller.on_packet_lost(&LostPacket {
            now: self.now,
            number: PacketNumber(self.number),
            bytes: a,
            sent_at,
            sample: LossSample {
                delivered_total: self.delivered,
                lost_since_sent: a.saturating_add(b.min(self.lost)),
                in_flight_at_send: c,
                app_limited: flag,
            },
        });
    }
}

/// Lets `steps` happen to a controller; its windows and paces.
fn play(choice: &ControllerChoice, steps: &[Step]) -> Vec<(u64, Option<u64>)> {
    let mut player = Player::new(choice);
    let after = |step: &Step| {
        player.step(*step);
        let pace = player.controller.pacing_rate(player.rtt.smoothed());
        (player.controller.window(), pace)
    };
    steps.iter().map(after).collect()
}

proptest! {
    #[test]
    fn nothing_that_happens_makes_a_controller_panic_or_stop_sending(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        for choice in &ALL {
            for (window, pace) in play(choice, &steps) {
                prop_assert!(window >= 1_200, "{choice:?}: {window}");
                prop_assert!(pace != Some(0), "{choice:?}");
            }
        }
    }

    #[test]
    fn the_same_events_give_the_same_windows(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        for choice in &ALL {
            prop_assert_eq!(play(choice, &steps), play(choice, &steps));
        }
    }
}

#[test]
fn every_controller_has_a_name_and_a_phase_of_its_own() {
    let states = ALL.map(|choice| {
        let controller = choice.make(&Setup::new(1_200, 10));
        let state = ControllerState::of(&*controller, Duration::from_millis(50));
        assert_eq!(state.window, 12_000);
        (state.name, state.phase)
    });
    assert_eq!(
        states,
        [
            ("new_reno", "slow_start"),
            ("cubic", "slow_start"),
            ("bbr", "startup"),
            ("bbr_tolerant", "startup"),
        ]
    );
}

#[test]
fn the_default_pace_is_a_window_in_less_than_a_round_trip() {
    let second = Duration::from_secs(1);
    assert_eq!(pace(10_000, second, false), 12_500);
    assert_eq!(pace(10_000, second, true), 20_000);
    assert_eq!(pace(u64::MAX, Duration::ZERO, true), u64::MAX);
    assert_eq!(pace(2_400, 3_600 * second, false), 1, "slow, not unlimited");
}
