//! Fields by name, with the type that Kubernetes' API gives them. A value of another type is a finding, as the API
//! server would refuse it; `null` counts as missing.

use std::net::IpAddr;

use smol_str::SmolStr;

use super::document::Mistakes;
use super::errors;
use super::scalar::Scalar;
use super::tree::{At, Key};
use crate::model::labels::{Labels, Requirement, Requirements, Test};
use crate::model::names;
use crate::model::ports::Protocol;

/// The rule for label keys, in words.
const LABEL_KEY: &str =
    "a label key has letters, digits and inner `-`, `_`, `.`, at most 63, perhaps after a DNS name and `/`";

/// The rule for label values, in words.
const LABEL_VALUE: &str = "a label value has letters, digits and inner `-`, `_`, `.`, at most 63, or is empty";

/// Returns the string under `key`; an empty one counts as missing.
pub(super) fn text<'d>(parent: At<'d>, key: &str, mistakes: &mut Mistakes<'_>) -> Option<(&'d SmolStr, At<'d>)> {
    let value = parent.get(key)?;
    let text = as_text(value, key, mistakes)?;
    (!text.is_empty()).then_some((text, value))
}

/// Returns the string that a value is; `key` names it in the finding.
pub(super) fn as_text<'d>(value: At<'d>, key: &str, mistakes: &mut Mistakes<'_>) -> Option<&'d SmolStr> {
    if let Some(Scalar::Text(text)) = value.scalar() {
        return Some(text);
    }
    mistakes.push(errors::wrong_type(key, "a string", value));
    None
}

/// Returns the string under `key`, which `object` must have.
pub(super) fn required<'d>(
    parent: At<'d>,
    key: &str,
    object: &str,
    mistakes: &mut Mistakes<'_>,
) -> Option<(&'d SmolStr, At<'d>)> {
    let wrong = parent.get(key).is_some_and(|value| !matches!(value.scalar(), Some(Scalar::Text(_))));
    let found = text(parent, key, mistakes);
    if found.is_none() && !wrong {
        mistakes.push(errors::missing(parent.span(), object, key));
    }
    found
}

/// Returns the boolean under `key`, or false.
pub(super) fn boolean(parent: At<'_>, key: &str, mistakes: &mut Mistakes<'_>) -> bool {
    let Some(value) = parent.get(key) else { return false };
    if let Some(Scalar::Bool(boolean)) = value.scalar() {
        return *boolean;
    }
    mistakes.push(errors::wrong_type(key, "a boolean", value));
    false
}

/// Returns the mapping under `key`.
pub(super) fn mapping<'d>(parent: At<'d>, key: &str, mistakes: &mut Mistakes<'_>) -> Option<At<'d>> {
    let value = parent.get(key)?;
    if value.entries().is_some() {
        return Some(value);
    }
    mistakes.push(errors::wrong_type(key, "a mapping", value));
    None
}

/// Returns the items of the list under `key`; none without a list.
pub(super) fn list<'d>(parent: At<'d>, key: &str, mistakes: &mut Mistakes<'_>) -> Vec<At<'d>> {
    let Some(value) = parent.get(key) else { return Vec::new() };
    if let Some(items) = value.items() {
        return items.collect();
    }
    mistakes.push(errors::wrong_type(key, "a list", value));
    Vec::new()
}

/// Returns the mappings of the list under `key`.
pub(super) fn mappings<'d>(parent: At<'d>, key: &str, mistakes: &mut Mistakes<'_>) -> Vec<At<'d>> {
    let mut items = list(parent, key, mistakes);
    items.retain(|item| {
        let fits = item.entries().is_some();
        if !fits {
            mistakes.push(errors::wrong_type(key, "a list of mappings", *item));
        }
        fits
    });
    items
}

/// Returns the strings of the list under `key`.
pub(super) fn texts(parent: At<'_>, key: &str, mistakes: &mut Mistakes<'_>) -> Vec<SmolStr> {
    let values = list(parent, key, mistakes);
    values.into_iter().filter_map(|value| as_text(value, key, mistakes).cloned()).collect()
}

/// Returns the port that a number is.
pub(super) fn port(value: At<'_>, key: &str, mistakes: &mut Mistakes<'_>) -> Option<u16> {
    let Some(Scalar::Number(number)) = value.scalar() else {
        mistakes.push(errors::wrong_type(key, "a number", value));
        return None;
    };
    let port = number.and_then(|number| u16::try_from(number).ok()).filter(|&port| port != 0);
    if port.is_none() {
        mistakes.push(errors::refused(value.span(), value.written(), "port", "a port is a number from 1 to 65535"));
    }
    port
}

