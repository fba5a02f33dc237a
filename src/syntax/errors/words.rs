//! Mistakes in names, words of Kubernetes, strings, annotations and clauses.

use crate::diag::{Code, Diagnostic, Edit, nearest};
use crate::source::Span;
use crate::syntax::keyword::{RESERVED, is_reserved};
use crate::syntax::words::{Kind, is_name, nearest_accepted};

/// Says what was expected, after which word, and what stands there instead.
pub fn expected(span: Span, what: &str, after: Option<&str>) -> Diagnostic {
    let message = match after {
        Some(after) => format!("expected {what} after `{after}`"),
        None => format!("expected {what}"),
    };
    Diagnostic::new(Code::Expected, span, message)
}

/// Says that a word is no name.
pub fn not_a_name(span: Span, text: &str) -> Diagnostic {
    if is_reserved(text) {
        return Diagnostic::new(Code::ReservedWord, span, format!("`{text}` is a word of the language, and no name"))
            .note(format!("reserved as names: {}", RESERVED.join(" ")));
    }
    let diagnostic = Diagnostic::new(Code::NotAName, span, format!("`{text}` is not a name"))
        .at("a lower-case letter, then lower-case letters, digits and inner `-`, at most 63");
    match nearest_accepted(text, is_name) {
        Some(near) => diagnostic.fix(format!("write `{near}`"), span, near),
        None => diagnostic,
    }
}

/// Says that Kubernetes does not accept a word.
pub fn not_kubernetes(span: Span, text: &str, kind: Kind) -> Diagnostic {
    let diagnostic = Diagnostic::new(
        Code::NotKubernetes,
        span,
        format!("`{text}` is not {} that Kubernetes accepts", kind.phrase()),
    )
    .note(format!("what Kubernetes takes: {}", kind.rule()));
    match nearest_accepted(text, |text| kind.accepts(text)) {
        Some(near) if !matches!(kind, Kind::LabelKey | Kind::LabelValue) => {
            diagnostic.fix(format!("write `{near}`"), span, near)
        }
        _ => diagnostic,
    }
}

/// Says that the bare name of an object has a dot.
pub fn dotted(span: Span, text: &str, kind: Kind) -> Diagnostic {
    let diagnostic = Diagnostic::new(
        Code::NotKubernetes,
        span,
        format!("`{text}` has a dot: hosts have them, and {} does not when it is written bare", kind.phrase()),
    );
    if kind.accepts(text) {
        diagnostic.fix(format!("write `\"{text}\"`"), span, format!("\"{text}\""))
    } else {
        diagnostic
    }
}

/// Says that a star stands for a part of a word; `text` is the whole endpoint, and `governed` says that it must be
/// pods.
pub fn partial_wildcard(span: Span, text: &str, governed: bool) -> Diagnostic {
    let diagnostic = |message: &str| Diagnostic::new(Code::PartialWildcard, span, message);
    let bare = text.split(':').next().unwrap_or(text);
    if let Some((namespace, pods)) = bare.split_once('/') {
        let start = diagnostic("`*` stands alone, and for no part of a name");
        let name = pods.trim_matches('*');
        return match (namespace.contains('*') && namespace != "*", name) {
            (true, _) => start.note("namespaces that belong together have a label: `{team=a}/*`, or are listed: `{ a-1/*, a-2/* }`"),
            (false, "") => start.note(format!("every pod there is `{namespace}/*`")),
            (false, name) => start.note(format!(
                "name each, `{{ {namespace}/{name}-a, {namespace}/{name}-b }}`, or select them by a label that they share, `{namespace}/{{app=…}}`"
            )),
        };
    }
    if matches!(bare, "*.*" | "*.*.*" | "**") {
        let start = diagnostic("`*` stands on each side of a `/`, and for no part of a host");
        let start = start.fix("for every pod of every namespace write `*/*`", span, text.replace(bare, "*/*"));
        return match governed {
            true => start,
            false => start.fix("for every host outside write `internet`", span, text.replace(bare, "internet")),
        };
    }
    if bare.contains('.') {
        let ports = &text[bare.len()..];
        let start = diagnostic("`*` stands only at the beginning of a host, as in `*.example.com`");
        return match bare.split_once(".*.") {
            Some((before, after)) if !before.contains('*') && !after.contains('*') => start
                .note(format!("name each host that is meant: `{{ {before}.a.{after}, {before}.b.{after} }}{ports}`"))
                .note(format!("nothing stands for all of them: `*.{after}` is every host below {after}")),
            _ => start.note("name each host that is meant, or every host below one name: `*.example.com`"),
        };
    }
    diagnostic("`*` stands alone, and for no part of a name")
        .note("pods that belong together have a label: `garden/{app=web}`; a wildcard of hosts is `*.example.com`")
}

