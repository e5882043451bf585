//! The dashboard in headless Chromium, against a network of five processes.

use serde_json::{Value, json};

use crate::control::told;
use crate::dashboard::Network;
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
    pictures(&browser);
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

fn pictures(browser: &Browser) {
    // A few samples, so that the lines have something to show.
    browser.eval("(window.seen = performance.now(), 1)");
    browser.wait("performance.now() - window.seen > 8000");
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        let dark = "matchMedia('(prefers-color-scheme: dark)').matches";
        assert_eq!(browser.eval(dark), json!(scheme == "dark"));
        let name = format!("dashboard-{scheme}.png");
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
