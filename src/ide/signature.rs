//! Signature help: the parameters of a template while an `apply` of it is being written.

use super::Analysis;
use crate::resolve::Lookup;
use crate::source::FileId;
use crate::syntax::tree::{ItemKind, Template};

/// A template with the parameter whose argument is being written.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature {
    /// `tenant(ns: Namespace, api: Host)`
    pub label: String,
    /// The ranges of the parameters in the label, in bytes.
    pub parameters: Vec<(u32, u32)>,
    /// The parameter whose argument is being written.
    pub active: u32,
    /// The documentation comment of the template.
    pub doc: Option<String>,
}

impl Analysis {
    /// Returns the template whose arguments are being written at an offset: `apply tenant(team-a, |`.
    pub fn signature(&self, file: FileId, offset: u32) -> Option<Signature> {
        let text = self.sources().file(file).text.get(..offset as usize)?;
        let (name, active) = call(text)?;
        let names = self.names()?;
        let Lookup::Found(def) = names.lookup(self.module(file)?, name) else { return None };
        let item = names.item(def);
        let ItemKind::Template(template) = &item.kind else { return None };
        let (label, parameters) = label(template);
        Some(Signature { label, parameters, active, doc: item.doc.as_ref().map(ToString::to_string) })
    }
}

/// Returns the head of a template, with the ranges of its parameters.
pub(super) fn label(template: &Template) -> (String, Vec<(u32, u32)>) {
    let mut label = format!("{}(", template.name.text);
    let mut places = Vec::new();
    for (at, parameter) in template.parameters.iter().enumerate() {
        if at > 0 {
            label.push_str(", ");
        }
        let start = label.len() as u32;
        label.push_str(&format!("{}: {}", parameter.name.text, parameter.kind.text));
        places.push((start, label.len() as u32));
    }
    label.push(')');
    (label, places)
}

/// Returns the template of the `apply` at the end of a text, and the number of complete arguments.
pub(super) fn call(text: &str) -> Option<(&str, u32)> {
    let (mut depth, mut commas, mut quoted) = (0usize, 0, false);
    for (at, byte) in text.bytes().enumerate().rev() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if quoted => return None,
            _ if quoted => {}
            b')' | b'}' => depth += 1,
            b'{' if depth == 0 => return None,
            b'(' if depth == 0 => {
                let before = text[..at].trim_end();
                let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
                let name = before.rsplit(|c: char| !is_word(c)).next().filter(|name| !name.is_empty())?;
                let keyword = before[..before.len() - name.len()].trim_end();
                return keyword.ends_with("apply").then_some((name, commas));
            }
            b'(' | b'{' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => commas += 1,
            _ => {}
        }
    }
    None
}
