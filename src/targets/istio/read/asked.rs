//! Objects reduced to the requests for some hosts: a gateway may serve thousands of others.
//!
//! ```text
//! hosts: [garden.example], notHosts: [a.example, b.example]     asked for a.example: nobody, and notHosts: [a.example]
//! ```

use rustc_hash::FxHashSet;
use smol_str::SmolStr;

use super::values;
use crate::inventory::mesh::{AccessRule, Attribute, Condition};
use crate::inventory::{PolicyObject, Says};
use crate::model::hosts::HostName;

/// Hosts that requests ask for.
pub struct Asked<'h> {
    names: FxHashSet<&'h SmolStr>,
    wildcards: Vec<&'h HostName>,
}

impl<'h> Asked<'h> {
    /// Takes the hosts.
    pub fn new(hosts: &'h [HostName]) -> Asked<'h> {
        let (wildcards, names): (Vec<&HostName>, Vec<&HostName>) = hosts.iter().partition(|host| host.wildcard);
        Asked { names: names.into_iter().map(|host| &host.name).collect(), wildcards }
    }

    /// Returns an object that decides requests for these hosts in the same way, without the other hosts that it names.
    pub fn of(&self, object: &PolicyObject) -> PolicyObject {
        let mut object = object.clone();
        if let Says::Authorization(says) = &mut object.says {
            says.rules = std::mem::take(&mut says.rules).into_iter().filter_map(|rule| self.rule(rule)).collect();
        }
        object
    }

    fn rule(&self, rule: AccessRule) -> Option<AccessRule> {
        let AccessRule { from, to, when } = rule;
        let some = !to.is_empty();
        let to: Vec<Vec<Condition>> = to.into_iter().filter_map(|operation| self.all(operation)).collect();
        let when = self.all(when)?;
        (!some || !to.is_empty()).then_some(AccessRule { from, to, when })
    }

    /// Returns the conditions, reduced to these hosts; `None` if no request for them can meet all of them.
    fn all(&self, conditions: Vec<Condition>) -> Option<Vec<Condition>> {
        let mut all = Vec::with_capacity(conditions.len());
        for mut condition in conditions {
            if condition.attribute == Attribute::Host {
                let some = !condition.values.is_empty();
                condition.values.retain(|text| self.may_be(text));
                condition.not_values.retain(|text| self.may_be(text));
                if some && condition.values.is_empty() {
                    return None;
                }
            }
            all.push(condition);
        }
        Some(all)
    }

    /// Returns whether a value may be one of the hosts; a value that cannot be read may be.
    fn may_be(&self, text: &str) -> bool {
        let Some(host) = values::host(text) else { return true };
        let named = match host.wildcard {
            true => self.names.iter().any(|name| host.matches(name)),
            false => self.names.contains(&host.name),
        };
        named || self.wildcards.iter().any(|one| one.overlaps(&host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_other_hosts_is_left_out() {
        let host = |text: &str| HostName::parse(text).unwrap();
        let hosts = [host("a.example"), host("*.b.example")];
        let asked = Asked::new(&hosts);
        let condition = |values: &[&str], not_values: &[&str]| {
            let texts = |list: &[&str]| list.iter().map(|text| SmolStr::from(*text)).collect();
            Condition { attribute: Attribute::Host, values: texts(values), not_values: texts(not_values) }
        };
        let of = |values: &[&str], not_values: &[&str]| {
            let left = asked.all(vec![condition(values, not_values)])?.remove(0);
            Some((left.values.join(" "), left.not_values.join(" ")))
        };
        assert_eq!(
            of(&["a.example:*", "c.example", "A.example."], &[]),
            Some(("a.example:* A.example.".into(), "".into()))
        );
        assert_eq!(of(&["c.example", "b.example"], &[]), None);
        assert_eq!(of(&["x.b.example", "*.example"], &[]), Some(("x.b.example *.example".into(), "".into())));
        assert_eq!(of(&[], &["c.example", "*.x.b.example"]), Some(("".into(), "*.x.b.example".into())));
        let to = |list: &[&[&str]]| list.iter().map(|values| vec![condition(values, &[])]).collect();
        let rule = |list: &[&[&str]]| asked.rule(AccessRule { to: to(list), ..AccessRule::default() });
        assert_eq!(rule(&[&["a.example"], &["c.example"]]).map(|rule| rule.to.len()), Some(1));
        assert!(rule(&[&["c.example"]]).is_none() && rule(&[]).is_some());
    }
}
