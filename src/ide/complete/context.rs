//! The context of a completion: the kind of word that may follow, found in the text before the offset. A half-typed
//! statement has no tree.

use crate::ide::signature;
use crate::syntax::scan::{self, is_word};
use crate::syntax::vocabulary::Keyword;

/// The kinds of words that may follow.
#[derive(Debug, PartialEq)]
pub enum Due<'t> {
    /// The first word of a statement, or of a piece of a block.
    Statement(Option<Keyword>),
    /// One of these words.
    Words(&'static [&'static str]),
    /// An endpoint, or one of these words.
    Endpoint(&'static [&'static str]),
    /// A namespace without a `/`.
    Namespace,
    /// Pods of a namespace, behind its `/`.
    Pods(&'t str),
    /// A service account of a namespace.
    Accounts(&'t str),
    /// A key of a label of pods in a namespace (`*` for any), or of namespaces.
    Keys(Option<String>),
    /// A value of a label.
    Values(Option<String>, &'t str),
    /// A port of an endpoint.
    Ports(&'t str),
    /// The protocol of a port.
    Protocols,
    /// The word after `where`.
    Conditions,
    /// A method of HTTP.
    Methods,
    /// The type of a parameter.
    Types,
    /// A host.
    Hosts,
    /// A gateway.
    Gateways,
    /// An issuer.
    Issuers,
    /// A template.
    Templates,
    /// The name of an annotation.
    Annotations,
    /// The code of a warning or a note.
    Codes,
    /// The path of a `use`.
    Modules,
    /// The path of a file.
    Files,
    /// A name that a module offers, by the path of the module.
    Listed(&'t str),
    /// An argument of a template, by its index.
    Argument(&'t str, u32),
}

/// The kind of word that may follow, and the start of the word that is being written.
#[derive(Debug, PartialEq)]
pub struct Context<'t> {
    /// The kind of word.
    pub due: Due<'t>,
    /// The first byte of the word.
    pub prefix: usize,
}

/// Returns the context of an offset; `None` inside comments, and if the kind is unknown.
pub fn at(text: &str, offset: usize) -> Option<Context<'_>> {
    let before = text.get(..offset)?;
    let line = before.rfind('\n').map_or(0, |at| at + 1);
    if let Some(quote) = open_string(&before[line..])? {
        let quote = line + quote;
        let words = before[..quote].trim_end();
        let due = match last_word(words) {
            "use" => Due::Files,
            "host" | "at" => Due::Hosts,
            _ => return None,
        };
        return Some(Context { due, prefix: quote + 1 });
    }
    let (start, block) = statement(text, offset);
    let statement = &before[start.min(offset)..];
    let word = statement.len() - statement.bytes().rev().take_while(|&byte| is_word(byte)).count();
    let prefix = offset - (statement.len() - word);
    let words = &statement[..word];
    let due = due(words, block, before[line..prefix].trim().is_empty())?;
    // A key of a label may itself contain a `/`.
    let prefix = match due {
        Due::Keys(_) => {
            let key = |byte: u8| is_word(byte) || byte == b'/';
            offset - statement.bytes().rev().take_while(|&byte| key(byte)).count()
        }
        Due::Modules => offset - statement.bytes().rev().take_while(|&byte| is_word(byte) || byte == b'/').count(),
        _ => prefix,
    };
    Some(Context { due, prefix })
}

/// Returns the index of the opening quote if a line ends inside a string; `None` inside a comment.
fn open_string(line: &str) -> Option<Option<usize>> {
    let (mut open, mut escaped) = (None, false);
    for (at, byte) in line.bytes().enumerate() {
        match (byte, open) {
            _ if escaped => escaped = false,
            (b'\\', Some(_)) => escaped = true,
            (b'"', Some(_)) => open = None,
            (b'"', None) => open = Some(at),
            (b'#', None) => return None,
            _ => {}
        }
    }
    Some(open)
}

/// Returns the start of the statement that contains or precedes an offset, and the block that contains it.
fn statement(text: &str, offset: usize) -> (usize, Option<Keyword>) {
    let scan = scan::scan(text);
    let at = scan.statements.partition_point(|statement| statement.start < offset);
    let Some(top) = at.checked_sub(1).and_then(|at| scan.statements.get(at)) else { return (offset, None) };
    let Some(body) = top.body.as_ref().filter(|body| body.open < offset) else { return (top.start, None) };
    let closed = text.get(..top.end).is_some_and(|whole| whole.ends_with('}')) && top.end <= offset;
    if closed {
        return (top.end.max(top.start), None);
    }
    let at = body.pieces.partition_point(|piece| piece.start < offset);
    let start = at.checked_sub(1).and_then(|at| body.pieces.get(at)).map_or(body.open + 1, |piece| piece.start);
    (start, top.keyword)
}

fn due<'t>(words: &'t str, block: Option<Keyword>, is_first_on_line: bool) -> Option<Due<'t>> {
    let trimmed = words.trim_end();
    let touching = words.bytes().next_back();
    let brackets = brackets(words);
    let innermost = brackets.last().copied();
    if touching == Some(b'@') {
        let ahead = &words[..words.len() - 1];
        return Some(match ahead.strip_suffix('/') {
            Some(ahead) => Due::Accounts(namespace_before(ahead)),
            None => Due::Annotations,
        });
    }
    if let Some((at, byte)) = innermost {
        let (outside, inside) = (&words[..at], &words[at + 1..]);
        return if byte == b'(' {
            in_parentheses(words, outside, inside)
        } else {
            in_braces(words, outside, inside, block)
        };
    }
    if touching == Some(b'/') {
        return behind_slash(words);
    }
    if touching == Some(b':') {
        return Some(Due::Ports(endpoint_before(&words[..words.len() - 1])));
    }
    let continues = trimmed.ends_with(['>', ',']) || matches!(last_word(trimmed), "except" | "via" | "where");
    if trimmed.is_empty() || is_first_on_line && !continues {
        return Some(Due::Statement(block));
    }
    by_last_word(trimmed, block)
}

fn in_parentheses<'t>(words: &'t str, outside: &'t str, inside: &'t str) -> Option<Due<'t>> {
    let ahead = outside.trim_end();
    if ahead.ends_with("@allow") && !inside.contains(',') {
        return Some(Due::Codes);
    }
    if let Some((template, at)) = signature::call(words) {
        let argument = inside.rsplit(',').next().unwrap_or_default();
        return match argument.bytes().next_back() {
            Some(b'/') => behind_slash(words),
            Some(b':') => Some(Due::Ports(endpoint_before(&words[..words.len() - 1]))),
            _ => Some(Due::Argument(template, at)),
        };
    }
    let mut tokens = ahead.split_whitespace();
    match (tokens.next(), tokens.next()) {
        (Some("use"), Some(path)) => {
            let entry = inside.rsplit(',').next().unwrap_or_default();
            Some(if entry.trim().is_empty() { Due::Listed(path) } else { Due::Words(&["as"]) })
        }
        (Some("template"), _) => inside.rsplit(',').next()?.contains(':').then_some(Due::Types),
        _ => match last_word(ahead) {
            "in" | "notin" => {
                let key = last_word(ahead[..ahead.len() - last_word(ahead).len()].trim_end());
                let open = brackets(outside).last().map_or(0, |(at, _)| *at);
                Some(Due::Values(namespace_of_labels(&words[..open]), key))
            }
            _ => None,
        },
    }
}

