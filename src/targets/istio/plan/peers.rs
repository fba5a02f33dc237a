//! Peers, as AuthorizationPolicies know them: pods by their mesh identity, addresses by the source of packets or, at a
//! gateway, by the client's address.
//!
//! ```netpol
//! allow ingress {lab/@curl, 203.0.113.0/24} -> garden/{app=web}:80/http
//! ```
//!
//! ```yaml
//! - source:
//!     principals: [cluster.local/ns/lab/sa/curl]
//! - source:
//!     ipBlocks: [203.0.113.0/24]
//! ```
//!
//! A caller has an identity or an address that counts, so the two are sources of their own, joined by or.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use crate::model::addresses::{AddressSet, Block};
use crate::model::endpoint::{Endpoint, Member, What, is_everybody};
use crate::model::gateways::Gateway;
use crate::model::labels::{Account, NAMESPACE_NAME, PodSelector, Requirement, Test};
use crate::targets::istio::facts::Facts;
use crate::targets::istio::findings::IstioGap;
use crate::targets::istio::model::Source;
use crate::targets::istio::nets::prefixes;
use crate::targets::istio::words::list_names;

/// The callers that one side of a rule means, as Istio knows them.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// The sources, joined by or; `None` is any caller.
    pub sources: Option<Rc<Vec<Source>>>,
    /// Whether some of them are known by identity.
    pub identity: bool,
    /// Whether some of them are addresses, or any caller: these have no identity.
    pub plain: bool,
    /// Whether identities of other trust domains are among them.
    pub foreign: bool,
    /// The gap of callers that Istio cannot distinguish from the peers.
    pub gap: Option<IstioGap>,
    /// Why Istio cannot express some of them.
    pub unable: Option<String>,
}

/// The proxy at which sources are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Position {
    /// A workload's sidecar: addresses are those of the packets.
    Workload,
    /// A gateway: addresses are those of the clients.
    Gateway,
}

/// An endpoint, the proxy that judges it, and whether the rule is a deny.
type Question = (*const Endpoint, Position, bool);

/// A finder of the sources of endpoints, which remembers them.
pub struct Peers<'f, 'a> {
    facts: &'f Facts<'a>,
    memory: RefCell<FxHashMap<Question, Rc<Peer>>>,
    /// The sources of endpoints that are one selector, of which the inventory may have many pods.
    by_selector: RefCell<FxHashMap<(PodSelector, Position, bool), Rc<Peer>>>,
}

impl<'f, 'a> Peers<'f, 'a> {
    /// Begins without any sources.
    pub fn new(facts: &'f Facts<'a>) -> Peers<'f, 'a> {
        Peers { facts, memory: RefCell::default(), by_selector: RefCell::default() }
    }

    /// Returns the sources of an endpoint for an allow.
    pub fn of(&self, endpoint: &Arc<Endpoint>, position: Position) -> Rc<Peer> {
        self.find(endpoint, position, false)
    }

    /// Returns the sources of an endpoint for a deny.
    pub fn denied(&self, endpoint: &Arc<Endpoint>, position: Position) -> Rc<Peer> {
        self.find(endpoint, position, true)
    }

    fn find(&self, endpoint: &Arc<Endpoint>, position: Position, denied: bool) -> Rc<Peer> {
        let facts = self.facts;
        let make = || Rc::new(peer(facts, endpoint, position, denied));
        if facts.closed()
            && let [Member { what: What::Pods(pods), .. }] = endpoint.members.as_slice()
        {
            let key = (pods.selector.clone(), position, denied);
            return Rc::clone(self.by_selector.borrow_mut().entry(key).or_insert_with(make));
        }
        let mut memory = self.memory.borrow_mut();
        Rc::clone(memory.entry((Arc::as_ptr(endpoint), position, denied)).or_insert_with(make))
    }
}

