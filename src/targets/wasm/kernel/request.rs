//! Requests, and the conditions of rules on them.

use std::net::IpAddr;

use super::json::Json;
use super::layout::{ANY_SEGMENT, NONE};
use super::party::{self, Party, name_fits};
use super::table::Tables;
use super::{PathNormalization, normalize, plainest};

/// A request, as far as a host knows it.
#[derive(Clone, Debug, Default)]
pub struct Request<'t> {
    method: Option<u32>,
    /// The path as the mesh leaves it, and its plainest spelling.
    path: Option<(String, String)>,
    /// The HTTP host, in lower case.
    pub host: Option<String>,
    /// The TLS name, in lower case.
    pub tls: Option<String>,
    /// The client whose request a gateway passes on.
    pub client: Option<Box<Party<'t>>>,
    headers: Vec<(u32, u32)>,
    claims: Option<Json>,
}

/// The keys of a request.
pub const KEYS: [&str; 7] = ["method", "path", "host", "tls", "client", "headers", "jwt"];

/// What is seen of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen<'r> {
    /// The method.
    pub method: Option<&'r str>,
    /// The path, with its query or without it.
    pub path: Option<&'r str>,
    /// The HTTP host.
    pub host: Option<&'r str>,
    /// The TLS name.
    pub tls: Option<&'r str>,
    /// The client whose request a gateway passes on.
    pub client: Option<IpAddr>,
    /// The headers, each with its value.
    pub headers: &'r [(&'r str, &'r str)],
}

impl<'t> Request<'t> {
    /// Makes a request of what is seen of it. A path that the mesh refuses is none.
    pub fn new(tables: &Tables<'t>, seen: &Seen<'_>, how: PathNormalization) -> Request<'t> {
        let path = seen.path.and_then(|path| normalize(path, how));
        Request {
            method: seen.method.map(|method| tables.number(method.as_bytes())),
            path: path.map(|path| {
                let plain = plainest(&path);
                (path, plain)
            }),
            host: seen.host.map(str::to_ascii_lowercase),
            tls: seen.tls.map(str::to_ascii_lowercase),
            client: seen.client.map(|client| Box::new(party::at_address(tables, client))),
            headers: joined(tables, seen.headers),
            claims: None,
        }
    }

    /// Returns whether there was memory for all of it.
    pub fn is_whole(&self) -> bool {
        self.client.as_ref().is_none_or(|client| client.is_whole)
    }

    /// Returns whether its path is known.
    pub fn has_path(&self) -> bool {
        self.path.is_some()
    }

    /// Reads the keys of a request from an object, which may have others; `None` if one of them has a wrong value.
    pub fn read(tables: &Tables<'t>, value: &Json, how: PathNormalization) -> Option<Request<'t>> {
        let text = |key: &str| match value.get(key) {
            None | Some(Json::Null) => Some(None),
            Some(found) => found.text().map(Some),
        };
        let client = match text("client")? {
            None => None,
            Some(client) => Some(client.parse().ok()?),
        };
        let claims = match value.get("jwt") {
            None | Some(Json::Null) => None,
            Some(claims @ Json::Object(_)) => Some(claims.clone()),
            Some(_) => return None,
        };
        let headers = headers(value.get("headers"))?;
        let (method, path, host, tls) = (text("method")?, text("path")?, text("host")?, text("tls")?);
        let seen = Seen { method, path, host, tls, client, headers: &headers };
        Some(Request { claims, ..Request::new(tables, &seen, how) })
    }

    /// Returns the name that a port shows: the TLS name where it is read as TLS, else the HTTP host.
    fn name(&self, is_tls: bool) -> Option<&str> {
        let tls = self.tls.as_deref().filter(|_| is_tls);
        tls.or(self.host.as_deref())
    }
}

/// Reads the names and values of headers.
fn headers(value: Option<&Json>) -> Option<Vec<(&str, &str)>> {
    match value {
        None => Some(Vec::new()),
        Some(Json::Object(entries)) => {
            entries.iter().map(|(name, value)| Some((name.as_str(), value.text()?))).collect()
        }
        Some(_) => None,
    }
}

