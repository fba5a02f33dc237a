//! What Istio lets in at a pod or a gateway: PeerAuthentication, RequestAuthentication and AuthorizationPolicy, decided
//! from their documentation over the YAML that was written.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use netpol::policy::Request;
use serde_json::Value;

/// An HTTP request as a proxy reads it.
#[derive(Clone, Debug, Default)]
pub struct Http {
    /// The method.
    pub method: String,
    /// The path, normalised.
    pub path: String,
    /// The Host header.
    pub host: String,
    /// Other headers, by their names in lower case.
    pub headers: Vec<(&'static str, &'static str)>,
    /// The claims of a token whose signature is right.
    pub claims: Option<serde_json::Map<String, Value>>,
    /// The client that a gateway forwards it for, as X-Forwarded-For says last.
    pub forwarded: Option<std::net::IpAddr>,
}

#[allow(clippy::needless_update, reason = "a request may have more than an HTTP one")]
impl From<&Http> for Request {
    fn from(http: &Http) -> Request {
        Request {
            method: Some(http.method.as_str().into()),
            path: Some(http.path.clone()),
            host: Some(http.host.as_str().into()),
            headers: http.headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            jwt: http.claims.clone(),
            ..Request::default()
        }
    }
}

/// A connection as the proxy of the receiving end sees it.
#[derive(Clone, Debug)]
pub struct Connection<'a> {
    /// The namespace and the account of the caller, where mutual TLS shows it.
    pub identity: Option<(&'a str, &'a str)>,
    /// Where the packets come from.
    pub address: IpAddr,
    /// The port, the receiver's own.
    pub port: u16,
    /// The name of the TLS handshake, where it is seen.
    pub sni: Option<&'a str>,
    /// The request, where the port is read as HTTP.
    pub http: Option<&'a Http>,
}

/// The receiving end.
#[derive(Clone, Debug)]
pub struct Receiver<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
    /// Whether it is a gateway, whose own servers say which TLS they take.
    pub gateway: bool,
}

/// Decides whether a connection is let in. `root` is the mesh's root namespace.
pub fn lets_in(objects: &[Value], root: &str, to: &Receiver, connection: &Connection) -> bool {
    if connection.identity.is_none() && !to.gateway && strict(objects, root, to, connection.port) {
        return false;
    }
    let claims =
        connection.http.and_then(|http| http.claims.as_ref()).filter(|claims| accepted(objects, root, to, claims));
    let judge = Judge { connection, claims };
    let mut allows = false;
    let mut allowed = false;
    for object in objects.iter().filter(|one| one["kind"] == "AuthorizationPolicy" && applies(one, root, to)) {
        let rules = object["spec"]["rules"].as_array().into_iter().flatten();
        match object["spec"]["action"].as_str().unwrap_or("ALLOW") {
            "DENY" => {
                if rules.clone().any(|rule| judge.matches(rule, true)) {
                    return false;
                }
            }
            "ALLOW" => {
                allows = true;
                allowed |= rules.clone().any(|rule| judge.matches(rule, false));
            }
            other => panic!("{other} is no action that is written"),
        }
    }
    allowed || !allows
}

/// Returns whether an object is about a receiver: of its namespace or of the mesh's, with labels that it has.
fn applies(object: &Value, root: &str, to: &Receiver) -> bool {
    let namespace = object["metadata"]["namespace"].as_str().unwrap();
    (namespace == to.namespace || namespace == root) && has(&object["spec"]["selector"]["matchLabels"], to.labels)
}

/// Returns whether labels are among those of a pod.
pub fn has(wanted: &Value, labels: &BTreeMap<String, String>) -> bool {
    wanted.as_object().into_iter().flatten().all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str())
}

/// Returns whether mutual TLS is demanded on a port: by the pod's own object, else its namespace's, else the mesh's.
fn strict(objects: &[Value], root: &str, to: &Receiver, port: u16) -> bool {
    let of = |namespace: &str, selects: bool| {
        objects.iter().find(|one| {
            one["kind"] == "PeerAuthentication"
                && one["metadata"]["namespace"] == namespace
                && one["spec"]["selector"].is_object() == selects
                && has(&one["spec"]["selector"]["matchLabels"], to.labels)
        })
    };
    // An object with a selector in the root namespace is skipped, unless the pod is there.
    let levels = [of(to.namespace, true), of(to.namespace, false), of(root, false)];
    for object in levels.into_iter().flatten() {
        let on_port = &object["spec"]["portLevelMtls"][port.to_string()]["mode"];
        let mode = if on_port.is_string() { on_port } else { &object["spec"]["mtls"]["mode"] };
        match mode.as_str() {
            Some("STRICT") => return true,
            Some("PERMISSIVE" | "DISABLE") => return false,
            _ => {}
        }
    }
    false
}

