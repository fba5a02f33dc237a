//! The kernel of the evaluator module: decides flows by the tables of a policy, as [`crate::policy::eval()`] decides
//! them by its rules.
//!
//! ```text
//! intern {"namespace": "garden", "labels": {"app": "web"}}     a number, found once
//! intern {"host": "zenquotes.io"}                              another
//! decide(one, other, TCP 443, nothing known of the request)    allowed, by rule 0 at the sending end
//! ```
//!
//! This folder knows nothing of the crate but how paths are compared. It is compiled twice: here, as the native twin of
//! the module, and below `tests/wasm/kernel` into the code of every module (`code/`).

pub mod bytes;
mod decided;
pub mod document;
mod gateway;
mod json;
mod judge;
pub mod layout;
mod party;
pub mod peers;
pub mod ranges;
mod request;
mod strings;
mod table;
mod texts;

pub use request::Seen;
pub use table::Tables;

use super::paths::{PathNormalization, normalize, plainest};
use decided::Decided;
pub use json::Json;
use judge::Judge;
use layout::{NONE, header, protocol};
use party::Party;
use request::Request;
use texts::Texts;

/// The most parties, and the most requests.
const MOST: usize = 1 << 22;
/// The bit that tells requests from parties.
const IS_REQUEST: u32 = 1 << 22;
/// The number of a request of which nothing is known.
pub const UNKNOWN_REQUEST: u32 = 0;

/// The reason why a call answers nothing. A host sees the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Error {
    /// No party has this number, or a `reset` came between.
    Party = -1,
    /// No request has this number, or a `reset` came between.
    Request = -2,
    /// This is no port of a protocol.
    Port = -3,
    /// These bytes are not inside the buffer.
    Range = -4,
    /// The text is not JSON in UTF-8.
    Json = -5,
    /// The JSON says something else than it should.
    Meaning = -6,
    /// Nothing more can be interned before a `reset`.
    Full = -7,
    /// The tables are not those of this kernel.
    Tables = -8,
}

/// The cause of the decision at one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Cause {
    /// No pod is at this end.
    NoPod = 0,
    /// A pod reaches itself.
    Itself = 1,
    /// No rule isolates the pod in this direction.
    NotIsolated = 2,
    /// A rule allows it.
    Allowed = 3,
    /// A grant allows it.
    Granted = 4,
    /// A rule forbids it.
    Denied = 5,
    /// A rule isolates the pod, and none allows it.
    NoneMatches = 6,
}

/// The causes, by their numbers.
const CAUSES: [Cause; 7] = [
    Cause::NoPod,
    Cause::Itself,
    Cause::NotIsolated,
    Cause::Allowed,
    Cause::Granted,
    Cause::Denied,
    Cause::NoneMatches,
];

/// The decision at one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Its cause.
    pub cause: Cause,
    /// The rule or grant of the cause; [`NONE`] for none.
    pub by: u32,
}

impl End {
    fn allows(self) -> bool {
        !matches!(self.cause, Cause::Denied | Cause::NoneMatches)
    }
}

/// The decision on a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The egress end, then the ingress end.
    pub ends: [End; 2],
    /// Whether denied flows are let through and only told.
    pub audit: bool,
}

impl Verdict {
    /// Returns whether both ends let the flow through.
    pub fn allowed(&self) -> bool {
        self.ends.iter().all(|end| end.allows())
    }

    /// Returns 1 for an allowed flow, 0 for a denied one, and 2 for one that is only told in audit mode.
    pub fn number(&self) -> i32 {
        match self.allowed() {
            true => 1,
            false if self.audit => 2,
            false => 0,
        }
    }

    /// Returns the verdict of three words; `None` if they are none.
    pub fn of([first, out, way_in]: [u32; 3]) -> Option<Verdict> {
        let end = |cause: u32, by: u32| Some(End { cause: *CAUSES.get((cause & 0xff) as usize)?, by });
        Some(Verdict { ends: [end(first >> 8, out)?, end(first >> 16, way_in)?], audit: first & 0xff == 2 })
    }

    /// Returns the verdict as three words: its number with the causes of both ends, and what decided each.
    pub fn words(&self) -> [u32; 3] {
        let [out, way_in] = self.ends;
        [self.number() as u32 | (out.cause as u32) << 8 | (way_in.cause as u32) << 16, out.by, way_in.by]
    }
}

