//! How much memory each target holds at most, over its seeds, corpus and random inputs, and the
//! bound it has: `cargo run -p dunlin-fuzz --example memory`.

use std::fs;
use std::path::Path;

use dunlin_fuzz::memory::peak_of;
use dunlin_fuzz::targets::ALL;

fn main() {
    println!("| target | inputs | most bytes held | of an input of | bound for it |");
    println!("|---|---|---|---|---|");
    for target in ALL {
        let mut inputs = vec![Vec::new()];
        for folder in ["seeds", "corpus"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join(folder)
                .join(target.name);
            let files = fs::read_dir(folder).into_iter().flatten().flatten();
            inputs.extend(files.filter_map(|file| fs::read(file.path()).ok()));
        }
        // Fixtures that are made once and kept count for nobody.
        (target.body)(&[]);
        // The input that comes closest to its bound.
        let worst = inputs
            .iter()
            .map(|input| {
                let held = peak_of(|| (target.body)(input));
                (
                    held * 1_000 / target.memory.of(input.len()).max(1),
                    held,
                    input.len(),
                )
            })
            .max();
        if let Some((_, held, length)) = worst {
            let bound = target.memory.of(length);
            let count = inputs.len();
            println!(
                "| {} | {count} | {held} | {length} | {bound} |",
                target.name
            );
        }
    }
}
