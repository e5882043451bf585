//! What a value must look like, and what is said when it does not.

use super::tree::Raw;

/// The values that a key takes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Shape {
    /// A whole number within these bounds.
    Integer(u64, u64),
    /// A number within these bounds.
    Number(f64, f64),
    /// Seconds within these bounds; parts of a second are fine.
    Seconds(f64, f64),
    /// True or false.
    Flag,
    /// One of these words; case does not matter.
    Choice(&'static [&'static str]),
    /// A text that is not empty, of at most so many bytes; the example shows one.
    Text(usize, &'static str),
    /// At most so many texts; the example shows one.
    List(usize, &'static str),
}

/// A value that fits its shape.
#[derive(Clone, PartialEq, Debug)]
pub enum Setting {
    /// A whole number.
    Integer(u64),
    /// A number, or seconds.
    Number(f64),
    /// True or false.
    Flag(bool),
    /// A text or a word.
    Text(String),
    /// Texts.
    List(Vec<String>),
    /// Not set.
    Unset,
}

impl Shape {
    /// The value, if it fits.
    ///
    /// # Errors
    /// What is wrong, as the rest of a sentence that begins with the key.
    pub(super) fn read(self, raw: &Raw) -> Result<Setting, String> {
        let found = match (self, raw) {
            (Self::Integer(min, max), Raw::Integer(number)) => u64::try_from(*number)
                .ok()
                .filter(|number| (min..=max).contains(number))
                .map(Setting::Integer),
            (Self::Number(min, max) | Self::Seconds(min, max), raw) => number(raw)
                .filter(|number| (min..=max).contains(number))
                .map(Setting::Number),
            (Self::Flag, Raw::Flag(flag)) => Some(Setting::Flag(*flag)),
            (Self::Choice(words), Raw::Text(text)) => words
                .iter()
                .find(|word| word.eq_ignore_ascii_case(text))
                .map(|word| Setting::Text((*word).into())),
            (Self::Text(len, _), Raw::Text(text)) => {
                (!text.is_empty() && text.len() <= len).then(|| Setting::Text(text.clone()))
            }
            (Self::List(most, _), Raw::List(items)) if items.len() <= most => {
                let texts = items.iter().map(|item| match item {
                    Raw::Text(text) => Some(text.clone()),
                    _ => None,
                });
                texts.collect::<Option<_>>().map(Setting::List)
            }
            _ => None,
        };
        found.ok_or_else(|| format!("is {raw}, and has to be {}", self.wanted()))
    }

    /// A value as a variable of the environment has it.
    pub(super) fn raw(self, text: &str) -> Raw {
        let text = text.trim();
        let found = match self {
            Self::Integer(..) => text.parse().ok().map(Raw::Integer),
            Self::Number(..) | Self::Seconds(..) => text.parse().ok().map(Raw::Number),
            Self::Flag => match text {
                "true" | "1" | "yes" => Some(Raw::Flag(true)),
                "false" | "0" | "no" => Some(Raw::Flag(false)),
                _ => None,
            },
            Self::Choice(_) | Self::Text(..) => None,
            Self::List(..) => {
                let items = text
                    .split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty());
                Some(Raw::List(
                    items.map(|item| Raw::Text(item.into())).collect(),
                ))
            }
        };
        found.unwrap_or_else(|| Raw::Text(text.into()))
    }

    /// What a value has to be, for people.
    #[must_use]
    pub fn wanted(self) -> String {
        match self {
            Self::Integer(min, max) => format!("a whole number from {min} to {max}"),
            Self::Number(min, max) => format!("a number from {min} to {max}"),
            Self::Seconds(min, max) => format!("seconds, from {min} to {max}"),
            Self::Flag => "true or false".into(),
            Self::Choice(words) => format!("one of \"{}\"", words.join("\", \"")),
            Self::Text(len, example) => {
                format!("a text of 1 to {len} bytes such as \"{example}\"")
            }
            Self::List(most, example) => {
                format!("a list of at most {most} texts such as [\"{example}\"]")
            }
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a whole number so large is out of every range"
)]
fn number(raw: &Raw) -> Option<f64> {
    match raw {
        Raw::Integer(number) => Some(*number as f64),
        Raw::Number(number) => Some(*number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_at_the_bounds_fit_and_one_past_them_is_refused_with_what_is_wanted() {
        let text = |text: &str| Raw::Text(text.into());
        let list = |items: usize| Raw::List(vec![text("x"); items]);
        for (shape, fits, refused) in [
            (Shape::Integer(1, 5), Raw::Integer(5), Raw::Integer(6)),
            (Shape::Integer(1, 5), Raw::Integer(1), Raw::Integer(0)),
            (Shape::Integer(0, 5), Raw::Integer(0), Raw::Integer(-1)),
            (Shape::Integer(0, 5), Raw::Integer(0), Raw::Number(1.0)),
            (Shape::Number(0.0, 1.0), Raw::Integer(1), Raw::Number(1.01)),
            (
                Shape::Seconds(0.1, 9.0),
                Raw::Number(0.1),
                Raw::Number(f64::NAN),
            ),
            (Shape::Flag, Raw::Flag(true), Raw::Integer(1)),
            (Shape::Choice(&["a", "b"]), text("B"), text("c")),
            (Shape::Text(2, "ab"), text("ab"), text("abc")),
            (Shape::Text(2, "ab"), text("a"), text("")),
            (Shape::List(2, "x"), list(2), list(3)),
            (
                Shape::List(2, "x"),
                list(0),
                Raw::List(vec![Raw::Flag(true)]),
            ),
        ] {
            assert!(shape.read(&fits).is_ok(), "{shape:?} {fits:?}");
            let told = shape.read(&refused).unwrap_err();
            assert!(told.ends_with(&shape.wanted()), "{told}");
        }
    }

    #[test]
    fn a_variable_is_read_by_the_shape_of_its_key() {
        for (shape, text, raw) in [
            (Shape::Integer(0, 9), " 7 ", Raw::Integer(7)),
            (Shape::Seconds(0.0, 9.0), "0.5", Raw::Number(0.5)),
            (Shape::Flag, "yes", Raw::Flag(true)),
            (Shape::Integer(0, 9), "seven", Raw::Text("seven".into())),
            (
                Shape::List(9, "x"),
                "a, b,",
                Raw::List(vec![Raw::Text("a".into()), Raw::Text("b".into())]),
            ),
        ] {
            assert_eq!(shape.raw(text), raw);
        }
    }
}