/// Returns whether the issuer of a token is one that the receiver knows.
fn accepted(objects: &[Value], root: &str, to: &Receiver, claims: &serde_json::Map<String, Value>) -> bool {
    let mut known = objects.iter().filter(|one| one["kind"] == "RequestAuthentication" && applies(one, root, to));
    let takes = |rule: &Value| {
        let audience = |wanted: &Value| claims.get("aud") == Some(wanted);
        Some(&rule["issuer"]) == claims.get("iss")
            && rule["audiences"].as_array().is_none_or(|list| list.iter().any(audience))
    };
    known.any(|one| one["spec"]["jwtRules"].as_array().into_iter().flatten().any(takes))
}

struct Judge<'a> {
    connection: &'a Connection<'a>,
    claims: Option<&'a serde_json::Map<String, Value>>,
}

impl Judge<'_> {
    /// Decides a rule. Where the port is not HTTP, a rule of an ALLOW that asks for HTTP is dropped, and one of a DENY
    /// loses what asks for it.
    fn matches(&self, rule: &Value, deny: bool) -> bool {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let (from, to, when) = (list(&rule["from"]), list(&rule["to"]), list(&rule["when"]));
        let sources: Vec<&Value> = from.iter().map(|one| &one["source"]).collect();
        let operations: Vec<&Value> = to.iter().map(|one| &one["operation"]).collect();
        if self.connection.http.is_none() && !deny {
            let asks = |value: &&Value, fields: &[&str]| fields.iter().any(|field| value.get(field).is_some());
            let http = sources.iter().any(|one| asks(one, &["requestPrincipals", "notRequestPrincipals"]))
                || operations.iter().any(|one| asks(one, HTTP))
                || when.iter().any(|one| one["key"].as_str().unwrap().starts_with("request."));
            if http {
                return false;
            }
        }
        (sources.is_empty() || sources.iter().any(|one| self.source(one)))
            && (operations.is_empty() || operations.iter().any(|one| self.operation(one)))
            && when.iter().all(|one| self.condition(one))
    }

    fn source(&self, source: &Value) -> bool {
        let fields = source.as_object().unwrap();
        assert!(!fields.is_empty(), "an empty source is refused");
        fields.iter().all(|(field, values)| self.field(field, values, |this, name, value| this.source_is(name, value)))
    }

    /// Decides a field of a source or an operation: one of its values, or with `not` in front none of them.
    fn field(&self, field: &str, values: &Value, is: impl Fn(&Self, &str, &str) -> bool) -> bool {
        let base = field.strip_prefix("not").filter(|rest| rest.starts_with(char::is_uppercase));
        let name = base.map_or_else(|| field.to_owned(), |rest| format!("{}{}", rest[..1].to_lowercase(), &rest[1..]));
        let needs_http = HTTP.contains(&name.as_str()) || name == "requestPrincipals";
        if needs_http && self.connection.http.is_none() {
            return true;
        }
        let values: Vec<&str> = values.as_array().unwrap().iter().map(|value| value.as_str().unwrap()).collect();
        assert!(!values.is_empty(), "{field} is empty");
        values.iter().any(|value| is(self, &name, value)) != base.is_some()
    }

    fn source_is(&self, name: &str, value: &str) -> bool {
        let identity = self.connection.identity;
        match name {
            "namespaces" => identity.is_some_and(|(namespace, _)| like(value, namespace)),
            "principals" => identity
                .is_some_and(|(namespace, account)| like(value, &format!("cluster.local/ns/{namespace}/sa/{account}"))),
            "serviceAccounts" => identity.is_some_and(|(namespace, account)| value == format!("{namespace}/{account}")),
            "ipBlocks" => within(value, self.connection.address),
            "remoteIpBlocks" => {
                let forwarded = self.connection.http.and_then(|http| http.forwarded);
                within(value, forwarded.unwrap_or(self.connection.address))
            }
            "requestPrincipals" => self.claims.is_some_and(|claims| {
                let text = |name: &str| claims.get(name).and_then(Value::as_str);
                text("iss").zip(text("sub")).is_some_and(|(iss, sub)| like(value, &format!("{iss}/{sub}")))
            }),
            other => panic!("{other} is no field of a source that is written"),
        }
    }

    fn operation(&self, operation: &Value) -> bool {
        let fields = operation.as_object().unwrap();
        assert!(!fields.is_empty(), "an empty operation is refused");
        fields.iter().all(|(field, values)| {
            self.field(field, values, |this, name, value| match (name, this.connection.http) {
                ("ports", _) => value == this.connection.port.to_string(),
                ("methods", Some(http)) => like(value, &http.method),
                ("paths", Some(http)) => path(value, http.path.split('?').next().unwrap()),
                ("hosts", Some(http)) => like(&value.to_lowercase(), &http.host.to_lowercase()),
                other => panic!("{other:?} is no field of an operation that is written"),
            })
        })
    }

    fn condition(&self, condition: &Value) -> bool {
        let key = condition["key"].as_str().unwrap();
        let values = |name: &str| -> Vec<String> {
            condition[name].as_array().into_iter().flatten().map(|value| value.as_str().unwrap().to_owned()).collect()
        };
        let (wanted, unwanted) = (values("values"), values("notValues"));
        if key.starts_with("request.") && self.connection.http.is_none() {
            return true;
        }
        let found = self.attribute(key);
        let any = |list: &[String]| found.iter().any(|text| list.iter().any(|value| self.value(key, value, text)));
        (wanted.is_empty() || any(&wanted)) && (unwanted.is_empty() || !any(&unwanted))
    }

    fn value(&self, key: &str, value: &str, text: &str) -> bool {
        match key {
            "source.ip" | "remote.ip" => within(value, text.parse().unwrap()),
            _ => like(value, text),
        }
    }

    /// Returns the values of an attribute.
    fn attribute(&self, key: &str) -> Vec<String> {
        let connection = self.connection;
        if let Some(names) = key.strip_prefix("request.auth.claims[").and_then(|rest| rest.strip_suffix(']')) {
            let mut names = names.split("][");
            let first = names.next().unwrap();
            let mut found = self.claims.and_then(|claims| claims.get(first)).cloned();
            for name in names {
                found = found.and_then(|value| value.get(name).cloned());
            }
            let words = |text: &str| match first {
                // Istio takes these claims for lists of words.
                "scope" | "permission" => text.split(' ').map(str::to_owned).collect(),
                _ => vec![text.to_owned()],
            };
            return match found {
                Some(Value::String(text)) => words(&text),
                Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                _ => Vec::new(),
            };
        }
        if let Some(name) = key.strip_prefix("request.headers[").and_then(|rest| rest.strip_suffix(']')) {
            let headers = connection.http.map_or(&[][..], |http| &http.headers);
            return headers.iter().filter(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()).collect();
        }
        match key {
            "connection.sni" => connection.sni.map(str::to_owned).into_iter().collect(),
            "source.namespace" => connection.identity.map(|(namespace, _)| namespace.to_owned()).into_iter().collect(),
            "source.principal" => connection
                .identity
                .map(|(namespace, account)| format!("cluster.local/ns/{namespace}/sa/{account}"))
                .into_iter()
                .collect(),
            "source.ip" | "remote.ip" => vec![connection.address.to_string()],
            "destination.port" => vec![connection.port.to_string()],
            other => panic!("{other} is no key that is written"),
        }
    }
}

