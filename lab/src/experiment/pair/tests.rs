//! Tests of what a scenario of kind `pair` can have around its flows.

use crate::experiment::document::Document;
use crate::experiment::result::RunResult;
use crate::experiment::run::run;
use crate::experiment::study::Study;

const BASE: &str = "\
name = 'n'
title = 't'
kind = 'pair'
warm_up = '500ms'
duration = '2s'
[path]
forward = [{ rate = '10mbit', queue = '50kB' }, { delay = '5ms' }]
backward = [{ delay = '5ms' }]
[[flow]]
name = 'up'
kind = 'bulk'
";

fn study(text: &str) -> Result<Study, String> {
    Document::parse("f", text, &|name| Err(name.into()))
        .and_then(Study::new)
        .map_err(|error| error.to_string())
}

fn result(more: &str) -> RunResult {
    result_of(&format!("{BASE}{more}"))
}

fn result_of(text: &str) -> RunResult {
    let study = study(text).unwrap();
    let result = run(study.head(), (0, 7), false, &|| false).unwrap();
    assert_eq!(result.violation, None);
    result
}

fn figure(result: &RunResult, name: &str) -> u64 {
    let found = result.figure(name);
    found.unwrap_or_else(|| panic!("{name}: {result:?}")).value
}

/// The median latency of requests over a path on which nothing waits.
fn quiet(more: &str) -> u64 {
    let text = BASE.replace("'10mbit'", "'1gbit'");
    let study = study(&format!("{text}{more}")).unwrap();
    let result = run(study.head(), (0, 7), false, &|| false).unwrap();
    figure(&result, "request_p50")
}

#[test]
fn an_access_line_lengthens_the_way_of_its_flow_alone() {
    let far = "[[flow]]\nname = 'ping'\nkind = 'requests'\nevery = '100ms'\n\
               access = { forward = [{ delay = '30ms' }], backward = [{ delay = '10ms' }] }\n";
    let near = far.replace("'30ms'", "'1ms'").replace("'10ms'", "'1ms'");
    let (far, near) = (quiet(far), quiet(&near));
    assert!((50_000_000..54_000_000).contains(&far), "{far}");
    assert!((12_000_000..16_000_000).contains(&near), "{near}");
}

#[test]
fn clients_with_access_lines_share_the_bottleneck() {
    let two = "access = {}\ncount = 2\n[[flow]]\nname = 'far'\nkind = 'bulk'\n\
               access = { forward = [{ delay = '20ms' }] }\n";
    let two = two.replace("access = {}", "access = { forward = [] }");
    let result = result(&two);
    let all = figure(&result, "goodput");
    // More than headers leave of the line: what came out of order before the measurement counts when
    // the gap before it is filled.
    assert!((8_500_000..10_000_000).contains(&all), "{all}");
    for name in ["goodput.up.1", "goodput.up.2", "goodput.far"] {
        assert!(figure(&result, name) > 500_000, "{name}: {result:?}");
    }
}

#[test]
fn cross_traffic_takes_its_rate_and_leaves_the_rest() {
    let with = result("[[cross]]\nname = 'video'\nrate = '4mbit'\n");
    let video = figure(&with, "cross.video");
    // 1,200 of 1,228 bytes, and what the full queue drops.
    assert!((3_000_000..3_950_000).contains(&video), "{video}");
    let left = figure(&with, "goodput");
    assert!((4_500_000..6_700_000).contains(&left), "{left}");
    let back = result("[[cross]]\nname = 'video'\nrate = '4mbit'\nfrom = 'server'\n");
    assert!(figure(&back, "goodput") > 8_500_000, "another direction");
    let stopped = result("[[cross]]\nname = 'v'\nrate = '4mbit'\nstop = '500ms'\n");
    assert!(figure(&stopped, "cross.v") < 400_000);
}

#[test]
fn a_nat_that_forgets_moves_a_sealed_connection() {
    let text = "[nat]\nports = 'random'\n[[fault]]\nat = '1s'\nforget_nat = true\n";
    let sealed = BASE.replace("kind = 'pair'", "kind = 'pair'\nprofile = 'sealed'");
    let study = study(&format!("{sealed}{text}")).unwrap();
    let result = run(study.head(), (0, 7), false, &|| false).unwrap();
    assert_eq!(figure(&result, "path_changes"), 1);
    assert!(figure(&result, "goodput") > 7_000_000, "{result:?}");
}

