//! Mistakes in statements, blocks and claims.

use crate::diag::{Code, Diagnostic, nearest};
use crate::source::Span;
use crate::syntax::keyword::Keyword;

/// Words of other languages, each with the keyword that its author means here.
const SYNONYMS: [(&str, Keyword); 14] = [
    ("permit", Keyword::Allow),
    ("accept", Keyword::Allow),
    ("grant", Keyword::Allow),
    ("block", Keyword::Deny),
    ("drop", Keyword::Deny),
    ("reject", Keyword::Deny),
    ("forbid", Keyword::Deny),
    ("import", Keyword::Use),
    ("include", Keyword::Use),
    ("require", Keyword::Use),
    ("define", Keyword::Let),
    ("const", Keyword::Let),
    ("var", Keyword::Let),
    ("set", Keyword::Let),
];

/// Returns the word that begins a statement and that another word was probably meant to be.
pub fn nearest_statement(word: &str) -> Option<Keyword> {
    let lower = word.to_ascii_lowercase();
    if let Some(keyword) = Keyword::of_statement(lower.as_bytes()) {
        return Some(keyword);
    }
    if let Some((_, keyword)) = SYNONYMS.iter().find(|(synonym, _)| *synonym == lower) {
        return Some(*keyword);
    }
    let near = nearest(&lower, Keyword::STATEMENTS.iter().map(|keyword| keyword.word()))?;
    Keyword::of_statement(near.as_bytes())
}

/// Returns the two words that one without the space between them was meant to be: `allow egress` for `allowegress`.
fn words_together(word: &str) -> Option<String> {
    let heads = [("allow", &["egress", "ingress"][..]), ("deny", &["egress", "ingress"]), ("default", &["deny"])];
    let parts = heads.iter().flat_map(|(head, next)| next.iter().map(move |next| (*head, *next)));
    let is_meant = |(head, next): &(&str, &str)| {
        word.strip_prefix(head).is_some_and(|rest| rest.trim_start_matches(['.', '-', '_']) == *next)
    };
    parts.into_iter().find(is_meant).map(|(head, next)| format!("{head} {next}"))
}

/// Says that no statement begins with a word. `next` is the string behind it, with its span, if one follows.
pub fn unknown_statement(span: Span, word: &str, next: Option<(Span, &str)>) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::UnknownStatement, span, format!("no statement begins with `{word}`"));
    // A module of the standard library stands without quotes.
    let module = next.and_then(|(place, text)| Some((place, text.trim_matches('"').strip_prefix("std/")?)));
    if let Some(apart) = words_together(word) {
        return diagnostic.fix(format!("write `{apart}`"), span, apart);
    }
    match nearest_statement(word) {
        None if word == "host" => diagnostic
            .note("what a host is beyond its name says a `let`: `let api = host api.example.com at 203.0.113.50`"),
        Some(Keyword::Use) if let Some((place, module)) = module => {
            let text = format!("use std/{module}");
            diagnostic.fix(format!("write `{text}`"), span.to(place), text)
        }
        Some(near) => diagnostic.fix(format!("write `{}`", near.word()), span, near.word()),
        None => diagnostic.note(format!("statements begin with {}", list(&Keyword::STATEMENTS))),
    }
}

/// Says that a block has no such field.
pub fn unknown_field(span: Span, word: &str, block: Keyword) -> Diagnostic {
    let fields = block.fields();
    let message = format!("`{word}` is no field of {}", article(block));
    let diagnostic = Diagnostic::new(Code::UnknownField, span, message);
    match nearest(word, fields.iter().map(|field| field.word())) {
        Some(near) => diagnostic.fix(format!("write `{near}`"), span, near),
        None => diagnostic.note(format!("{} holds {}", article(block), list(fields))),
    }
}

/// Says that a field stands twice.
pub fn duplicate_field(span: Span, name: &str, first: Span) -> Diagnostic {
    Diagnostic::new(Code::DuplicateField, span, format!("`{name}` stands twice in one block"))
        .label(first, "first here")
}

