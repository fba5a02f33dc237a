//! AuthorizationPolicies for the rules: one for each subject and action.
//!
//! ```netpol
//! allow ingress lab/*   -> garden/{app=web}:80
//! allow ingress shop/*  -> garden/{app=web}:80
//! deny  ingress shop/*  -> garden/{app=web}:80
//! ```
//!
//! ```yaml
//! name: app-web-ingress
//! - source:
//!     principals: ["cluster.local/ns/lab/sa/*"]
//! - source:
//!     principals: ["cluster.local/ns/shop/sa/*"]
//! name: app-web-ingress-deny
//! action: DENY
//! ```
//!
//! Istio applies the DENY policies of a pod first, so a deny of the source beats every allow.

use std::hash::{Hash, Hasher};

use rustc_hash::{FxHashMap, FxHasher};
use smallvec::SmallVec;

use crate::model::conditions::Jwt;
use crate::model::rules::RuleId;
use crate::targets::istio::findings::Gaps;
use crate::targets::istio::model::{AccessRule, JwtRule};
use crate::targets::istio::plan::operations::issuer;
use crate::targets::istio::plan::subjects::Subject;

/// The AuthorizationPolicies and RequestAuthentications of a partition.
#[derive(Default)]
pub struct Policies {
    /// The policies, in the order in which rules ask for them.
    pub drafts: Vec<PolicyDraft>,
    index: FxHashMap<(Subject, bool), usize>,
    issuers: FxHashMap<Subject, (Vec<JwtRule>, Vec<RuleId>)>,
}

/// The AuthorizationPolicy of one subject and action, without its name.
pub struct PolicyDraft {
    /// The pods.
    pub subject: Subject,
    /// Whether its action is deny.
    pub deny: bool,
    /// Its rules.
    pub rules: Vec<AccessRule>,
    /// The rules by their contents, if there are many.
    seen: FxHashMap<u64, SmallVec<[u32; 1]>>,
    /// The policy's rules that ask for it.
    pub origins: Vec<RuleId>,
    /// The gaps of access that its pods get with others.
    pub gaps: Gaps,
}

/// The issuers whose tokens are checked at some pods: a RequestAuthentication without its name.
pub struct TokenDraft {
    /// The pods.
    pub subject: Subject,
    /// The issuers.
    pub issuers: Vec<JwtRule>,
    /// The policy's rules that ask for a token of one.
    pub rules: Vec<RuleId>,
}

impl PolicyDraft {
    /// Adds a rule, unless one has the same contents.
    fn say(&mut self, rule: AccessRule) {
        const FEW: usize = 8;
        let at = self.rules.len() as u32;
        if self.rules.len() < FEW {
            if self.rules.iter().any(|have| have.says() == rule.says()) {
                return;
            }
        } else {
            if self.seen.is_empty() {
                self.rules
                    .iter()
                    .zip(0..)
                    .for_each(|(have, at)| self.seen.entry(hash(&have.says())).or_default().push(at));
            }
            let alike = self.seen.entry(hash(&rule.says())).or_default();
            if alike.iter().any(|have| self.rules[*have as usize].says() == rule.says()) {
                return;
            }
            alike.push(at);
        }
        self.rules.push(rule);
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = FxHasher::default();
    value.hash(&mut hasher);
    hasher.finish()
}

impl Policies {
    /// Returns the policy of a subject; one that allows closes the subject's pods.
    pub fn draft(&mut self, subject: &Subject, deny: bool) -> &mut PolicyDraft {
        let at = match self.index.get(&(subject.clone(), deny)) {
            Some(&at) => at,
            None => {
                self.index.insert((subject.clone(), deny), self.drafts.len());
                self.drafts.push(PolicyDraft {
                    subject: subject.clone(),
                    deny,
                    rules: Vec::new(),
                    seen: FxHashMap::default(),
                    origins: Vec::new(),
                    gaps: Gaps::default(),
                });
                self.drafts.len() - 1
            }
        };
        &mut self.drafts[at]
    }

    /// Checks the tokens of an issuer at some pods, for a rule that asks for one there.
    pub fn token(&mut self, subject: &Subject, rule: RuleId, jwt: &Jwt) {
        let (issuers, rules) = self.issuers.entry(subject.clone()).or_default();
        issuers.push(issuer(jwt));
        rules.push(rule);
    }

    /// Returns whether some rule closes the pods of a subject.
    pub fn closes(&self, subject: &Subject) -> bool {
        self.has(subject)
            || (!subject.labels.is_empty()
                && subject.namespace.as_ref().is_some_and(|name| self.closes(&Subject::namespace(name))))
            || (*subject != Subject::mesh() && self.has(&Subject::mesh()))
    }

    /// Adds a rule to the policy of a subject.
    pub fn add(&mut self, subject: &Subject, deny: bool, rule: Option<AccessRule>, origin: RuleId) {
        let draft = self.draft(subject, deny);
        if draft.origins.last() != Some(&origin) {
            draft.origins.push(origin);
        }
        if let Some(rule) = rule {
            draft.say(rule);
        }
    }

    /// Returns whether some pods have a policy that closes them.
    pub fn has(&self, subject: &Subject) -> bool {
        self.index.contains_key(&(subject.clone(), false))
    }

    /// Returns the drafts, each list sorted by subject.
    pub fn finish(self) -> (Vec<TokenDraft>, Vec<PolicyDraft>) {
        let token = |(subject, (mut issuers, rules)): (Subject, (Vec<JwtRule>, Vec<RuleId>))| {
            issuers.sort();
            issuers.dedup();
            TokenDraft { subject, issuers, rules }
        };
        let mut tokens: Vec<TokenDraft> = self.issuers.into_iter().map(token).collect();
        tokens.sort_unstable_by(|a, b| a.subject.cmp(&b.subject));
        let mut drafts = self.drafts;
        drafts.sort_unstable_by(|a, b| (&a.subject, a.deny).cmp(&(&b.subject, b.deny)));
        (tokens, drafts)
    }
}