fn in_braces<'t>(words: &'t str, outside: &'t str, inside: &'t str, block: Option<Keyword>) -> Option<Due<'t>> {
    if let Some(endpoint) = outside.strip_suffix(':') {
        return match words.bytes().next_back() {
            Some(b'/') => Some(Due::Protocols),
            _ => Some(Due::Ports(endpoint_before(endpoint))),
        };
    }
    let entry = inside.rsplit(',').next().unwrap_or_default();
    let is_labels = outside.ends_with('/')
        || matches!(last_word(outside.trim_end()), "labels" | "select" | "each")
        || entry.contains('=')
        || entry.trim_start().starts_with('!');
    if !is_labels {
        return match words.bytes().next_back() {
            Some(b'/') => behind_slash(words),
            Some(b':') => Some(Due::Ports(endpoint_before(&words[..words.len() - 1]))),
            _ if entry.trim().is_empty() => Some(Due::Endpoint(&[])),
            _ => by_last_word(words.trim_end(), block),
        };
    }
    let namespace = namespace_of_labels(outside);
    match entry.split_once('=') {
        Some((key, value)) if value.trim().is_empty() => Some(Due::Values(namespace, key.trim_end_matches('!').trim())),
        Some(_) => None,
        None if entry.trim().trim_start_matches('!').is_empty() => Some(Due::Keys(namespace)),
        None if entry.ends_with(' ') => Some(Due::Words(&["in", "notin"])),
        None => Some(Due::Keys(namespace)),
    }
}

