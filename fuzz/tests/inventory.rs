//! Every target has a binary and seeds, and nothing else has.

mod folders;

use std::collections::BTreeSet;
use std::fs;

use dunlin_fuzz::targets::ALL;
use folders::{folder, names_in};

#[test]
fn seeds_dictionaries_and_binaries_belong_to_targets() {
    let listed = |ending: &str| -> BTreeSet<_> {
        let names = ALL.iter().map(|target| format!("{}{ending}", target.name));
        names.collect()
    };
    assert_eq!(names_in(&folder("fuzz_targets")), listed(".rs"));
    assert_eq!(names_in(&folder("seeds")), listed(""));
    let dictionaries = names_in(&folder("dict"));
    assert!(dictionaries.is_subset(&listed(".dict")), "{dictionaries:?}");
    for target in ALL {
        let path = folder("fuzz_targets").join(format!("{}.rs", target.name));
        let source = fs::read_to_string(path).expect("the source is readable");
        let call = format!("dunlin_fuzz::target!({});", target.name);
        assert!(source.contains(&call), "{}", target.name);
    }
}
