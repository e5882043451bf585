//! Objects of JSON (RFC 8259) written one after the other into a buffer: what a log needs and no
//! more.

use std::time::Duration;
use std::vec::Vec;

/// The largest integer that every reader of JSON takes exactly (RFC 7493 §2.2).
const EXACT_MAX: u64 = (1 << 53) - 1;

/// An object under construction; closed when it is dropped by [`object`].
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

/// Writes an object.
pub(super) fn object(out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
    out.push(b'{');
    fill(&mut Object { out, empty: true });
    out.push(b'}');
}

impl Object<'_> {
    fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if !core::mem::take(&mut self.empty) {
            self.out.push(b',');
        }
        string(self.out, key);
        self.out.push(b':');
        self.out
    }

    /// An integer; as a string of digits beyond what every reader takes exactly.
    pub(super) fn number(&mut self, key: &str, value: u64) {
        number(self.key(key), value);
    }

    /// The same, when there is one.
    pub(super) fn number_if(&mut self, key: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.number(key, value);
        }
    }

    /// A text.
    pub(super) fn text(&mut self, key: &str, value: &str) {
        string(self.key(key), value);
    }

    /// What `value` displays, as a text.
    pub(super) fn display(&mut self, key: &str, value: impl core::fmt::Display) {
        self.text(key, &std::format!("{value}"));
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &str, value: bool) {
        let word: &[u8] = if value { b"true" } else { b"false" };
        self.key(key).extend_from_slice(word);
    }

    /// A time in milliseconds, exact to the nanosecond.
    pub(super) fn millis(&mut self, key: &str, value: Duration) {
        let nanos = value.as_nanos();
        let text = std::format!("{}.{:06}", nanos / 1_000_000, nanos % 1_000_000);
        self.key(key).extend_from_slice(text.as_bytes());
    }

    /// An object.
    pub(super) fn object(&mut self, key: &str, fill: impl FnOnce(&mut Object<'_>)) {
        object(self.key(key), fill);
    }

    /// A list of objects.
    pub(super) fn objects<T>(
        &mut self,
        key: &str,
        items: impl Iterator<Item = T>,
        mut fill: impl FnMut(&mut Object<'_>, T),
    ) {
        list(self.key(key), items, |out, item| {
            object(out, |o| fill(o, item));
        });
    }

    /// A list of texts.
    pub(super) fn texts<'t>(&mut self, key: &str, items: impl Iterator<Item = &'t str>) {
        list(self.key(key), items, string);
    }

    /// A list of pairs of integers.
    pub(super) fn pairs(&mut self, key: &str, items: impl Iterator<Item = (u64, u64)>) {
        list(self.key(key), items, |out, (first, last)| {
            out.push(b'[');
            number(out, first);
            out.push(b',');
            number(out, last);
            out.push(b']');
        });
    }
}

fn list<T>(
    out: &mut Vec<u8>,
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

fn number(out: &mut Vec<u8>, value: u64) {
    let digits = std::format!("{value}");
    if value > EXACT_MAX {
        string(out, &digits);
    } else {
        out.extend_from_slice(digits.as_bytes());
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend([b'\\', u8::try_from(character).unwrap_or(b'?')]),
            '\0'..='\u{1f}' => {
                out.extend_from_slice(std::format!("\\u{:04x}", u32::from(character)).as_bytes());
            }
            _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn written(fill: impl FnOnce(&mut Object<'_>)) -> String {
        let mut out = Vec::new();
        object(&mut out, fill);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn writes_every_kind_of_value() {
        let text = written(|o| {
            o.number("n", 7);
            o.number_if("absent", None);
            o.text("t", "é");
            o.flag("f", true);
            o.millis("m", Duration::from_nanos(1_000_000_123));
            o.object("o", |o| o.number("x", 0));
            o.objects("l", [1u64, 2].into_iter(), |o, n| o.number("i", n));
            o.texts("s", ["a", "b"].into_iter());
            o.pairs("p", [(1, 2), (3, 4)].into_iter());
        });
        assert_eq!(
            text,
            r#"{"n":7,"t":"é","f":true,"m":1000.000123,"o":{"x":0},"l":[{"i":1},{"i":2}],"s":["a","b"],"p":[[1,2],[3,4]]}"#
        );
    }

    #[test]
    fn integers_that_a_float_rounds_are_texts() {
        let text = written(|o| {
            o.number("exact", EXACT_MAX);
            o.number("beyond", EXACT_MAX + 1);
        });
        assert_eq!(
            text,
            r#"{"exact":9007199254740991,"beyond":"9007199254740992"}"#
        );
    }

    #[test]
    fn escapes_what_would_break_out_of_a_text_or_a_record() {
        let text = written(|o| o.text("k", "\"\\\n\u{1e}\u{7f}"));
        assert_eq!(text, "{\"k\":\"\\\"\\\\\\u000a\\u001e\u{7f}\"}");
    }
}
