//! Objects of `security.istio.io`.

use super::{selector, strings};
use crate::model::rules::RuleId;
use crate::targets::istio::model::{
    AccessRule, AuthorizationPolicy, Comment, Operation, PeerAuthentication, RequestAuthentication, Source,
};
use crate::targets::istio::plan::egress::addresses::is_single;
use crate::targets::yaml::Writer;

/// Writes the spec of a PeerAuthentication.
pub fn peer_authentication(yaml: &mut Writer, peer: &PeerAuthentication) {
    selector(yaml, &peer.selector);
    yaml.key("mtls").map(|yaml| {
        yaml.key("mode").word(if peer.strict { "STRICT" } else { "PERMISSIVE" });
    });
    if !peer.permissive.is_empty() {
        yaml.key("portLevelMtls").map(|yaml| {
            for port in &peer.permissive {
                yaml.any_key(&port.to_string()).map(|yaml| {
                    yaml.key("mode").word("PERMISSIVE").note("addresses may call here");
                });
            }
        });
    }
}

/// Writes the spec of a RequestAuthentication.
pub fn request_authentication(yaml: &mut Writer, request: &RequestAuthentication) {
    selector(yaml, &request.selector);
    yaml.key("jwtRules").list(|yaml| {
        for issuer in &request.issuers {
            yaml.item().map(|yaml| {
                yaml.field("issuer", &issuer.issuer);
                yaml.field(if issuer.remote { "jwksUri" } else { "jwks" }, &issuer.keys);
                yaml.key("forwardOriginalToken").bool(true).note("the application still gets it");
            });
        }
    });
}

/// Writes the spec of an AuthorizationPolicy.
/// `place` is where a rule of the policy stands.
pub fn authorization_policy(yaml: &mut Writer, policy: &AuthorizationPolicy, place: impl Fn(RuleId) -> String) {
    selector(yaml, &policy.selector);
    yaml.key("action").word(if policy.deny { "DENY" } else { "ALLOW" });
    yaml.key("rules").list(|yaml| policy.rules.iter().for_each(|rule| access_rule(yaml, rule, &place)));
    if policy.rules.is_empty() {
        yaml.note("nothing is let in");
    }
}

fn access_rule(yaml: &mut Writer, rule: &AccessRule, place: &impl Fn(RuleId) -> String) {
    match rule.comment {
        Comment::None => {}
        Comment::Words(words) => _ = yaml.comment(words),
        Comment::Rule(rule) => _ = yaml.comment(&place(rule)),
        Comment::Open(rule) => _ = yaml.comment(&format!("{}: open, since this cannot be said", place(rule))),
    }
    yaml.item().map(|yaml| {
        if !rule.from.is_empty() {
            yaml.key("from").list(|yaml| rule.from.iter().for_each(|from| source(yaml, from)));
        }
        if let Some(to) = &rule.to {
            yaml.key("to").list(|yaml| {
                yaml.item().map(|yaml| {
                    yaml.key("operation").map(|yaml| operation(yaml, to));
                });
            });
        }
        if !rule.when.is_empty() {
            yaml.key("when").list(|yaml| {
                for condition in &rule.when {
                    yaml.item().map(|yaml| {
                        yaml.field("key", &condition.key);
                        some(yaml, "values", &condition.values);
                        some(yaml, "notValues", &condition.not_values);
                    });
                }
            });
        }
    });
}

fn some<T: AsRef<str>>(yaml: &mut Writer, key: &'static str, list: &[T]) {
    if !list.is_empty() {
        strings(yaml, key, list);
    }
}

fn source(yaml: &mut Writer, source: &Source) {
    let blocks = |nets: &[ipnet::IpNet]| -> Vec<String> {
        nets.iter().map(|net| if is_single(net) { net.addr().to_string() } else { net.to_string() }).collect()
    };
    let (inside, outside) =
        if source.remote { ("remoteIpBlocks", "notRemoteIpBlocks") } else { ("ipBlocks", "notIpBlocks") };
    yaml.item().map(|yaml| {
        yaml.key("source").map(|yaml| {
            some(yaml, "notNamespaces", &source.not_namespaces);
            some(yaml, "principals", &source.principals);
            some(yaml, "notPrincipals", &source.not_principals);
            some(yaml, inside, &blocks(&source.blocks));
            some(yaml, outside, &blocks(&source.not_blocks));
            some(yaml, "requestPrincipals", &source.request_principals);
        });
    });
}

fn operation(yaml: &mut Writer, operation: &Operation) {
    let numbers = |ports: &[u16]| -> Vec<String> { ports.iter().map(u16::to_string).collect() };
    some(yaml, "ports", &numbers(&operation.ports));
    some(yaml, "notPorts", &numbers(&operation.not_ports));
    some(yaml, "methods", &operation.methods);
    some(yaml, "hosts", &operation.hosts);
    some(yaml, "notHosts", &operation.not_hosts);
    some(yaml, "paths", &operation.paths);
}