/// The tables of a policy, with all that was interned.
pub struct Kernel<'t> {
    tables: Tables<'t>,
    /// Tells the numbers of before a `reset` from those after it.
    generation: u32,
    parties: Vec<Party<'t>>,
    requests: Vec<Request<'t>>,
    texts: Texts,
    decided: Decided,
    paths: PathNormalization,
    audit: bool,
}

/// What a text was interned as.
mod of {
    pub const PARTY: u32 = 1;
    pub const REQUEST: u32 = 2;
    pub const FLOW: u32 = 3;
    /// A party, by what it says and not by its spelling.
    pub const SAME: u32 = 4;
}

/// Returns the port and the protocol (its number by IANA) as one word.
pub fn port_word(iana: u32, port: u16) -> u32 {
    iana << 16 | u32::from(port)
}

/// Returns whether a text is one value of JSON in UTF-8.
pub fn json_is_whole(text: &[u8]) -> bool {
    Json::parse(text).is_some()
}

/// Returns whether there is memory for so many bytes more.
fn has_room(bytes: usize) -> bool {
    let mut room = Vec::<u8>::new();
    // Nobody uses the room, and what nobody uses a compiler may leave out.
    core::hint::black_box(room.try_reserve_exact(bytes)).is_ok() && core::hint::black_box(&room).capacity() >= bytes
}

/// Protocols, with their numbers by IANA.
const PROTOCOLS: [(u32, u32); 4] =
    [(6, protocol::TCP), (17, protocol::UDP), (132, protocol::SCTP), (1, protocol::ICMP)];

impl<'t> Kernel<'t> {
    /// Begins with tables.
    pub fn new(tables: Tables<'t>) -> Kernel<'t> {
        let flags = tables.at(header::FLAGS);
        let how = PathNormalization::ALL.get((flags >> 8) as usize).copied();
        Kernel {
            tables,
            generation: 1,
            parties: Vec::new(),
            requests: vec![Request::default()],
            texts: Texts::default(),
            decided: Decided::default(),
            paths: how.unwrap_or(PathNormalization::Base),
            audit: flags & 1 != 0,
        }
    }

    /// Returns whether denied flows are let through and only told.
    pub fn audits(&self) -> bool {
        self.audit
    }

    /// Forgets all that was interned. Numbers of before are errors from now on.
    pub fn reset(&mut self) {
        self.generation = self.generation % 127 + 1;
        self.parties = Vec::new();
        self.requests.truncate(1);
        self.texts = Texts::default();
        self.decided = Decided::default();
    }

    fn id(&self, index: usize) -> u32 {
        self.generation << 24 | index as u32
    }

    /// Returns the place of a number, if it is one of now.
    fn index(&self, id: u32) -> Option<usize> {
        (id >> 24 == self.generation).then_some((id & 0x00ff_ffff) as usize)
    }

    fn party(&self, id: u32) -> Result<&Party<'t>, Error> {
        self.index(id).and_then(|at| self.parties.get(at)).ok_or(Error::Party)
    }

