//! Assertions and the lines of tests: proven for every flow, or refuted by one.
//!
//! ```text
//! allow shop/{app=web} -> payments/{app=db}:5432
//! assert never shop/* -> payments/*
//!     fails: shop/{app=web} -> payments/{app=db}, tcp 5432       with the line of the allow
//! ```

mod remedies;
mod widened;

use self::remedies::repaired;
use self::widened::widened;
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::flows::TooLarge;
use crate::model::rules::{Action, Claim, ClaimKind, Direction, Rule, RuleId};
use crate::policy::meaning::{Excess, Grounds, Heavy, Meaning, Passes, Reach, in_words};
use crate::policy::{Cause, Flow, Party, Policy, eval};
use crate::source::{Sources, Span};

/// The outcome of a test.
#[derive(Debug)]
pub struct TestResult {
    /// Its name.
    pub name: String,
    /// The span of its name.
    pub span: Span,
    /// Its lines, in their order.
    pub lines: Vec<Line>,
}

impl TestResult {
    /// Returns whether every line passed.
    pub fn passed(&self) -> bool {
        self.lines.iter().all(|line| line.outcome.is_passed())
    }
}

/// A line of a test with its outcome.
#[derive(Debug)]
pub struct Line {
    /// The line.
    pub span: Span,
    /// How it came out.
    pub outcome: Outcome,
    /// The rules that make it true, if it is true and they were asked for.
    pub grounds: Option<Grounds>,
}

/// The outcome of a claim.
#[derive(Debug)]
pub enum Outcome {
    /// The claim is true of every flow.
    Passed,
    /// No flow can exist that the claim is about.
    Empty(Box<Diagnostic>),
    /// A flow shows that it is false.
    Failed(Box<Diagnostic>),
    /// The claim was not judged: it would take too much work, or rules treat the gateway's pods differently.
    Unjudged(Box<Diagnostic>),
}

impl Outcome {
    /// Returns whether the claim is true.
    pub fn is_passed(&self) -> bool {
        matches!(self, Outcome::Passed | Outcome::Empty(_))
    }

    /// Returns the message about the outcome.
    pub fn finding(&self) -> Option<&Diagnostic> {
        match self {
            Outcome::Passed => None,
            Outcome::Empty(finding) | Outcome::Failed(finding) | Outcome::Unjudged(finding) => Some(finding),
        }
    }
}

/// Judges the assertions of a policy, and reports those that are false.
pub fn assertions(policy: &Policy, sources: &Sources, diagnostics: &mut Diagnostics) {
    if policy.assertions.is_empty() {
        return;
    }
    let mut meaning = Meaning::new(policy, &[]);
    for claim in &policy.assertions {
        let outcome = judge(policy, &mut meaning, claim, Code::AssertionFails, sources);
        if let Some(finding) = outcome.finding() {
            diagnostics.push(finding.clone());
        }
    }
}