/// Says that a star stands among labels.
pub fn label_wildcard(span: Span) -> Diagnostic {
    Diagnostic::new(Code::PartialWildcard, span, "labels have no wildcards")
        .note("that a label is there, whatever its value, is written by its key alone: `{app}`; several values are `{app in (a, b)}`")
}

/// Says that a string contains an unknown escape.
pub fn unknown_escape(span: Span, escape: &str) -> Diagnostic {
    Diagnostic::new(Code::UnknownEscape, span, format!("`{escape}` is no escape"))
        .note("the escapes are `\\\"`, `\\\\`, `\\n`, `\\t` and `\\u{1F310}` with the number of a character")
}

/// Says that a text stands without quotes.
pub fn needs_quotes(span: Span, text: &str) -> Diagnostic {
    Diagnostic::new(Code::NeedsQuotes, span, format!("`{text}` is a string, and strings stand in double quotes")).fix(
        format!("write `\"{text}\"`"),
        span,
        format!("\"{text}\""),
    )
}

/// Says that nothing stands in a list.
pub fn empty_list(span: Span, of: &str) -> Diagnostic {
    Diagnostic::new(Code::EmptyList, span, format!("this list is empty, and names no {of}"))
}

/// Says that a word stands where a comma joins; `edits` put commas there.
pub fn joined_by_word(word: Span, text: &str, edits: Vec<Edit>, what: &str) -> Diagnostic {
    let title = if edits.len() == 1 { "write a comma" } else { "write commas" };
    Diagnostic::new(Code::MissingComma, word, format!("{what} are joined by `,`, not by `{text}`"))
        .fix_all(title, edits)
}

/// Says that one of several requirements cannot be asked for; `repair` is how it is written, if one value is.
pub fn labels_joined_by_or(word: Span, whole: Span, repair: Option<String>) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::MissingComma, word, "labels in braces hold together, and none is a choice");
    match repair {
        Some(repair) => diagnostic.fix(format!("write `{repair}`"), whole, repair),
        None => diagnostic
            .note("for either of two selectors write both endpoints: `{ garden/{app=web}, garden/{tier=front} }`"),
    }
}

/// Says that labels are joined by `not`; `repair` is the test behind it, and `gap` reaches from the label before it to
/// the end of that test.
pub fn labels_joined_by_not(word: Span, gap: Span, repair: &str) -> Diagnostic {
    Diagnostic::new(Code::MissingComma, word, "labels are joined by `,`, and a test has its own `!`").fix(
        format!("write `, {repair}`"),
        gap,
        format!(", {repair}"),
    )
}

/// Says that a label is tested in words, or with its `!` before the key; `repair` is how it is written.
pub fn label_test(span: Span, repair: String) -> Diagnostic {
    Diagnostic::new(Code::Expected, span, format!("this label is tested by `{repair}`")).fix(
        format!("write `{repair}`"),
        span,
        repair,
    )
}

/// Says that two elements stand side by side.
pub fn missing_comma(before: Span, after: Span) -> Diagnostic {
    Diagnostic::new(Code::MissingComma, after, "expected `,` before this element")
        .label(before, "the element before it")
        .fix("add a comma", before.after(), ",")
}

