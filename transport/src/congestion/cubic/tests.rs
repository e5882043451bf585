use super::super::testing::{Script, at};
use super::*;

const MS: Duration = Duration::from_millis(1);

fn cubic(packets: u64) -> Script<Cubic> {
    Script::new(Cubic::new(&Setup::new(1_000, packets)))
}

/// Full windows are acknowledged each round trip, from `start` to `end` (times of sending).
fn run(cubic: &mut Script<Cubic>, start: u64, end: u64) {
    let step = u64::try_from(cubic.rtt.as_millis()).unwrap();
    for sent in (start..end).step_by(usize::try_from(step).unwrap()) {
        // Ten acknowledgements a round.
        for part in 0..10 {
            let bytes = cubic.window() / 10;
            cubic.ack_number(sent + part, at(sent + part * step / 10), bytes);
        }
    }
}

#[test]
fn a_cut_leaves_seven_tenths() {
    let mut cubic = cubic(100);
    cubic.lose(100, 60, CongestionKind::Loss);
    assert_eq!(cubic.window(), 70_000);
    cubic.lose(110, 90, CongestionKind::Loss);
    assert_eq!(cubic.window(), 70_000, "once a round trip");
    cubic.lose(200, 150, CongestionKind::Ecn);
    assert_eq!(cubic.window(), 49_000);
}

#[test]
fn the_window_comes_back_to_the_plateau_after_k_and_goes_beyond() {
    let mut cubic = cubic(400);
    cubic.rtt = 200 * MS;
    cubic.lose(200, 100, CongestionKind::Loss);
    // K = cbrt(400 · 0.3 / 0.4) = 6.69 s.
    run(&mut cubic, 300, 3_000);
    assert!(
        (300_000..395_000).contains(&cubic.window()),
        "{cubic:?}",
        cubic = cubic.window()
    );
    run(&mut cubic, 3_000, 7_100);
    let plateau = cubic.window();
    assert!((398_000..402_000).contains(&plateau), "{plateau}");
    run(&mut cubic, 7_100, 14_000);
    assert!(cubic.window() > 460_000, "{}", cubic.window());
}

#[test]
fn growth_depends_on_time_not_on_the_number_of_acknowledgements() {
    let grown = |parts: u64| {
        let mut cubic = cubic(400);
        cubic.rtt = 200 * MS;
        cubic.lose(200, 100, CongestionKind::Loss);
        for round in 0..20 {
            for part in 0..parts {
                let bytes = cubic.window() / parts;
                cubic.ack_number(0, at(300 + round * 200 + part * 200 / parts), bytes);
            }
        }
        cubic.window()
    };
    let (few, many) = (grown(4), grown(100));
    assert!(few.abs_diff(many) < 4_000, "{few} {many}");
}

#[test]
fn where_reno_is_faster_it_grows_like_reno() {
    let mut cubic = cubic(20);
    cubic.rtt = 10 * MS;
    cubic.lose(200, 100, CongestionKind::Loss);
    assert_eq!(cubic.window(), 14_000);
    // 9/17 packets a round until it is back at 20, one packet a round from there.
    run(&mut cubic, 210, 310);
    let slow = cubic.window() - 14_000;
    assert!((4_500..5_500).contains(&slow), "{slow}");
    run(&mut cubic, 310, 350);
    let before = cubic.window();
    assert!(before > 20_000, "{before}");
    run(&mut cubic, 350, 450);
    let fast = cubic.window() - before;
    assert!((9_000..11_000).contains(&fast), "{fast}");
}

#[test]
fn a_window_that_did_not_come_back_lowers_the_plateau() {
    let mut cubic = cubic(100);
    cubic.lose(100, 60, CongestionKind::Loss);
    assert_eq!(cubic.model.plateau, 100_000);
    cubic.lose(200, 150, CongestionKind::Loss);
    // 70 · (1 + 0.7) / 2.
    assert_eq!(cubic.model.plateau, 59_500);
}

#[test]
fn leaving_slow_start_without_loss_begins_on_the_plateau() {
    let mut cubic = cubic(100);
    cubic.model.threshold = cubic.window();
    cubic.ack(1, 1_000);
    let stage = cubic.model.stage.unwrap();
    assert_eq!(stage.curve, Curve::new(100_000, 100_000, 1_000));
}

#[test]
fn time_in_which_the_application_was_the_limit_does_not_count() {
    let mut cubic = cubic(400);
    cubic.rtt = 200 * MS;
    cubic.lose(200, 100, CongestionKind::Loss);
    run(&mut cubic, 300, 3_000);
    let before = cubic.window();
    cubic.window_limited = false;
    run(&mut cubic, 3_000, 60_000);
    assert_eq!(cubic.window(), before, "an unused window does not grow");
    cubic.window_limited = true;
    run(&mut cubic, 60_000, 60_200);
    let after = cubic.window();
    assert!(
        after < before + before / 10,
        "nor catches up: {before} {after}"
    );
}

#[test]
fn idle_time_does_not_count() {
    let mut cubic = cubic(400);
    cubic.rtt = 200 * MS;
    cubic.lose(200, 100, CongestionKind::Loss);
    run(&mut cubic, 300, 3_000);
    let before = cubic.window();
    cubic.on_sent(&Sent {
        now: at(60_000),
        number: PacketNumber(9),
        bytes: 1_000,
        in_flight: 1_000,
        idle: Some(57_000 * MS),
        app_limited: false,
    });
    run(&mut cubic, 60_000, 60_200);
    let after = cubic.window();
    assert!(after < before + before / 10, "{before} {after}");
}

#[test]
fn a_spurious_period_restores_everything_once() {
    let mut cubic = cubic(400);
    cubic.rtt = 200 * MS;
    cubic.lose(200, 100, CongestionKind::Loss);
    run(&mut cubic, 300, 3_000);
    let before = cubic.model;
    cubic.lose(3_100, 3_050, CongestionKind::Loss);
    assert!(cubic.window() < before.window);
    cubic.spurious(3_100);
    let (now, then) = (cubic.model.stage.unwrap(), before.stage.unwrap());
    assert_eq!((now.start, now.curve), (then.start, then.curve));
    assert_eq!(cubic.window(), before.window);
    assert_eq!(cubic.model.threshold, before.threshold);
    cubic.lose(3_300, 3_250, CongestionKind::Loss);
    let cut = cubic.window();
    cubic.spurious(3_100);
    assert_eq!(cubic.window(), cut, "an old mistake undoes no new cut");
}

#[test]
fn the_window_never_falls_below_two_packets() {
    let mut cubic = cubic(10);
    for round in 1..20 {
        cubic.lose(round * 100, round * 100 - 10, CongestionKind::Loss);
    }
    assert_eq!(cubic.window(), 2_000);
    cubic.lose(5_000, 4_990, CongestionKind::Persistent);
    assert_eq!(cubic.window(), 2_000);
    cubic.ack(5_100, 2_000);
    assert!(cubic.window() > 2_000, "and grows again");
}

#[test]
fn persistent_congestion_starts_slowly_up_to_the_threshold_of_its_losses() {
    let mut cubic = cubic(100);
    cubic.lose(100, 60, CongestionKind::Loss);
    cubic.lose(100, 60, CongestionKind::Persistent);
    assert_eq!(cubic.window(), 2_000);
    assert_eq!(cubic.phase(), "slow_start");
    cubic.ack(200, 2_000);
    assert_eq!(cubic.window(), 4_000);
    assert_eq!(cubic.slow_start_threshold(), Some(70_000));
}
