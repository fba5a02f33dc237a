//! Endpoints as text of the language: `garden/{app=web}:8080`, as the compiler understood them.

use crate::model::addresses::AddressSet;
use crate::model::endpoint::{Endpoint, Member, What};
use crate::model::hosts::Host;
use crate::model::labels::{Account, NAMESPACE_NAME, PodSelector, Requirement, Requirements, Test};
use crate::model::ports::{PortMatch, PortTest, Ports, Protocol};

/// The most parts of a list that are shown; the others are counted.
const PARTS_SHOWN: usize = 6;

/// Returns an endpoint as a destination, with its ports.
pub fn destination(endpoint: &Endpoint) -> String {
    union(endpoint.members.iter().map(|member| format!("{}{}", what(member), ports(&member.ports))).collect())
}

/// Returns an endpoint as a source, without ports.
pub fn source(endpoint: &Endpoint) -> String {
    union(endpoint.members.iter().map(what).collect())
}

/// Returns several endpoints as one union.
pub fn union(mut parts: Vec<String>) -> String {
    parts.dedup();
    match parts.as_slice() {
        [one] => one.clone(),
        _ => format!("{{ {} }}", listed(&parts)),
    }
}

fn listed(parts: &[String]) -> String {
    let mut text = parts.iter().take(PARTS_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if parts.len() > PARTS_SHOWN {
        text.push_str(&format!(", and {} more", parts.len() - PARTS_SHOWN));
    }
    text
}

fn what(member: &Member) -> String {
    match &member.what {
        What::Pods(pods) => match pods.named.as_deref() {
            Some((namespace, name)) => format!("{namespace}/{name}"),
            None => selector(&pods.selector),
        },
        What::Addresses(addresses) => set(addresses),
        What::Host(host) => name(host),
    }
}

fn selector(selector: &PodSelector) -> String {
    let namespace = match selector.namespace.only(NAMESPACE_NAME) {
        Some(name) if selector.namespace.list().len() == 1 => name.to_string(),
        _ if selector.namespace.is_any() => "*".to_owned(),
        _ => labels(&selector.namespace),
    };
    let pods = if selector.labels.is_any() { String::new() } else { labels(&selector.labels) };
    let account = match &selector.account {
        Account::Is(name) => format!("@{name}"),
        account if account.is_any() => String::new(),
        Account::Not(names) => format!(" except @{}", names.join(", @")),
    };
    let pods = format!("{pods}{account}");
    format!("{namespace}/{}", if pods.is_empty() || pods.starts_with(' ') { format!("*{pods}") } else { pods })
}

fn labels(requirements: &Requirements) -> String {
    let parts: Vec<String> = requirements.list().iter().map(requirement).collect();
    format!("{{{}}}", listed(&parts))
}

fn requirement(requirement: &Requirement) -> String {
    let key = &requirement.key;
    let values = |values: &[smol_str::SmolStr]| listed(&values.iter().map(ToString::to_string).collect::<Vec<_>>());
    match &requirement.test {
        Test::In(list) if list.len() == 1 => format!("{key}={}", values(list)),
        Test::NotIn(list) if list.len() == 1 => format!("{key}!={}", values(list)),
        Test::In(list) => format!("{key} in ({})", values(list)),
        Test::NotIn(list) => format!("{key} notin ({})", values(list)),
        Test::Exists => key.to_string(),
        Test::DoesNotExist => format!("!{key}"),
    }
}

fn set(addresses: &AddressSet) -> String {
    let blocks = addresses.blocks.iter().map(|block| {
        let net = if block.net.prefix_len() == block.net.max_prefix_len() {
            block.net.addr().to_string()
        } else {
            block.net.to_string()
        };
        let net = if block.net.addr().is_ipv6() { format!("[{net}]") } else { net };
        match block.except.as_slice() {
            [] => net,
            except => {
                let except: Vec<String> = except.iter().map(ToString::to_string).collect();
                format!("{net} except {{ {} }}", listed(&except))
            }
        }
    });
    union(blocks.collect())
}

fn name(host: &Host) -> String {
    match host.except.as_slice() {
        [] => host.name.to_string(),
        except => {
            let except: Vec<String> = except.iter().map(ToString::to_string).collect();
            format!("{} except {{ {} }}", host.name, listed(&except))
        }
    }
}

/// Returns ports as a suffix.
pub fn ports(ports: &Ports) -> String {
    let entries: Vec<String> = ports.entries().iter().map(port).collect();
    match entries.as_slice() {
        [] => String::new(),
        [one] => format!(":{one}"),
        many => format!(":{{{}}}", listed(many)),
    }
}

fn port(entry: &PortMatch) -> String {
    let port = match &entry.port {
        PortTest::Range(1, u16::MAX) | PortTest::Range(0, _) => "*".to_owned(),
        other => other.to_string(),
    };
    match (entry.app, entry.protocol) {
        (Some(app), _) => format!("{port}/{}", app.word()),
        (None, Protocol::Tcp) => port,
        (None, protocol) => format!("{port}/{}", protocol.word()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::endpoint::Pods;
    use crate::model::hosts::HostName;
    use crate::source::{Sources, Span};

    fn endpoint(members: Vec<(What, Ports)>) -> Endpoint {
        let span = Span::new(Sources::new().add("", ""), 0, 0);
        Endpoint { members: members.into_iter().map(|(what, ports)| Member { span, what, ports }).collect() }
    }

    fn addresses(nets: &[&str], except: &[&str]) -> What {
        let set = |nets: &[&str]| AddressSet::of(nets.iter().map(|net| net.parse().unwrap()));
        What::Addresses(set(nets).subtract(&set(except)))
    }

    #[test]
    fn addresses_and_hosts_read_as_they_are_written() {
        let ports = Ports::Some(vec![
            PortMatch::range(443, 443, Protocol::Tcp),
            PortMatch::range(8000, 8999, Protocol::Udp),
            PortMatch::range(1, u16::MAX, Protocol::Sctp),
        ]);
        let v4 = addresses(&["203.0.113.0/24"], &["203.0.113.7/32"]);
        let host = Host {
            name: HostName { wildcard: true, name: "example.com".into() },
            except: vec![HostName { wildcard: false, name: "a.example.com".into() }],
            at: Vec::new(),
            originates: Vec::new(),
        };
        let all = endpoint(vec![
            (v4, Ports::All),
            (addresses(&["2001:db8::1/128"], &[]), ports),
            (What::Host(host), Ports::All),
        ]);
        assert_eq!(
            destination(&all),
            "{ 203.0.113.0/24 except { 203.0.113.7/32 }, [2001:db8::1]:{443, 8000-8999/udp, */sctp}, \
             *.example.com except { a.example.com } }"
        );
    }

    #[test]
    fn pods_read_as_they_are_written() {
        let pods = |selector: PodSelector, named| What::Pods(Pods { selector, named });
        let account = PodSelector { account: Account::Is("robot".into()), ..PodSelector::in_namespace("garden") };
        let all = endpoint(vec![
            (pods(PodSelector::any(), None), Ports::All),
            (pods(PodSelector::in_namespace("garden"), None), Ports::All),
            (pods(account, None), Ports::All),
            (pods(PodSelector::any(), Some(Box::new(("garden".into(), "api".into())))), Ports::All),
        ]);
        assert_eq!(source(&all), "{ */*, garden/*, garden/@robot, garden/api }");
    }
}
