//! [`Yaml`]: as much of YAML as a data set is described in, with the line of each value.
//!
//! Aliases are refused, and so is what is nested deeper than any description, so that a small file stays small in memory.

use super::boxes::{text, wrong};
use crate::DataError;
use saphyr_parser::{Event, Parser};
use std::path::Path;

/// How deep values may be nested.
const MAX_DEPTH: usize = 16;

/// A value and its line, from 1.
#[derive(Debug)]
pub(super) struct Yaml {
    pub line: u64,
    pub value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    /// As written, without quotes.
    Scalar(String),
    List(Vec<Yaml>),
    Map(Vec<(String, Yaml)>),
}

impl Yaml {
    pub fn read(path: &Path) -> Result<Self, DataError> {
        Self::parse(path, &text(path)?)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, DataError> {
        let failed =
            |line: usize, message: String| Err(wrong(path, line as u64, message, super::yolo::REMEDY));
        // What is open, and the key that waits for its value where it is a map.
        let mut open: Vec<(Yaml, Option<String>)> = vec![];
        for event in Parser::new_from_str(text) {
            let (event, span) = match event {
                Ok(event) => event,
                Err(error) => return failed(error.marker().line(), format!("not YAML: {}", error.info())),
            };
            let line = span.start.line();
            let of = |value| Yaml {
                line: line as u64,
                value,
            };
            let done = match event {
                Event::Alias(_) => return failed(line, "an alias, expected the value itself".into()),
                Event::SequenceStart(..) | Event::MappingStart(..) if open.len() >= MAX_DEPTH => {
                    return failed(line, format!("nested more than {MAX_DEPTH} deep"));
                }
                Event::SequenceStart(..) => {
                    open.push((of(Value::List(vec![])), None));
                    continue;
                }
                Event::MappingStart(..) => {
                    open.push((of(Value::Map(vec![])), None));
                    continue;
                }
                Event::SequenceEnd | Event::MappingEnd => open.pop().map(|(yaml, _)| yaml),
                Event::Scalar(text, ..) => Some(of(Value::Scalar(text.into_owned()))),
                Event::DocumentEnd => break,
                _ => continue,
            };
            let Some(done) = done else { continue };
            match open.last_mut() {
                None => return Ok(done),
                Some((
                    Yaml {
                        value: Value::List(list),
                        ..
                    },
                    _,
                )) => list.push(done),
                Some((
                    Yaml {
                        value: Value::Map(map),
                        ..
                    },
                    key,
                )) => match (key.take(), done.value) {
                    (Some(key), value) => map.push((
                        key,
                        Yaml {
                            line: done.line,
                            value,
                        },
                    )),
                    (None, Value::Scalar(text)) => *key = Some(text),
                    (None, _) => return failed(line, "a key that is no text".into()),
                },
                Some((
                    Yaml {
                        value: Value::Scalar(_),
                        ..
                    },
                    _,
                )) => {}
            }
        }
        failed(1, "the file is empty".into())
    }

    /// The value of a key; none if it is empty or `null`.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Value::Map(map) = &self.value else {
            return None;
        };
        let (_, value) = map.iter().find(|(found, _)| found == key)?;
        let empty = matches!(&value.value, Value::Scalar(text) if matches!(text.as_str(), "" | "~" | "null"));
        (!empty).then_some(value)
    }

    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Yaml, DataError> {
        Yaml::parse(Path::new("d.yaml"), text)
    }

    #[test]
    fn values_have_lines() {
        let yaml =
            parse("# a comment\npath: ../x # there\ntest:\nnames:\n  0: 'a cat'\n  7: dog\nlist: [1, 2]\n")
                .unwrap();
        assert_eq!(yaml.get("path").and_then(Yaml::text), Some("../x"));
        assert!(yaml.get("test").is_none() && yaml.get("absent").is_none());
        let names = yaml.get("names").unwrap();
        assert_eq!(
            (names.get("7").unwrap().line, names.get("0").unwrap().text()),
            (6, Some("a cat"))
        );
        assert!(matches!(&yaml.get("list").unwrap().value, Value::List(list) if list.len() == 2));
    }

    #[test]
    fn traps_are_refused() {
        let message = |text: &str| parse(text).unwrap_err().to_string();
        assert!(
            message("a: [1, 2\nb: c").starts_with("d.yaml:2: not YAML"),
            "{}",
            message("a: [1, 2\nb: c")
        );
        assert!(message("a: &x [1]\nb: *x").contains("d.yaml:2: an alias"));
        assert!(message(&"[".repeat(100_000)).starts_with("d.yaml:1: "));
        assert!(message(&"[".repeat(20)).contains("nested more than"));
        assert!(message(&"- ".repeat(50_000)).contains("nested more than"));
        assert!(message("").contains("empty"));
        assert!(message("? [a]\n: b").contains("a key that is no text"));
    }
}
