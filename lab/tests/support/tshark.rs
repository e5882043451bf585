//! Runs tshark with the dissector of `transport/wireshark`; shared by the tests of the laboratory and
//! of the program.

use std::path::Path;
use std::process::Command;

/// How the dissector learns where the keys are.
#[derive(Clone, Copy, Debug)]
#[expect(
    dead_code,
    reason = "each of the tests that share this file tells it in its own way"
)]
pub(crate) enum Keys<'a> {
    /// It does not.
    None,
    /// By its preference.
    Preference(&'a Path),
    /// By `DUNLIN_KEYLOG`.
    Environment(&'a Path),
}

/// A row for each frame of `capture`, with a column for each field. Values of a field that is there
/// more than once are joined by commas.
pub(crate) fn tshark(capture: &Path, keys: Keys<'_>, fields: &[&str]) -> Vec<Vec<String>> {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../transport/wireshark/dunlin.lua"
    );
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(capture);
    tshark.arg("-X").arg(format!("lua_script:{script}"));
    tshark.env_remove("DUNLIN_KEYLOG");
    match keys {
        Keys::None => {}
        Keys::Preference(path) => {
            tshark.arg("-o");
            tshark.arg(format!("dunlin.keylog:{}", path.display()));
        }
        Keys::Environment(path) => {
            tshark.env("DUNLIN_KEYLOG", path);
        }
    }
    tshark.args(["-T", "fields", "-E", "separator=/t", "-E", "occurrence=a"]);
    for field in fields {
        tshark.args(["-e", field]);
    }
    let output = tshark.output().expect("tshark is installed");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(!stderr.contains("Lua"), "{stderr}");
    let text = String::from_utf8(output.stdout).expect("tshark writes UTF-8");
    let rows = text.lines().map(|line| {
        let columns: Vec<_> = line.split('\t').map(str::to_owned).collect();
        assert_eq!(columns.len(), fields.len(), "{line}");
        columns
    });
    rows.collect()
}

/// The values of a field.
pub(crate) fn list(field: &str) -> impl Iterator<Item = &str> {
    field.split(',').filter(|part| !part.is_empty())
}

/// Bytes that tshark shows as hexadecimal digits.
pub(crate) fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().filter(|digit| *digit != ':').collect();
    let pairs = digits.chunks(2).map(String::from_iter);
    pairs
        .map(|pair| u8::from_str_radix(&pair, 16).expect("tshark writes hexadecimal"))
        .collect()
}
