//! Replay: recorded flows are judged by a policy. It finds the flows that the policy would deny, the rules that no flow
//! uses, and the rules that are missing.
//!
//! ```text
//! lines ─hubble, ztunnel, envoy→ Record ─who→ parties ─policy::eval→ verdicts ─groups→ sentences ─suggest→ rules
//! ```
//!
//! A [`Replay`] takes lines one by one. Lines that tell the same flow are judged once. Every memory has a limit, so a
//! log may be larger than the machine's memory.

mod envoy;
mod format;
mod groups;
mod hubble;
mod quick;
mod record;
mod suggest;
mod text;
mod who;
mod words;
mod ztunnel;

use std::rc::Rc;

use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};
use smol_str::SmolStr;

use crate::model::rules::RuleId;
use crate::policy::ask::{Question, ask_by, headers};
use crate::policy::{self, Flow, Party, Policy, Request, Verdict};
use format::{Format, read};
pub use groups::{Group, Groups};
pub use record::Passed;
use record::{Reading, Record};
pub use suggest::{Hopeless, Kept, Suggested, Trial, Why, suggest};
pub use text::Moment;
use who::Cast;
pub use who::Who;
pub use words::Words;

/// The most different flows that are remembered. When this is reached the memory is cleared; the counts stay.
const REMEMBERED: usize = 1 << 16;
/// The most bytes of remembered flows.
const REMEMBERED_BYTES: usize = 64 << 20;
/// The most unreadable lines that are kept with their reasons; the others are counted.
const UNREAD_TOLD: usize = 20;

/// The judge of a replay's flows: a policy, or a module that was made from one.
pub trait Judge {
    /// Decides a flow; the error says why it cannot.
    fn decide(&mut self, flow: &Flow) -> Result<Verdict, String>;

    /// Decides a flow of a question in words, in which a host may stand for pods.
    fn answer(&mut self, flow: &Flow) -> Result<Verdict, String> {
        self.decide(flow)
    }

    /// Returns the rules that a flow meets, whether they decide it or not, as far as the judge knows them.
    fn met(&self, flow: &Flow, verdict: &Verdict) -> Vec<RuleId>;
}

impl Judge for &Policy {
    fn decide(&mut self, flow: &Flow) -> Result<Verdict, String> {
        Ok(policy::eval(self, flow))
    }

    fn met(&self, flow: &Flow, verdict: &Verdict) -> Vec<RuleId> {
        policy::met(self, flow, verdict)
    }
}

/// A replay: it takes the lines of logs and gathers [`Found`].
pub struct Replay<'p> {
    policy: &'p Policy,
    judge: Box<dyn Judge + 'p>,
    cast: Cast<'p>,
    format: Format,
    /// What was found of lines, by what they tell but when.
    known: FxHashMap<Vec<u8>, SmallVec<[Judged; 1]>>,
    key: Vec<u8>,
    marks: quick::Marks,
    known_bytes: usize,
    used: Vec<bool>,
    keeps: bool,
    found: Found,
}

/// What a replay found.
#[derive(Debug, Default)]
pub struct Found {
    /// Lines that are not empty.
    pub lines: u64,
    /// Flows that the policy allows.
    pub allowed: u64,
    /// Flows that it would deny.
    pub denied: Groups,
    /// Flows that were refused when they were recorded, and that it would allow.
    pub opened: u64,
    /// Flows that were refused when they were recorded, and that it would refuse too.
    pub refused: u64,
    /// Flows with no pod at either end: no policy judges them.
    pub no_pod: u64,
    /// Flows with a pod that the inventory does not have.
    pub unexplained: Groups,
    /// Flows with a pod whose labels are neither in the log nor in the inventory.
    pub unlabelled: u64,
    /// The number of lines that are not judged, by their reasons.
    pub passed: [u64; Passed::ALL.len()],
    /// The number of lines that could not be read.
    pub unread: u64,
    /// The logs that break off, each with the line at which it does and the reason.
    pub broken: Vec<(usize, u64, String)>,
    /// The first unreadable lines: the log, the line, and the reason.
    pub unread_lines: Vec<(usize, u64, String)>,
    /// Allows and denies that no flow meets, and `default deny`s that isolate no pod of any flow.
    pub unused: Vec<RuleId>,
    /// The different flows, if they are kept.
    pub kept: Kept,
}

