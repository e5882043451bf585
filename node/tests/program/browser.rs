//! The dashboard in headless Chromium, against a network of five processes.

use serde_json::{Value, json};

use crate::control::told;
use crate::dashboard::Network;
#[cfg(target_os = "linux")]
use crate::geography::{cities, config};
#[cfg(target_os = "linux")]
use crate::neighbours::{configured, meets, start_at};
#[cfg(target_os = "linux")]
use crate::process::Lab;
use crate::process::{DEADLINE, until};
use crate::webdriver::{Browser, ENTER};

/// What the console may hold: nothing that a page does wrong.
pub(crate) fn assert_clean(browser: &Browser) {
    let console = browser.console();
    let entries = console.as_array().unwrap().iter();
    let bad: Vec<_> = entries.filter(|entry| entry["level"] != "INFO").collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

fn connected(count: usize) -> String {
    format!("document.querySelectorAll('#peer-rows .status-connected').length === {count}")
}

fn row(id: &str, rest: &str) -> String {
    format!("#peer-rows tr[data-id='{id}'] {rest}")
}

fn texts(browser: &Browser, selector: &str) -> Vec<String> {
    let script =
        format!("Array.from(document.querySelectorAll({selector:?}), (one) => one.innerText)");
    let Value::Array(all) = browser.eval(&script) else {
        panic!("{selector}");
    };
    all.iter()
        .map(|one| one.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn an_operator_watches_a_network_and_bans_a_peer_by_clicking() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let network = Network::start(5, &[]);
    browser.open(&network.link());
    assert_eq!(
        browser.eval("location.search"),
        "",
        "the code is out of the address"
    );
    browser.wait(&connected(4));
    browser.wait("document.querySelector('#live').innerText === 'live'");
    sorts_and_filters(&browser);
    tells_of_gossip(&browser, &network);
    let banned = &network.ids[2];
    browser.click(&row(banned, "button.link"));
    browser.wait("document.querySelectorAll('#detail-story li').length > 0");
    let facts = texts(&browser, "#detail-facts dd");
    assert!(facts.contains(banned), "{facts:?}");
    browser.wait("document.activeElement.id === 'detail'");
    pictures(&browser, "dashboard");
    bans_and_ends_the_ban(&browser, &network, banned);
    assert_clean(&browser);
}

fn sorts_and_filters(browser: &Browser) {
    let ids = || texts(browser, "#peer-rows button.link");
    // With the keyboard alone.
    browser.keys("#peer-head th:nth-child(1) button", ENTER);
    let up = ids();
    let mut sorted = up.clone();
    sorted.sort();
    assert_eq!(up, sorted);
    let way = "document.querySelector('#peer-head th').getAttribute('aria-sort')";
    assert_eq!(browser.eval(way), "ascending");
    browser.keys("#peer-head th:nth-child(1) button", ENTER);
    sorted.reverse();
    assert_eq!(ids(), sorted);
    assert_eq!(browser.eval(way), "descending");
    let part = up[0].trim_end_matches('…');
    browser.keys("#peer-filter", part);
    browser.wait("document.querySelectorAll('#peer-rows tr').length === 1");
    assert_eq!(ids(), up[..1]);
    browser.eval("(document.querySelector('#peer-filter').select(), 1)");
    browser.keys("#peer-filter", "\u{e017}");
    browser.wait(&connected(4));
}

fn tells_of_gossip(browser: &Browser, network: &Network) {
    // What peers send is text, whatever it looks like.
    let text = "<img src=x onerror=alert(1)>";
    told(
        &network.lab,
        "1",
        &["broadcast", text, "--topic", "<b>topic"],
    );
    browser.wait("document.querySelector('#events').innerText.includes('<b>topic')");
    assert_eq!(
        browser.eval("document.querySelector('#events b b, #events img')"),
        Value::Null
    );
    browser.wait("document.querySelector('#hops-says').innerText.startsWith('1 broadcasts seen')");
    browser
        .wait("document.querySelector('#gossip-says').innerText.includes('1 broadcasts received')");
    let says = texts(browser, "section:not([hidden]) .says");
    assert!(
        says.len() >= 11 && says.iter().all(|words| !words.is_empty()),
        "{says:#?}"
    );
    let points = "document.querySelectorAll('#topology .peer').length";
    assert_eq!(browser.eval(points), json!(4));
    let drawn = "Array.from(document.querySelectorAll('.plot')).every((plot) => plot.querySelector('canvas'))";
    assert_eq!(browser.eval(drawn), json!(true));
}

fn pictures(browser: &Browser, of: &str) {
    // A few samples, so that the lines have something to show.
    browser.eval("(window.seen = performance.now(), 1)");
    browser.wait("performance.now() - window.seen > 8000");
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        let dark = "matchMedia('(prefers-color-scheme: dark)').matches";
        assert_eq!(browser.eval(dark), json!(scheme == "dark"));
        let name = format!("{of}-{scheme}.png");
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        browser.picture(&path);
        println!("a picture of the dashboard: {}", path.display());
    }
}

fn bans_and_ends_the_ban(browser: &Browser, network: &Network, banned: &str) {
    assert_eq!(
        browser.eval("document.querySelector('#recorded').hidden"),
        json!(true)
    );
    browser.click(&row(banned, "button.ban"));
    browser.wait("document.querySelector('#confirm').open");
    browser.click("#confirm-no");
    assert!(network.list("banned").is_empty(), "no was said");
    browser.click(&row(banned, "button.ban"));
    browser.click("#confirm-yes");
    assert!(until(DEADLINE, || network.list("banned") == [banned]));
    browser.wait(&format!(
        "document.querySelector({:?})?.innerText === 'banned'",
        row(banned, "td:nth-child(3)")
    ));
    browser.wait(&connected(3));
    let story = "document.querySelector('#detail-story').innerText.includes('ban')";
    browser.wait(story);
    browser.click(&row(banned, "button.unban"));
    assert!(until(DEADLINE, || network.list("banned").is_empty()));
    browser.wait(&format!(
        "document.querySelector({:?})?.innerText !== 'banned'",
        row(banned, "td:nth-child(3)")
    ));
}

#[cfg(target_os = "linux")]
const IS_HIDDEN: &str =
    "['geography', 'latency-map'].map((id) => document.getElementById(id).hidden)";

#[cfg(target_os = "linux")]
#[test]
fn peers_are_on_a_map_where_there_is_a_database_and_nowhere_else() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let lab = Lab::new();
    let file = lab.path("places.mmdb");
    std::fs::write(&file, cities()).unwrap();
    let (_hub, id, at) = configured(&lab, "hub", &config(&file), &[]);
    let seed = format!("{id}@{at}");
    let places = [
        ("berlin", "127.3.0.1"),
        ("twin", "127.3.0.2"),
        ("valdivia", "127.4.0.1"),
        ("nelson", "127.5.0.1"),
        ("nowhere", "127.0.0.1"),
    ];
    let others: Vec<_> = places
        .iter()
        .map(|(name, host)| start_at(&lab, name, host, &seed))
        .collect();
    for (_, peer) in &others {
        meets(&lab, "hub", peer);
    }
    let open = |name| browser.open(told(&lab, name, &["dashboard"]).trim());
    open("hub");
    browser.wait("document.querySelectorAll('#geography .peer').length === 4");
    assert_eq!(browser.eval(IS_HIDDEN), json!([false, true]));
    points_are_where_the_peers_are(&browser);
    browser.wait("document.querySelector('#geography-says').innerText.startsWith('Of 5 connected peers: 2 in Germany, ')");
    let rows = texts(&browser, "#country-rows td:first-child");
    let expected = [
        "Germany (DE)",
        "Chile (CL)",
        "New Zealand (NZ)",
        "no country known",
    ];
    assert_eq!(rows, expected);
    assert_eq!(
        texts(&browser, "#country-rows td:nth-child(2)"),
        ["2", "1", "1", "1"]
    );
    let note = texts(&browser, "#geography-note").concat();
    assert!(note.contains("Test-City, made 2026-11-01"), "{note}");
    // With the keyboard alone.
    browser.keys("#geography .peer[aria-label*='Valdivia']", ENTER);
    browser.wait("document.activeElement.id === 'detail'");
    let facts = texts(&browser, "#detail-facts dd");
    assert!(facts.contains(&others[2].1), "{facts:?}");
    assert!(facts.contains(&"Valdivia, Chile".to_owned()), "{facts:?}");
    browser.click("#geography .peer[aria-label*='Nelson']");
    browser
        .wait("document.querySelector('#detail-facts').innerText.includes('Nelson, New Zealand')");
    pictures(&browser, "geography");
    assert_clean(&browser);
    // A node without the key has the page of before, and asks for nothing that draws maps.
    open("berlin");
    browser.wait("document.querySelector('#map-says').innerText.startsWith('Of ')");
    assert_eq!(browser.eval(IS_HIDDEN), json!([true, false]));
    let asked = "performance.getEntriesByType('resource').map((one) => one.name)";
    let asked = browser.eval(asked).to_string();
    assert!(asked.contains("/api/v1/geo"), "{asked}");
    assert!(
        !asked.contains("d3-geo") && !asked.contains("land-110m"),
        "{asked}"
    );
    assert_clean(&browser);
}