fn peer(facts: &Facts<'_>, endpoint: &Endpoint, position: Position, denied: bool) -> Peer {
    let mut peer = Peer::default();
    if is_everybody(endpoint.members.iter()) {
        peer.plain = true;
        return peer;
    }
    let mut known = Identities { denied, position, principals: Vec::new(), anywhere: Vec::new(), sources: Vec::new() };
    let mut blocks: Vec<Block> = Vec::new();
    for member in &endpoint.members {
        match &member.what {
            What::Pods(pods) => {
                peer.identity = true;
                match identities(facts, endpoint, &pods.selector, &mut known) {
                    Ok(None) => {}
                    Ok(gap) => peer.gap = peer.gap.or(gap),
                    Err(why) => peer.unable = Some(why),
                }
            }
            What::Addresses(set) => blocks.extend(set.blocks.iter().cloned()),
            What::Host(host) if !host.at.is_empty() => {
                blocks.extend(host.addresses().blocks);
            }
            What::Host(host) => {
                peer.unable = Some(format!("{} has no addresses by which it could be known", host.name))
            }
        }
    }
    let Identities { mut principals, mut anywhere, mut sources, .. } = known;
    sorted(&mut principals);
    sorted(&mut anywhere);
    let mut all = Vec::new();
    if !principals.is_empty() {
        all.push(Source { principals, ..Source::default() });
    }
    if !anywhere.is_empty() {
        all.push(Source { principals: anywhere, own_domain: !denied, ..Source::default() });
    }
    all.append(&mut sources);
    peer.foreign = denied && all.iter().any(|source| source.principals.iter().any(|one| one.starts_with('*')));
    if !blocks.is_empty() {
        peer.plain = true;
        peer.gap = peer.gap.or_else(|| may_hold_pods(facts, &blocks));
        all.extend(address_sources(facts, blocks, position));
    }
    peer.sources = Some(Rc::new(all));
    peer
}

fn sorted<T: Ord>(list: &mut Vec<T>) {
    list.sort();
    list.dedup();
}

/// The identities of some pods.
struct Identities {
    /// Whether the rule is a deny.
    denied: bool,
    /// The proxy that judges them.
    position: Position,
    /// Identities that name the trust domain.
    principals: Vec<String>,
    /// Identities of an account of any namespace, which leave the trust domain open.
    anywhere: Vec<String>,
    sources: Vec<Source>,
}

/// Returns a pattern for every identity of the mesh. Istio counts a trust domain's aliases only in principals that are
/// written in full, so a deny takes every identity.
fn everyone(facts: &Facts<'_>, denied: bool) -> String {
    if denied { "*".into() } else { format!("{}/*", facts.policy.settings.trust_domain) }
}

/// Adds the identities of some pods; returns the gap of others that have the same identities.
fn identities(
    facts: &Facts<'_>,
    endpoint: &Endpoint,
    selector: &PodSelector,
    to: &mut Identities,
) -> Result<Option<IstioGap>, String> {
    if let Some(gateway) = facts.gateway_of(selector) {
        let Some((namespace, account)) = &gateway.account else {
            return Err(format!("gateway {} names no account by which its pods are known", gateway.name));
        };
        let meant: Vec<PodSelector> = endpoint.pods().map(|(_, pods)| pods.selector.clone()).collect();
        let whole = gateway.pods.iter().all(|pods| pods.is_inside(&meant));
        // An inventory may know that a part of the gateway's pods has an account of its own.
        if whole || selector.namespace_name().is_none_or(|name| facts.workloads(name).is_none()) {
            to.principals.push(principal(facts, namespace, account));
            let apart = || IstioGap::wider(format!("the other pods of {} run as the same account", gateway.name));
            return Ok(sharing(facts, gateway).or_else(|| (!whole).then(apart)));
        }
    }
    let names = match names(selector) {
        Some(names) => names,
        None => match closed(facts, selector) {
            Some(list) => Names::Some(list),
            None => {
                match &selector.account {
                    Account::Is(account) if selector.labels.is_any() => to.anywhere.push(format!("*/sa/{account}")),
                    _ => to.principals.push(everyone(facts, to.denied)),
                }
                return Ok(Some(IstioGap::wider("pods of namespaces pass whose labels are not known")));
            }
        },
    };
    if !selector.labels.is_any() {
        return Ok(by_workloads(facts, selector, names, to));
    }
    match (&selector.account, names) {
        (Account::Is(account), Names::All) => to.anywhere.push(format!("*/sa/{account}")),
        (Account::Is(account), Names::Some(list)) => {
            to.principals.extend(list.iter().map(|name| principal(facts, name, account)));
        }
        (Account::Is(account), Names::AllBut(not_namespaces)) => {
            let principals = vec![format!("*/sa/{account}")];
            to.sources.push(Source { principals, not_namespaces, own_domain: !to.denied, ..Source::default() });
        }
        (Account::Not(none), Names::Some(list)) if none.is_empty() => {
            to.principals.extend(list.iter().map(|name| namespace(facts, name)));
        }
        (Account::Not(none), Names::All) if none.is_empty() => to.principals.push(everyone(facts, to.denied)),
        (Account::Not(accounts), names) => to.sources.push(all_but(facts, names, accounts, to.denied)),
    }
    Ok(None)
}

