//! Recorded networks in the dashboard: made by the laboratory, played by real processes.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::browser::assert_clean;
use crate::dashboard::{enter, fetch, parts};
use crate::process::{DEADLINE, Lab, Running, STOP_LIMIT, dunlin, run, until};
use crate::webdriver::Browser;

/// Plays a recording; the process, and its link.
fn play(path: &Path, speed: &str) -> (Running, String) {
    let mut command = dunlin();
    command.args(["simulate", "--recorded"]).arg(path);
    let player = Running::start(command.args(["--speed", speed]));
    let link = || {
        let told = player.stderr();
        let (_, rest) = told.split_once("for one browser: ")?;
        rest.split_once('\n').map(|(link, _)| link.to_owned())
    };
    assert!(until(DEADLINE, || link().is_some()), "{}", player.stderr());
    let link = link().unwrap();
    (player, link)
}

/// A recording that the laboratory makes.
fn recorded(lab: &Lab, how: &[&str]) -> PathBuf {
    let path = lab.path("net.jsonl");
    let mut record = dunlin();
    record.args(["lab", "record"]).arg(&path).args(how);
    let recorded = run(&mut record);
    assert_eq!(recorded.code, Some(0), "{recorded:?}");
    assert!(
        recorded.stdout.starts_with("dunlin simulate --recorded"),
        "it says how to go on: {recorded:?}"
    );
    path
}

