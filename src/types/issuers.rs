//! Issuers of tokens: each is known by its URL, and its keys by a JSON Web Key Set (RFC 7517).
//!
//! ```text
//! issuer corp { url "https://login.example.com"  jwks "https://login.example.com/keys" at 203.0.113.0/24 }
//! allow ingress shop/* -> garden/{app=api}:8080/http where jwt corp
//!     a token with this `iss`, signed by a key of that set; istiod may fetch the set at these addresses
//! ```

use std::net::Ipv6Addr;
use std::sync::Arc;

use serde_json::{Map, Value as Json};
use smol_str::SmolStr;

use super::endpoints::address_set;
use super::value::{Env, Kind};
use super::{Checker, errors};
use crate::model::addresses::AddressSet;
use crate::model::conditions::{Issuer, Keys, TokenPlace};
use crate::resolve::Def;
use crate::source::Span;
use crate::syntax::tree::{self, IssuerDecl, IssuerKeys, ItemKind, Word};

impl Checker<'_> {
    /// Checks an issuer's declaration, at its first use.
    pub(super) fn issuer(&mut self, def: Def) -> Option<Arc<Issuer>> {
        if let Some(known) = self.issuers.get(&def) {
            return known.clone();
        }
        let item = self.names.item(def);
        let ItemKind::Issuer(issuer) = &item.kind else { return None };
        let made = self.make_issuer(issuer, item.span, &Env::top(def.module)).map(Arc::new);
        if let Some(issuer) = &made {
            let others = self.issuers.values().flatten().filter(|other| other.url == issuer.url);
            let clash = others.filter_map(|other| Some((other.span, difference(other, issuer)?))).min();
            if let Some((other, what)) = clash {
                let (second, first) = (other.max(issuer.span), other.min(issuer.span));
                self.push(errors::two_issuers(second, first, &issuer.url, what));
            }
        }
        self.issuers.insert(def, made.clone());
        made
    }

    fn make_issuer(&mut self, item: &IssuerDecl, span: Span, env: &Env) -> Option<Issuer> {
        let (Some(url), Some(keys)) = (&item.url, &item.keys) else {
            let (missing, example) = match item.url {
                None => ("its URL, the `iss` of its tokens", "url \"https://login.example.com\""),
                Some(_) => ("its keys", "jwks \"https://login.example.com/keys\""),
            };
            if !item.broken {
                self.push(errors::incomplete(&item.name, "issuer", missing, example));
            }
            return None;
        };
        if url.text.is_empty() {
            self.push(errors::wrong_url(url.span, "", "tokens name their issuer by a text that is not empty"));
            return None;
        }
        let keys = match keys {
            IssuerKeys::Inline(json) => {
                let wrong = match serde_json::from_str::<Map<String, Json>>(&json.text) {
                    Err(why) => Some(errors::keys_not_json(json.span, &why.to_string())),
                    Ok(set) => check_key_set(&set).err().map(|why| errors::wrong_keys(json.span, &why)),
                };
                if let Some(diagnostic) = wrong {
                    self.push(diagnostic);
                    return None;
                }
                Keys::Inline(json.text.clone())
            }
            IssuerKeys::Remote { url, at } => {
                if let Err(why) = check_url(&url.text) {
                    self.push(errors::wrong_url(url.span, &url.text, why));
                    return None;
                }
                let at = match at {
                    None => AddressSet::default(),
                    Some(expr) => {
                        let value = self.endpoint(expr, env)?;
                        if value.kind() != Kind::Addresses || value.ports.is_some() {
                            self.push(errors::issuer_addresses(expr.span));
                            return None;
                        }
                        address_set(value.endpoint())
                    }
                };
                Keys::Remote { url: url.text.clone(), at }
            }
        };
        let mut from = Vec::with_capacity(item.from.len());
        for place in &item.from {
            let place = match place {
                tree::TokenPlace::Header(name, prefix) => {
                    self.check_token_name(name, "header")?;
                    let prefix = prefix.as_ref().map(|prefix| prefix.text.clone()).filter(|text| !text.is_empty());
                    TokenPlace::Header(name.text.to_ascii_lowercase().into(), prefix)
                }
                tree::TokenPlace::Param(name) => {
                    self.check_token_name(name, "parameter")?;
                    TokenPlace::Param(name.text.clone())
                }
            };
            if !from.contains(&place) {
                from.push(place);
            }
        }
        let mut audiences: Vec<SmolStr> = Vec::with_capacity(item.audiences.len());
        for audience in &item.audiences {
            if audience.text.is_empty() {
                self.push(errors::no_audience(audience.span));
                return None;
            }
            if !audiences.contains(&audience.text) {
                audiences.push(audience.text.clone());
            }
        }
        Some(Issuer { name: item.name.text.clone(), url: url.text.clone(), keys, audiences, from, span })
    }

    /// Checks the name of a header or a parameter in which tokens are.
    fn check_token_name(&mut self, name: &Word, what: &str) -> Option<()> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        if !name.text.is_empty() && name.text.bytes().all(good) {
            return Some(());
        }
        self.push(errors::token_name(name.span, what));
        None
    }
}

/// Returns the difference between two issuers with one url that makes their tokens different.
fn difference(one: &Issuer, other: &Issuer) -> Option<&'static str> {
    if one.keys != other.keys {
        return Some("keys");
    }
    if one.audiences != other.audiences {
        return Some("audiences");
    }
    (one.from != other.from).then_some("places of their tokens")
}

