//! Provenance: which rules an object or a message comes from, in words.
//!
//! An object names the file of a rule and how the rule reads, and no line:
//!
//! ```text
//! garden.netpol: allow egress garden/* -> zenquotes.io:443
//! ```
//!
//! No line number: a new comment at the top of a file, or a rule that moves, changes no object. `build --lines` adds
//! the lines.

use std::borrow::Cow;

use crate::model::rules::Origin;
use crate::source::{FileId, Sources, Span};

/// The most rules that an object names.
const MOST: usize = 32;
/// The longest text of a rule, in characters; a longer one is cut.
const LONGEST: usize = 100;
/// The most members that are shown of a union in a long rule.
const MOST_MEANT: usize = 4;
/// The most bytes of a long rule that are read to find the members of its unions.
const MOST_READ: usize = 4096;

/// The provenance of an object: the rules that it comes from, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// The files of the rules and how the rules read: `shop.netpol: deny shop/* -> lab/*`, a line each. A rule of a
    /// template also names the `apply` that asked for it.
    pub source: String,
    /// The texts of `@owner`, a line each.
    pub owner: String,
    /// The texts of `@reason`, a line each.
    pub reason: String,
}

impl Provenance {
    /// Gathers the provenance of some rules for an object of a namespace, in an order that depends on their words
    /// alone. Lines that do not fit an annotation are counted: `and 12 more`.
    pub fn of<'a>(
        sources: &Sources,
        lines: bool,
        namespace: &str,
        origins: impl IntoIterator<Item = &'a Origin>,
    ) -> Provenance {
        let (mut places, mut owners, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
        for origin in origins {
            for &span in origin.applied().first().into_iter().chain([&origin.span]) {
                let line = if lines { sources.line(span) } else { 0 };
                places.push((
                    sources.file(span.file).path.as_str(),
                    line,
                    shortened(sources, span, &|member| is_in(member, namespace)),
                ));
            }
            owners.extend(origin.owner().map(Cow::Borrowed));
            reasons.extend(origin.reason().map(Cow::Borrowed));
        }
        places.sort_unstable();
        places.dedup();
        let place = |(path, line, text): &(&str, usize, Cow<'_, str>)| match line {
            0 => Cow::Owned([path, ": ", &**text].concat()),
            _ => Cow::Owned(format!("{path}:{line}: {text}")),
        };
        let more = places.len().saturating_sub(MOST);
        let places: Vec<Cow<'_, str>> = places.iter().take(MOST).map(place).collect();
        Provenance { source: joined(places, more), owner: sorted(owners), reason: sorted(reasons) }
    }
}

fn sorted(mut texts: Vec<Cow<'_, str>>) -> String {
    texts.sort_unstable();
    texts.dedup();
    let more = texts.len().saturating_sub(MOST);
    texts.truncate(MOST);
    joined(texts, more)
}

fn joined(texts: Vec<Cow<'_, str>>, more: usize) -> String {
    let mut text = texts.join("\n");
    if more > 0 {
        text.push_str(&format!("\nand {more} more"));
    }
    text
}

/// Returns the `@owner` and `@reason` of a rule, if it has them: `owner: payments, reason: PAY-123`.
pub fn attribution(origin: &Origin) -> Option<String> {
    let said = [("owner", origin.owner()), ("reason", origin.reason())];
    let said: Vec<String> = said.iter().filter_map(|(what, text)| Some(format!("{what}: {}", (*text)?))).collect();
    (!said.is_empty()).then(|| said.join(", "))
}

/// Adds the `@owner` and `@reason` of a rule, if it has them, to its JSON.
pub fn attribute(value: &mut serde_json::Value, origin: &Origin) {
    for (key, text) in [("owner", origin.owner()), ("reason", origin.reason())] {
        if let (Some(text), Some(map)) = (text, value.as_object_mut()) {
            map.insert(key.to_owned(), text.into());
        }
    }
}

/// Returns the comment for a rule in an object of a namespace: the rule's file and how it reads, and its line if
/// `lines` is set.
pub fn sentence(sources: &Sources, lines: bool, namespace: &str, origin: &Origin) -> String {
    sentence_about(sources, lines, &|member| is_in(member, namespace), origin)
}

/// Returns the comment for a rule above one part of an object. In a long rule, each union shows the members that are
/// `meant`.
pub fn sentence_about(sources: &Sources, lines: bool, meant: &dyn Fn(&str) -> bool, origin: &Origin) -> String {
    let place = match lines {
        true => Cow::Owned(sources.place(origin.span)),
        false => Cow::Borrowed(sources.file(origin.span.file).path.as_str()),
    };
    [&place, ": ", &*shortened(sources, origin.span, meant)].concat()
}