/// Judges the assertions `never` that the source makes true by what the layers let through beside it: the excess that
/// `@approximate` accepts counts as allowed. Where it is not known how far a gap reaches, a warning says so.
pub fn beyond_source(policy: &Policy, excess: &[Excess], diagnostics: &mut Diagnostics) {
    if excess.is_empty() {
        return;
    }
    let known: Vec<Excess> = excess.iter().copied().filter(|one| one.reach != Reach::Perhaps).collect();
    let mut meaning = Meaning::new(policy, &[]);
    for claim in policy.assertions.iter().filter(|claim| claim.kind == ClaimKind::Never) {
        let place = claim.applied.first().copied().unwrap_or(claim.span);
        let way = claim.way();
        // What the source allows is told already, and so is what is too large.
        let is_true = match &way {
            Some(way) => matches!(meaning.allowed_way(way), Ok(Passes::None)),
            None => matches!(meaning.allowed_of(&claim.flows), Ok(None)),
        };
        if !is_true {
            continue;
        }
        let mut found = |code, of: &[Excess], message: &str| {
            let flows = match &way {
                Some(way) => passing_way(policy, way, of)?,
                None => vec![meaning.let_through(&claim.flows, of).ok().flatten()?],
            };
            let shown: Vec<String> = flows.iter().map(in_words).collect();
            let mut diagnostic = Diagnostic::new(code, place, format!("{message}: {}", shown.join("; then ")))
                .at("true in the source, and no layer of the build holds it");
            let mut rules: Vec<RuleId> = of.iter().map(|one| one.rule).collect();
            rules.dedup();
            let speaks = |rule: &&Rule| {
                let same_gateway = rule.via.as_ref().zip(claim.via.as_ref());
                let leads = same_gateway.is_some_and(|(one, other)| one.gateway.pods == other.gateway.pods);
                leads || flows.iter().any(|flow| governs(rule, flow))
            };
            for rule in rules.into_iter().filter_map(|id| policy.rule(id)).filter(speaks) {
                diagnostic = diagnostic.label(rule.origin.place(), "the gap that is accepted here");
            }
            Some(diagnostic.note("close the gap, or narrow the claim to what the layers hold"))
        };
        let diagnostic = found(Code::AssertionFails, &known, "let through by a gap that `@approximate` accepts")
            .or_else(|| found(Code::RestsOnGap, excess, "perhaps let through by a gap that `@approximate` accepts"));
        if let Some(diagnostic) = diagnostic {
            diagnostics.push(diagnostic);
        }
    }
}

/// Returns a way through a gateway that passes where some ends of rules are not held, leg by leg.
fn passing_way(policy: &Policy, way: &Rule, excess: &[Excess]) -> Option<Vec<Flow>> {
    if excess.is_empty() {
        return None;
    }
    let wide = widened(policy, excess);
    match Meaning::new(&wide, &[]).allowed_way(way) {
        Ok(Passes::Way(legs)) => Some(Vec::from(*legs)),
        Ok(Passes::None | Passes::Unclear) | Err(TooLarge) => None,
    }
}

/// Returns whether a rule governs an end of a flow.
fn governs(rule: &Rule, flow: &Flow) -> bool {
    [(Direction::Egress, &flow.source), (Direction::Ingress, &flow.destination)].into_iter().any(
        |(direction, party)| {
            let Party::Pod(pod) = party else { return false };
            rule.governs(direction)
                && rule
                    .subject(direction)
                    .pods()
                    .any(|(_, pods)| pods.selector.matches(&pod.namespace_labels, &pod.labels, &pod.account))
        },
    )
}

/// Judges the assertions of a policy, and returns the rules that make the true ones true.
pub fn of_assertions(policy: &Policy, sources: &Sources) -> Vec<Line> {
    let mut meaning = Meaning::new(policy, &[]);
    let judged = |claim: &Claim| line(policy, &mut meaning, claim, (Code::AssertionFails, true), sources);
    policy.assertions.iter().map(judged).collect()
}

fn line(
    policy: &Policy,
    meaning: &mut Meaning<'_>,
    claim: &Claim,
    (code, with_grounds): (Code, bool),
    sources: &Sources,
) -> Line {
    let outcome = judge(policy, meaning, claim, code, sources);
    let grounds = match outcome {
        Outcome::Passed if with_grounds => grounds(policy, meaning, claim).ok(),
        _ => None,
    };
    Line { span: claim.span, outcome, grounds }
}

/// Returns the rules that make a claim true.
fn grounds(policy: &Policy, meaning: &mut Meaning<'_>, claim: &Claim) -> Result<Grounds, TooLarge> {
    let Some(way) = claim.way() else {
        return match claim.kind {
            ClaimKind::Never => meaning.refusing(&claim.flows),
            ClaimKind::Always => meaning.opening(&claim.flows),
        };
    };
    let mut grounds = Grounds::default();
    for (at, rule) in policy.numbered() {
        let helps = match claim.kind {
            ClaimKind::Never => rule.action != Action::Allow || rule.via.is_some(),
            ClaimKind::Always => rule.action == Action::Allow,
        };
        if helps && meaning.ways_speak_of(&way, rule)? {
            grounds.rules.push(at);
        }
    }
    Ok(grounds)
}