#[test]
fn a_slow_end_takes_what_it_can_and_recovers() {
    // 1,000 datagrams a second are about 10 Mbit/s; 4 ms for each are 250.
    let slow = "[[fault]]\nat = '0s'\nslow = 'server'\ncost = '4ms'\n";
    let for_ever = figure(&result(slow), "goodput");
    assert!(for_ever < 3_000_000, "{for_ever}");
    let a_while = figure(&result(&format!("{slow}lasts = '300ms'\n")), "goodput");
    assert!(a_while > 6_000_000, "{a_while}");
}

#[test]
fn a_slow_end_that_gathers_takes_a_train_for_the_price_of_one() {
    let slow = "[[fault]]\nat = '0s'\nslow = 'server'\ncost = '4ms'\n";
    let gathers = BASE.replace("[path]", "gather = ['server']\n[path]");
    let goodput = figure(&result_of(&format!("{gathers}{slow}")), "goodput");
    assert!(goodput > 6_000_000, "{goodput}");
    assert!(figure(&result(slow), "goodput") < 3_000_000);
}

#[test]
fn a_partition_cuts_off_the_clients_of_one_flow() {
    let text = "[[flow]]\nname = 'far'\nkind = 'bulk'\naccess = { forward = [] }\n\
                [[fault]]\nat = '500ms'\npartition = 'far'\nlasts = '10s'\n";
    let result = result(text);
    assert!(figure(&result, "goodput.far") < 100_000, "{result:?}");
    assert!(figure(&result, "goodput.up") > 8_000_000, "{result:?}");
}

#[test]
fn a_slow_clock_shortens_what_is_measured_by_it() {
    let ping = "[[flow]]\nname = 'ping'\nkind = 'requests'\nevery = '100ms'\n";
    let right = quiet(ping);
    let slow = quiet(&format!("{ping}[clock]\nclient_ppm = -200000\n"));
    assert!(right >= 10_000_000, "{right}");
    assert!(slow < right * 85 / 100, "{slow} {right}");
}

#[test]
fn mistakes_around_the_flows_have_lines() {
    for (more, wanted) in [
        (
            "[[cross]]\nname = 'up'\nrate = '1mbit'\n",
            "f:13: cross[0].name: \"up\" is there twice",
        ),
        (
            "[[cross]]\nname = 'v'\nrate = '0bit'\n",
            "f:14: cross[0].rate: is 0",
        ),
        (
            "[[cross]]\nname = 'v'\nrate = '1mbit'\nsize = '70kB'\n",
            "f:15: cross[0].size: has to be from 1 to 65507",
        ),
        (
            "[clock]\nserver_ppm = 600000\n",
            "f:13: clock.server_ppm: has to be from -500000",
        ),
        (
            "[[fault]]\nat = '1s'\nforget_nat = true\n",
            "f:14: fault[0].forget_nat: means nothing for a scenario without [nat]",
        ),
        (
            "[[fault]]\nat = '1s'\npartition = 'up'\nlasts = '1s'\n",
            "f:14: fault[0].partition: there is no flow with access called \"up\"",
        ),
        (
            "[[fault]]\nat = '1s'\nslow = 'server'\n",
            "f:12: fault[0].cost: the key is missing",
        ),
        (
            "[[fault]]\nat = '1s'\nkill = 'server'\nlasts = '1s'\n",
            "f:15: fault[0].lasts: means nothing for anything but pause",
        ),
        (
            "[[fault]]\nat = '1s'\nkill = 'server'\ncost = '1s'\n",
            "f:15: fault[0].cost: means nothing for anything but slow",
        ),
        (
            "[[fault]]\nat = '1s'\n",
            "f:12: fault[0]: has to have exactly one of rebind, kill",
        ),
        (
            "[[flow]]\nname = 'b'\nkind = 'bulk'\nover = 'up'\naccess = { forward = [] }\n",
            "f:16: flow[1].access: means nothing for a flow over",
        ),
        (
            "count = 65\naccess = { forward = [] }\n",
            "f:9: flow: 65 hosts with access lines are more than 64",
        ),
        (
            "access = { forward = [{ loss = '1%' }, { mtu = 3 }] }\n",
            "f:12: flow[0].access.forward[1]: ",
        ),
        (
            "[nat]\nmaping = 'x'\n",
            "f:13: nat.maping: there is no such key",
        ),
    ] {
        let error = study(&format!("{BASE}{more}")).unwrap_err();
        assert!(error.starts_with(wanted), "{more}: {error}");
    }
    let swarm = "name = 'n'\ntitle = 't'\nkind = 'swarm'\n[nat]\n";
    let error = study(swarm).unwrap_err();
    assert!(error.starts_with("f:4: nat: means nothing for"), "{error}");
}