/// Returns whether the member of a union is written with a namespace: `garden/*` with `garden`.
pub fn is_in(member: &str, namespace: &str) -> bool {
    !namespace.is_empty() && member.strip_prefix(namespace).is_some_and(|rest| rest.starts_with('/'))
}

/// Returns the text of a rule on one line, without comments, cut if it is long.
pub fn rule_text(sources: &Sources, origin: &Origin) -> String {
    shortened(sources, origin.span, &|_| false).into_owned()
}

/// Returns the text of a statement on one line, without comments. In a long one, each union shows the members that are
/// `meant`, or its first member if none is, and the rest is cut. Only the beginning of a long statement is read,
/// because thousands of objects may quote one rule.
fn shortened<'s>(sources: &'s Sources, span: Span, meant: &dyn Fn(&str) -> bool) -> Cow<'s, str> {
    let text = beginning(sources.slice(span), LONGEST + 2);
    if !is_long(&text) {
        return text;
    }
    let told = told_by_members(&beginning(sources.slice(span), MOST_READ), meant);
    match told.char_indices().nth(LONGEST) {
        Some((at, _)) if is_long(&told) => Cow::Owned(format!("{}…", &told[..at])),
        _ => Cow::Owned(told),
    }
}

fn is_long(text: &str) -> bool {
    text.len() > LONGEST && text.char_indices().nth(LONGEST).is_some_and(|(at, _)| at + 1 < text.len())
}

/// Returns a statement with each union shortened to the members that are meant: `{ …, garden/*, … }`.
fn told_by_members(text: &str, meant: &dyn Fn(&str) -> bool) -> String {
    let mut told = String::with_capacity(LONGEST);
    let mut rest = text;
    while let Some(open) = rest.find(['{', '"']) {
        let (before, from) = rest.split_at(open);
        told.push_str(before);
        let end = if from.starts_with('"') { string_end(from) } else { brace_end(from) };
        let (piece, after) = from.split_at(end);
        let is_union = piece.starts_with('{') && !before.ends_with(['/', ':']) && !after.starts_with('/');
        match is_union.then(|| members(piece)).filter(|members| members.len() > 1) {
            Some(members) => told.push_str(&few(&members, meant)),
            None => told.push_str(piece),
        }
        rest = after;
    }
    told.push_str(rest);
    told
}

/// Returns the end of the string with which a text begins.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    let closes = |(at, c): (usize, char)| {
        let ends = at > 0 && c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at + 1)
    };
    text.char_indices().find_map(closes).unwrap_or(text.len())
}

/// Returns the end of the braces with which a text begins.
fn brace_end(text: &str) -> usize {
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    text.len()
}

