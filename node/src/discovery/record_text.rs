//! A peer record as DNS text: `dunlin=` and the record in base64 (RFC 4648 §5, no padding).
//!
//! The strings of one TXT resource are joined before they are read (RFC 7208 §3.3 does the same), so
//! that a record longer than 255 bytes can be split anywhere. A resource that does not begin with
//! `dunlin=` is somebody else's and skipped.

use std::fmt::Write as _;

use data_encoding::BASE64URL_NOPAD;

/// What a record in a TXT resource begins with.
const TAG: &[u8] = b"dunlin=";
/// Longest text that is looked at: a record (its bound, twice for base64 and CBOR) and the tag.
const TEXT_LEN_MAX: usize = 1_024;
/// Bytes of one string of a TXT resource (RFC 1035 §3.3.14).
const STRING_LEN_MAX: usize = 255;

/// The record in the strings of a TXT resource; `None`: there is none.
pub(super) fn record_in<'a>(strings: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    for string in strings {
        if text.len() + string.len() > TEXT_LEN_MAX {
            return None;
        }
        text.extend_from_slice(string);
    }
    BASE64URL_NOPAD.decode(text.strip_prefix(TAG)?).ok()
}

/// The strings of a TXT resource that holds `record`, each of at most 255 characters.
#[must_use]
pub fn strings_of(record: &[u8]) -> Vec<String> {
    let mut rest = String::from_utf8_lossy(TAG).into_owned() + &BASE64URL_NOPAD.encode(record);
    let mut strings = Vec::new();
    while rest.len() > STRING_LEN_MAX {
        let tail = rest.split_off(STRING_LEN_MAX);
        strings.push(std::mem::replace(&mut rest, tail));
    }
    strings.push(rest);
    strings
}

/// The data of a TXT resource as zone files (RFC 1035 §5.1) have it: strings in quotes.
#[must_use]
pub fn dns_record_line(record: &[u8]) -> String {
    let mut line = String::from("IN TXT");
    for string in strings_of(record) {
        // Writing to a string cannot fail.
        let _ = write!(line, " \"{string}\"");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(strings: &[String]) -> Option<Vec<u8>> {
        record_in(strings.iter().map(String::as_bytes))
    }

    #[test]
    fn records_of_every_length_round_trip_in_strings_of_bounded_length() {
        for len in [0, 1, 180, 186, 187, 400, 700] {
            let record: Vec<u8> = (0..len).map(|n: u16| n.to_be_bytes()[1]).collect();
            let strings = strings_of(&record);
            assert!(
                strings
                    .iter()
                    .all(|s| (1..=STRING_LEN_MAX).contains(&s.len()))
            );
            assert_eq!(read(&strings), Some(record));
        }
    }

    #[test]
    fn skips_other_texts_and_what_is_no_base64_or_too_long() {
        for text in ["v=spf1 -all", "dunlin", "dunlin=***", "dunlin=AA=="] {
            assert_eq!(read(&[text.to_owned()]), None, "{text}");
        }
        let tag = "dunlin=".to_owned();
        let longest = TEXT_LEN_MAX - TAG.len();
        assert!(read(&[tag.clone(), "A".repeat(longest / 4 * 4)]).is_some());
        assert_eq!(read(&[tag, "A".repeat(longest / 4 * 4 + 4)]), None);
    }
}
