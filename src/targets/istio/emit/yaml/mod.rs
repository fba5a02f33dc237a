//! From objects to YAML.
//!
//! Each kind has its own name and its own way to be written ([`Written`]); [`written`] lists them all.

mod networking;
mod security;

use std::rc::Rc;

use smol_str::SmolStr;

use crate::model::rules::{Rule, RuleId};
use crate::policy::Policy;
use crate::policy::provenance::{Provenance, files, is_in, sentence_about};
use crate::source::{FileId, Sources};
use crate::targets::Object;
use crate::targets::istio::model::{ExportTo, Resource, Selector, Spec};
use crate::targets::names::Head;
use crate::targets::yaml::Writer;

/// The name of a kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    /// Its rank among others: ServiceEntries first, then the objects for egress, then those for ingress.
    rank: u8,
    /// `apiVersion`.
    api_version: &'static str,
    /// `kind`.
    word: &'static str,
}

/// An object that can be written.
trait Written {
    /// Returns the kind of the object.
    fn kind(&self) -> Kind;

    /// Writes `spec`; `stands` returns the comment for a rule of the policy.
    fn spec(&self, yaml: &mut Writer, stands: &Stands<'_>);

    /// Writes the whole document.
    fn document(&self, yaml: &mut Writer, head: &Head<'_>, stands: &Stands<'_>) {
        head.write(yaml);
        yaml.key("spec").map(|yaml| self.spec(yaml, stands));
    }

    /// Returns whether it patches an object that the build does not own.
    fn is_patch(&self) -> bool {
        false
    }
}

/// Returns the writer of an object's kind.
fn written(spec: &Spec) -> &dyn Written {
    match spec {
        Spec::ServiceEntry(spec) => spec,
        Spec::Sidecar(spec) => spec,
        Spec::Gateway(spec) => spec,
        Spec::VirtualService(spec) => spec,
        Spec::DestinationRule(spec) => spec,
        Spec::PeerAuthentication(spec) => spec,
        Spec::RequestAuthentication(spec) => spec,
        Spec::AuthorizationPolicy(spec) => spec,
        Spec::ServicePatch(spec) => spec,
        Spec::WorkloadPatch(spec) => spec,
    }
}

/// Returns the comment for a rule. In a long rule, each union shows the members for which the function returns `true`.
type Stands<'a> = dyn Fn(RuleId, &dyn Fn(&str) -> bool) -> String + 'a;

/// Writes objects, sorted by namespace, kind and name. Each is dropped as soon as it is written.
pub fn write(policy: &Policy, sources: &Sources, mut resources: Vec<Resource>) -> Vec<Object> {
    resources.sort_by(|a, b| {
        let rank = written(&a.spec).kind().rank.cmp(&written(&b.spec).kind().rank);
        a.meta.namespace.cmp(&b.meta.namespace).then(rank).then_with(|| a.meta.name.cmp(&b.meta.name))
    });
    let mut last: Option<Behind> = None;
    let objects = resources.into_iter().map(|resource| {
        let (rules, namespace) = (&resource.origin.rules, &resource.meta.namespace);
        // Thousands of ServiceEntries may come from the same thousands of rules.
        let known = last.take().filter(|last| Rc::ptr_eq(&last.rules, rules) && last.namespace == *namespace);
        let behind = known.unwrap_or_else(|| Behind::of(policy, sources, rules, namespace));
        object(policy, sources, &resource, last.insert(behind))
    });
    objects.collect()
}

/// The rules behind an object.
struct Behind {
    rules: Rc<[RuleId]>,
    namespace: SmolStr,
    provenance: Provenance,
    files: Vec<FileId>,
}

impl Behind {
    fn of(policy: &Policy, sources: &Sources, rules: &Rc<[RuleId]>, namespace: &SmolStr) -> Behind {
        let origins = || rules.iter().filter_map(|&rule| policy.rule(rule)).map(|rule| &rule.origin);
        let provenance = Provenance::of(sources, policy.settings.lines, namespace, origins());
        Behind { rules: Rc::clone(rules), namespace: namespace.clone(), provenance, files: files(origins()) }
    }
}

fn object(policy: &Policy, sources: &Sources, resource: &Resource, behind: &Behind) -> Object {
    let Resource { meta, origin, spec } = resource;
    let written = written(spec);
    let Kind { api_version, word: kind, .. } = written.kind();
    let stands = |rule: RuleId, meant: &dyn Fn(&str) -> bool| {
        let meant = |member: &str| is_in(member, &meta.namespace) || meant(member);
        let words = |rule: &Rule| sentence_about(sources, policy.settings.lines, &meant, &rule.origin);
        policy.rule(rule).map(words).unwrap_or_default()
    };
    let Behind { provenance, files, .. } = behind;
    let mut yaml = Writer::new();
    if let Some(comment) = &origin.comment {
        yaml.comment(comment);
    }
    let (name, namespace) = (meta.name.as_str(), meta.namespace.as_str());
    let head = Head { api_version, kind, name, namespace, part_of: policy.settings.name.as_deref(), provenance };
    written.document(&mut yaml, &head, &stands);
    Object {
        namespace: meta.namespace.to_string(),
        kind,
        name: meta.name.clone(),
        yaml: yaml.finish(),
        patch: written.is_patch(),
        files: files.clone(),
    }
}

/// The most items of a list on one line.
const ON_ONE_LINE: usize = 4;

/// Writes a list of strings.
fn strings<T: AsRef<str>>(yaml: &mut Writer, key: &'static str, list: &[T]) {
    let items = |yaml: &mut Writer| {
        list.iter().for_each(|text| {
            yaml.item().str(text.as_ref());
        })
    };
    if list.len() <= ON_ONE_LINE {
        yaml.key(key).flow_list(items)
    } else {
        yaml.key(key).list(items)
    };
}

fn labels(yaml: &mut Writer, labels: &Selector) {
    for (key, value) in labels.iter() {
        yaml.any_key(key).str(value);
    }
}

fn selector(yaml: &mut Writer, selector: &Selector) {
    if !selector.is_empty() {
        yaml.key("selector").map(|yaml| {
            yaml.key("matchLabels").map(|yaml| labels(yaml, selector));
        });
    }
}

fn export_to(yaml: &mut Writer, export_to: &ExportTo) {
    match export_to {
        ExportTo::Everyone => {
            yaml.key("exportTo").flow_list(|yaml| {
                yaml.item().quoted("*");
            });
        }
        ExportTo::Own(others) => {
            yaml.key("exportTo").flow_list(|yaml| {
                yaml.item().quoted(".");
                for other in others {
                    yaml.item().str(other);
                }
            });
        }
    }
}
