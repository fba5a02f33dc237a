//! Plain rows: the layer has the same rules as the source, word by word, so that no sets need to be compared.
//!
//! ```text
//! allow egress garden/* -> db/*:5432               says the same
//! allow egress garden/* -> zenquotes.io:443        says 443 of the internet, and a judgement admits it on TCP
//! ```
//!
//! A row is plain if the source and the layer isolate the same pods, if each allow and each grant has the same pods,
//! peers and ports in both, and if there is no deny. Every other row is compared as sets.

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;
use smol_str::SmolStr;

use super::{Key, Said, Table};
use crate::model::addresses::{AddressSet, Block};
use crate::model::endpoint::{Endpoint, Member, What};
use crate::model::labels::PodSelector;
use crate::model::ports::{PortTest, Ports, Protocol};
use crate::model::rules::{Action, Direction, GrantId, Rule, RuleId};
use crate::policy::{GrantReason, Policy};
use crate::targets::effective::Instead;
use crate::targets::{Traffic, Traffics};

/// The most words of a rule that are compared with each other; a rule with more is compared as sets.
const MOST_WORDS: usize = 64;

/// A peer.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Peer<'a> {
    Pods(&'a PodSelector),
    Block(&'a Block),
}

/// The ports of one entry of a list; `None` is all ports.
type Port<'a> = Option<(&'a PortTest, Protocol)>;

/// Flows between the pods of a selector and a peer.
type Word<'a> = (&'a PodSelector, Peer<'a>, Port<'a>);

/// The words of a statement.
type Words<'a> = SmallVec<[Word<'a>; 4]>;

/// Returns whether the layer has the source's rules for the pods of a row word by word, or more where a judgement
/// admits it. A row with a text to compare is not plain.
pub(super) fn is_plain(table: &Table<'_>, key: &Key) -> bool {
    let (direction, Some(namespace)) = key else { return false };
    let (Some(said), wide) = (table.rows.get(key), table.wide(*direction)) else { return false };
    let Said { rules, published, stated, read, .. } = wide;
    let for_any = rules.is_empty() && published.is_empty() && stated.is_empty() && read.is_empty();
    if table.has_text || !for_any || !said.published.is_empty() {
        return false;
    }
    Plain { table, direction: *direction, namespace, said, wide }.holds().unwrap_or(false)
}

/// A row that is perhaps plain.
struct Plain<'r, 'a> {
    table: &'r Table<'a>,
    direction: Direction,
    namespace: &'r SmolStr,
    said: &'r Said<'a>,
    wide: &'r Said<'a>,
}