fn behind_slash(words: &str) -> Option<Due<'_>> {
    let ahead = words.strip_suffix('/')?;
    let word = ahead.len() - ahead.bytes().rev().take_while(|&byte| is_word(byte) || byte == b'*').count();
    let (ahead, word) = ahead.split_at(word);
    if ahead.trim_end().ends_with("use") && word == "std" {
        return Some(Due::Modules);
    }
    if ahead.ends_with(':') {
        return Some(Due::Protocols);
    }
    (!word.is_empty()).then_some(Due::Pods(word))
}

fn by_last_word(trimmed: &str, block: Option<Keyword>) -> Option<Due<'_>> {
    if trimmed.ends_with("->") || trimmed.ends_with(',') && !in_clause(trimmed) {
        return Some(Due::Endpoint(&["host"]));
    }
    if trimmed.ends_with('=') && trimmed.starts_with("let") {
        return Some(Due::Endpoint(&["host"]));
    }
    let word = last_word(trimmed);
    let is_first = word.len() == trimmed.len();
    match word {
        "allow" | "deny" if block == Some(Keyword::Test) => Some(Due::Endpoint(&[])),
        "deny" if trimmed.ends_with("default deny") => Some(Due::Endpoint(&["egress", "ingress"])),
        "allow" | "deny" => Some(Due::Endpoint(&["egress", "ingress"])),
        "default" if is_first => Some(Due::Words(&["deny"])),
        "assert" if is_first => Some(Due::Words(&["never", "always"])),
        "egress" | "ingress" | "never" | "always" | "except" | "pods" | "scope" => Some(Due::Endpoint(&[])),
        "use" if is_first => Some(Due::Modules),
        "namespace" if is_first => Some(Due::Namespace),
        "service" | "workload" if is_first => Some(Due::Namespace),
        "apply" if is_first => Some(Due::Templates),
        "via" => Some(Due::Gateways),
        "jwt" => Some(Due::Issuers),
        "where" => Some(Due::Conditions),
        "method" => Some(Due::Methods),
        "let" | "template" | "issuer" | "gateway" | "host" | "test" if trimmed.split_whitespace().count() < 3 => None,
        _ if in_clause(trimmed) && trimmed.ends_with(',') => trimmed
            .rsplit("where")
            .next()
            .is_some_and(|clause| clause.trim_start().starts_with("method"))
            .then_some(Due::Methods),
        _ if trimmed.contains("->") => Some(Due::Words(&["where", "via", "except", "at"])),
        _ if trimmed.starts_with("allow") || trimmed.starts_with("deny") || trimmed.starts_with("assert") => {
            Some(Due::Words(&["->", "<->", "except"]))
        }
        _ => None,
    }
}

fn in_clause(text: &str) -> bool {
    let after = text.rsplit("->").next().unwrap_or_default();
    text.contains("->") && after.split_whitespace().any(|word| matches!(word, "where" | "via"))
}

/// Returns the open brackets of a text with their indices, the innermost last.
fn brackets(text: &str) -> Vec<(usize, u8)> {
    let (mut open, mut quoted, mut comment) = (Vec::new(), false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'\n' => (quoted, comment) = (false, false),
            _ if comment => {}
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'#' => comment = true,
            b'(' | b'{' => open.push((at, byte)),
            b')' | b'}' => drop(open.pop()),
            _ => {}
        }
    }
    open
}