    fn request(&self, id: u32) -> Result<&Request<'t>, Error> {
        if id == UNKNOWN_REQUEST {
            return self.requests.first().ok_or(Error::Request);
        }
        let at = self.index(id).and_then(|at| at.checked_sub(IS_REQUEST as usize));
        at.and_then(|at| self.requests.get(at)).ok_or(Error::Request)
    }

    /// Asks for all memory that interning a text may need, so that a host without memory gets an error and no trap.
    /// What a party needs beyond that, because the policy says so, it asks for itself.
    fn make_room(&mut self, text: &[u8]) -> Result<(), Error> {
        self.decided.make_room(self.parties.len() + self.requests.len()).ok_or(Error::Full)?;
        let lists = self.parties.try_reserve(3).and(self.requests.try_reserve(1));
        lists.ok().filter(|()| has_room((1 << 13) + 64 * text.len())).ok_or(Error::Full)
    }

    /// Interns a party by its JSON. The same text gives the same number.
    pub fn intern(&mut self, text: &[u8]) -> Result<u32, Error> {
        if let Some(id) = self.interned(text) {
            return Ok(id);
        }
        self.make_room(text)?;
        let id = self.party_of(&Json::parse(text).ok_or(Error::Json)?)?;
        self.texts.add(of::PARTY, text, [id, 0, 0, 0]).ok_or(Error::Full)?;
        Ok(id)
    }

    fn party_of(&mut self, value: &Json) -> Result<u32, Error> {
        let mut same = String::new();
        value.canonical(&mut same);
        if let Some([id, ..]) = self.texts.find(of::SAME, same.as_bytes()) {
            return Ok(*id);
        }
        if self.parties.len() >= MOST {
            return Err(Error::Full);
        }
        let party = party::read(&self.tables, value).ok_or(Error::Meaning)?;
        if !party.is_whole {
            return Err(Error::Full);
        }
        let id = self.id(self.parties.len());
        self.texts.add(of::SAME, same.as_bytes(), [id, 0, 0, 0]).ok_or(Error::Full)?;
        self.parties.push(party);
        Ok(id)
    }

    /// Interns a request by its JSON.
    pub fn intern_request(&mut self, text: &[u8]) -> Result<u32, Error> {
        if let Some([id, ..]) = self.texts.find(of::REQUEST, text) {
            return Ok(*id);
        }
        self.make_room(text)?;
        let value = Json::parse(text).ok_or(Error::Json)?;
        if !value.has_only(&request::KEYS) {
            return Err(Error::Meaning);
        }
        let id = self.request_of(&value)?;
        self.texts.add(of::REQUEST, text, [id, 0, 0, 0]).ok_or(Error::Full)?;
        Ok(id)
    }

    fn request_of(&mut self, value: &Json) -> Result<u32, Error> {
        if self.requests.len() >= MOST {
            return Err(Error::Full);
        }
        let request = Request::read(&self.tables, value, self.paths).ok_or(Error::Meaning)?;
        if !request.is_whole() {
            return Err(Error::Full);
        }
        let id = self.id(IS_REQUEST as usize + self.requests.len());
        self.requests.push(request);
        Ok(id)
    }

    /// Decides a flow between interned parties. `port` is the port with the protocol's number by IANA above it.
    pub fn decide(&mut self, source: u32, destination: u32, port: u32, request: u32) -> Result<Verdict, Error> {
        let words = self.decide_words([source, destination, port, request])?;
        Verdict::of(words).map(|verdict| Verdict { audit: self.audit, ..verdict }).ok_or(Error::Tables)
    }

    /// Decides a flow, and returns the words of the verdict.
    #[inline]
    pub fn decide_words(&mut self, flow: [u32; 4]) -> Result<[u32; 3], Error> {
        match self.decided.find(flow) {
            Some(verdict) => Ok(*verdict),
            None => self.decide_anew(flow),
        }
    }

    /// Returns the words of the verdict on a flow that was decided before.
    #[inline(always)]
    pub fn decided(&self, flow: [u32; 4]) -> Option<&[u32; 3]> {
        self.decided.find(flow)
    }

    /// Returns the number of a party whose text was interned before.
    #[inline(always)]
    pub fn interned(&self, text: &[u8]) -> Option<u32> {
        self.texts.find(of::PARTY, text).map(|[id, ..]| *id)
    }

    #[cold]
    fn decide_anew(&mut self, flow: [u32; 4]) -> Result<[u32; 3], Error> {
        let [source, destination, port, request] = flow;
        let verdict = self.judge(source, destination, port, self.request(request)?)?.words();
        self.decided.keep(flow, verdict);
        Ok(verdict)
    }

    /// Decides a flow with a request that is not interned, as a proxy sees one after the other.
    pub fn decide_seen(&self, source: u32, destination: u32, port: u32, seen: &Seen<'_>) -> Result<Verdict, Error> {
        let request = Request::new(&self.tables, seen, self.paths);
        // A path that the mesh refuses has no spelling to compare.
        if seen.path.is_some() && !request.has_path() {
            return Err(Error::Meaning);
        }
        if !request.is_whole() {
            return Err(Error::Full);
        }
        self.judge(source, destination, port, &request)
    }

    fn judge(&self, source: u32, destination: u32, port: u32, request: &Request<'_>) -> Result<Verdict, Error> {
        let (iana, number) = (port >> 16, port as u16);
        let known = PROTOCOLS.iter().find(|(have, _)| *have == iana);
        let &(_, protocol) = known.filter(|_| (number == 0) == (iana == 1)).ok_or(Error::Port)?;
        let judge = Judge {
            tables: &self.tables,
            source: self.party(source)?,
            destination: self.party(destination)?,
            port: (number != 0).then_some(number),
            protocol,
            request,
            same: source == destination,
        };
        Ok(Verdict { ends: judge.ends(), audit: self.audit })
    }

    /// Decides many flows: four words each, from a place among the words on, with three words for each verdict from
    /// another place on. Of a flow that is an error the first word is that. Returns how many were decided.
    pub fn decide_batch(&mut self, words: &mut [u32], from: usize, count: usize, to: usize) -> Result<u32, Error> {
        let end = |start: usize, size: usize| count.checked_mul(size).and_then(|length| start.checked_add(length));
        if end(from, 4).zip(end(to, 3)).is_none_or(|(one, other)| one.max(other) > words.len()) {
            return Err(Error::Range);
        }
        let mut decided = 0;
        for at in 0..count {
            let Some(flow) = words.get(from + 4 * at..).and_then(<[u32]>::first_chunk) else {
                return Err(Error::Range);
            };
            let verdict = match self.decide_words(*flow) {
                Ok(verdict) => {
                    decided += 1;
                    verdict
                }
                Err(error) => [error as i32 as u32, NONE, NONE],
            };
            if let Some(place) = words.get_mut(to + 3 * at..).and_then(<[u32]>::first_chunk_mut) {
                *place = verdict;
            }
        }
        Ok(decided)
    }

    /// Decides a flow by its JSON: `from` and `to`, `port` and `protocol`, and the keys of a request.
    pub fn decide_text(&mut self, text: &[u8]) -> Result<Verdict, Error> {
        let [source, destination, port, request] = self.flow_of_text(text)?;
        self.decide(source, destination, port, request)
    }

    /// Decides a flow by its JSON, and returns the words of the verdict.
    pub fn decide_text_words(&mut self, text: &[u8]) -> Result<[u32; 3], Error> {
        let flow = self.flow_of_text(text)?;
        self.decide_words(flow)
    }

    fn flow_of_text(&mut self, text: &[u8]) -> Result<[u32; 4], Error> {
        Ok(match self.texts.find(of::FLOW, text) {
            Some(flow) => *flow,
            None => {
                self.make_room(text)?;
                let flow = self.flow_of(&Json::parse(text).ok_or(Error::Json)?)?;
                self.texts.add(of::FLOW, text, flow).ok_or(Error::Full)?;
                flow
            }
        })
    }

    fn flow_of(&mut self, value: &Json) -> Result<[u32; 4], Error> {
        let Json::Object(entries) = value else { return Err(Error::Meaning) };
        let known = |key: &str| ["from", "to", "port", "protocol"].contains(&key) || request::KEYS.contains(&key);
        if !entries.iter().all(|(key, _)| known(key)) {
            return Err(Error::Meaning);
        }
        let asks = entries.iter().any(|(key, _)| request::KEYS.contains(&key.as_str()));
        self.flow_between(value, ["from", "to"], asks.then_some(value))
    }

    /// Reads a flow between the parties at two keys, with the keys of a request in another object.
    fn flow_between(&mut self, value: &Json, parties: [&str; 2], request: Option<&Json>) -> Result<[u32; 4], Error> {
        let protocol = match value.get("protocol") {
            None => protocol::TCP,
            Some(word) => word.text().and_then(party::protocol_of).ok_or(Error::Port)?,
        };
        let &(iana, _) = PROTOCOLS.iter().find(|(_, number)| *number == protocol).ok_or(Error::Port)?;
        let port = match value.get("port") {
            None if protocol == protocol::ICMP => 0,
            Some(Json::Number(Some(port))) => u16::try_from(*port).map_err(|_| Error::Port)?,
            _ => return Err(Error::Port),
        };
        let source = self.party_of(value.get(parties[0]).ok_or(Error::Meaning)?)?;
        let destination = self.party_of(value.get(parties[1]).ok_or(Error::Meaning)?)?;
        let request = request.map_or(Ok(UNKNOWN_REQUEST), |request| self.request_of(request))?;
        Ok([source, destination, port_word(iana, port), request])
    }
}