/// Judges the tests of a policy. With `with_grounds`, returns the rules that make each true line true.
pub fn tests(policy: &Policy, sources: &Sources, with_grounds: bool) -> Vec<TestResult> {
    let mut meaning = Meaning::new(policy, &[]);
    let mut judged = |claim: &Claim| line(policy, &mut meaning, claim, (Code::TestFails, with_grounds), sources);
    let result = |test: &crate::model::rules::Test, judged: &mut dyn FnMut(&Claim) -> Line| TestResult {
        name: test.name.to_string(),
        span: test.span,
        lines: test.claims.iter().map(judged).collect(),
    };
    policy.tests.iter().map(|test| result(test, &mut judged)).collect()
}

fn judge(policy: &Policy, meaning: &mut Meaning<'_>, claim: &Claim, code: Code, sources: &Sources) -> Outcome {
    let place = claim.applied.first().copied().unwrap_or(claim.span);
    if let Some(way) = claim.way() {
        return match judge_ways(meaning, claim.kind, &way) {
            Err(TooLarge) => Outcome::Unjudged(Box::new(too_large(policy, place, meaning.heavy(&claim.flows)))),
            Ok(Found::Unclear) => Outcome::Unjudged(Box::new(unclear(place))),
            Ok(Found::Flows(flows)) => Outcome::Failed(Box::new(failed(policy, claim, place, &flows, code))),
            Ok(Found::Nothing) => match meaning.is_possible_way(&way) {
                Ok(false) => Outcome::Empty(Box::new(empty(place))),
                _ => Outcome::Passed,
            },
        };
    }
    let found = match claim.kind {
        ClaimKind::Never => meaning.allowed_of(&claim.flows),
        ClaimKind::Always => meaning.denied_of(&claim.flows),
    };
    match found {
        Err(TooLarge) => Outcome::Unjudged(Box::new(too_large(policy, place, meaning.heavy(&claim.flows)))),
        Ok(Some(example)) => {
            let flow = meaning.flow(&example);
            let failed = failed(policy, claim, place, &[flow], code);
            Outcome::Failed(Box::new(repaired(policy, meaning, claim, failed, sources)))
        }
        Ok(None) => match meaning.is_possible(&claim.flows) {
            Ok(false) => Outcome::Empty(Box::new(empty(place))),
            _ => Outcome::Passed,
        },
    }
}

/// The counterexample to a claim about ways through a gateway.
enum Found {
    /// None: the claim is true.
    Nothing,
    /// The leg that is denied, or both legs of a way that passes.
    Flows(Vec<Flow>),
    /// Rules treat the pods of the gateway differently, so that the claim is not judged.
    Unclear,
}

fn judge_ways(meaning: &mut Meaning<'_>, kind: ClaimKind, way: &Rule) -> Result<Found, TooLarge> {
    Ok(match kind {
        ClaimKind::Always => meaning.denied_leg(way)?.map_or(Found::Nothing, |leg| Found::Flows(vec![leg])),
        ClaimKind::Never => match meaning.allowed_way(way)? {
            Passes::None => Found::Nothing,
            Passes::Way(legs) => Found::Flows(Vec::from(*legs)),
            Passes::Unclear => Found::Unclear,
        },
    })
}