/// Returns the word at the end of a text; empty if there is none.
fn last_word(text: &str) -> &str {
    let word = text.bytes().rev().take_while(|&byte| is_word(byte) || byte == b'/').count();
    &text[text.len() - word..]
}

/// Returns the namespace whose pods the labels in an open brace select: `*` for any, `None` for labels of namespaces.
fn namespace_of_labels(outside: &str) -> Option<String> {
    let ahead = outside.strip_suffix('/')?;
    let named = namespace_before(ahead);
    Some(if named.is_empty() { "*".to_owned() } else { named.to_owned() })
}

/// Returns the namespace, or the `*`, at the end of a text.
fn namespace_before(text: &str) -> &str {
    let word = text.bytes().rev().take_while(|&byte| is_word(byte) || byte == b'*').count();
    &text[text.len() - word..]
}

/// Returns the endpoint `ns/name` at the end of a text.
fn endpoint_before(text: &str) -> &str {
    let part = |byte: u8| is_word(byte) || matches!(byte, b'/' | b'*' | b'@');
    &text[text.len() - text.bytes().rev().take_while(|&byte| part(byte)).count()..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(text: &str) -> Option<Due<'_>> {
        at(text, text.len()).map(|context| context.due)
    }

    #[test]
    fn the_text_before_a_place_tells_what_is_due() {
        let endpoint: Due<'_> = Due::Endpoint(&["egress", "ingress"]);
        for (text, expected) in [
            ("", Some(Due::Statement(None))),
            ("al", Some(Due::Statement(None))),
            ("allow a/* -> b/*\nde", Some(Due::Statement(None))),
            ("allow ", Some(endpoint)),
            ("allow egress garden/", Some(Due::Pods("garden"))),
            ("allow egress garden/fr", Some(Due::Pods("garden"))),
            ("allow egress garden/@", Some(Due::Accounts("garden"))),
            ("allow egress garden/{", Some(Due::Keys(Some("garden".into())))),
            ("allow egress garden/{app=", Some(Due::Values(Some("garden".into()), "app"))),
            ("allow egress garden/{app in (a, ", Some(Due::Values(Some("garden".into()), "app"))),
            ("allow egress */{tier=x, ", Some(Due::Keys(Some("*".into())))),
            ("allow egress a/* -> garden/api:", Some(Due::Ports("garden/api"))),
            ("allow egress a/* -> garden/api:80/", Some(Due::Protocols)),
            ("allow egress a/* -> garden/api:{80, ", Some(Due::Ports("garden/api"))),
            ("allow a/* -> ", Some(Due::Endpoint(&["host"]))),
            ("allow a/* ", Some(Due::Words(&["->", "<->", "except"]))),
            ("allow a/* -> b/*:80/http where ", Some(Due::Conditions)),
            ("allow a/* -> b/*:80/http where method ", Some(Due::Methods)),
            ("allow a/* -> b/*:80/http where method GET, ", Some(Due::Methods)),
            ("allow a/* -> { dns, ", Some(Due::Endpoint(&[]))),
            ("use ", Some(Due::Modules)),
            ("use std/k", Some(Due::Modules)),
            ("use \"./", Some(Due::Files)),
            ("use std/kyma (", Some(Due::Listed("std/kyma"))),
            ("apply ", Some(Due::Templates)),
            ("apply tenant(a, ", Some(Due::Argument("tenant", 1))),
            ("template t(ns: ", Some(Due::Types)),
            ("template t(ns: Namespace) {\n  ", Some(Due::Statement(Some(Keyword::Template)))),
            ("gateway g {\n  po", Some(Due::Statement(Some(Keyword::Gateway)))),
            ("@", Some(Due::Annotations)),
            ("@allow(W0", Some(Due::Codes)),
            ("default ", Some(Due::Words(&["deny"]))),
            ("assert ", Some(Due::Words(&["never", "always"]))),
            ("allow a/* -> x.io:443 via ", Some(Due::Gateways)),
            ("let x = ", Some(Due::Endpoint(&["host"]))),
            ("# allow ", None),
            ("@owner(\"al", None),
        ] {
            assert_eq!(due(text), expected, "{text:?}");
        }
    }
}
