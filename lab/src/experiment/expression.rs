//! `$name` and `${name / 2}` in a scenario file: parameters, and a little arithmetic on them.
//!
//! Grammar: `sum = product (("+" | "-") product)*`, `product = atom (("*" | "/") atom)*`,
//! `atom = NAME | LITERAL | "(" sum ")"`.

use std::collections::BTreeMap;

use toml::Value;

use super::quantity::{Quantity, QuantityError};
use crate::plot::Unit;

/// Values by parameter name.
pub type Parameters = BTreeMap<String, Value>;

/// Why an expression has no value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ExpressionError {
    /// A name that `[parameters]` does not have.
    #[error("there is no parameter \"{name}\"{}", names(.known))]
    Unknown {
        /// The name.
        name: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// A parameter that is no quantity stands in arithmetic.
    #[error("the parameter \"{0}\" is no quantity, and stands in arithmetic")]
    NoQuantity(String),
    /// It does not follow the grammar.
    #[error("\"{0}\" does not read as an expression; write for example ${{rtt / 2}}")]
    Malformed(String),
    /// The arithmetic fails.
    #[error(transparent)]
    Quantity(#[from] QuantityError),
}

fn names(names: &[String]) -> String {
    if names.is_empty() {
        ": the file has no [parameters]".into()
    } else {
        format!("; there are {}", names.join(", "))
    }
}

/// `text` with every `$name` and `${…}` replaced. A text that is one of them and nothing else
/// becomes its value with its type; None: there is nothing to replace.
///
/// # Errors
/// An expression has no value.
pub fn substitute(text: &str, parameters: &Parameters) -> Result<Option<Value>, ExpressionError> {
    if !text.contains('$') {
        return Ok(None);
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('$') {
        out.push_str(&rest[..start]);
        let (value, after) = reference(&rest[start + 1..], text, parameters)?;
        if out.is_empty() && start == 0 && after.is_empty() && rest.len() == text.len() {
            return Ok(Some(value));
        }
        out.push_str(&plain(&value));
        rest = after;
    }
    out.push_str(rest);
    Ok(Some(Value::String(out)))
}

/// The value of what follows a `$`, and what follows it.
fn reference<'a>(
    text: &'a str,
    whole: &str,
    parameters: &Parameters,
) -> Result<(Value, &'a str), ExpressionError> {
    let malformed = || ExpressionError::Malformed(whole.into());
    if let Some(inner) = text.strip_prefix('{') {
        let (inside, after) = inner.split_once('}').ok_or_else(malformed)?;
        let inside = inside.trim();
        let value = match parameters.get(inside) {
            Some(value) => value.clone(),
            None => to_value(Parser::new(inside, parameters).whole()?),
        };
        return Ok((value, after));
    }
    let length = name_length(text);
    if length == 0 {
        return Err(malformed());
    }
    let (name, after) = text.split_at(length);
    let value = parameters
        .get(name)
        .ok_or_else(|| unknown(name, parameters))?;
    Ok((value.clone(), after))
}

fn unknown(name: &str, parameters: &Parameters) -> ExpressionError {
    ExpressionError::Unknown {
        name: name.into(),
        known: parameters.keys().cloned().collect(),
    }
}

/// A value as text without quotes.
#[must_use]
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn to_value(quantity: Quantity) -> Value {
    match (quantity.unit, i64::try_from(quantity.value())) {
        (Unit::Count, Ok(value)) => Value::Integer(value),
        _ => Value::String(quantity.to_string()),
    }
}

fn name_length(text: &str) -> usize {
    let is_first = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if !is_first {
        return 0;
    }
    text.bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        .count()
}

struct Parser<'a> {
    whole: &'a str,
    rest: &'a str,
    parameters: &'a Parameters,
    depth: u32,
}

/// Parentheses within each other; more is a mistake.
const DEPTH_MAX: u32 = 16;

impl<'a> Parser<'a> {
    const fn new(text: &'a str, parameters: &'a Parameters) -> Self {
        Self {
            whole: text,
            rest: text,
            parameters,
            depth: 0,
        }
    }

    fn whole(mut self) -> Result<Quantity, ExpressionError> {
        let value = self.sum()?;
        if self.rest.trim().is_empty() {
            Ok(value)
        } else {
            Err(self.malformed())
        }
    }