/// The annotations.
pub const ANNOTATIONS: [&str; 5] = ["owner", "reason", "expires", "approximate", "allow"];

/// Says that there is no such annotation.
pub fn unknown_annotation(span: Span, name: &str) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::UnknownAnnotation, span, format!("there is no annotation `@{name}`")).note(
        "the annotations are `@owner(\"…\")`, `@reason(\"…\")`, `@expires(2027-01-31)`, `@approximate(\"…\")` and \
         `@allow(W0521, \"…\")`",
    );
    let same = ANNOTATIONS.into_iter().find(|one| one.eq_ignore_ascii_case(name));
    match nearest(&name.to_ascii_lowercase(), ANNOTATIONS).or(same) {
        Some(near) => diagnostic.fix(format!("write `@{near}`"), span, near),
        None => diagnostic,
    }
}

/// Says what an annotation takes.
pub fn annotation_argument(span: Span, name: &str) -> Diagnostic {
    Diagnostic::new(Code::AnnotationArgument, span, format!("the argument of `@{name}` is written otherwise"))
}

/// Returns how an annotation is written.
pub fn annotation_example(name: &str) -> String {
    let wanted = match name {
        "expires" => "@expires(2027-01-31)".to_owned(),
        "allow" => "@allow(W0521, \"…\")".to_owned(),
        _ => format!("@{name}(\"…\")"),
    };
    format!("write `{wanted}`")
}

/// Says that a date is none.
pub fn not_a_date(span: Span, text: &str) -> Diagnostic {
    Diagnostic::new(Code::NotADate, span, format!("`{text}` is not a day of the calendar"))
        .note("a day is written `2027-01-31`: year, month, day")
}

/// Says that an annotation stands before something that takes none.
pub fn misplaced_annotation(span: Span, before: Option<&str>) -> Diagnostic {
    let message = match before {
        Some(before) => format!("an annotation cannot stand before {before}"),
        None => "no statement follows this annotation".to_owned(),
    };
    Diagnostic::new(Code::MisplacedAnnotation, span, message)
        .note("annotations stand before rules, `default deny` and `apply`")
}

/// Says that an annotation stands twice.
pub fn duplicate_annotation(span: Span, name: &str, first: Span) -> Diagnostic {
    Diagnostic::new(Code::DuplicateAnnotation, span, format!("`@{name}` stands twice before one statement"))
        .label(first, "first here")
}

/// Says that a kind of clause stands twice.
pub fn duplicate_clause(span: Span, name: &str, first: Span) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::DuplicateClause, span, format!("`{name}` stands twice in one statement"))
        .label(first, "first here");
    if name == "via" || name == "where jwt" {
        diagnostic
    } else {
        diagnostic.note(format!("values that are joined by or stand behind one `{name}`, with commas"))
    }
}

/// Says that a word is no name of a header.
pub fn not_a_header(span: Span, text: &str, why: &str) -> Diagnostic {
    Diagnostic::new(Code::WrongConditionName, span, format!("no condition asks for a header `{text}`")).at(why)
}

/// Says that a dotted name leads to no claim.
pub fn not_a_claim(span: Span, text: &str) -> Diagnostic {
    Diagnostic::new(Code::WrongConditionName, span, format!("a part of the claim `{text}` has no name"))
        .at("dots lead into nested claims, as `realm_access.roles` does")
        .note("a claim whose own name has such dots is written as a string")
}

/// Says that a word is no method.
pub fn not_a_method(span: Span, text: &str) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::NotAMethod, span, format!("`{text}` is not an HTTP method"));
    let upper = text.to_ascii_uppercase();
    if crate::syntax::words::is_method(&upper) {
        diagnostic.at("methods are upper case").fix(format!("write `{upper}`"), span, upper)
    } else {
        diagnostic.at("a method is of upper-case letters")
    }
}
