//! The ends of a connection that a proxy sees: pods by their addresses, as the proxy's configuration has them, and the
//! service account that the peer's certificate names.
//!
//! ```text
//! 10.244.1.7 with spiffe://cluster.local/ns/shop/sa/cart     the pod of the table at 10.244.1.7, if it runs as cart
//! 10.244.9.9 with the same certificate                       a pod of shop that runs as cart, without labels
//! 203.0.113.7 without a certificate                          an address
//! ```

use std::net::IpAddr;

use super::json::Json;
use super::{Error, Kernel};

/// How many parties that the table does not have are remembered before all of them are forgotten.
const MOST_STRANGERS: usize = 1 << 14;
/// The trust domain where the configuration names none, as in Istio.
const TRUST_DOMAIN: &str = "cluster.local";

/// A pod of the table.
struct Pod {
    address: IpAddr,
    value: Json,
    party: u32,
}

/// The configuration of a proxy.
pub struct Peers {
    /// Sorted by address.
    pods: Vec<Pod>,
    /// The pod whose proxy this is, where the configuration says it.
    own: Option<Pod>,
    trust_domain: String,
    /// Whether peers may show certificates, which are there with the first bytes and not before.
    pub mtls: bool,
    /// The ports, first and last, on which rules ask about requests: there an HTTP filter judges these.
    requests: Vec<(u16, u16)>,
    /// How many proxies stand in front of the gateways.
    proxies: usize,
    strangers: usize,
}

/// A connection, as a proxy sees it.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'c> {
    /// Who opened it.
    pub source: IpAddr,
    /// Where to.
    pub destination: IpAddr,
    /// The URI in the certificate of the peer, if it showed one.
    pub identity: Option<&'c str>,
}

/// The reason why the ends of a connection are not known. Nothing is let through then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// The certificate names no service account of the mesh.
    Identity,
    /// The certificate is of another pod than the one that the table has at this address.
    OtherPod,
    /// The table has no pod at the address of the destination.
    NoPod,
    /// The kernel takes no more.
    Kernel(Error),
}

impl Unknown {
    /// Returns the reason in words.
    pub fn words(self) -> &'static str {
        match self {
            Unknown::Identity => "the certificate names no service account of the mesh",
            Unknown::OtherPod => "the certificate is not of the pod that the table has at this address",
            Unknown::NoPod => "the table has no pod at the address of the destination",
            Unknown::Kernel(_) => "there is no memory for more",
        }
    }
}

