//! Every planted mistake is found, and where nothing is planted nothing is found.
//!
//! `cargo test -p dunlin-lab --features planted-bugs --test planted`; one mistake:
//! `DUNLIN_BUG=name`, one seed of it: `DUNLIN_SEED=n` as well.

use dunlin_lab::planted::{self, INSTRUMENTS, Planted, hunt, quietly, replay};

fn main() {
    let only = std::env::var("DUNLIN_BUG").ok();
    let max: u64 = std::env::var("DUNLIN_SEEDS")
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(200);
    quietly(|| {
        for bug in Planted::all() {
            let entry = bug.entry();
            if only.as_deref().is_some_and(|only| only != entry.name) {
                continue;
            }
            let mut line = format!("{:32}", entry.name);
            for i in INSTRUMENTS
                .iter()
                .filter(|i| i.layers.contains(&bug.layer()))
            {
                planted::select(Some(bug));
                let start = std::time::SystemTime::now();
                let found = hunt(i, 0..max, 2);
                planted::select(None);
                match found {
                    Some(f) => {
                        let clean =
                            std::thread::scope(|s| s.spawn(|| replay(i, f.seed)).join().unwrap());
                        line += &format!(
                            " | {}: {} {:.90}{}",
                            i.name,
                            f.seed,
                            f.violation,
                            if clean.is_some() { " DIRTY" } else { "" }
                        );
                    }
                    None => line += &format!(" | {}: -", i.name),
                }
                let _ = start;
            }
            println!("{line}");
        }
    });
}