/// Returns headers by the numbers of their names and values; several of one name are one value, joined by commas.
fn joined(tables: &Tables<'_>, headers: &[(&str, &str)]) -> Vec<(u32, u32)> {
    let mut joined: Vec<(String, String)> = Vec::new();
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        match joined.iter_mut().find(|(have, _)| *have == name) {
            Some((_, all)) => {
                all.push(',');
                all.push_str(value);
            }
            None => joined.push((name, (*value).to_owned())),
        }
    }
    let number = |text: &String| tables.number(text.as_bytes());
    let known = joined.iter().map(|(name, value)| (number(name), number(value)));
    known.filter(|(name, _)| *name != NONE).collect()
}

/// Returns a name without its port.
pub fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Returns whether a request to a destination meets conditions. An unknown part meets none.
pub fn meets(
    tables: &Tables<'_>,
    conditions: u32,
    request: &Request<'_>,
    destination: &Party<'_>,
    is_tls: bool,
    deny: bool,
) -> bool {
    if conditions == 0 {
        return true;
    }
    let mut record = tables.record(conditions);
    let methods = record.counted(1);
    if !methods.is_empty() && !request.method.is_some_and(|method| methods.contains(&method)) {
        return false;
    }
    let (paths, except) = (record.counted(1), record.counted(1));
    if !paths.is_empty() {
        let Some(path) = &request.path else { return false };
        let fits = |list: &[u32], spelled: bool| list.iter().any(|one| path_fits(tables, *one, path, spelled));
        if !fits(paths, deny) || fits(except, !deny) {
            return false;
        }
    }
    let hosts = record.counted(2).as_chunks::<2>().0;
    if !hosts.is_empty() {
        // A flow to a host outside asks for that host, unless the request names another.
        let own = (!destination.name.is_empty()).then_some(destination.name.as_str());
        let Some(name) = request.name(is_tls).or(own) else { return false };
        let name = without_port(name).as_bytes();
        if !hosts.iter().any(|wanted| name_fits(tables, *wanted, name).is_some()) {
            return false;
        }
    }
    for _ in 0..record.word() {
        let (name, values) = (record.word(), record.counted(1));
        let found = request.headers.iter().find(|(have, _)| *have == name);
        if !found.is_some_and(|(_, value)| values.contains(value)) {
            return false;
        }
    }
    if record.word() == 0 {
        return true;
    }
    let Some(token) = &request.claims else { return false };
    let subjects = record.counted(1);
    if !subjects.is_empty() {
        let Some(subject) = token.get("sub").and_then(Json::text) else { return false };
        if !subjects.iter().any(|wanted| tables.is(*wanted, subject.as_bytes())) {
            return false;
        }
    }
    for _ in 0..record.word() {
        let is_split = record.word() != 0;
        let (names, values) = (record.counted(1), record.counted(1));
        let claim = names.iter().try_fold(token, |claim, name| claim.entry(|key| tables.is(*name, key.as_bytes())));
        if !claim.is_some_and(|claim| values.iter().any(|value| has_value(tables, claim, *value, is_split))) {
            return false;
        }
    }
    true
}

fn has_value(tables: &Tables<'_>, claim: &Json, value: u32, is_split: bool) -> bool {
    let is = |text: &str| tables.is(value, text.as_bytes());
    match claim {
        Json::Text(text) if is_split => text.split(' ').any(is),
        Json::Text(text) => is(text),
        Json::List(items) => items.iter().any(|item| item.text().is_some_and(is)),
        _ => false,
    }
}

/// Returns whether a path is one of a pattern, as it is written or in every spelling.
fn path_fits(tables: &Tables<'_>, pattern: u32, path: &(String, String), spelled: bool) -> bool {
    let mut record = tables.record(pattern);
    let below = record.word() != 0;
    let path = if spelled { &path.1 } else { &path.0 };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let Some(rest) = path.strip_prefix('/') else { return false };
    let mut found = rest.split('/');
    for [written, plain] in record.counted(2).as_chunks::<2>().0 {
        let Some(segment) = found.next() else { return false };
        let fits = match if spelled { *plain } else { *written } {
            ANY_SEGMENT => !segment.is_empty(),
            wanted => tables.is(wanted, segment.as_bytes()),
        };
        if !fits {
            return false;
        }
    }
    below || found.next().is_none()
}
