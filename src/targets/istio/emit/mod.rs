//! From the objects to YAML.

mod routing;
mod security;

use crate::model::rules::RuleId;
use crate::policy::Policy;
use crate::policy::provenance::{Provenance, files, sentence};
use crate::source::Sources;
use crate::targets::Object;
use crate::targets::istio::model::{ExportTo, Meta, Resource, Selector};
use crate::targets::names::Head;
use crate::targets::yaml::Writer;

const NETWORKING: &str = "networking.istio.io/v1";
const SECURITY: &str = "security.istio.io/v1";

/// Writes objects, sorted by namespace, kind and name.
pub fn write(policy: &Policy, sources: &Sources, resources: &[Resource]) -> Vec<Object> {
    let mut order: Vec<(&Meta, u8, &Resource)> =
        resources.iter().map(|resource| (meta(resource), rank(resource), resource)).collect();
    order.sort_by(|(a, first, _), (b, second, _)| (&a.namespace, first, &a.name).cmp(&(&b.namespace, second, &b.name)));
    order.into_iter().map(|(_, _, resource)| object(policy, sources, resource)).collect()
}

fn meta(resource: &Resource) -> &Meta {
    match resource {
        Resource::ServiceEntry(object) => &object.meta,
        Resource::Sidecar(object) => &object.meta,
        Resource::Gateway(object) => &object.meta,
        Resource::VirtualService(object) => &object.meta,
        Resource::DestinationRule(object) => &object.meta,
        Resource::PeerAuthentication(object) => &object.meta,
        Resource::RequestAuthentication(object) => &object.meta,
        Resource::AuthorizationPolicy(object) => &object.meta,
        Resource::ServicePatch(object) => &object.meta,
    }
}

/// Returns the place of a kind among others: what says where the outside is, who may go there, and who may come in.
fn rank(resource: &Resource) -> u8 {
    match resource {
        Resource::ServiceEntry(_) => 0,
        Resource::Sidecar(_) => 1,
        Resource::Gateway(_) => 2,
        Resource::VirtualService(_) => 3,
        Resource::DestinationRule(_) => 4,
        Resource::PeerAuthentication(_) => 5,
        Resource::RequestAuthentication(_) => 6,
        Resource::AuthorizationPolicy(_) => 7,
        Resource::ServicePatch(_) => 8,
    }
}

fn kind(resource: &Resource) -> (&'static str, &'static str) {
    match resource {
        Resource::ServiceEntry(_) => (NETWORKING, "ServiceEntry"),
        Resource::Sidecar(_) => (NETWORKING, "Sidecar"),
        Resource::Gateway(_) => (NETWORKING, "Gateway"),
        Resource::VirtualService(_) => (NETWORKING, "VirtualService"),
        Resource::DestinationRule(_) => (NETWORKING, "DestinationRule"),
        Resource::PeerAuthentication(_) => (SECURITY, "PeerAuthentication"),
        Resource::RequestAuthentication(_) => (SECURITY, "RequestAuthentication"),
        Resource::AuthorizationPolicy(_) => (SECURITY, "AuthorizationPolicy"),
        Resource::ServicePatch(_) => ("v1", "Service"),
    }
}

fn object(policy: &Policy, sources: &Sources, resource: &Resource) -> Object {
    let meta = meta(resource);
    let (api_version, kind) = kind(resource);
    let origins = || {
        let rules = meta.rules.iter().filter_map(|&rule| policy.rule(rule));
        rules.map(|rule| &rule.origin)
    };
    let place = |rule: RuleId| {
        let rule = policy.rule(rule);
        let words = |rule: &crate::model::rules::Rule| sentence(sources, policy.settings.lines, &rule.origin);
        rule.map(words).unwrap_or_default()
    };
    let provenance = Provenance::of(sources, policy.settings.lines, origins());
    let mut yaml = Writer::new();
    if let Some(comment) = &meta.comment {
        yaml.comment(comment);
    }
    if let Resource::ServicePatch(patch) = resource {
        routing::service_patch(&mut yaml, patch, &provenance);
    } else {
        let (name, namespace) = (meta.name.as_str(), meta.namespace.as_str());
        Head { api_version, kind, name, namespace, part_of: policy.settings.name.as_deref(), provenance: &provenance }
            .write(&mut yaml);
        yaml.key("spec").map(|yaml| match resource {
            Resource::ServiceEntry(object) => routing::service_entry(yaml, object),
            Resource::Sidecar(object) => routing::sidecar(yaml, object),
            Resource::Gateway(object) => routing::gateway(yaml, object),
            Resource::VirtualService(object) => routing::virtual_service(yaml, object),
            Resource::DestinationRule(object) => routing::destination_rule(yaml, object),
            Resource::PeerAuthentication(object) => security::peer_authentication(yaml, object),
            Resource::RequestAuthentication(object) => security::request_authentication(yaml, object),
            Resource::AuthorizationPolicy(object) => security::authorization_policy(yaml, object, place),
            Resource::ServicePatch(_) => {}
        });
    }
    Object {
        namespace: meta.namespace.to_string(),
        kind,
        name: meta.name.clone(),
        yaml: yaml.finish(),
        patch: matches!(resource, Resource::ServicePatch(_)),
        files: files(origins()),
    }
}

/// How many items a list on one line has at most.
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