impl Found {
    /// Returns the number of flows.
    pub fn flows(&self) -> u64 {
        self.allowed + self.denied.flows() + self.opened + self.refused + self.no_pod
    }
}

/// The outcome for one flow.
#[derive(Clone, Copy)]
enum Outcome {
    Allowed,
    Denied(Option<usize>),
    Opened,
    Refused,
    NoPod,
    Passed(Passed),
}

#[derive(Clone, Copy)]
struct Judged {
    outcome: Outcome,
    /// Its group among the flows with an unexplained pod.
    unexplained: Option<Option<usize>>,
    unlabelled: bool,
    /// Its index among the kept flows.
    kept: Option<usize>,
}

impl Judged {
    /// What is found of a line that is not judged.
    fn passed(why: Passed) -> Judged {
        Judged { outcome: Outcome::Passed(why), unexplained: None, unlabelled: false, kept: None }
    }
}

impl<'p> Replay<'p> {
    /// Begins a replay.
    pub fn new(policy: &'p Policy) -> Replay<'p> {
        Replay::by(policy, Box::new(policy))
    }

    /// Begins a replay with another judge: the policy only says who the parties are.
    pub fn by(policy: &'p Policy, judge: Box<dyn Judge + 'p>) -> Replay<'p> {
        Replay {
            policy,
            judge,
            cast: Cast::new(policy),
            format: Format::Hubble,
            known: FxHashMap::default(),
            key: Vec::new(),
            marks: quick::Marks::default(),
            known_bytes: 0,
            used: vec![false; policy.rules.len()],
            keeps: false,
            found: Found::default(),
        }
    }

    /// From now on keeps the flows that should pass, so that rules can be suggested for them.
    pub fn keep_flows(&mut self) {
        self.keeps = true;
    }

    /// Takes a line of a log. `at` is the number of the log and of the line. Blank lines are skipped.
    pub fn line(&mut self, at: (usize, u64), line: &[u8]) {
        let line = line.trim_ascii();
        if line.is_empty() {
            return;
        }
        self.found.lines += 1;
        let (mut key, format) = (std::mem::take(&mut self.key), self.format);
        key.clear();
        let time = quick::key(line, format, &mut self.marks, &mut key);
        if let (Some(time), Some(known)) = (time, self.known.get(key.as_slice())) {
            let time = std::str::from_utf8(time).ok().and_then(Moment::parse);
            known.clone().into_iter().for_each(|judged| self.count(judged, time));
        } else {
            match self.read(at, line) {
                // A line of another format than the last one has another key.
                Ok(judged) if time.is_some() && format == self.format => self.remember(key.clone(), judged),
                Ok(_) => {}
                Err(why) => self.note(at, why),
            }
        }
        self.key = key;
    }

    /// Reads a line, and returns what is found of its flows, which are counted.
    fn read(&mut self, at: (usize, u64), line: &[u8]) -> Result<SmallVec<[Judged; 1]>, String> {
        match read(line, &mut self.format)? {
            Reading::Flows(records) => records.iter().map(|record| self.record(at, record)).collect(),
            Reading::Question(question) => self.question(at, &question),
            Reading::Passed(why) => {
                let judged = Judged::passed(why);
                self.count(judged, None);
                Ok(smallvec![judged])
            }
        }
    }

    /// Takes a line that could not be read.
    pub fn unread(&mut self, at: (usize, u64), why: String) {
        self.found.lines += 1;
        self.note(at, why);
    }

    /// Takes the end of a log that cannot be read any further.
    pub fn broken(&mut self, at: (usize, u64), why: String) {
        self.unread(at, format!("the log cannot be read any further: {why}"));
        self.found.broken.push((at.0, at.1, why));
    }

    fn note(&mut self, (log, line): (usize, u64), why: String) {
        self.found.unread += 1;
        if self.found.unread_lines.len() < UNREAD_TOLD {
            self.found.unread_lines.push((log, line, why));
        }
    }

    /// Ends the replay.
    pub fn finish(mut self) -> Found {
        let rules = self.policy.numbered().filter(|(at, _)| !self.used[at.index()]);
        self.found.unused = rules.map(|(at, _)| at).collect();
        self.found
    }

    /// Returns the number of flows so far that the policy would deny.
    pub fn denied(&self) -> u64 {
        self.found.denied.flows()
    }

