//! A flow as one document, and the decision on it as another one, for hosts that know JSON alone.
//!
//! ```text
//! {"source": {"namespace": "garden"}, "destination": "zenquotes.io", "port": 443}
//! {"allow": true, "verdict": "allowed", "egress": {"cause": "allowed", "rule": {"id": 0, …}}, "ingress": {"cause": "no pod"}}
//! ```

use super::json::Json;
use super::request;
use super::{Cause, End, Error, Kernel, Verdict};

/// What the rules and grants of a policy are, in JSON: `policy.rules.json`, piece by piece.
///
/// It is written as words, with the pieces after them: the number of rules, the number of all pieces, the length of the
/// longest, and the end of each.
#[derive(Clone, Copy, Debug)]
pub struct Reasons<'t> {
    words: &'t [u32],
    text: &'t [u8],
}

impl<'t> Reasons<'t> {
    /// The words before the ends.
    pub const HEAD: usize = 3;

    /// Takes the words, with the text after them.
    pub fn new(words: &'t [u32], text: &'t [u8]) -> Reasons<'t> {
        Reasons { words, text }
    }

    /// Returns the length of the longest piece.
    pub fn longest(&self) -> usize {
        self.words.get(2).copied().unwrap_or_default() as usize
    }

    /// Returns the rule or the grant of a cause, if it has one.
    pub fn of(&self, end: End) -> Option<&'t str> {
        match end.cause {
            Cause::NoPod | Cause::Itself | Cause::NotIsolated => None,
            Cause::Granted => Some(self.grant(end.by)),
            Cause::Allowed | Cause::Denied | Cause::NoneMatches => Some(self.rule(end.by)),
        }
    }

    fn rule(&self, number: u32) -> &'t str {
        self.piece(number as usize)
    }

    fn grant(&self, number: u32) -> &'t str {
        let rules = self.words.first().copied().unwrap_or_default();
        self.piece((rules as usize).saturating_add(number as usize))
    }

    /// Returns a piece; `null` if there is none.
    fn piece(&self, at: usize) -> &'t str {
        let end = |at: usize| self.words.get(Reasons::HEAD.saturating_add(at)).map(|end| *end as usize);
        let start = at.checked_sub(1).map_or(Some(0), end);
        let found = start.zip(end(at)).and_then(|(start, end)| self.text.get(start..end));
        found.and_then(|piece| core::str::from_utf8(piece).ok()).unwrap_or("null")
    }
}

impl Kernel<'_> {
    /// Decides the flow of a document.
    pub fn decide_document(&mut self, text: &[u8]) -> Result<Verdict, Error> {
        self.make_room(text)?;
        self.decide_value(&Json::parse(text).ok_or(Error::Json)?)
    }

    /// Decides the flow of a document that was read.
    pub fn decide_value(&mut self, value: &Json) -> Result<Verdict, Error> {
        if !value.has_only(&["source", "destination", "port", "protocol", "request"]) {
            return Err(Error::Meaning);
        }
        let request = value.get("request").filter(|request| **request != Json::Null);
        if !request.is_none_or(|request| request.has_only(&request::KEYS)) {
            return Err(Error::Meaning);
        }
        let [source, destination, port, request] = self.flow_between(value, ["source", "destination"], request)?;
        self.decide(source, destination, port, request)
    }
}

/// Returns whether a decision lets the flow pass: an error never does.
pub fn allows(decided: Result<Verdict, Error>) -> bool {
    decided.is_ok_and(|verdict| verdict.number() != 0)
}

/// Writes a decision as a document.
pub fn decision(decided: Result<Verdict, Error>, reasons: Reasons<'_>) -> String {
    let allow = allows(decided);
    match decided {
        Ok(verdict) => {
            let word = match verdict.number() {
                0 => "denied",
                1 => "allowed",
                _ => "told",
            };
            let [egress, ingress] = verdict.ends.map(|end| end_of(end, reasons));
            format!("{{\"allow\":{allow},\"verdict\":\"{word}\",\"egress\":{egress},\"ingress\":{ingress}}}")
        }
        Err(error) => format!("{{\"allow\":{allow},\"verdict\":\"error\",\"error\":\"{}\"}}", words(error)),
    }
}

fn end_of(end: End, reasons: Reasons<'_>) -> String {
    let (cause, key) = match end.cause {
        Cause::NoPod => ("no pod", ""),
        Cause::Itself => ("itself", ""),
        Cause::NotIsolated => ("not isolated", ""),
        Cause::Granted => ("granted", "grant"),
        Cause::Allowed => ("allowed", "rule"),
        Cause::Denied => ("denied", "rule"),
        Cause::NoneMatches => ("isolated", "rule"),
    };
    match reasons.of(end) {
        Some(reason) => format!("{{\"cause\":\"{cause}\",\"{key}\":{reason}}}"),
        None => format!("{{\"cause\":\"{cause}\"}}"),
    }
}

/// Returns an error in words.
pub fn words(error: Error) -> &'static str {
    match error {
        Error::Json => "the input is no JSON",
        Error::Port => "the input has no port of a protocol",
        Error::Full => "there is no memory for the input",
        Error::Tables => "the module has no tables",
        Error::Party | Error::Request | Error::Range | Error::Meaning => "the input is no flow",
    }
}