#[test]
fn a_recorded_network_is_played_in_the_dashboard() {
    let lab = Lab::new();
    let path = recorded(&lab, &["--nodes", "60", "--seconds", "8", "--seed", "3"]);
    let (player, link) = play(&path, "20");
    let (host, _) = parts(&link);
    let cookie = enter(&link);
    let ask = |path: &str| -> Value {
        let answer = fetch(host, &format!("GET /api/v1/{path}"), &[&cookie]);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    };
    assert_eq!(fetch(host, "GET /api/v1/status", &[]).status, 401);
    let network = ask("status")["network"].as_str().unwrap().to_owned();
    assert!(
        network.contains("60 overlays") && network.contains("seed 3"),
        "{network}"
    );
    // It comes to the end, where two are gone, and begins anew.
    let down = || {
        let map = ask("network");
        let nodes = map["nodes"].as_array().unwrap().clone();
        assert_eq!(nodes.len(), 60);
        nodes.iter().filter(|node| node["is_up"] == false).count()
    };
    assert!(until(DEADLINE, || down() == 2), "after the crash");
    assert!(ask("network")["links"].as_array().unwrap().len() >= 60);
    let peers = ask("peers");
    assert_eq!(peers["peers"].as_array().unwrap().len(), 59);
    assert_eq!(peers["summary"]["connected"], 57);
    let gone = peers["peers"].as_array().unwrap().iter();
    let mut gone = gone.filter(|peer| peer["status"] == "disconnected");
    let id = gone.next().unwrap()["id"].as_str().unwrap();
    assert!(ask(&format!("peers/{id}"))["reason"].is_string());
    assert!(ask(&format!("peers/{id}/story"))["entries"].is_array());
    assert!(until(DEADLINE, || down() > 10), "from the beginning");
    let origin = format!("Origin: http://{host}");
    let ban = fetch(
        host,
        &format!("DELETE /api/v1/peers/{id}"),
        &[&cookie, &origin],
    );
    assert_eq!(ban.status, 501, "nothing can be changed: {}", ban.body);
    player.signal("INT");
    let ended = player.finish_within(STOP_LIMIT).expect("it stops");
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn what_is_no_recording_is_refused_with_file_and_line() {
    let lab = Lab::new();
    let file = lab.path("f.jsonl");
    std::fs::write(&file, "{\"dunlin_recording\": 9}\n").unwrap();
    let mut command = dunlin();
    let refused = run(command.args(["simulate", "--recorded"]).arg(&file));
    assert_eq!(refused.code, Some(6), "{refused:?}");
    assert!(
        refused.sentence().contains("f.jsonl:1 cannot be played"),
        "{refused:?}"
    );
    let missing = run(dunlin().args(["simulate", "--recorded", "nowhere.jsonl"]));
    assert_eq!(missing.code, Some(6), "{missing:?}");
    let below = file.join("x").display().to_string();
    let unwritable = run(dunlin().args(["lab", "record", &below]));
    assert_eq!(unwritable.code, Some(6), "{unwritable:?}");
    assert!(
        unwritable.sentence().contains("name another file"),
        "{unwritable:?}"
    );
}

/// A recording of so many nodes that all link up in the first second, to neighbours near and far, and of
/// which some come and go after that. What it lacks of a simulated one are only the right IDs.
fn large(path: &Path, nodes: u32, frames: u32) {
    use std::io::Write as _;
    let ids: Vec<String> = (0..nodes)
        .map(|node| format!("dunlin1{node:052}"))
        .collect();
    let header = json!({
        "dunlin_recording": 1, "title": format!("{nodes} nodes, made up"), "seed": 0,
        "interval_ms": 1_000, "nodes": ids,
    });
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    writeln!(file, "{header}").unwrap();
    let mut links = std::collections::BTreeSet::new();
    for node in 0..nodes {
        for step in [1, 17, 211, 4_001] {
            let peer = (node + step) % nodes;
            if peer != node {
                links.insert((node.min(peer), node.max(peer)));
            }
        }
    }
    for frame in 0..frames {
        let moved = 1 + frame % (nodes - 1);
        let first = frame == 0;
        let line = json!({
            "at_ms": frame * 1_000,
            "up": if first { (0..nodes).collect::<Vec<_>>() } else { vec![moved - 1] },
            "down": if first { vec![] } else { vec![moved] },
            "linked": if first { links.iter().collect::<Vec<_>>() } else { vec![] },
            "unlinked": [], "broadcasts": [frame % nodes],
            "counters": (0..nodes).map(|node| [100, frame + 1, node % 3, frame]).collect::<Vec<_>>(),
            "messages": frame * 1_000, "bytes": frame * 100_000,
        });
        writeln!(file, "{line}").unwrap();
    }
}

/// Counts the frames that the browser draws, and how long the longest took, from now on.
const COUNT_FRAMES: &str = "(() => {
    const seen = window.frames_seen = { count: 0, longest: 0, begin: performance.now(), last: performance.now() };
    const next = (now) => {
        seen.count += 1;
        seen.longest = Math.max(seen.longest, now - seen.last);
        seen.last = now;
        requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
    return 1;
})()";

/// The IDs of a recording.
fn ids(path: &Path) -> Vec<String> {
    let file = std::fs::File::open(path).unwrap();
    let mut line = String::new();
    std::io::BufReader::new(file).read_line(&mut line).unwrap();
    let header: Value = serde_json::from_str(&line).unwrap();
    let ids = header["nodes"].as_array().unwrap().iter();
    ids.map(|id| id.as_str().unwrap().to_owned()).collect()
}

/// A number as the page writes it.
fn grouped(number: usize) -> String {
    match (number / 1_000, number % 1_000) {
        (0, rest) => rest.to_string(),
        (thousands, rest) => format!("{thousands},{rest:03}"),
    }
}

/// Opens the page of a recording and counts frames for so long, while samples, maps and lists come. What
/// was seen is printed.
fn watch(browser: &Browser, link: &str, nodes: usize, millis: u32) -> Value {
    browser.open(link);
    let says = "document.querySelector('#network-says').innerText";
    browser.wait(&format!("{says}.startsWith('{} nodes')", grouped(nodes)));
    browser.wait(&format!(
        "document.querySelector('#peer-count').innerText.includes('{} known')",
        grouped(nodes - 1)
    ));
    browser.eval(COUNT_FRAMES);
    browser.wait(&format!(
        "performance.now() - window.frames_seen.begin > {millis}"
    ));
    let seen = browser.eval(
        "({ ...window.frames_seen, seconds: (performance.now() - window.frames_seen.begin) / 1000 })",
    );
    println!("frames while {nodes} nodes are shown: {seen}");
    seen
}