impl<'a> Plain<'_, 'a> {
    fn policy(&self) -> &'a Policy {
        self.table.policy
    }

    /// Returns whether all words are equal; `None` if some cannot be compared.
    fn holds(&self) -> Option<bool> {
        let mut isolated: FxHashSet<&'a PodSelector> = FxHashSet::default();
        let mut of_rules: FxHashMap<RuleId, Words<'a>> = FxHashMap::default();
        let mut of_grants: FxHashMap<GrantId, Vec<Word<'a>>> = FxHashMap::default();
        // One statement of the layer may stand for several that say the same.
        let mut passing: FxHashSet<Word<'a>> = FxHashSet::default();
        for stated in &self.said.stated {
            if stated.instead_of == Instead::Isolation {
                isolated.extend(self.own(stated.rule.subject(self.direction)).map(|(pods, _)| pods));
                continue;
            }
            let mut words = Words::new();
            self.add(&mut words, &stated.rule.source, &stated.rule.destination)?;
            passing.extend(words.iter().copied());
            match &stated.instead_of {
                Instead::Rule(at) => of_rules.entry(*at).or_default().extend(words),
                Instead::Grant(at) => of_grants.entry(*at).or_default().extend(words),
                Instead::Isolation | Instead::Rest(_) => return None,
            }
        }
        let mut isolates: FxHashSet<&PodSelector> = FxHashSet::default();
        for &at in &self.said.rules {
            let rule = &self.policy().rules[at.index()];
            if rule.action == Action::Deny || rule.via.is_some() || !rule.conditions.is_none() {
                return None;
            }
            isolates.extend(self.own(rule.subject(self.direction)).map(|(pods, _)| pods));
            if rule.action == Action::Isolate {
                continue;
            }
            let said = of_rules.remove(&at).unwrap_or_default();
            if !self.is_rule(at, rule, &said, &passing)? {
                return Some(false);
            }
        }
        let grants = self.said.grants.iter().chain(&self.wide.grants);
        for &at in grants {
            let said = of_grants.remove(&at).unwrap_or_default();
            if !self.is_grant(at, &isolated, &said, &passing)? {
                return Some(false);
            }
        }
        Some(isolates == isolated && of_rules.is_empty() && of_grants.is_empty())
    }

    /// Returns whether the layer says a rule, or admits what it says beyond it.
    fn is_rule(&self, at: RuleId, rule: &'a Rule, said: &Words<'a>, passing: &FxHashSet<Word<'a>>) -> Option<bool> {
        let mut meant = Words::new();
        self.add(&mut meant, &rule.source, &rule.destination)?;
        let to_hosts = self.add_hosts(&mut meant, rule)?;
        let admitted = self.table.admitted(self.direction, &Instead::Rule(at));
        let is_alike = meant.iter().all(|word| passing.contains(word)) && said.iter().all(|word| meant.contains(word));
        Some(is_alike && (!to_hosts || said.iter().all(|(.., port)| admits(admitted, *port))))
    }

    /// Returns whether the layer says a grant, for pods that it isolates.
    fn is_grant(
        &self,
        at: GrantId,
        isolated: &FxHashSet<&'a PodSelector>,
        said: &[Word<'a>],
        passing: &FxHashSet<Word<'a>>,
    ) -> Option<bool> {
        let grant = &self.policy().grants[at.index()];
        if !matches!(grant.reason, GrantReason::Dns | GrantReason::Istiod) || grant.direction == Direction::Ingress {
            return None;
        }
        let mut subjects = grant.subject().pods().map(|(_, pods)| &pods.selector).peekable();
        let mut opened = Words::new();
        add_words(&mut opened, subjects.peek()?, &grant.destination.members, None)?;
        let is_wide = !self.said.own.contains_key(&std::ptr::from_ref(grant.subject()));
        let of_all = is_wide && subjects.any(PodSelector::is_any);
        let named = || self.own(grant.subject()).map(|(pods, _)| pods);
        let passes = |pods: &'a PodSelector| opened.iter().all(|(_, to, on)| passing.contains(&(pods, *to, *on)));
        let all_pass = if of_all { isolated.iter().all(|pods| passes(pods)) } else { named().all(passes) };
        let everyone = PodSelector::in_namespace(self.namespace.clone());
        let is_within = |(pods, to, on): &Word<'_>| {
            let governed = of_all || named().any(|own| own == *pods || *own == everyone);
            governed && isolated.contains(pods) && opened.iter().any(|(_, peer, port)| (peer, port) == (to, on))
        };
        Some(all_pass && said.iter().all(is_within))
    }

    /// Returns the selectors of a statement's subject for pods of the row, each with its ports.
    fn own(&self, subject: &Endpoint) -> impl Iterator<Item = (&'a PodSelector, &'a Ports)> {
        let own = self.said.own.get(&std::ptr::from_ref(subject)).into_iter().flatten();
        own.filter_map(|member| match &member.what {
            What::Pods(pods) => Some((&pods.selector, &member.ports)),
            What::Addresses(_) | What::Host(_) => None,
        })
    }

    /// Adds the words between the pods of the row and peers that are no hosts; `None` if they are too many.
    fn add(&self, words: &mut Words<'a>, source: &'a Endpoint, destination: &'a Endpoint) -> Option<()> {
        match self.direction {
            Direction::Egress => {
                self.own(source).try_for_each(|(pods, _)| add_words(words, pods, &destination.members, None))
            }
            Direction::Ingress => {
                self.own(destination).try_for_each(|(pods, on)| add_words(words, pods, &source.members, Some(on)))
            }
        }?;
        let pods = &self.policy().pod_addresses;
        // Plugins differ in whether a block of addresses applies to pods.
        let apart = |peer: &Peer<'_>| match peer {
            Peer::Block(block) => !pods.overlaps(&AddressSet { blocks: vec![Block::clone(block)] }),
            Peer::Pods(_) => true,
        };
        (pods.blocks.is_empty() || words.iter().all(|(_, peer, _)| apart(peer))).then_some(())
    }

    /// Adds the words of an address layer for hosts, which is the internet for a host without known addresses. Returns
    /// whether the rule has hosts.
    fn add_hosts(&self, words: &mut Words<'a>, rule: &'a Rule) -> Option<bool> {
        let peers = &rule.peer(self.direction).members;
        let hosts = || peers.iter().filter(|member| matches!(member.what, What::Host(_)));
        if hosts().next().is_none() {
            return Some(false);
        }
        if self.direction == Direction::Ingress || self.table.places_hosts {
            return None;
        }
        let internet = &self.policy().internet;
        for (pods, member) in self.own(&rule.source).flat_map(|(pods, _)| hosts().map(move |member| (pods, member))) {
            for block in &internet.blocks {
                add_ports(words, pods, Peer::Block(block), &member.ports)?;
            }
        }
        Some(true)
    }
}

/// Adds the words between some pods and peers, on the given ports or else on those of the peers.
fn add_words<'a>(
    words: &mut Words<'a>,
    pods: &'a PodSelector,
    peers: &'a [Member],
    ports: Option<&'a Ports>,
) -> Option<()> {
    for member in peers {
        let ports = ports.unwrap_or(&member.ports);
        match &member.what {
            What::Pods(peer) => add_ports(words, pods, Peer::Pods(&peer.selector), ports)?,
            What::Addresses(set) => {
                set.blocks.iter().try_for_each(|block| add_ports(words, pods, Peer::Block(block), ports))?;
            }
            What::Host(_) => {}
        }
    }
    Some(())
}

fn add_ports<'a>(words: &mut Words<'a>, pods: &'a PodSelector, peer: Peer<'a>, ports: &'a Ports) -> Option<()> {
    match ports {
        Ports::All => words.push((pods, peer, None)),
        Ports::Some(list) => words.extend(list.iter().map(|one| (pods, peer, Some((&one.port, one.protocol))))),
    }
    (words.len() <= MOST_WORDS).then_some(())
}

/// Returns whether more than a rule says may pass on a port; of ICMP layers say nothing.
fn admits(on: Traffics, port: Port<'_>) -> bool {
    let tcp = [Traffic::Tcp, Traffic::PastSidecar, Traffic::LeftOut].iter().any(|kind| on.contains(*kind));
    let datagrams = on.contains(Traffic::Datagrams);
    match port.map(|(_, protocol)| protocol) {
        Some(Protocol::Tcp) => tcp,
        Some(Protocol::Udp | Protocol::Sctp) => datagrams,
        Some(Protocol::Icmp) => true,
        None => tcp && datagrams,
    }
}