    fn malformed(&self) -> ExpressionError {
        ExpressionError::Malformed(self.whole.into())
    }

    fn sum(&mut self) -> Result<Quantity, ExpressionError> {
        let mut value = self.product()?;
        while let Some(operator) = self.operator(&['+', '-']) {
            value = value.apply(operator, self.product()?)?;
        }
        Ok(value)
    }

    fn product(&mut self) -> Result<Quantity, ExpressionError> {
        let mut value = self.atom()?;
        while let Some(operator) = self.operator(&['*', '/']) {
            value = value.apply(operator, self.atom()?)?;
        }
        Ok(value)
    }

    fn operator(&mut self, wanted: &[char]) -> Option<char> {
        let rest = self.rest.trim_start();
        let operator = rest.chars().next().filter(|next| wanted.contains(next))?;
        self.rest = &rest[1..];
        Some(operator)
    }

    fn atom(&mut self) -> Result<Quantity, ExpressionError> {
        if self.operator(&['(']).is_some() {
            self.depth += 1;
            if self.depth > DEPTH_MAX {
                return Err(self.malformed());
            }
            let value = self.sum()?;
            self.operator(&[')']).ok_or_else(|| self.malformed())?;
            return Ok(value);
        }
        let rest = self.rest.trim_start();
        let length = name_length(rest);
        if length > 0 {
            let (name, after) = rest.split_at(length);
            self.rest = after;
            let value = self
                .parameters
                .get(name)
                .ok_or_else(|| unknown(name, self.parameters))?;
            return plain(value)
                .parse()
                .map_err(|_| ExpressionError::NoQuantity(name.into()));
        }
        let length = rest
            .find(|letter: char| !(letter.is_alphanumeric() || matches!(letter, '.' | '%' | '_')))
            .unwrap_or(rest.len());
        if length == 0 {
            return Err(self.malformed());
        }
        let (literal, after) = rest.split_at(length);
        self.rest = after;
        Ok(literal.parse()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters() -> Parameters {
        let text = "rtt = '50ms'\nrate = '100mbit'\nflows = 3\nqueue = { codel = {} }\n";
        text.parse::<toml::Table>().unwrap().into_iter().collect()
    }

    fn value(text: &str) -> Result<Option<Value>, ExpressionError> {
        substitute(text, &parameters())
    }

    #[test]
    fn a_reference_alone_keeps_its_type() {
        assert_eq!(value("$flows"), Ok(Some(Value::Integer(3))));
        assert!(matches!(value("$queue"), Ok(Some(Value::Table(_)))));
        assert_eq!(value("${rtt}"), Ok(Some(Value::String("50ms".into()))));
        assert_eq!(value("20ms"), Ok(None));
    }

    #[test]
    fn arithmetic_knows_units_and_precedence() {
        let text = |text| value(text).map(|value| plain(&value.unwrap()));
        assert_eq!(text("${rtt / 2}").unwrap(), "25ms");
        assert_eq!(text("${rate * rtt}").unwrap(), "625kB");
        assert_eq!(text("${rate * rtt * 2}").unwrap(), "1250kB");
        assert_eq!(text("${rtt + 2 * 5ms}").unwrap(), "60ms");
        assert_eq!(text("${(rtt + 10ms) * flows}").unwrap(), "180ms");
        assert_eq!(text("${flows + 1}").unwrap(), "4");
        assert_eq!(text("${rate * 90%}").unwrap(), "90mbit");
    }

    #[test]
    fn references_inside_a_text_are_put_in() {
        let text = value("goodput >= ${rate / 2} when flows == $flows");
        let wanted = "goodput >= 50mbit when flows == 3";
        assert_eq!(text, Ok(Some(Value::String(wanted.into()))));
    }

    #[test]
    fn mistakes_are_named() {
        let error = |text| value(text).unwrap_err().to_string();
        assert!(error("$rat").contains("no parameter \"rat\"; there are flows, queue, rate, rtt"));
        assert!(error("${queue * 2}").contains("no quantity"));
        for text in ["$", "${rtt", "${rtt /}", "${}", "${rtt 2}", "${(rtt}"] {
            assert!(error(text).contains("expression"), "{text}");
        }
        assert!(error(&format!("${{{}", "(".repeat(99) + "}")).contains("expression"));
    }
}
