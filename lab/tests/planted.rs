//! Every planted mistake is found, and where nothing is planted nothing is found (ADR 0720).
//!
//! | command (`cargo test -p dunlin-lab --features planted-bugs --test planted` and) | what it does |
//! |---|---|
//! | nothing more | hunts for every mistake until it is found |
//! | `DUNLIN_BUG=name` | for one; `DUNLIN_SEED=n` as well: that seed only, with what each instrument saw |
//! | `DUNLIN_BUG=none DUNLIN_SEEDS=3000` | every instrument without a mistake: nothing may be found |
//! | `DUNLIN_ASSURANCE=write` | writes the table of `docs/assurance.md`, every instrument by itself |

use std::collections::BTreeSet;

use dunlin_lab::planted::{
    self, Finding, INSTRUMENTS, Planted, Row, assurance, hunt, names_in, quietly, replay_afresh,
    with_table,
};

/// Seeds after which a mistake counts as missed.
const SEEDS_MAX: u64 = 300;
/// Seeds that each instrument gets by itself when the table is written.
const SEEDS_OF_EACH: u64 = 20;
/// What the laboratory promises.
const MEDIAN_MAX: u64 = 100;
const MISTAKES_MIN: usize = 94;

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// Hunts for `planted`; what is found has to be found again, and to be its doing.
fn judge(planted: Planted, seeds: u64) -> Option<Finding> {
    let name = planted.entry().name;
    planted::select(Some(planted));
    let found = hunt(&planted.instruments(), seeds, threads());
    let again = found
        .as_ref()
        .and_then(|found| replay_afresh(found.instrument, found.seed));
    planted::select(None);
    let found = found?;
    assert_eq!(
        again.as_deref(),
        Some(&*found.violation),
        "{name}: seed {} of {} does not replay",
        found.seed,
        found.instrument.name
    );
    let clean = replay_afresh(found.instrument, found.seed);
    assert_eq!(
        clean, None,
        "{name}: seed {} of {} fails without it",
        found.seed, found.instrument.name
    );
    Some(found)
}

/// What the other instruments need for it, each by itself.
fn others(planted: Planted, first: &Finding) -> Vec<Finding> {
    planted::select(Some(planted));
    let others = planted
        .instruments()
        .into_iter()
        .filter(|instrument| instrument.name != first.instrument.name)
        .filter_map(|instrument| hunt(&[instrument], SEEDS_OF_EACH, threads()))
        .collect();
    planted::select(None);
    others
}

fn report(planted: Planted, found: Option<&Finding>) {
    let name = planted.entry().name;
    match found {
        Some(found) => println!(
            "{name}: seed {} of {}: {}",
            found.seed, found.instrument.name, found.violation
        ),
        None => println!("{name}: not found"),
    }
}

fn hunt_all(only: Option<&str>) -> Vec<Row> {
    let writes = variable::<String>("DUNLIN_ASSURANCE").as_deref() == Some("write");
    let mut rows = Vec::new();
    for planted in Planted::all() {
        let name = planted.entry().name;
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let finding = judge(planted, variable("DUNLIN_SEEDS").unwrap_or(SEEDS_MAX));
        report(planted, finding.as_ref());
        let others = match &finding {
            Some(finding) if writes => others(planted, finding),
            _ => Vec::new(),
        };
        rows.push(Row {
            planted,
            finding,
            others,
        });
    }
    rows
}

/// One seed of one mistake, by every instrument that can judge it.
fn show(name: &str, seed: u64) {
    let named = |planted: &Planted| planted.entry().name == name;
    let planted = Planted::all().into_iter().find(named);
    let planted = planted.unwrap_or_else(|| panic!("no mistake is called {name}"));
    println!("{}", planted.entry().what);
    for instrument in planted.instruments() {
        planted::select(Some(planted));
        let with = replay_afresh(instrument, seed);
        planted::select(None);
        let without = replay_afresh(instrument, seed);
        println!("{}: {with:?}; without it: {without:?}", instrument.name);
    }
}

/// Every instrument without a mistake.
fn find_nothing(seeds: u64) {
    for instrument in INSTRUMENTS {
        let found = hunt(&[instrument], seeds, threads());
        println!("{}: {seeds} seeds, {found:?}", instrument.name);
        assert!(found.is_none(), "{}: {found:?}", instrument.name);
    }
}

fn check(rows: &[Row]) {
    let mut seeds = Vec::new();
    for row in rows {
        let name = row.planted.entry().name;
        let finding = row.finding.as_ref();
        let finding = finding.unwrap_or_else(|| panic!("{name} was not found"));
        seeds.push(finding.seed + 1);
    }
    seeds.sort_unstable();
    let median = seeds[seeds.len() / 2];
    println!("{} mistakes found, median {median} seeds", seeds.len());
    assert!(seeds.len() >= MISTAKES_MIN && median <= MEDIAN_MAX);
}

#[test]
fn every_planted_mistake_is_found() {
    let only: Option<String> = variable("DUNLIN_BUG");
    let seed: Option<u64> = variable("DUNLIN_SEED");
    quietly(|| match (only.as_deref(), seed) {
        (Some("none"), _) => find_nothing(variable("DUNLIN_SEEDS").unwrap_or(SEEDS_MAX)),
        (Some(name), Some(seed)) => show(name, seed),
        (Some(name), None) => {
            let rows = hunt_all(Some(name));
            assert_eq!(rows.len(), 1, "no mistake is called {name}");
            assert!(rows.iter().all(|row| row.finding.is_some()), "not found");
        }
        (None, _) => {
            let rows = hunt_all(None);
            check(&rows);
            let path = assurance();
            let page = std::fs::read_to_string(&path).expect("docs/assurance.md is there");
            if variable::<String>("DUNLIN_ASSURANCE").as_deref() == Some("write") {
                let page = with_table(&page, &rows);
                std::fs::write(&path, page).expect("docs/assurance.md can be written");
            } else {
                let listed: BTreeSet<_> = names_in(&page).into_iter().collect();
                let planted: BTreeSet<_> =
                    rows.iter().map(|row| row.planted.entry().name).collect();
                assert_eq!(listed, planted, "docs/assurance.md: DUNLIN_ASSURANCE=write");
            }
        }
    });
}
