//! Reading: the parser's events become a value; anchors cost what they unfold to.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};
use serde_json::{Map, Value};

use super::scalar::{key_text, resolve};
use crate::document::{DocumentError, MAX_DEPTH, MAX_DOCUMENT};

/// What a node costs of the budget besides its text, bytes.
const NODE: usize = 32;
/// The handle of YAML's own tags.
const CORE: &str = "tag:yaml.org,2002:";

/// The value of a YAML document with at most one root. Keys that are no texts are named as JSON names them; tags
/// of programming languages are refused.
///
/// Time and memory are bounded: nodes with their texts cost at most [`MAX_DOCUMENT`], and an alias costs as much
/// as the node that it stands for.
///
/// # Errors
/// [`DocumentError`] names the line.
pub fn from_bytes(bytes: &[u8]) -> Result<Value, DocumentError> {
    if bytes.len() > MAX_DOCUMENT {
        return Err(DocumentError::TooLong);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        fault(
            1 + before.iter().filter(|byte| **byte == b'\n').count(),
            "is no utf-8",
        )
    })?;
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| fault(error.marker().line(), error.info()))?;
        reader.event(event, span.start)?;
    }
    Ok(reader.root.unwrap_or(Value::Null))
}

fn fault(line: usize, reason: impl Into<String>) -> DocumentError {
    let reason = reason.into();
    DocumentError::Yaml { line, reason }
}

/// A node and what it costs.
#[derive(Clone)]
struct Node {
    value: Value,
    cost: usize,
    /// `<<` without quotes, which as a key takes over the fields of another object.
    merge: bool,
}

/// A list or object whose end has not come yet.
struct Open {
    is_list: bool,
    items: Vec<Node>,
    cost: usize,
    anchor: usize,
}

#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Value>,
    documents: usize,
    spent: usize,
}

impl Reader {
    fn event(&mut self, event: Event<'_>, at: Marker) -> Result<(), DocumentError> {
        let line = at.line();
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(fault(line, "a second document"));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let cost = NODE + text.len();
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let node = Node {
                    value: scalar(&text, style, tag.as_deref(), line)?,
                    cost,
                    merge: plain && text == "<<",
                };
                self.node(node, anchor)?;
            }
            Event::SequenceStart(anchor, tag) => self.begin(true, anchor, tag.as_deref(), line)?,
            Event::MappingStart(anchor, tag) => self.begin(false, anchor, tag.as_deref(), line)?,
            Event::SequenceEnd | Event::MappingEnd => self.end(line)?,
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor);
                let node = node.ok_or_else(|| fault(line, "an alias inside of what it stands for"))?;
                // Counted before it is copied.
                let cost = self.spent + node.cost;
                if cost > MAX_DOCUMENT {
                    return Err(DocumentError::TooLong);
                }
                let node = node.clone();
                self.node(node, 0)?;
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn spend(&mut self, cost: usize) -> Result<(), DocumentError> {
        self.spent += cost;
        if self.spent > MAX_DOCUMENT {
            return Err(DocumentError::TooLong);
        }
        Ok(())
    }

    fn begin(
        &mut self,
        is_list: bool,
        anchor: usize,
        tag: Option<&Tag>,
        line: usize,
    ) -> Result<(), DocumentError> {
        let expected = if is_list { "seq" } else { "map" };
        if let Some(tag) = tag.filter(|tag| tag.handle != CORE || tag.suffix != expected) {
            return Err(fault(line, format!("tag {tag} is not supported")));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(DocumentError::TooDeep);
        }
        self.open.push(Open {
            is_list,
            items: Vec::new(),
            cost: NODE,
            anchor,
        });
        Ok(())
    }

    fn end(&mut self, line: usize) -> Result<(), DocumentError> {
        let Some(open) = self.open.pop() else {
            return Err(fault(line, "an end without a beginning"));
        };
        let value = if open.is_list {
            Value::Array(open.items.into_iter().map(|item| item.value).collect())
        } else {
            Value::Object(self.object(open.items, line)?)
        };
        // What is inside was paid for.
        let node = Node {
            value,
            cost: open.cost,
            merge: false,
        };
        if open.anchor > 0 {
            self.spend(node.cost)?;
            self.anchors.insert(open.anchor, node.clone());
        }
        self.place(node);
        self.spend(NODE)
    }

    /// A scalar or an alias.
    fn node(&mut self, node: Node, anchor: usize) -> Result<(), DocumentError> {
        self.spend(node.cost)?;
        if anchor > 0 {
            self.spend(node.cost)?;
            self.anchors.insert(anchor, node.clone());
        }
        self.place(node);
        Ok(())
    }

    fn place(&mut self, node: Node) {
        match self.open.last_mut() {
            Some(open) => {
                open.cost += node.cost;
                open.items.push(node);
            }
            None => self.root = Some(node.value),
        }
    }

    /// Keys and values alternate. A later key wins over an earlier one, own fields over merged ones.
    fn object(&mut self, items: Vec<Node>, line: usize) -> Result<Map<String, Value>, DocumentError> {
        let mut fields = Map::new();
        let mut merged = Vec::new();
        let mut items = items.into_iter();
        while let (Some(key), Some(node)) = (items.next(), items.next()) {
            if key.merge {
                self.spend(node.cost)?;
                merged.push(node.value);
                continue;
            }
            let key = key_text(&key.value).ok_or_else(|| fault(line, "a key that is a list or an object"))?;
            fields.insert(key, node.value);
        }
        for source in merged {
            let sources = match source {
                Value::Array(sources) => sources,
                other => vec![other],
            };
            for source in sources {
                let Value::Object(source) = source else {
                    return Err(fault(line, "a merge of what is no object"));
                };
                for (key, value) in source {
                    fields.entry(key).or_insert(value);
                }
            }
        }
        Ok(fields)
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, line: usize) -> Result<Value, DocumentError> {
    let quoted = || Value::String(text.to_owned());
    let Some(tag) = tag else {
        return Ok(if style == ScalarStyle::Plain {
            resolve(text)
        } else {
            quoted()
        });
    };
    let refused = || fault(line, format!("tag {tag} does not fit, or is not supported"));
    if tag.handle.is_empty() && tag.suffix == "!" {
        return Ok(quoted());
    }
    if tag.handle != CORE {
        return Err(refused());
    }
    let value = resolve(text);
    match (tag.suffix.as_str(), &value) {
        ("str", _) => Ok(quoted()),
        ("null", Value::Null) | ("bool", Value::Bool(_)) => Ok(value),
        ("int", Value::Number(number)) if !number.is_f64() => Ok(value),
        ("float", Value::Number(number)) => Ok(Value::from(number.as_f64())),
        _ => Err(refused()),
    }
}