/// Returns the members of a union with its braces.
fn members(union: &str) -> Vec<&str> {
    let inner = union.strip_prefix('{').unwrap_or(union);
    let inner = inner.strip_suffix('}').unwrap_or(inner);
    let (mut depth, mut quoted, mut start, mut found) = (0usize, false, 0, Vec::new());
    for (at, c) in inner.char_indices() {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '{' | '(' => depth += 1,
            '}' | ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                found.push(inner[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(inner[start..].trim());
    found.retain(|member| !member.is_empty());
    found
}

/// Returns a union with the members that are meant, or its first member if none is, and `…` for the others.
fn few(members: &[&str], meant: &dyn Fn(&str) -> bool) -> String {
    let kept: Vec<&str> = match members.iter().any(|member| meant(member)) {
        true => members.iter().filter(|member| meant(member)).take(MOST_MEANT).copied().collect(),
        false => members.iter().take(1).copied().collect(),
    };
    let mut parts: Vec<&str> = Vec::new();
    for member in members {
        let part = if kept.contains(member) { member } else { "…" };
        if part != "…" || parts.last() != Some(&"…") {
            parts.push(part);
        }
    }
    format!("{{ {} }}", parts.join(", "))
}

/// Returns the text of a statement on one line, without comments.
pub fn normalized(sources: &Sources, span: Span) -> Cow<'_, str> {
    beginning(sources.slice(span), usize::MAX)
}

/// Returns the beginning of a statement's text on one line, without comments, cut after about `most` characters.
fn beginning(whole: &str, most: usize) -> Cow<'_, str> {
    let plain = |byte: u8| (b' '..=b'~').contains(&byte) & (byte != b'#') & (byte != b'"');
    let first = whole.get(..most).unwrap_or(whole);
    let bytes = first.as_bytes();
    // The loop has no branch, so that it runs on many bytes at once.
    let strange = bytes.iter().fold(0, |any, &byte| any | u8::from(!plain(byte)));
    let after = bytes.get(1..).unwrap_or_default();
    let spaces = bytes.iter().zip(after).fold(0, |any, (&a, &b)| any | u8::from((a == b' ') & (b == b' ')));
    if strange | spaces == 0 {
        return Cow::Borrowed(first);
    }
    let mut text = String::with_capacity(first.len());
    let (mut length, mut space, mut quoted, mut comment, mut escaped) = (0, false, false, false, false);
    for character in whole.chars() {
        comment = character != '\n' && (comment || (character == '#' && !quoted));
        if comment || (character.is_whitespace() && !quoted) {
            space = true;
            continue;
        }
        if std::mem::take(&mut space) && !text.is_empty() {
            text.push(' ');
            length += 1;
        }
        quoted ^= character == '"' && !escaped;
        escaped = quoted && character == '\\' && !escaped;
        text.push(character);
        length += 1;
        if length >= most {
            break;
        }
    }
    Cow::Owned(text)
}

/// Returns the files that some rules come from; for a rule of a template, the file of its `apply`. Sorted, without
/// repetition.
pub fn files<'a>(origins: impl IntoIterator<Item = &'a Origin>) -> Vec<FileId> {
    let mut files: Vec<FileId> = origins.into_iter().map(|origin| origin.place().file).collect();
    files.sort_unstable();
    files.dedup();
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rules::Notes;

    #[test]
    fn provenance_hangs_on_what_rules_say_and_not_on_where_they_stand() {
        let mut sources = Sources::new();
        let team = sources.add("team.netpol", "\n\napply tenant(a)\ndefault  deny # all of it\n  a/*");
        let tenant = sources.add("tenant.netpol", "template tenant() {\n  default deny a/*\n}\n");
        let origin =
            |span, applied: &[Span]| Origin::new(span, Notes { applied: applied.to_vec(), ..Notes::default() });
        let apply = Span::new(team, 2, 17);
        let origins = [origin(Span::new(tenant, 22, 38), &[apply]), origin(Span::new(team, 18, 50), &[])];
        let text = "team.netpol: apply tenant(a)\nteam.netpol: default deny a/*\ntenant.netpol: default deny a/*";
        assert_eq!(Provenance::of(&sources, false, "", &origins).source, text);
        assert_eq!(Provenance::of(&sources, false, "", origins.iter().rev()).source, text);
        let lines =
            "team.netpol:3: apply tenant(a)\nteam.netpol:4: default deny a/*\ntenant.netpol:2: default deny a/*";
        assert_eq!(Provenance::of(&sources, true, "", &origins).source, lines);
        assert_eq!(files(&origins), vec![team]);
    }

    #[test]
    fn owners_and_reasons_are_gathered_once_each() {
        let mut sources = Sources::new();
        let file = sources.add("a.netpol", "default deny a/*");
        let notes = |owner: &str, reason: &str| {
            let notes = Notes { owner: Some(owner.into()), reason: Some(reason.into()), ..Notes::default() };
            Origin::new(Span::new(file, 0, 16), notes)
        };
        let origins = [notes("web", "B-2"), notes("api", "A-1"), notes("web", "A-1")];
        let found = Provenance::of(&sources, false, "", &origins);
        assert_eq!((found.owner.as_str(), found.reason.as_str()), ("api\nweb", "A-1\nB-2"));
        assert_eq!(found.source, "a.netpol: default deny a/*");
    }

    #[test]
    fn long_unions_keep_the_members_of_the_namespace_and_what_follows() {
        let names: Vec<String> = (10..40).map(|at| format!("team-{at}/*")).collect();
        let text = format!("allow egress {{ {} }} -> zenquotes.io:443", names.join(", "));
        let mut sources = Sources::new();
        let file = sources.add("a.netpol", text.clone());
        let origin = Origin::new(Span::new(file, 0, text.len()), Notes::default());
        let told = |namespace: &str| sentence(&sources, false, namespace, &origin);
        assert_eq!(told("team-10"), "a.netpol: allow egress { team-10/*, … } -> zenquotes.io:443");
        assert_eq!(told("team-25"), "a.netpol: allow egress { …, team-25/*, … } -> zenquotes.io:443");
        assert_eq!(told("team-39"), "a.netpol: allow egress { …, team-39/* } -> zenquotes.io:443");
        assert_eq!(told("other"), "a.netpol: allow egress { team-10/*, … } -> zenquotes.io:443");
        assert_eq!(rule_text(&sources, &origin), "allow egress { team-10/*, … } -> zenquotes.io:443");
        let about = |meant: &dyn Fn(&str) -> bool| sentence_about(&sources, false, meant, &origin);
        let two = about(&|member| is_in(member, "team-12") || is_in(member, "team-30"));
        assert_eq!(two, "a.netpol: allow egress { …, team-12/*, …, team-30/*, … } -> zenquotes.io:443");
        let labels =
            told_by_members("allow a/{app in (x, y), b} -> { {env=p}/*, b/*:{80, 443}, c/\"d, e\" }", &|member| {
                is_in(member, "c")
            });
        assert_eq!(labels, "allow a/{app in (x, y), b} -> { …, c/\"d, e\" }");
    }
}
