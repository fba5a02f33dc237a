//! Objects of `security.istio.io`.

use ipnet::IpNet;

use super::{Kind, Stands, Written, selector, strings};
use crate::model::conditions::TokenPlace;
use crate::targets::istio::model::{
    AccessRule, AuthorizationPolicy, Comment, Operation, PeerAuthentication, RequestAuthentication, Source,
};
use crate::targets::istio::nets::is_single;
use crate::targets::yaml::Writer;

const SECURITY: &str = "security.istio.io/v1";

impl Written for PeerAuthentication {
    fn kind(&self) -> Kind {
        Kind { rank: 5, api_version: SECURITY, word: "PeerAuthentication" }
    }

    fn spec(&self, yaml: &mut Writer, _: &Stands<'_>) {
        selector(yaml, &self.selector);
        yaml.key("mtls").map(|yaml| {
            yaml.key("mode").word(if self.strict { "STRICT" } else { "PERMISSIVE" });
        });
        if !self.permissive.is_empty() {
            yaml.key("portLevelMtls").map(|yaml| {
                for port in &self.permissive {
                    yaml.any_key(&port.to_string()).map(|yaml| {
                        yaml.key("mode").word("PERMISSIVE").note("addresses may call here");
                    });
                }
            });
        }
    }
}

impl Written for RequestAuthentication {
    fn kind(&self) -> Kind {
        Kind { rank: 6, api_version: SECURITY, word: "RequestAuthentication" }
    }

    fn spec(&self, yaml: &mut Writer, _: &Stands<'_>) {
        selector(yaml, &self.selector);
        yaml.key("jwtRules").list(|yaml| {
            for issuer in &self.issuers {
                yaml.item().map(|yaml| {
                    yaml.field("issuer", &issuer.issuer);
                    yaml.field(if issuer.remote { "jwksUri" } else { "jwks" }, &issuer.keys);
                    some(yaml, "audiences", &issuer.audiences);
                    token_places(yaml, &issuer.from);
                    yaml.key("forwardOriginalToken").bool(true).note("the application still gets it");
                });
            }
        });
    }
}

/// Writes where the tokens of an issuer are.
fn token_places(yaml: &mut Writer, places: &[TokenPlace]) {
    let headers = places.iter().filter_map(|place| match place {
        TokenPlace::Header(name, prefix) => Some((name, prefix)),
        TokenPlace::Param(_) => None,
    });
    let headers: Vec<_> = headers.collect();
    if !headers.is_empty() {
        yaml.key("fromHeaders").list(|yaml| {
            for (name, prefix) in headers {
                yaml.item().map(|yaml| {
                    yaml.field("name", name);
                    if let Some(prefix) = prefix {
                        yaml.field("prefix", prefix);
                    }
                });
            }
        });
    }
    let params = places.iter().filter_map(|place| match place {
        TokenPlace::Param(name) => Some(name),
        TokenPlace::Header(..) => None,
    });
    some(yaml, "fromParams", &params.collect::<Vec<_>>());
}

impl Written for AuthorizationPolicy {
    fn kind(&self) -> Kind {
        Kind { rank: 7, api_version: SECURITY, word: "AuthorizationPolicy" }
    }

    fn spec(&self, yaml: &mut Writer, stands: &Stands<'_>) {
        selector(yaml, &self.selector);
        yaml.key("action").word(if self.deny { "DENY" } else { "ALLOW" });
        yaml.key("rules").list(|yaml| self.rules.iter().for_each(|rule| access_rule(yaml, rule, stands)));
        if self.rules.is_empty() {
            yaml.note("nothing is let in");
        }
    }
}

/// Returns whether the member of a union, as it is written, is about a source: `shop/web` about accounts of `shop`.
fn names(member: &str, source: &Source) -> bool {
    let namespace = member.split('/').next().unwrap_or_default();
    let principal = |principal: &String| principal.contains(&format!("/ns/{namespace}/"));
    let block = |net: &IpNet| {
        let net = net.to_string();
        member == net || net.strip_suffix("/32") == Some(member)
    };
    source.principals.iter().any(principal) || source.blocks.iter().any(block)
}

fn access_rule(yaml: &mut Writer, rule: &AccessRule, stands: &Stands<'_>) {
    let meant = |member: &str| rule.from.iter().any(|source| names(member, source));
    match rule.comment {
        Comment::None => {}
        Comment::Words(words) => _ = yaml.comment(words),
        Comment::Rule(rule) => _ = yaml.comment(&stands(rule, &meant)),
        Comment::Open(rule) => _ = yaml.comment(&format!("{}: open, since this cannot be said", stands(rule, &meant))),
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
            if !source.proxies.is_empty() {
                strings(yaml, "ipBlocks", &blocks(&source.proxies));
                yaml.note("by a proxy in front: others write the client as they like");
            }
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
    some(yaml, "notPaths", &operation.not_paths);
}