#[cfg(target_os = "linux")]
fn points_are_where_the_peers_are(browser: &Browser) {
    let places = |name: &str| {
        let script = format!(
            "Array.from(document.querySelectorAll('#geography .peer'), (one) => one) \
             .filter((one) => one.getAttribute('aria-label').includes('{name}')) \
             .map((one) => [Number(one.getAttribute('cx')), Number(one.getAttribute('cy'))])"
        );
        let Value::Array(all) = browser.eval(&script) else {
            panic!("{name}");
        };
        let number = |of: &Value, index: usize| of[index].as_f64().unwrap();
        all.iter()
            .map(|one| (number(one, 0), number(one, 1)))
            .collect::<Vec<_>>()
    };
    let (berlin, valdivia, nelson) = (places("Berlin"), places("Valdivia"), places("Nelson"));
    assert_eq!((berlin.len(), valdivia.len(), nelson.len()), (2, 1, 1));
    // Chile is to the west of Germany and below it, New Zealand to the east.
    assert!(valdivia[0].0 < berlin[0].0 && berlin[0].0 < nelson[0].0);
    assert!(berlin[0].1 < valdivia[0].1 && valdivia[0].1 < nelson[0].1);
    let apart = (berlin[0].0 - berlin[1].0).hypot(berlin[0].1 - berlin[1].1);
    assert!((10.0..40.0).contains(&apart), "{berlin:?}");
    let land = "document.querySelector('#geography .land').getAttribute('d').length > 10000";
    assert_eq!(browser.eval(land), json!(true));
}
