//! Questions as lines of JSON: `{"from":"garden/web","to":"garden/api:80","method":"GET"}`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use smol_str::{SmolStr, format_smolstr};

use super::Question;
use crate::policy::flow::Request;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    from: String,
    to: String,
    port: Option<Port>,
    protocol: Option<String>,
    method: Option<String>,
    path: Option<String>,
    host: Option<String>,
    tls: Option<String>,
    client: Option<std::net::IpAddr>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    jwt: Option<Map<String, Value>>,
}

/// A port by number or by name.
#[derive(Deserialize)]
#[serde(untagged)]
enum Port {
    Number(u64),
    Name(String),
}

impl Question {
    /// Reads a line. The error says in words what is wrong.
    pub fn parse(line: &[u8]) -> Result<Question, String> {
        let line: Line = serde_json::from_slice(line).map_err(|error| format!("this is no flow: {error}"))?;
        let port = line.port.map(|port| match port {
            Port::Number(number) => number.to_string(),
            Port::Name(name) => name,
        });
        Ok(Question {
            from: line.from,
            to: line.to,
            port,
            protocol: line.protocol,
            request: Request {
                method: line.method.map(Into::into),
                path: line.path,
                host: line.host.map(Into::into),
                tls: line.tls.map(Into::into),
                client: line.client.map(|client| client.to_canonical()),
                headers: headers(line.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
                jwt: line.jwt,
            },
        })
    }
}

/// Returns headers by their names in lower case; several values of one name are joined by commas.
pub fn headers<'h>(list: impl IntoIterator<Item = (&'h str, &'h str)>) -> Vec<(SmolStr, SmolStr)> {
    let mut all: Vec<(SmolStr, SmolStr)> = Vec::new();
    for (name, value) in list {
        let name = SmolStr::from(name.to_ascii_lowercase());
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some((_, joined)) => *joined = format_smolstr!("{joined},{value}"),
            None => all.push((name, value.into())),
        }
    }
    all
}
