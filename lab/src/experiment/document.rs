//! The text of a scenario as a tree of values that knows its lines: what is set from outside, what
//! the parameters stand for, and the way from a failing key back to its line.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::error::{Mistake, Place, ScenarioError, nearest};
use super::expression::{Parameters, plain, substitute};
use crate::link::{Capacity, RateTrace};

/// A scenario file.
#[derive(Clone, Debug)]
pub struct Document {
    file: String,
    text: String,
    table: Table,
    files: Files,
    sets: Vec<String>,
}

/// Texts of other files that a scenario names, by name.
pub type Files = BTreeMap<String, String>;

/// One step of a path to a value.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    Key(String),
    Index(usize),
}

/// Sections in which `$name` is not replaced: they say what the names stand for.
const VERBATIM: [&str; 2] = ["parameters", "sweep"];

impl Document {
    /// Reads TOML. `file` names it in errors. Each `{ csv = "NAME" }` is replaced by the steps of the
    /// trace that `load` gives for the name.
    ///
    /// # Errors
    /// It is not TOML, or a trace cannot be read.
    pub fn parse(
        file: &str,
        text: &str,
        load: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<Self, ScenarioError> {
        let table = text.parse::<Table>().map_err(|error| ScenarioError {
            place: Place {
                file: file.into(),
                line: error.span().map(|span| line_of(text, &span)),
            },
            key: String::new(),
            mistake: Box::new(Mistake::Syntax(one_line(error.message()))),
        })?;
        let mut document = Self {
            file: file.into(),
            text: text.into(),
            table,
            files: Files::new(),
            sets: Vec::new(),
        };
        document.put_in_traces(load)?;
        Ok(document)
    }

    /// The file as it was read.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The traces it names.
    #[must_use]
    pub const fn files(&self) -> &Files {
        &self.files
    }

    /// What was set from outside, in order.
    #[must_use]
    pub fn sets(&self) -> &[String] {
        &self.sets
    }

    fn put_in_traces(
        &mut self,
        load: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<(), ScenarioError> {
        let mut root = Value::Table(std::mem::take(&mut self.table));
        let mut files = Files::new();
        let done = put_in(&mut root, &mut Vec::new(), load, &mut files);
        if let Value::Table(table) = root {
            self.table = table;
        }
        self.files = files;
        done.map_err(|(path, why)| self.error(&written(&path), Mistake::Value(why)))
    }

    /// A section, if it is there and a table.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&Table> {
        self.table.get(name).and_then(Value::as_table)
    }

    /// Sets the value at `key`, for example `duration=5s` or `path.forward[0].rate=10mbit`. A key
    /// that is a parameter sets the parameter. A swept key is no longer swept.
    ///
    /// # Errors
    /// `assignment` has no `=`, or its path leads through something that is no table or list.
    pub fn set(&mut self, assignment: &str) -> Result<(), ScenarioError> {
        let Some((key, value)) = assignment.split_once('=') else {
            let example = "key=value";
            return Err(self.error(assignment, Mistake::Missing { example }));
        };
        let (key, value) = (key.trim(), value.trim());
        self.set_value(key, typed(value))?;
        self.sets.push(format!("{key}={value}"));
        if let Some(Value::Table(sweep)) = self.table.get_mut("sweep") {
            sweep.remove(key);
        }
        Ok(())
    }

    /// Sets the value at a path, or that of a parameter.
    ///
    /// # Errors
    /// The path leads through something that is no table or list.
    pub fn set_value(&mut self, key: &str, value: Value) -> Result<(), ScenarioError> {
        if let Some(Value::Table(parameters)) = self.table.get_mut("parameters")
            && let Some(parameter) = parameters.get_mut(key)
        {
            *parameter = value;
            return Ok(());
        }
        let steps = steps_of(key);
        let error = self.error(
            key,
            Mistake::Value("leads through something that is no table or list".into()),
        );
        let mut root = Value::Table(std::mem::take(&mut self.table));
        let found = place(&mut root, &steps).map(|place| *place = value);
        if let Value::Table(table) = root {
            self.table = table;
        }
        found.ok_or(error)
    }

    /// The parameters with their present values; one may refer to another that stands alone.
    #[must_use]
    pub fn parameters(&self) -> Parameters {
        let section = self.section("parameters");
        section
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// The document as `T`, with every `$name` and `${…}` replaced.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ScenarioError> {
        serde_path_to_error::deserialize(Value::Table(self.replaced()?))
            .map_err(|error| self.mistake(&path_text(error.path()), error.inner().message()))
    }

    /// Its content with every `$name` and `${…}` replaced and every trace put in: it needs neither
    /// parameters nor other files, and has no sweep.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn resolved(&self) -> Result<Table, ScenarioError> {
        let mut table = self.replaced()?;
        for section in VERBATIM {
            table.remove(section);
        }
        Ok(table)
    }