/// The fields of an operation that only HTTP has.
const HTTP: &[&str] = &["methods", "notMethods", "paths", "notPaths", "hosts", "notHosts"];

/// Returns whether a value of Istio means a text: exactly, by its beginning, by its end, or anything.
fn like(value: &str, text: &str) -> bool {
    match (value.strip_prefix('*'), value.strip_suffix('*')) {
        _ if value == "*" => !text.is_empty(),
        (Some(end), _) => text.ends_with(end),
        (_, Some(beginning)) => text.starts_with(beginning),
        _ => value == text,
    }
}

/// Returns whether a path of Istio means a path; `{*}` is one segment, `{**}` any.
fn path(value: &str, path: &str) -> bool {
    if !value.contains('{') {
        return like(value, path);
    }
    fn segments(value: &[&str], path: &[&str]) -> bool {
        match (value.split_first(), path.split_first()) {
            (None, None) => true,
            (Some((&"{**}", rest)), _) => (0..=path.len()).any(|at| segments(rest, &path[at..])),
            (Some((&"{*}", rest)), Some((first, others))) => !first.is_empty() && segments(rest, others),
            (Some((one, rest)), Some((first, others))) => one == first && segments(rest, others),
            _ => false,
        }
    }
    let (value, path): (Vec<&str>, Vec<&str>) = (value.split('/').collect(), path.split('/').collect());
    segments(&value, &path)
}

fn within(block: &str, address: IpAddr) -> bool {
    match block.parse::<IpNet>() {
        Ok(net) => net.contains(&address),
        Err(_) => block.parse::<IpAddr>().unwrap() == address,
    }
}