/// Says that a statement cannot stand in a block.
pub fn misplaced_statement(span: Span, keyword: Keyword, block: Keyword) -> Diagnostic {
    let message = format!("`{}` cannot stand in {}", keyword.word(), article(block));
    let holds = match block {
        Keyword::Template => "a template holds `allow`, `deny`, `default deny`, `apply` and `assert`",
        _ => "a test holds lines with `allow` and `deny`",
    };
    Diagnostic::new(Code::MisplacedStatement, span, message).note(holds)
}

/// Says that a Service or a workload, `what`, is named without its namespace.
pub fn no_namespace(span: Span, what: &str, name: &str) -> Diagnostic {
    Diagnostic::new(Code::NoNamespace, span, format!("the {what} `{name}` is named without its namespace"))
        .note(format!("write `NAMESPACE/{name}`"))
}

/// Says that a claim has a direction.
pub fn claim_direction(span: Span, direction: &str) -> Diagnostic {
    Diagnostic::new(Code::ClaimDirection, span, "a claim is about whole flows, and has no direction").fix(
        format!("remove `{direction}`"),
        span,
        "",
    )
}

/// Says that a claim goes both ways.
pub fn claim_both_ways(span: Span) -> Diagnostic {
    Diagnostic::new(Code::ClaimBothWays, span, "a claim goes one way").note("write two claims, one for each direction")
}

/// Says that an assertion does not say what it claims.
pub fn claim_kind(span: Span, found: &str) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::ClaimKind, span, "an assertion says `never` or `always` before its flow")
        .note("`assert never S -> D`: no such flow is allowed; `assert always S -> D`: every one is");
    match found {
        "allow" => diagnostic.fix("write `always`", span, "always"),
        "deny" => diagnostic.fix("write `never`", span, "never"),
        _ => match nearest(found, ["never", "always"]) {
            Some(near) => diagnostic.fix(format!("write `{near}`"), span, near),
            None => diagnostic,
        },
    }
}

/// Says what a port of a block looks like.
pub fn block_port(span: Span, why: &str) -> Diagnostic {
    Diagnostic::new(Code::BlockPort, span, why.to_owned())
        .note("`port 80 -> 8080/http`: to the left a number, at most with `/udp`, `/sctp` or `/tcp`; to the right a number or a port name")
}

/// Says what a port of a workload's containers looks like.
pub fn container_port(span: Span, why: &str) -> Diagnostic {
    Diagnostic::new(Code::BlockPort, span, why.to_owned())
        .note("`port web 9090`: a name and a number, at most with `/udp`, `/sctp` or `/tcp`")
}

/// Returns a block's name with its article.
pub fn article(block: Keyword) -> String {
    let article = if block == Keyword::Issuer { "an" } else { "a" };
    format!("{article} `{}`", block.word())
}

fn list(keywords: &[Keyword]) -> String {
    let words: Vec<String> = keywords.iter().map(|keyword| format!("`{}`", keyword.word())).collect();
    words.join(", ")
}

/// Says that an issuer has its keys in two ways.
pub fn two_keys(span: Span, first: Span) -> Diagnostic {
    Diagnostic::new(Code::DuplicateField, span, "an issuer takes `jwks` or `keys`, and not both")
        .label(first, "first here")
}

/// Says what the path of a module looks like.
pub fn module_path(span: Span, text: &str) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::Expected, span, format!("`{text}` is neither a module nor a file"));
    if text.ends_with(".netpol") {
        diagnostic.fix(format!("write `\"./{text}\"`"), span, format!("\"./{text}\""))
    } else if let Some(module) = text.strip_prefix("std.") {
        diagnostic.fix(format!("write `std/{module}`"), span, format!("std/{module}"))
    } else if text.contains('/') || text == "std" {
        diagnostic.note("a module of the standard library is `std/kyma`, a file of yours `\"./offices.netpol\"`")
    } else {
        diagnostic
            .note(format!("a module of the standard library is `std/{text}`, a file of yours `\"./{text}.netpol\"`"))
    }
}
