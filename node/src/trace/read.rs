//! Reads qlog files (`docs/qlog.md`): JSON text sequences, one record after the other.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::failure::{Exit, Failure, plain_reason};

/// Separates records (RFC 7464).
const RECORD_SEPARATOR: u8 = 0x1e;
/// Bytes of a record; a longer one is not ours.
const RECORD_MAX: u64 = 4 << 20;
/// What the header of our files names.
const FILE_SCHEMA: &str = "urn:ietf:params:qlog:file:sequential";

/// The files that `path` names: itself, or those of a folder, by name.
///
/// # Errors
/// There is none, or the path cannot be read.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error: io::Error| {
        Failure::new(
            Exit::Local,
            format!(
                "cannot read {}: {}; name a .sqlog file or a folder of them",
                path.display(),
                plain_reason(&error)
            ),
        )
    };
    if !std::fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?.path();
        let name = entry.file_name().and_then(std::ffi::OsStr::to_str);
        let is_log = entry.extension().is_some_and(|kind| kind == "sqlog");
        // The endpoint's own log is about no connection.
        if is_log && name.is_some_and(|name| !name.contains("endpoint")) {
            found.push(entry);
        }
    }
    found.sort();
    if found.is_empty() {
        return Err(Failure::new(
            Exit::Local,
            format!(
                "there is no .sqlog file in {}; write some with --qlog {}",
                path.display(),
                path.display()
            ),
        ));
    }
    Ok(found)
}

/// Passes each event of a file to `each`: its time in milliseconds, its name without the namespace,
/// its data. A last record that is cut off is left out: the file may still be written. Returns the
/// header.
///
/// # Errors
/// The file cannot be read, or is not such a log.
pub fn events(path: &Path, mut each: impl FnMut(f64, &str, &Value)) -> Result<Value, Failure> {
    let wrong = |what: &str| {
        Failure::new(
            Exit::Local,
            format!(
                "{} is not a qlog file of dunlin: {what}; name a .sqlog file",
                path.display()
            ),
        )
    };
    let unreadable = |error: io::Error| wrong(&plain_reason(&error));
    let mut reader = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut header = None;
    let mut record = Vec::new();
    loop {
        record.clear();
        let mut limited = (&mut reader).take(RECORD_MAX);
        let read = limited
            .read_until(RECORD_SEPARATOR, &mut record)
            .map_err(unreadable)?;
        if read == 0 {
            break;
        }
        if read as u64 >= RECORD_MAX {
            return Err(wrong("a record is too long"));
        }
        let is_last = record.last() != Some(&RECORD_SEPARATOR);
        if !is_last {
            record.pop();
        }
        if record.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let value: Value = match serde_json::from_slice(&record) {
            Ok(value) => value,
            Err(_) if is_last && header.is_some() => break,
            Err(error) => return Err(wrong(&error.to_string())),
        };
        if header.is_none() {
            if value["file_schema"] != FILE_SCHEMA {
                return Err(wrong("its first record is no header"));
            }
            header = Some(value);
        } else if let (Some(time), Some(name)) = (value["time"].as_f64(), value["name"].as_str()) {
            let name = name.strip_prefix("dunlin:").unwrap_or(name);
            each(time, name, &value["data"]);
        }
    }
    header.ok_or_else(|| wrong("it is empty"))
}

/// An unsigned integer, as a number or as a text of digits.
#[must_use]
pub fn integer(value: &Value) -> Option<u64> {
    value
        .as_u64()
        .or_else(|| value.as_str().and_then(|digits| digits.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "\u{1e}{\"file_schema\":\"urn:ietf:params:qlog:file:sequential\"}\n";

    fn read(text: &str) -> Result<Vec<(f64, String)>, Failure> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut seen = Vec::new();
        events(file.path(), |time, name, _| {
            seen.push((time, name.to_owned()));
        })?;
        Ok(seen)
    }

    #[test]
    fn reads_records_and_leaves_out_one_that_is_being_written() {
        let event = "\u{1e}{\"time\":1.5,\"name\":\"dunlin:x\",\"data\":{}}\n";
        let whole = [HEADER, event, event].concat();
        assert_eq!(read(&whole).unwrap().len(), 2);
        let cut = &whole[..whole.len() - 9];
        assert_eq!(read(cut).unwrap(), [(1.5, "x".into())]);
    }

    #[test]
    fn refuses_what_is_no_log_of_ours() {
        for text in [
            "",
            "{}",
            "\u{1e}{}\n",
            "hello",
            "\u{1e}{\"qlog_version\":\"0.3\"}\n",
        ] {
            let failure = read(text).unwrap_err();
            assert_eq!(failure.exit(), Exit::Local);
            assert!(
                failure.to_string().contains("is not a qlog file"),
                "{failure}"
            );
        }
        let broken = [HEADER, "\u{1e}{\"time\":\n", "\u{1e}{}\n"].concat();
        assert!(read(&broken).is_err(), "in the middle");
    }

    #[test]
    fn long_integers_are_texts() {
        assert_eq!(integer(&Value::from(7)), Some(7));
        assert_eq!(
            integer(&Value::from("18446744073709551615")),
            Some(u64::MAX)
        );
        assert_eq!(integer(&Value::from("x")), None);
    }
}