const IS_DRAWN: &str = "(() => { const c = document.querySelector('#network canvas'); \
    return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((part) => part > 0); })()";

/// Stores a picture of the page.
fn picture(browser: &Browser, name: &str) {
    let picture = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    browser.picture(&picture);
    println!("a picture of the dashboard: {}", picture.display());
}

#[test]
fn a_network_of_the_laboratory_is_watched_and_offers_nothing_that_cannot_be_done() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let lab = Lab::new();
    let path = recorded(&lab, &["--nodes", "300", "--seconds", "12"]);
    let (_player, link) = play(&path, "4");
    let seen = watch(&browser, &link, 300, 5_000);
    assert!(
        seen["count"].as_u64().unwrap() > 15,
        "it stands still: {seen}"
    );
    assert_eq!(browser.eval(IS_DRAWN), json!(true));
    let says = "document.querySelector('#recorded').innerText.includes('nothing can be changed')";
    browser.wait(says);
    let rows = "document.querySelectorAll('#peer-rows tr').length";
    assert_eq!(browser.eval(rows), json!(100));
    browser.wait("Array.from(document.querySelectorAll('.status-connected')).length > 0");
    browser.click("#peer-rows tr:first-child button.link");
    browser.wait("!document.querySelector('#detail').hidden");
    let seen = "Array.from(document.querySelectorAll('button, th'), (one) => one.checkVisibility() ? one.innerText : '')";
    let seen = browser.eval(seen).to_string();
    assert!(seen.contains("Peer ID") && seen.contains("Close"), "{seen}");
    for word in ["Ban", "Unban", "Disconnect", "Action"] {
        assert!(!seen.contains(&format!("\"{word}\"")), "{word}: {seen}");
    }
    picture(&browser, "dashboard-laboratory.png");
    assert_clean(&browser);
}

/// With `DUNLIN_RECORDING` set to a file of `dunlin lab record`, that one is played instead.
#[test]
fn a_page_with_ten_thousand_nodes_keeps_drawing_and_stays_small() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let lab = Lab::new();
    let given = std::env::var_os("DUNLIN_RECORDING").map(PathBuf::from);
    let path = given.unwrap_or_else(|| {
        let path = lab.path("large.jsonl");
        large(&path, 10_000, 40);
        path
    });
    let ids = ids(&path);
    let (_player, link) = play(&path, "1");
    let seen = watch(&browser, &link, ids.len(), 30_000);
    assert!(
        seen["count"].as_u64().unwrap() > 15,
        "it stands still: {seen}"
    );
    // Rows come with the button, a hundred at a time; the graph is one element.
    let rows = "document.querySelectorAll('#peer-rows tr').length";
    assert_eq!(browser.eval(rows), json!(100));
    browser.click("#peer-more");
    browser.wait("document.querySelectorAll('#peer-rows tr').length === 200");
    assert_eq!(
        browser.eval("document.querySelector('#network').children.length"),
        json!(1)
    );
    let all = browser
        .eval("document.querySelectorAll('*').length")
        .as_u64()
        .unwrap();
    assert!(all < 6_000, "{all} elements");
    browser.wait("document.querySelector('#network-says').innerText.includes('One link in')");
    assert_eq!(browser.eval(IS_DRAWN), json!(true));
    browser.keys("#peer-filter", ids.last().unwrap());
    browser.wait("document.querySelectorAll('#peer-rows tr').length === 1");
    picture(&browser, "dashboard-recorded.png");
    assert_clean(&browser);
}