    fn record(&mut self, at: (usize, u64), record: &Record<'_>) -> Result<Judged, String> {
        let judged = match [&record.source, &record.destination].map(|told| self.cast.who(told)) {
            [Ok(source), Ok(destination)] => {
                let flow = Flow {
                    source: source.party.clone(),
                    destination: destination.party.clone(),
                    port: record.port,
                    protocol: record.protocol.0,
                    request: request(record),
                };
                let verdict = self.judge.decide(&flow)?;
                self.judged(at, [source, destination], &flow, &verdict, record.refused)
            }
            [Err(why), _] | [_, Err(why)] => Judged::passed(why),
        };
        self.count(judged, record.time.told().and_then(Moment::parse));
        Ok(judged)
    }

    fn question(&mut self, at: (usize, u64), question: &Question) -> Result<SmallVec<[Judged; 1]>, String> {
        let answers = ask_by(self.policy, question, &mut |flow| self.judge.answer(flow))?;
        let mut all: SmallVec<[Judged; 1]> = SmallVec::new();
        for (flow, verdict) in answers.all.iter().flat_map(|answer| answer.steps()) {
            let who = [&flow.source, &flow.destination].map(|party| Rc::new(self.cast.of(party)));
            all.push(self.judged(at, who, flow, verdict, false));
        }
        all.iter().for_each(|judged| self.count(*judged, None));
        Ok(all)
    }

    fn judged(&mut self, at: (usize, u64), who: [Rc<Who>; 2], flow: &Flow, verdict: &Verdict, refused: bool) -> Judged {
        for rule in self.judge.met(flow, verdict) {
            self.used[rule.index()] = true;
        }
        let is_pod = |party: &Party| matches!(party, Party::Pod(_));
        let outcome = match (verdict.allowed(), refused) {
            (true, true) => Outcome::Opened,
            (false, true) => Outcome::Refused,
            _ if !is_pod(&flow.source) && !is_pod(&flow.destination) => Outcome::NoPod,
            (true, false) => Outcome::Allowed,
            (false, false) => {
                let ends = verdict.ends.iter().copied().filter(|end| !end.allows()).collect();
                Outcome::Denied(self.found.denied.of(who.clone(), flow, ends, at))
            }
        };
        let is_to_pass = self.keeps && matches!(outcome, Outcome::Allowed | Outcome::Denied(_));
        let kept = if is_to_pass { self.found.kept.add(who.clone(), flow) } else { None };
        let unlabelled = who.iter().any(|who| who.unlabelled);
        let unexplained = who.iter().any(|who| who.unexplained);
        let unexplained = unexplained.then(|| self.found.unexplained.of(who, flow, SmallVec::new(), at));
        Judged { outcome, unexplained, unlabelled, kept }
    }

    fn count(&mut self, judged: Judged, time: Option<Moment>) {
        let found = &mut self.found;
        match judged.outcome {
            Outcome::Allowed => found.allowed += 1,
            Outcome::Denied(group) => found.denied.add(group, time),
            Outcome::Opened => found.opened += 1,
            Outcome::Refused => found.refused += 1,
            Outcome::NoPod => found.no_pod += 1,
            Outcome::Passed(why) => found.passed[why as usize] += 1,
        }
        if let Some(group) = judged.unexplained {
            found.unexplained.add(group, time);
        }
        found.unlabelled += u64::from(judged.unlabelled);
        if let Some(at) = judged.kept {
            found.kept.count(at);
        }
    }

    fn remember(&mut self, key: Vec<u8>, judged: SmallVec<[Judged; 1]>) {
        if self.known.len() >= REMEMBERED || self.known_bytes >= REMEMBERED_BYTES {
            self.known.clear();
            self.known_bytes = 0;
        }
        self.known_bytes += key.len();
        self.known.insert(key, judged);
    }
}

fn request(record: &Record<'_>) -> Request {
    let text = |text: &text::Text<'_>| text.told().map(SmolStr::from);
    let told = record.headers.iter().filter_map(|(name, value)| Some((name.told()?, value.told()?)));
    Request {
        method: text(&record.method),
        path: record.path.told().map(str::to_owned),
        host: text(&record.host),
        tls: text(&record.tls),
        client: record.client,
        headers: headers(told),
        jwt: None,
    }
}