/// Returns the gap of a gateway as whose account other pods run, too.
pub fn sharing(facts: &Facts<'_>, gateway: &Gateway) -> Option<IstioGap> {
    let (namespace, account) = gateway.account.as_ref().filter(|_| facts.shares_account(gateway))?;
    let way = format!("give the pods of {} an account of their own", gateway.name);
    Some(IstioGap::mendable(format!("other pods run as {namespace}/@{account} too"), way))
}

/// Namespaces, told by name.
enum Names {
    All,
    AllBut(Vec<SmolStr>),
    Some(Vec<SmolStr>),
}

/// Returns the namespaces of a selector that asks only for their names.
fn names(selector: &PodSelector) -> Option<Names> {
    match selector.namespace.list() {
        [] => Some(Names::All),
        [Requirement { key, test: Test::In(names) }] if key == NAMESPACE_NAME => Some(Names::Some(names.to_vec())),
        [Requirement { key, test: Test::NotIn(names) }] if key == NAMESPACE_NAME => Some(Names::AllBut(names.to_vec())),
        _ => None,
    }
}

/// Returns a source that names the callers who are meant and those who are not. The former always need an identity, so
/// that no caller without one matches by not being among the latter.
fn all_but(facts: &Facts<'_>, names: Names, accounts: &[SmolStr], denied: bool) -> Source {
    let mut source = Source::default();
    let within: &[SmolStr] = match &names {
        Names::Some(list) => {
            source.principals = list.iter().map(|name| namespace(facts, name)).collect();
            list
        }
        Names::AllBut(list) => {
            source.principals = vec![everyone(facts, denied)];
            source.not_namespaces.clone_from(list);
            &[]
        }
        Names::All => {
            source.principals = vec![everyone(facts, denied)];
            &[]
        }
    };
    for account in accounts {
        match within {
            [] => source.not_principals.push(format!("*/sa/{account}")),
            list => source.not_principals.extend(list.iter().map(|name| principal(facts, name, account))),
        }
    }
    source
}

/// Returns the namespaces that meet a selector's requirements, if all of them are known.
fn closed(facts: &Facts<'_>, selector: &PodSelector) -> Option<Vec<SmolStr>> {
    facts.namespaces(selector)?.into_iter().map(|(name, sure)| sure.then(|| name.clone())).collect()
}