/// Returns the protocol under `key`, or TCP. The API takes upper case only.
pub(super) fn protocol(parent: At<'_>, mistakes: &mut Mistakes<'_>) -> Protocol {
    let Some((written, at)) = text(parent, "protocol", mistakes) else { return Protocol::Tcp };
    match written.as_str() {
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        _ => {
            let rule = "the protocol of a port is `TCP`, `UDP` or `SCTP`";
            mistakes.push(errors::refused(at.span(), written, "protocol of a port", rule));
            Protocol::Tcp
        }
    }
}

/// Returns the port name that a string is.
pub(super) fn port_name(name: &SmolStr, at: At<'_>, mistakes: &mut Mistakes<'_>) -> Option<SmolStr> {
    if names::is_port_name(name) {
        return Some(name.clone());
    }
    let rule = "a port name has lower-case letters, digits and single inner `-`, at most 15, with a letter among them";
    mistakes.push(errors::refused(at.span(), name, "port name", rule));
    None
}

/// Returns the addresses that some strings are; the empty one and `None` are none.
pub(super) fn addresses(values: &[At<'_>], key: &str, mistakes: &mut Mistakes<'_>) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for &value in values {
        match as_text(value, key, mistakes).map(|text| (text, text.parse())) {
            Some((_, Ok(address))) => addresses.push(address),
            Some((text, Err(_))) if !matches!(text.as_str(), "" | "None") => {
                mistakes.push(errors::refused(
                    value.span(),
                    text,
                    "IP address",
                    "an address is like `10.0.0.1` or `fd00::1`",
                ));
            }
            _ => {}
        }
    }
    addresses
}

/// Returns the labels under `key`.
pub(super) fn labels(parent: At<'_>, key: &str, mistakes: &mut Mistakes<'_>) -> Labels {
    let Some(entries) = mapping(parent, key, mistakes).and_then(At::entries) else { return Labels::new() };
    let mut labels = Labels::new();
    for (label, value) in entries {
        if let Some(value) = label_value(value, &label.text, mistakes) {
            check_key(label, mistakes);
            labels.insert(label.text.clone(), value);
        }
    }
    labels
}

fn check_key(key: &Key, mistakes: &mut Mistakes<'_>) {
    if key.boolean {
        mistakes.push(errors::boolean_key(key));
    } else if !names::is_label_key(&key.text) {
        mistakes.push(errors::refused(key.span, &key.text, "label key", LABEL_KEY));
    }
}

/// Returns the label value that a string is; `null` is the empty one, as the API server reads it.
fn label_value(value: At<'_>, key: &str, mistakes: &mut Mistakes<'_>) -> Option<SmolStr> {
    if value.is_null() {
        return Some(SmolStr::default());
    }
    let text = as_text(value, key, mistakes)?;
    if !names::is_label_value(text) {
        mistakes.push(errors::refused(value.span(), text, "label value", LABEL_VALUE));
    }
    Some(text.clone())
}

/// Returns the requirements of a LabelSelector: `matchLabels` and `matchExpressions`, joined by and. `None` if no
/// labels meet them, or they cannot be read.
pub(super) fn label_selector(selector: At<'_>, mistakes: &mut Mistakes<'_>) -> Option<Requirements> {
    let mut all: Vec<Requirement> = labels(selector, "matchLabels", mistakes)
        .into_iter()
        .map(|(key, value)| Requirement::is_in(key, [value]))
        .collect();
    for expression in mappings(selector, "matchExpressions", mistakes) {
        all.push(requirement(expression, mistakes)?);
    }
    Requirements::new(all)
}

fn requirement(expression: At<'_>, mistakes: &mut Mistakes<'_>) -> Option<Requirement> {
    let (key, key_at) = required(expression, "key", "this requirement", mistakes)?;
    if !names::is_label_key(key) {
        mistakes.push(errors::refused(key_at.span(), key, "label key", LABEL_KEY));
    }
    let (operator, operator_at) = required(expression, "operator", "this requirement", mistakes)?;
    let items = list(expression, "values", mistakes);
    let mut values = Vec::new();
    for item in items {
        values.push(label_value(item, "values", mistakes)?);
    }
    let requirement = match operator.as_str() {
        "In" | "NotIn" if values.is_empty() => None,
        "In" => Some(Requirement::is_in(key.clone(), values)),
        "NotIn" => Some(Requirement::not_in(key.clone(), values)),
        "Exists" if values.is_empty() => Some(Requirement { key: key.clone(), test: Test::Exists }),
        "DoesNotExist" if values.is_empty() => Some(Requirement { key: key.clone(), test: Test::DoesNotExist }),
        _ => None,
    };
    if requirement.is_none() {
        let rule = "`In` and `NotIn` take `values`, `Exists` and `DoesNotExist` take none, and there are no others";
        mistakes.push(errors::refused(operator_at.span(), operator, "operator for these values", rule));
    }
    requirement
}