fn failed(policy: &Policy, claim: &Claim, place: Span, flows: &[Flow], code: Code) -> Diagnostic {
    let verb = if claim.kind == ClaimKind::Never { "allowed" } else { "denied" };
    let shown: Vec<String> = flows.iter().map(in_words).collect();
    let what = if claim.via.is_some() { "way" } else { "flow" };
    let mut diagnostic =
        Diagnostic::new(code, place, format!("{verb}: {}", shown.join("; then "))).at(match claim.kind {
            ClaimKind::Never => format!("no {what} of these is to be allowed"),
            ClaimKind::Always => format!("every {what} of these is to be allowed"),
        });
    if place != claim.span {
        diagnostic = diagnostic.label(claim.span, "the claim, in the template");
    }
    for flow in flows {
        diagnostic = explained(policy, claim, place, flow, diagnostic);
    }
    diagnostic
}

/// Adds the rules that allow or deny a flow.
fn explained(policy: &Policy, claim: &Claim, place: Span, flow: &Flow, mut diagnostic: Diagnostic) -> Diagnostic {
    for end in eval(policy, flow).ends {
        let word = end.direction.word();
        let line = |at: RuleId| policy.rule(at).map(|rule| rule.origin.place());
        let (at, text) = match (claim.kind, end.cause) {
            (ClaimKind::Never, Cause::Allowed(rule)) => (line(rule), format!("{word}: allowed here")),
            (ClaimKind::Never, Cause::Granted(grant)) => {
                let because = policy.grant(grant).and_then(|grant| grant.because.first().copied());
                (because.and_then(line), format!("{word}: opened by the compiler for this rule"))
            }
            (ClaimKind::Never, Cause::NotIsolated) => {
                let pods = match end.direction {
                    Direction::Egress => crate::policy::ask::shown(&flow.source),
                    Direction::Ingress => crate::policy::ask::shown(&flow.destination),
                };
                diagnostic = diagnostic.note(format!("{word}: no rule isolates {pods}, so all of it is open"));
                continue;
            }
            (ClaimKind::Always, Cause::Denied(rule)) => (line(rule), format!("{word}: denied here")),
            (ClaimKind::Always, Cause::NoneMatches { isolated_by, others, .. }) => {
                let more = if others > 0 { format!(" (and by {others} more)") } else { String::new() };
                (line(isolated_by), format!("{word}: isolated here{more}, and no rule allows this flow"))
            }
            _ => continue,
        };
        if let Some(at) = at.filter(|at| *at != place) {
            diagnostic = diagnostic.label(at, text);
        }
    }
    diagnostic
}

fn too_large(policy: &Policy, place: Span, heavy: Heavy) -> Diagnostic {
    let Heavy { rules, count, keys, key_count } = heavy;
    let mut diagnostic = Diagnostic::new(Code::ClaimTooLarge, place, "this claim would take too much work to judge")
        .at("too many labels of these pods overlap in too many ways");
    for rule in rules.into_iter().filter_map(|id| policy.rule(id)) {
        diagnostic = diagnostic.label(rule.origin.place(), "asks for many of them");
    }
    if !keys.is_empty() {
        let more = if key_count > keys.len() { format!(" and {} more", key_count - keys.len()) } else { String::new() };
        let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
        let rules = match count {
            0 => "the claim itself asks".to_owned(),
            1 => "the claim and 1 rule ask".to_owned(),
            count => format!("the claim and {count} rules ask"),
        };
        diagnostic = diagnostic.note(format!("{rules} for the labels {}{more}", keys.join(", ")));
    }
    diagnostic.note("claims about fewer namespaces, or about fewer labels each, are judged by themselves")
}

fn unclear(place: Span) -> Diagnostic {
    Diagnostic::new(Code::ClaimNotJudged, place, "this claim was not judged")
        .at("rules tell the pods of the gateway apart")
        .note("a request passes both legs of a way, but perhaps not through one pod")
}

fn empty(place: Span) -> Diagnostic {
    Diagnostic::new(Code::EmptyClaim, place, "this claim speaks of no flow")
        .at("nothing can be from the left side to the right one")
        .note("such a claim is true whatever the rules say, and guards nothing")
}