/// Checks that a text is a URL from which keys can be fetched: Istio and the schema of its objects refuse others.
fn check_url(url: &str) -> Result<(), &'static str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let rest = rest.ok_or("keys are fetched from a URL that begins with `https://` or `http://`")?;
    if url.len() > 2048 {
        return Err("a URL has at most 2048 characters");
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (host, port) = match authority.strip_prefix('[') {
        Some(inner) => {
            let (address, after) = inner.split_once(']').ok_or("an address in a URL ends with `]`")?;
            if address.parse::<Ipv6Addr>().is_err() {
                return Err("what stands between `[` and `]` in a URL is an IPv6 address");
            }
            ("address", after.strip_prefix(':').or((!after.is_empty()).then_some(after)))
        }
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let label = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if host.is_empty() || !host.bytes().all(label) {
        return Err("a URL names a host, of letters, digits, `-` and `.`");
    }
    if port.is_some_and(|port| !port.bytes().all(|b| b.is_ascii_digit()) || !matches!(port.parse::<u16>(), Ok(1..))) {
        return Err("the port of a URL is a number from 1 to 65535");
    }
    let plain = |b: u8| b.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&b);
    let broken = |text: &str| text.len() < 2 || !text.bytes().take(2).all(|b| b.is_ascii_hexdigit());
    if !path.bytes().all(plain) || path.split('%').skip(1).any(broken) {
        return Err("the path of a URL has `%` and two digits in the place of other characters");
    }
    Ok(())
}

/// Checks that a key set is one that Istio takes: it refuses the whole object otherwise.
fn check_key_set(set: &Map<String, Json>) -> Result<(), String> {
    let Some(Json::Array(keys)) = set.get("keys") else { return Err("it has no list `keys`".into()) };
    for (at, key) in keys.iter().enumerate() {
        check_key(key).map_err(|why| format!("key {} {why}", at + 1))?;
    }
    Ok(())
}

fn check_key(key: &Json) -> Result<(), String> {
    let Json::Object(key) = key else { return Err("is not an object".into()) };
    let text = |name: &str| match key.get(name) {
        Some(Json::String(text)) => Ok(text.as_str()),
        _ => Err(format!("has no text `{name}`")),
    };
    let (numbers, curves): (&[&str], &[&str]) = match text("kty")? {
        "RSA" => (&["n", "e"], &[]),
        "EC" => (&["x", "y"], &["P-256", "P-384", "P-521"]),
        "OKP" => (&["x"], &["Ed25519"]),
        "oct" => (&["k"], &[]),
        other => return Err(format!("is of the kind `{other}`, which is none of RSA, EC, OKP and oct")),
    };
    if !curves.is_empty() && !curves.contains(&text("crv")?) {
        return Err(format!("has a `crv` that is none of {}", curves.join(", ")));
    }
    for name in numbers {
        let number = text(name)?;
        let digits = number.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if number.is_empty() || !digits || number.len() % 4 == 1 {
            return Err(format!("has a `{name}` that is not base64url without `=`"));
        }
    }
    let strings = ["kid", "alg", "use"].into_iter().find(|name| key.get(*name).is_some_and(|value| !value.is_string()));
    strings.map_or(Ok(()), |name| Err(format!("has a `{name}` that is not a text")))
}

#[cfg(test)]
mod tests {
    use super::{check_key_set, check_url};

    #[test]
    fn urls_are_those_that_istio_fetches_keys_from() {
        for good in [
            "https://login.example.com/keys",
            "http://a",
            "https://a:8443",
            "https://[2001:db8::1]:443/k?x=y",
            "http://sso.shop.svc.cluster.local:8080/realms/a%20b/certs",
        ] {
            assert_eq!(check_url(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "x",
            "not a url",
            "ftp://a.example/keys",
            "HTTPS//a",
            "https://",
            "https:///keys",
            "https://a b/",
            "https://a/b c",
            "https://a:0/",
            "https://a:99999/",
            "https://a:/",
            "https://[::1",
            "https://[x]/",
            "https://[::1]x/",
            "https://a/%2",
            "https://a/%zz",
            "https://u:p@a/",
            "https://a/#k",
            "https://a/é",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn key_sets_are_those_that_istio_takes() {
        let check = |text: &str| check_key_set(&serde_json::from_str(text).unwrap());
        for good in [
            r#"{"keys": []}"#,
            r#"{"keys": [{"kty": "RSA", "n": "0vx7", "e": "AQAB", "kid": "a", "alg": "RS256", "use": "sig"}]}"#,
            r#"{"keys": [{"kty": "EC", "crv": "P-256", "x": "f83O", "y": "x_FE"}, {"kty": "oct", "k": "AyM1"}]}"#,
            r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("{}", "it has no list `keys`"),
            (r#"{"keys": {}}"#, "it has no list `keys`"),
            (r#"{"keys": ["a"]}"#, "key 1 is not an object"),
            (r#"{"keys": [{}]}"#, "key 1 has no text `kty`"),
            (r#"{"keys": [{"kty": "rsa"}]}"#, "kind `rsa`"),
            (r#"{"keys": [{"kty": "RSA", "n": "0vx7"}]}"#, "has no text `e`"),
            (r#"{"keys": [{"kty": "RSA", "n": "0v+7", "e": "AQAB"}]}"#, "`n` that is not base64url"),
            (r#"{"keys": [{"kty": "RSA", "n": "", "e": "AQAB"}]}"#, "`n` that is not base64url"),
            (r#"{"keys": [{"kty": "EC", "crv": "P-1", "x": "f83O", "y": "x_FE"}]}"#, "`crv`"),
            (r#"{"keys": [{"kty": "oct", "k": "AyM1", "kid": 3}]}"#, "`kid`"),
        ] {
            assert!(check(bad).unwrap_err().contains(why), "{bad}: {:?}", check(bad));
        }
    }
}
