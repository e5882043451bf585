//! Tests of shrinking scenario files.

use super::*;

const TEXT: &str = "\
name = 'n'
title = 'two flows, a fault and a queue'
kind = 'pair'
duration = '1s'
hold = ['closed == 0', 'request_max <= $most']
[parameters]
most = '30ms'
queue = '20kB'
[sweep]
queue = ['1MB', '20kB']
[transport]
mtu = 1300
[path]
forward = [{ duplicate = '1%' }, { rate = '5mbit', queue = '$queue' }, { delay = '20ms' }]
backward = [{ delay = '20ms' }]
[[fault]]
at = '400ms'
pause = 'server'
lasts = '20ms'
[[flow]]
name = 'bulk'
kind = 'bulk'
[[flow]]
name = 'requests'
kind = 'requests'
every = '100ms'
";

fn study(text: &str) -> Study {
    let document = Document::parse("f", text, &|name| Err(name.into())).unwrap();
    Study::new(document).unwrap()
}

#[test]
fn a_sentence_stays_false_with_less_around_it() {
    let shrunk = shrink(&study(TEXT), 1, 200, &|| false).unwrap();
    assert_eq!(shrunk.symptom, "\"request_max <= 30ms\" is false");
    let small = study(&shrunk.text);
    let head = small.head();
    assert_eq!(head.flow.len(), 1, "{}", shrunk.text);
    assert_eq!(head.flow[0].name, "requests");
    assert!(head.fault.is_empty() && head.transport.mtu.is_none());
    assert_eq!(head.hold, ["request_max <= 30ms"]);
    let again = run(head, (0, 1), false, &|| false).unwrap();
    assert!(small.cases()[0].holds[0].is_broken_by(&again), "{again:?}");
    assert!(shrunk.runs <= 200);
}

#[test]
fn the_budget_is_kept_and_what_was_found_so_far_still_fails() {
    let shrunk = shrink(&study(TEXT), 1, 3, &|| false).unwrap();
    assert_eq!(shrunk.runs, 3);
    let small = study(&shrunk.text);
    let again = run(small.head(), (0, 1), false, &|| false).unwrap();
    assert!(small.cases()[0].holds[0].is_broken_by(&again));
}

#[test]
fn a_torture_seed_becomes_a_path_that_repeats() {
    let text = "name = 'torture'\ntitle = 't'\nkind = 'torture'\nhold = ['packets_lost <= 3']\n";
    let lossy = (0..100).find(|seed| {
        let result = run(study(text).head(), (0, *seed), false, &|| false).unwrap();
        study(text).cases()[0].holds[0].is_broken_by(&result)
    });
    let seed = lossy.unwrap();
    let shrunk = shrink(&study(text), seed, 150, &|| false).unwrap();
    assert!(!shrunk.taken.is_empty(), "{shrunk:?}");
    let small = study(&shrunk.text);
    let again = run(small.head(), (0, seed), false, &|| false).unwrap();
    assert!(small.cases()[0].holds[0].is_broken_by(&again), "{again:?}");
    let stranger = run(small.head(), (0, seed + 1_000), false, &|| false).unwrap();
    let other = stranger.violation.is_some() || stranger.trace_hash != again.trace_hash;
    assert!(other, "a path belongs to its seed");
}

#[test]
fn what_does_not_fail_is_not_shrunk() {
    let text = TEXT.replace("most = '30ms'", "most = '30s'");
    assert_eq!(
        shrink(&study(&text), 1, 50, &|| false).unwrap_err(),
        ShrinkError::Sound(1)
    );
    assert_eq!(
        shrink(&study(TEXT), 1, 50, &|| true).unwrap_err(),
        ShrinkError::Interrupted(Interrupted)
    );
}
