//! Ways to make a scenario file smaller: parts that can be left out, numbers that can be halved.

use std::fmt;

use toml::{Table, Value};

use crate::experiment::expression::{Parameters, substitute};

/// One way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Cut {
    /// Without the item of a list.
    Item(Vec<String>, usize),
    /// Without a key, whose default then holds.
    Key(Vec<String>, String),
    /// With half of a number.
    Half(Vec<String>, String),
}

/// Lists whose items can be left out. A scenario without one it needs is refused when it is read.
const LISTS: [&[&str]; 4] = [
    &["flow"],
    &["fault"],
    &["path", "forward"],
    &["path", "backward"],
];
/// Sections whose keys have defaults that ask for less.
const SECTIONS: [&[&str]; 6] = [
    &["transport"],
    &["client"],
    &["server"],
    &["clock"],
    &["stack", "path"],
    &["nat"],
];
/// Keys that ask for something that need not be.
const OPTIONAL: [(&[&str], &str); 14] = [
    (&[], "profile"),
    (&[], "nat"),
    (&[], "clock"),
    (&["swarm"], "crash"),
    (&["swarm"], "partition"),
    (&["swarm"], "churn"),
    (&["swarm"], "cuts"),
    (&["swarm"], "requests"),
    (&["swarm"], "loss"),
    (&["stack"], "rebinds"),
    (&["stack", "network"], "crash"),
    (&["stack", "network"], "partition"),
    (&["stack", "network"], "churn"),
    (&["stack", "network"], "cuts"),
];
/// Numbers that say how much, by the section they stand in.
const AMOUNTS: [(&[&str], &[&str]); 3] = [
    (&[], &["duration", "warm_up"]),
    (&["swarm"], &["nodes", "broadcasts"]),
    (&["stack", "network"], &["nodes", "broadcasts"]),
];
/// The same, of a flow.
const AMOUNTS_OF_FLOW: [&str; 6] = ["count", "bytes", "total", "size", "request", "response"];

/// Everything that could be taken away from a scenario without parameters, what takes most away
/// first.
pub(super) fn cuts(scenario: &Table) -> Vec<Cut> {
    let mut list = Vec::new();
    for path in LISTS {
        let items = at(scenario, path).and_then(Value::as_array);
        let count = items.map_or(0, Vec::len);
        list.extend((0..count).rev().map(|index| Cut::Item(owned(path), index)));
    }
    for (path, key) in OPTIONAL {
        if section(scenario, path).is_some_and(|table| table.contains_key(key)) {
            list.push(Cut::Key(owned(path), key.into()));
        }
    }
    for path in SECTIONS {
        let keys = section(scenario, path).into_iter().flat_map(Table::keys);
        list.extend(keys.map(|key| Cut::Key(owned(path), key.clone())));
    }
    for (path, keys) in AMOUNTS {
        let table = section(scenario, path);
        let there = |key: &&&str| table.is_some_and(|table| table.contains_key(**key));
        let found = keys.iter().filter(there);
        list.extend(found.map(|key| Cut::Half(owned(path), (*key).into())));
    }
    let flows = scenario.get("flow").and_then(Value::as_array);
    for (index, flow) in flows.into_iter().flatten().enumerate() {
        for key in AMOUNTS_OF_FLOW {
            if flow.get(key).is_some() {
                let path = vec!["flow".into(), index.to_string()];
                list.push(Cut::Half(path, key.into()));
            }
        }
    }
    list
}

impl Cut {
    /// The scenario without it; None: nothing would change.
    pub(super) fn applied(&self, scenario: &Table) -> Option<Table> {
        let mut root = Value::Table(scenario.clone());
        match self {
            Self::Item(path, index) => {
                let list = place(&mut root, path)?.as_array_mut()?;
                if *index >= list.len() {
                    return None;
                }
                list.remove(*index);
            }
            Self::Key(path, key) => {
                place(&mut root, path)?.as_table_mut()?.remove(key)?;
            }
            Self::Half(path, key) => {
                let value = place(&mut root, path)?.as_table_mut()?.get_mut(key)?;
                let half = half(value)?;
                *value = half;
            }
        }
        match root {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }
}

/// Half of a number or a quantity; None: it is none, or as small as it gets.
fn half(value: &Value) -> Option<Value> {
    match value {
        Value::Integer(number) if *number > 1 => Some(Value::Integer(number / 2)),
        Value::String(text) => {
            let halved = substitute(&format!("${{{text} / 2}}"), &Parameters::new());
            halved.ok()?.filter(|halved| halved != value)
        }
        _ => None,
    }
}

fn owned(path: &[&str]) -> Vec<String> {
    path.iter().map(|step| (*step).to_owned()).collect()
}

fn at<'a>(scenario: &'a Table, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter()
        .try_fold(scenario.get(*first)?, |value, step| value.get(*step))
}

fn section<'a>(scenario: &'a Table, path: &[&str]) -> Option<&'a Table> {
    if path.is_empty() {
        return Some(scenario);
    }
    at(scenario, path)?.as_table()
}

/// The value at a path; a number is the place in a list.
fn place<'a>(root: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    path.iter().try_fold(root, |value, step| match value {
        Value::Array(items) => items.get_mut(step.parse::<usize>().ok()?),
        Value::Table(table) => table.get_mut(step),
        _ => None,
    })
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dotted = |path: &[String], key: &str| {
            let mut words = path.to_vec();
            words.push(key.into());
            words.join(".")
        };
        match self {
            Self::Item(path, index) => write!(f, "without {}[{index}]", path.join(".")),
            Self::Key(path, key) => write!(f, "without {}", dotted(path, key)),
            Self::Half(path, key) => write!(f, "half of {}", dotted(path, key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_halved_with_their_unit_and_come_to_an_end() {
        let mut value = Value::String("10s".into());
        let mut steps = 0;
        while let Some(next) = half(&value) {
            value = next;
            steps += 1;
            assert!(steps < 100, "{value}");
        }
        assert_eq!(half(&Value::Integer(9)), Some(Value::Integer(4)));
        assert_eq!(half(&Value::Integer(1)), None);
        assert_eq!(half(&Value::String("fast".into())), None);
    }

    #[test]
    fn every_cut_changes_something_once() {
        let text = "duration = '2s'\nnat = {}\n[transport]\nmtu = 1300\n[path]\nforward = [{ loss \
                    = '1%' }]\n[[flow]]\nname = 'a'\nbytes = '10kB'\n[[flow]]\nname = 'b'\n";
        let scenario: Table = text.parse().unwrap();
        let list = cuts(&scenario);
        let words: Vec<_> = list.iter().map(ToString::to_string).collect();
        assert_eq!(
            words,
            [
                "without flow[1]",
                "without flow[0]",
                "without path.forward[0]",
                "without nat",
                "without transport.mtu",
                "half of duration",
                "half of flow.0.bytes",
            ]
        );
        for cut in &list {
            let smaller = cut.applied(&scenario).unwrap();
            assert_ne!(smaller, scenario, "{cut}");
        }
    }
}
