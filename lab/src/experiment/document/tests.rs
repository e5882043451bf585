use serde::Deserialize;

use super::*;

#[derive(Deserialize, PartialEq, Debug)]
#[serde(deny_unknown_fields)]
struct Sample {
    name: String,
    #[serde(default)]
    inner: Vec<Inner>,
    #[serde(default)]
    parameters: Table,
    #[serde(default)]
    sweep: Table,
}

#[derive(Deserialize, PartialEq, Debug)]
#[serde(deny_unknown_fields)]
struct Inner {
    size: u32,
    #[serde(default)]
    label: String,
}

const TEXT: &str = "\
name = 'n $size'

[parameters]
size = 7

[[inner]]
size = 1

[[inner]]
size = '$size'
label = 'second'

[sweep]
size = [1, 2]
";

fn document(file: &str, text: &str) -> Result<Document, ScenarioError> {
    Document::parse(file, text, &|name| match name {
        "ok.csv" => Ok("0,1mbit\n2,3mbit\n4,0\n".into()),
        _ => Err(format!("there is no {name}")),
    })
}

#[test]
fn a_trace_takes_the_place_of_its_name() {
    let read = document("f", "a = [{ rate = { csv = 'ok.csv' } }]\n").unwrap();
    let text = read.table["a"].to_string();
    assert!(text.contains("3mbit") && text.contains("repeat"), "{text}");
    assert_eq!(read.files().len(), 1);
    let error = document("f", "\na = [{ rate = { csv = 'no.csv' } }]\n").unwrap_err();
    assert_eq!(error.to_string(), "f:2: a[0].rate: there is no no.csv");
}

fn sample(text: &str) -> Result<Sample, String> {
    document("f.toml", text)
        .and_then(|read| read.read())
        .map_err(|error| error.to_string())
}

#[test]
fn parameters_are_put_in_with_their_type() {
    let sample = sample(TEXT).unwrap();
    assert_eq!(sample.name, "n 7");
    assert_eq!(sample.inner[1].size, 7);
}

#[test]
fn errors_name_file_line_and_key_and_suggest_what_is_near() {
    let error = sample(&TEXT.replace("label", "lable")).unwrap_err();
    assert_eq!(
        error,
        "f.toml:11: inner[1].lable: there is no such key; did you mean \"label\"?"
    );
    let error = sample(&TEXT.replace("size = 1\n", "size = 'x'\n")).unwrap_err();
    assert!(error.starts_with("f.toml:7: inner[0].size: "), "{error}");
    let error = sample(&TEXT.replace("'$size'", "'$siz'")).unwrap_err();
    assert!(
        error.contains("f.toml:10: inner[1].size: there is no parameter"),
        "{error}"
    );
    let error = sample("name = \n").unwrap_err();
    assert!(error.starts_with("f.toml:1: "), "{error}");
    let error = sample(&TEXT.replace("name", "nam")).unwrap_err();
    assert!(error.starts_with("f.toml:1: nam: "), "{error}");
    let error = sample("").unwrap_err();
    assert!(error.starts_with("f.toml: missing field `name`"), "{error}");
}

#[test]
fn keys_are_set_by_path_and_parameters_by_name() {
    let mut changed = document("f", TEXT).unwrap();
    changed.set("inner[0].label=first").unwrap();
    changed.set("inner.1.label=\"a b\"").unwrap();
    changed.set("size=9").unwrap();
    let sample: Sample = changed.read().unwrap();
    let seen: Vec<_> = sample
        .inner
        .iter()
        .map(|inner| (inner.label.as_str(), inner.size))
        .collect();
    assert_eq!(seen, [("first", 1), ("a b", 9)]);
    assert!(sample.sweep.is_empty(), "what is set is not swept");
    for wrong in ["inner[7].size=1", "name.first=1", "nothing"] {
        assert!(changed.set(wrong).is_err(), "{wrong}");
    }
    changed.set("inner[0].siz=1").unwrap();
    let error = changed.read::<Sample>().unwrap_err().to_string();
    assert!(
        error.contains("inner[0].siz: there is no such key"),
        "{error}"
    );
}

#[test]
fn a_sweep_keeps_the_order_of_the_file() {
    let text = "[sweep]\nz = [1]\na = ['x', 'y']\n";
    let axes = sweep_of(&document("f", text).unwrap()).unwrap();
    let keys: Vec<_> = axes
        .iter()
        .map(|(key, values)| (key.as_str(), values.len()))
        .collect();
    assert_eq!(keys, [("z", 1), ("a", 2)]);
    let error = sweep_of(&document("f", "[sweep]\nz = 1\n").unwrap()).unwrap_err();
    assert!(
        error.to_string().starts_with("f:2: sweep.z: is 1"),
        "{error}"
    );
}