    fn replaced(&self) -> Result<Table, ScenarioError> {
        let parameters = self.parameters();
        let mut table = self.table.clone();
        for (key, value) in &mut table {
            if !VERBATIM.contains(&key.as_str()) {
                let mut path = vec![Step::Key(key.clone())];
                self.replace(value, &parameters, &mut path)?;
            }
        }
        Ok(table)
    }

    /// `mistake` at `key`, with the line if the file has the key.
    #[must_use]
    pub fn error(&self, key: &str, mistake: Mistake) -> ScenarioError {
        ScenarioError {
            place: Place {
                file: self.file.clone(),
                line: self.line(&steps_of(key)),
            },
            key: key.into(),
            mistake: Box::new(mistake),
        }
    }

    fn replace(
        &self,
        value: &mut Value,
        parameters: &Parameters,
        path: &mut Vec<Step>,
    ) -> Result<(), ScenarioError> {
        match value {
            Value::String(text) => {
                let found = substitute(text, parameters)
                    .map_err(|error| self.error(&written(path), error.into()))?;
                if let Some(found) = found {
                    *value = found;
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    path.push(Step::Index(index));
                    self.replace(item, parameters, path)?;
                    path.pop();
                }
            }
            Value::Table(table) => {
                for (key, item) in table.iter_mut() {
                    path.push(Step::Key(key.to_string()));
                    self.replace(item, parameters, path)?;
                    path.pop();
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What serde says, in our words where it is about keys.
    fn mistake(&self, path: &str, message: &str) -> ScenarioError {
        let message = one_line(message);
        if let Some((name, known)) = unknown_field(&message) {
            let inside = path == name || path.ends_with(&format!(".{name}"));
            let key = match (inside, path.is_empty()) {
                (true, _) => path.to_owned(),
                (false, true) => name.clone(),
                (false, false) => format!("{path}.{name}"),
            };
            let near = nearest(&name, &known);
            return self.error(&key, Mistake::UnknownKey { near, known });
        }
        self.error(path, Mistake::Value(message))
    }

    /// The line of the deepest part of the path that the file has.
    fn line(&self, steps: &[Step]) -> Option<usize> {
        if steps.is_empty() {
            return None;
        }
        let root = DeTable::parse(&self.text).ok()?;
        let mut span = None;
        let mut node = Node::Table(root.get_ref());
        for step in steps {
            let Some((next, found)) = node.child(step) else {
                break;
            };
            span = Some(found);
            node = next;
        }
        span.map(|span| line_of(&self.text, &span))
    }
}

enum Node<'a> {
    Table(&'a DeTable<'a>),
    Value(&'a DeValue<'a>),
}

impl<'a> Node<'a> {
    fn child(&self, step: &Step) -> Option<(Self, Range<usize>)> {
        let table = match self {
            Self::Table(table) => *table,
            Self::Value(DeValue::Table(table)) => table,
            Self::Value(DeValue::Array(items)) => {
                let Step::Index(index) = step else {
                    return None;
                };
                let item = items.get(*index)?;
                return Some((Self::Value(item.get_ref()), item.span()));
            }
            Self::Value(_) => return None,
        };
        let Step::Key(wanted) = step else {
            return None;
        };
        let (key, value) = table
            .iter()
            .find(|(key, _)| key.get_ref().as_ref() == wanted)?;
        Some((Self::Value(value.get_ref()), key.span()))
    }
}

/// A value as the command line writes it: TOML where it reads as TOML, else the bare text.
fn typed(text: &str) -> Value {
    let read = format!("value = {text}").parse::<Table>();
    let value = read.ok().and_then(|mut table| table.remove("value"));
    value.unwrap_or_else(|| Value::String(text.into()))
}

/// `a.b[2].c` as steps.
fn steps_of(key: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in key.split('.').filter(|part| !part.is_empty()) {
        let (name, mut rest) = part.split_at(part.find('[').unwrap_or(part.len()));
        match name.parse() {
            Ok(index) => steps.push(Step::Index(index)),
            Err(_) if name.is_empty() => {}
            Err(_) => steps.push(Step::Key(name.into())),
        }
        while let Some((index, after)) = rest
            .strip_prefix('[')
            .and_then(|inside| inside.split_once(']'))
        {
            rest = after;
            steps.extend(index.parse().ok().map(Step::Index));
        }
    }
    steps
}

fn written(steps: &[Step]) -> String {
    let mut out = String::new();
    for step in steps {
        match step {
            Step::Key(key) => {
                if !out.is_empty() {
                    out.push('.');
                }
                out.push_str(key);
            }
            Step::Index(index) => out.push_str(&format!("[{index}]")),
        }
    }
    out
}

fn path_text(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let steps = path.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    written(&steps.collect::<Vec<_>>())
}

/// The place that a path names; tables on the way are made.
fn place<'a>(value: &'a mut Value, steps: &[Step]) -> Option<&'a mut Value> {
    let mut value = value;
    for step in steps {
        value = match (value, step) {
            (Value::Table(table), Step::Key(key)) => table
                .entry(key.clone())
                .or_insert_with(|| Value::Table(Table::new())),
            (Value::Array(items), Step::Index(index)) => items.get_mut(*index)?,
            _ => return None,
        };
    }
    (!steps.is_empty()).then_some(value)
}

/// Replaces `{ csv = "NAME" }` below `value`.
fn put_in(
    value: &mut Value,
    path: &mut Vec<Step>,
    load: &dyn Fn(&str) -> Result<String, String>,
    files: &mut Files,
) -> Result<(), (Vec<Step>, String)> {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                path.push(Step::Index(index));
                put_in(item, path, load, files)?;
                path.pop();
            }
        }
        Value::Table(table) => {
            if let (1, Some(Value::String(name))) = (table.len(), table.get("csv")) {
                let name = name.clone();
                let steps = trace(&name, load, files).map_err(|why| (path.clone(), why))?;
                *value = steps;
                return Ok(());
            }
            for (key, item) in table.iter_mut() {
                path.push(Step::Key(key.to_string()));
                put_in(item, path, load, files)?;
                path.pop();
            }
        }
        _ => {}
    }
    Ok(())
}

