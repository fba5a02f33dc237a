//! AuthorizationPolicies that are longer than Kubernetes takes, divided among several, which add up.
//!
//! ```text
//! allow ingress internet -> garden/{app=web}:443    thousands of networks: rules of 512 sources each
//! ```

use std::rc::Rc;

use crate::targets::istio::limits::{MOST_BYTES, MOST_RULES, MOST_VALUES, texts};
use crate::targets::istio::model::{AccessRule, Operation, Source};

/// Divides the rules of an AuthorizationPolicy among objects that Kubernetes takes. Rules are joined by or, in one
/// object as in several, and so are the sources of a rule.
pub fn divided(rules: Vec<AccessRule>) -> Vec<Vec<AccessRule>> {
    let mut objects: Vec<Vec<AccessRule>> = vec![Vec::new()];
    let mut bytes = 0;
    for rule in rules.into_iter().flat_map(smaller) {
        let weight = weight(&rule);
        let last = objects.last().map_or(0, Vec::len);
        if last == MOST_RULES || (last > 0 && bytes + weight > MOST_BYTES) {
            objects.push(Vec::new());
            bytes = 0;
        }
        bytes += weight;
        if let Some(object) = objects.last_mut() {
            object.push(rule);
        }
    }
    objects
}

/// Divides a rule with many sources.
fn smaller(rule: AccessRule) -> Vec<AccessRule> {
    let many =
        |source: &Source| [source.blocks.len(), source.principals.len()].into_iter().any(|count| count > MOST_VALUES);
    if rule.from.len() <= MOST_RULES && !rule.from.iter().any(many) && weight(&rule) <= MOST_BYTES {
        return vec![rule];
    }
    let sources: Vec<Source> = rule.from.iter().flat_map(smaller_sources).collect();
    let mut rules = Vec::new();
    let (mut from, mut bytes): (Vec<Source>, usize) = (Vec::new(), 0);
    let fixed = weight(&AccessRule { from: Rc::default(), ..rule.clone() });
    let mut end = |from: &mut Vec<Source>| {
        if !from.is_empty() {
            rules.push(AccessRule { from: Rc::new(std::mem::take(from)), ..rule.clone() });
        }
    };
    for source in sources {
        let weight = source_weight(&source);
        if from.len() == MOST_RULES || fixed + bytes + weight > MOST_BYTES {
            end(&mut from);
            bytes = 0;
        }
        bytes += weight;
        from.push(source);
    }
    end(&mut from);
    rules
}

/// Divides a source by its longest list of values, which are joined by or.
fn smaller_sources(source: &Source) -> Vec<Source> {
    if source.blocks.len() > MOST_VALUES {
        let part = |blocks: &[_]| Source { blocks: blocks.to_vec(), ..source.clone() };
        return source.blocks.chunks(MOST_VALUES).map(part).collect();
    }
    if source.principals.len() > MOST_VALUES {
        let part = |principals: &[_]| Source { principals: principals.to_vec(), ..source.clone() };
        return source.principals.chunks(MOST_VALUES).map(part).collect();
    }
    vec![source.clone()]
}

/// Returns about how many bytes of YAML a rule takes.
fn weight(rule: &AccessRule) -> usize {
    const AROUND: usize = 200;
    let when = rule.when.iter().flat_map(|one| one.values.iter().chain(&one.not_values).chain([&one.key]));
    AROUND
        + rule.from.iter().map(source_weight).sum::<usize>()
        + rule.to.as_ref().map_or(0, operation_weight)
        + texts(when)
}

fn source_weight(source: &Source) -> usize {
    const AROUND: usize = 60;
    const BLOCK: usize = 24;
    AROUND
        + texts(source.principals.iter().chain(&source.not_principals).chain(&source.request_principals))
        + texts(&source.not_namespaces)
        + (source.blocks.len() + source.not_blocks.len()) * BLOCK
}

fn operation_weight(operation: &Operation) -> usize {
    const PORT: usize = 9;
    operation.ports.len() * PORT
        + texts(operation.paths.iter().chain(&operation.not_paths).chain(&operation.hosts).chain(&operation.not_hosts))
        + texts(&operation.methods)
}
