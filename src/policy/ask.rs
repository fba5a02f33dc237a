//! Questions in words: from `garden/web` and `zenquotes.io:443` to concrete flows, and the verdict on each.
//!
//! `garden/web -> db/pg:5432` is one flow if `web` and `pg` are one workload each. If `db/pg` is a Service that leads
//! to a `primary` and a `replica`, it is two flows, and each is answered.

mod api_server;
mod line;
mod near;
mod parties;
mod published;
mod question;
mod service;

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::Policy;
use super::eval::{Verdict, eval};
use super::flow::{Flow, Party, Request};
use crate::model::ports::Protocol;
pub use line::headers;
use parties::Candidate;
use service::Target;

/// The most pairs of pods that one question may stand for; a question for more is refused.
const MOST_PAIRS: usize = 10_000;

/// A question, as a person asks it or as a line of `--flows`.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// The sender: an address, a host, a pod.
    pub from: String,
    /// The destination, perhaps with `:port` or `:port/protocol`.
    pub to: String,
    /// The port, by number or name, if `to` has none.
    pub port: Option<String>,
    /// The protocol, if `to` has none; TCP if this is empty too.
    pub protocol: Option<String>,
    /// The request that the flow carries.
    pub request: Request,
}

/// The answers to a question.
#[derive(Clone, Debug)]
pub struct Answers {
    /// One for each pair of workloads that the question stands for; never empty.
    pub all: Vec<Answer>,
    /// Assumptions about unknown pods: `pods labelled app.kubernetes.io/name=web for garden/web`.
    pub assumed: Vec<String>,
}

/// The answer for one source and one destination.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The source: the words of the question, or the workload if the question means several.
    pub from: String,
    /// The destination with its port, in the same way.
    pub to: String,
    /// For a public host, the flow from the client to the gateway and its decision; `flow` is then the flow from the
    /// gateway on.
    pub gateway: Option<(Flow, Verdict)>,
    /// The flow.
    pub flow: Flow,
    /// The decision on it.
    pub verdict: Verdict,
}

impl Answer {
    /// Returns whether all flows of the answer are allowed.
    pub fn allowed(&self) -> bool {
        self.verdict.allowed() && self.gateway.as_ref().is_none_or(|(_, verdict)| verdict.allowed())
    }

    /// Returns the flows with their decisions, in order.
    pub fn steps(&self) -> impl Iterator<Item = (&Flow, &Verdict)> {
        self.gateway.iter().map(|(flow, verdict)| (flow, verdict)).chain([(&self.flow, &self.verdict)])
    }
}

impl Answers {
    /// Returns whether every answer is "allowed".
    pub fn allowed(&self) -> bool {
        self.all.iter().all(Answer::allowed)
    }

    /// Returns the answer that decides the question: the first that denies, else the first.
    pub fn deciding(&self) -> Option<&Answer> {
        self.all.iter().find(|answer| !answer.allowed()).or(self.all.first())
    }
}

/// Decides a question, for each workload that it means. The error says in words why the question cannot be judged.
pub fn ask(policy: &Policy, question: &Question) -> Result<Answers, String> {
    ask_by(policy, question, &mut |flow| Ok(eval(policy, flow)))
}

/// Decides the flows of a question with another judge: the policy only says who the parties are.
pub fn ask_by(policy: &Policy, question: &Question, decide: &mut Decide<'_>) -> Result<Answers, String> {
    let from = question::parse(&question.from)?;
    let to = question::parse(&question.to)?;
    if from.ports.is_some() {
        return Err(format!("`{}`: the port that a client sends from says nothing", question.from));
    }
    let mut asker = Asker { policy, assumed: Vec::new() };
    let wanted = question::wanted_port(&to, question, || asker.ports_told(&to))?;
    let sources = asker.parties(&from, &question.from)?;
    let pairs = match asker.published(&sources, &to, question, &wanted)? {
        Some(ways) => ways,
        None => {
            let targets = asker.targets(&to, &question.to, &wanted)?;
            if sources.len() * targets.len() > MOST_PAIRS {
                let pairs = sources.len() * targets.len();
                return Err(format!("the question stands for {pairs} pairs of pods; ask for fewer"));
            }
            let direct = |source: &Candidate, target: &Target| Way {
                from: source.clone(),
                to: target.clone(),
                gateway: None,
                flow: Flow {
                    source: source.party.clone(),
                    destination: target.to.party.clone(),
                    port: asker.opened_by_the_mesh(&source.party, target).or(target.port),
                    protocol: target.protocol,
                    request: question.request.clone(),
                },
            };
            sources.iter().flat_map(|source| targets.iter().map(|target| direct(source, target))).collect()
        }
    };
    pairs.iter().for_each(|way| {
        asker.assume_account(&way.from);
        asker.assume_account(&way.to.to);
    });
    let all = answers(question, pairs, decide)?;
    asker.assumed.dedup();
    match all.is_empty() {
        true => Err(format!("`{}` is nothing that can be judged", question.to)),
        false => Ok(Answers { all, assumed: asker.assumed }),
    }
}

/// The state of one question.
struct Asker<'a> {
    policy: &'a Policy,
    /// The assumptions so far.
    assumed: Vec<String>,
}

impl Asker<'_> {
    fn assume(&mut self, what: String) {
        if !self.assumed.contains(&what) {
            self.assumed.push(what);
        }
    }
}

/// A flow that a question means, with the names of its ends.
struct Way {
    from: Candidate,
    to: Target,
    gateway: Option<Flow>,
    flow: Flow,
}

/// Decides a flow, or says why it cannot.
pub type Decide<'d> = dyn FnMut(&Flow) -> Result<Verdict, String> + 'd;

/// Decides the flows. Pods of one workload with the same decision share one answer.
fn answers(question: &Question, ways: Vec<Way>, decide: &mut Decide<'_>) -> Result<Vec<Answer>, String> {
    type Key = (SmolStr, SmolStr, Option<u16>, Protocol);
    let mut told: FxHashMap<Key, Vec<(Option<Verdict>, Verdict)>> = FxHashMap::default();
    let mut found = Vec::new();
    for way in ways {
        let gateway = way.gateway.as_ref().map(&mut *decide).transpose()?;
        let verdict = decide(&way.flow)?;
        let key = (way.from.workload.clone(), way.to.to.workload.clone(), way.to.port, way.to.protocol);
        let like = told.entry(key).or_default();
        if !like.contains(&(gateway, verdict)) {
            like.push((gateway, verdict));
            found.push((way, gateway, verdict));
        }
    }
    let several = found.len() > 1;
    let answer = |(way, gateway, verdict): (Way, Option<Verdict>, Verdict)| Answer {
        from: if several { way.from.name.to_string() } else { question.from.clone() },
        // For a Service or a public host the answer keeps the question's words, and the pod is named beside them.
        to: match (several && !way.to.behind, way.to.port) {
            (false, _) => question.to.clone(),
            (true, Some(port)) if way.to.protocol == Protocol::Tcp => format!("{}:{port}", way.to.to.name),
            (true, Some(port)) => format!("{}:{port}/{}", way.to.to.name, way.to.protocol.word()),
            (true, None) => format!("{}:*/{}", way.to.to.name, way.to.protocol.word()),
        },
        gateway: way.gateway.zip(gateway),
        flow: way.flow,
        verdict,
    };
    Ok(found.into_iter().map(answer).collect())
}

/// Returns how a party is shown.
pub fn shown(party: &Party) -> String {
    match party {
        Party::Pod(pod) => pod.shown.clone(),
        Party::Address(address) => address.to_string(),
        Party::Host { name, .. } => name.to_string(),
    }
}