fn trace(
    name: &str,
    load: &dyn Fn(&str) -> Result<String, String>,
    files: &mut Files,
) -> Result<Value, String> {
    let text = load(name)?;
    let trace = RateTrace::from_csv(&text).map_err(|error| format!("{name}: {error}"))?;
    files.insert(name.into(), text);
    Value::try_from(Capacity::Trace(Arc::new(trace))).map_err(|error| error.to_string())
}

/// Name and known names of "unknown field `a`, expected one of `b`, `c`".
fn unknown_field(message: &str) -> Option<(String, Vec<String>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (name, rest) = rest.split_once('`')?;
    let known = rest.split('`').skip(1).step_by(2).map(String::from);
    Some((name.into(), known.collect()))
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    let before = text.as_bytes().get(..span.start).unwrap_or_default();
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

fn one_line(message: &str) -> String {
    message
        .split('\n')
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}

/// The values that `[sweep]` gives to each key, in the order of the file.
///
/// # Errors
/// A key has no list, or an empty one.
pub fn sweep_of(document: &Document) -> Result<Vec<(String, Vec<Value>)>, ScenarioError> {
    let mut axes = Vec::new();
    for (key, values) in document.section("sweep").into_iter().flatten() {
        match values {
            Value::Array(values) if !values.is_empty() => {
                axes.push((key.clone(), values.clone()));
            }
            _ => {
                let mistake = Mistake::Value(format!(
                    "is {}, and has to be a list of values such as [\"0%\", \"1%\"]",
                    plain(values)
                ));
                return Err(document.error(&format!("sweep.{key}"), mistake));
            }
        }
    }
    Ok(axes)
}

#[cfg(test)]
mod tests;