impl Peers {
    /// Reads a configuration. The error says what is wrong with it.
    pub fn read(kernel: &mut Kernel<'_>, text: &[u8]) -> Result<Peers, &'static str> {
        let text = if text.trim_ascii().is_empty() { b"{}" } else { text };
        let value = Json::parse(text).ok_or("it is no JSON")?;
        if !value.has_only(&["pod", "pods", "mtls", "trustDomain", "requests", "proxies"]) {
            return Err(
                "it has the keys `pod`, `pods`, `mtls`, `trustDomain`, `requests` and `proxies`, and no others",
            );
        }
        let mut pods = Vec::new();
        match value.get("pods") {
            None => {}
            Some(Json::List(list)) => {
                for one in list {
                    pods.push(pod(one).ok_or("a pod of `pods` has an `address` and a `namespace`")?);
                }
            }
            Some(_) => return Err("`pods` is a list"),
        }
        pods.sort_by_key(|pod| pod.address);
        if pods.windows(2).any(|two| matches!(two, [one, other] if one.address == other.address)) {
            return Err("two pods of `pods` have one address");
        }
        let own = value.get("pod").map(|own| Pod { address: IpAddr::from([0; 4]), value: own.clone(), party: 0 });
        let trust_domain = match value.get("trustDomain") {
            None => TRUST_DOMAIN,
            Some(domain) => domain.text().ok_or("`trustDomain` is a string")?,
        };
        let mtls = match value.get("mtls") {
            None => true,
            Some(Json::Word(mtls)) => *mtls,
            Some(_) => return Err("`mtls` is true or false"),
        };
        let requests = match value.get("requests") {
            None => Vec::new(),
            Some(Json::List(list)) => list
                .iter()
                .map(ports)
                .collect::<Option<_>>()
                .ok_or("what is in `requests` has a `port` and perhaps an `endPort`")?,
            Some(_) => return Err("`requests` is a list"),
        };
        let proxies = match value.get("proxies") {
            None => 0,
            Some(Json::Number(Some(count))) => usize::try_from(*count).map_err(|_| "`proxies` is too large")?,
            Some(_) => return Err("`proxies` is a number"),
        };
        let mut peers =
            Peers { pods, own, trust_domain: trust_domain.to_owned(), mtls, requests, proxies, strangers: 0 };
        peers.intern(kernel).map_err(|_| "a pod has a key that no pod has, or there is no memory for it")?;
        Ok(peers)
    }

    /// Interns the pods of the table, and forgets all others.
    fn intern(&mut self, kernel: &mut Kernel<'_>) -> Result<(), Error> {
        kernel.reset();
        self.strangers = 0;
        for pod in self.pods.iter_mut().chain(&mut self.own) {
            // Only a pod has a namespace; a host or an address here would stand for no workload.
            if pod.value.get("namespace").is_none() {
                return Err(Error::Meaning);
            }
            pod.party = kernel.party_of(&pod.value)?;
        }
        Ok(())
    }

    /// Returns the source and the destination of a connection.
    pub fn ends(&mut self, kernel: &mut Kernel<'_>, seen: Connection<'_>) -> Result<(u32, u32), Unknown> {
        if self.strangers >= MOST_STRANGERS {
            self.intern(kernel).map_err(Unknown::Kernel)?;
        }
        let source = self.source(kernel, seen)?;
        let destination = match &self.own {
            Some(own) => own.party,
            None => self.at(seen.destination).ok_or(Unknown::NoPod)?.party,
        };
        Ok((source, destination))
    }

    /// Returns whether an HTTP filter judges the requests on this port.
    pub fn has_requests(&self, port: u16) -> bool {
        self.requests.iter().any(|(first, last)| (*first..=*last).contains(&port))
    }

    fn at(&self, address: IpAddr) -> Option<&Pod> {
        let address = address.to_canonical();
        self.pods.binary_search_by_key(&address, |pod| pod.address).ok().and_then(|at| self.pods.get(at))
    }

    fn source(&mut self, kernel: &mut Kernel<'_>, seen: Connection<'_>) -> Result<u32, Unknown> {
        let known = self.at(seen.source);
        let Some(identity) = seen.identity else {
            return match known {
                Some(pod) => Ok(pod.party),
                None => self.stranger(kernel, Json::Text(seen.source.to_canonical().to_string())),
            };
        };
        let (namespace, account) = self.account_of(identity).ok_or(Unknown::Identity)?;
        let named = |key: &str, text: &str| (key.to_owned(), Json::Text(text.to_owned()));
        let Some(pod) = known else {
            let value = Json::Object(vec![named("namespace", namespace), named("account", account)]);
            return self.stranger(kernel, value);
        };
        let own = |key: &str| pod.value.get(key).and_then(Json::text);
        match own("account") {
            _ if own("namespace") != Some(namespace) => Err(Unknown::OtherPod),
            Some(own) if own == account => Ok(pod.party),
            Some(_) => Err(Unknown::OtherPod),
            None => {
                let mut value = pod.value.clone();
                if let Json::Object(entries) = &mut value {
                    entries.push(named("account", account));
                }
                self.stranger(kernel, value)
            }
        }
    }

    fn stranger(&mut self, kernel: &mut Kernel<'_>, value: Json) -> Result<u32, Unknown> {
        self.strangers += 1;
        kernel.party_of(&value).map_err(Unknown::Kernel)
    }

    /// Returns the namespace and the service account of a SPIFFE id of the mesh:
    /// `spiffe://DOMAIN/ns/NAMESPACE/sa/NAME`.
    fn account_of<'i>(&self, identity: &'i str) -> Option<(&'i str, &'i str)> {
        let path = identity.strip_prefix("spiffe://")?.strip_prefix(self.trust_domain.as_str())?;
        let (namespace, account) = path.strip_prefix("/ns/")?.split_once("/sa/")?;
        let is_name = |name: &str| !name.is_empty() && !name.contains('/');
        (is_name(namespace) && is_name(account)).then_some((namespace, account))
    }

    /// Returns the client of a request that a gateway passes on, by its `X-Forwarded-For`: the last address, or as many
    /// before it as proxies stand in front.
    pub fn client(&self, forwarded_for: &str) -> Option<IpAddr> {
        let mut hops = forwarded_for.rsplit(',').map(str::trim);
        hops.nth(self.proxies)?.parse().ok()
    }
}

/// Reads `{"port": 8000, "endPort": 8999}`.
fn ports(value: &Json) -> Option<(u16, u16)> {
    let number = |key| match value.get(key) {
        Some(Json::Number(Some(number))) => u16::try_from(*number).ok(),
        _ => None,
    };
    let first = number("port")?;
    let last = if value.get("endPort").is_some() { number("endPort")? } else { first };
    value.has_only(&["port", "endPort"]).then_some((first, last))
}

/// Reads a pod of the table: a party with an address.
fn pod(value: &Json) -> Option<Pod> {
    let Json::Object(entries) = value else { return None };
    let address: IpAddr = value.get("address")?.text()?.parse().ok()?;
    value.get("namespace")?.text()?;
    let entries = entries.iter().filter(|(key, _)| key != "address").cloned().collect();
    Some(Pod { address: address.to_canonical(), value: Json::Object(entries), party: 0 })
}