/// Adds the accounts of the workloads that are meant; for unknown accounts, every identity of their namespace.
fn by_workloads(facts: &Facts<'_>, selector: &PodSelector, names: Names, to: &mut Identities) -> Option<IstioGap> {
    let list = match names {
        Names::Some(list) => list,
        Names::All | Names::AllBut(_) => match closed(facts, selector) {
            Some(list) => list,
            None => {
                to.principals.push(everyone(facts, to.denied));
                return Some(IstioGap::wider(
                    "pods of every namespace pass: no inventory shows the accounts of those that are meant",
                ));
            }
        },
    };
    let (mut shared, mut unknown) = (Vec::new(), Vec::new());
    let (mut nobody, mut found) = (Vec::new(), false);
    for name in list {
        let Some(known) = facts.workloads(&name) else {
            if !facts.closed() || selector.namespace_name().is_some() {
                unknown.push(format!("{name}/*"));
                to.principals.push(namespace(facts, &name));
            }
            continue;
        };
        // For each account, the number of its workloads that are meant.
        let mut accounts: FxHashMap<&SmolStr, usize> = FxHashMap::default();
        for workload in known.selected(selector) {
            *accounts.entry(&workload.account).or_default() += 1;
        }
        // Pods that no inventory shows yet, or whose account a declaration leaves out, may run as any account.
        let named = selector.namespace_name().is_some();
        if accounts.contains_key(&SmolStr::default()) || accounts.is_empty() && named {
            unknown.push(format!("{name}/*"));
            to.principals.push(namespace(facts, &name));
            continue;
        }
        if accounts.is_empty() {
            nobody.push(name.clone());
        }
        found |= !accounts.is_empty();
        let mut accounts: Vec<(&SmolStr, usize)> = accounts.into_iter().collect();
        accounts.sort_unstable();
        for (account, meant) in accounts {
            to.principals.push(principal(facts, &name, account));
            if known.accounts.get(account).is_some_and(|all| *all > meant) {
                shared.push(format!("{name}/@{account}"));
            }
        }
    }
    if !found && unknown.is_empty() {
        unknown.extend(nobody.iter().map(|name| format!("{name}/*")));
        to.principals.extend(nobody.iter().map(|name| namespace(facts, name)));
    }
    if !unknown.is_empty() {
        let words = "Istio knows pods by their accounts, and no inventory shows those of the pods that are meant";
        let way = "give an inventory that shows the accounts of these pods, `--inventory`".to_owned();
        let by_account = |first: &String| {
            format!("{way}, or name them by their account, as `{}@ACCOUNT`", first.trim_end_matches('*'))
        };
        let way = unknown.first().filter(|_| to.position == Position::Workload).map_or_else(|| way.clone(), by_account);
        return Some(IstioGap::mendable(format!("all of {} pass: {words}", list_names(&unknown)), way));
    }
    (!shared.is_empty()).then(|| IstioGap::wider(format!("other pods run as {} too", list_names(&shared))))
}

/// Returns a pattern for every identity of a namespace. The field `namespaces` would match those of any trust domain.
fn namespace(facts: &Facts<'_>, name: &str) -> String {
    principal(facts, name, "*")
}

fn principal(facts: &Facts<'_>, namespace: &str, account: &str) -> String {
    format!("{}/ns/{namespace}/sa/{account}", facts.policy.settings.trust_domain)
}

/// Returns the gap of addresses that may be pods', although the rule means none.
fn may_hold_pods(facts: &Facts<'_>, blocks: &[Block]) -> Option<IstioGap> {
    let set = AddressSet { blocks: blocks.to_vec() };
    let known = !facts.policy.pod_addresses.is_empty();
    // Addresses of pods may be unknown, but they are not in the internet.
    let may = !known && !set.is_inside(&facts.policy.internet);
    may.then(|| {
        let way = "say which addresses pods have: `pods = [\"10.244.0.0/16\"]` under `[cluster]` in netpol.toml";
        IstioGap::mendable("pods may have some of these addresses".into(), way)
    })
}

/// Makes the sources of addresses: one for all blocks without exceptions, one for each other block.
fn address_sources(facts: &Facts<'_>, blocks: Vec<Block>, position: Position) -> Vec<Source> {
    let remote = position == Position::Gateway;
    let pods = prefixes(&facts.policy.pod_addresses);
    let mut plain = Source { remote, ..Source::default() };
    let mut sources = Vec::new();
    for block in blocks {
        let mut not_blocks = block.except;
        not_blocks.extend(pods.iter().filter(|pods| block.net.contains(*pods)));
        if pods.iter().any(|pods| pods.contains(&block.net)) {
            continue;
        }
        not_blocks.sort();
        not_blocks.dedup();
        if not_blocks.is_empty() {
            plain.blocks.push(block.net);
        } else {
            sources.push(Source { blocks: vec![block.net], not_blocks, remote, ..Source::default() });
        }
    }
    plain.blocks.sort();
    plain.blocks.dedup();
    if !plain.blocks.is_empty() {
        sources.insert(0, plain);
    }
    sources
}
