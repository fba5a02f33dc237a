//! Messages about declarations, facts, templates and scopes.

use smol_str::SmolStr;

use super::endpoints::{Elsewhere, use_it};
use super::rules::Half;
use crate::diag::{Code, Diagnostic, Label, nearest};
use crate::model::labels::NAMESPACE_NAME;
use crate::model::paths::PathNormalization;
use crate::source::Span;
use crate::syntax::tree::{Ident, Template, Text, Word};
use crate::types::value::ParameterType;

/// `what` was stated at `first`; `why` says how the two differ.
pub fn contradicting_facts(span: Span, what: &str, first: Span, why: &str) -> Diagnostic {
    Diagnostic::new(Code::ContradictingFacts, span, format!("two statements about {what} disagree"))
        .at(why)
        .label(first, "stated here")
        .note("facts hold for the whole build: say it once, or twice the same; the inventory counts too")
}

/// The standard library's word at `library` is not what was stated at `first`, which counts.
pub fn library_fact(first: Span, what: &str, library: Span) -> Diagnostic {
    Diagnostic::new(Code::LibraryFact, first, format!("the standard library says otherwise of {what}"))
        .at("this counts")
        .label(library, "and this does not")
}

pub fn label_of_name(span: Span) -> Diagnostic {
    let message = format!("the label `{NAMESPACE_NAME}` is always the namespace's name");
    Diagnostic::new(Code::ContradictingFacts, span, message).at("leave the label out")
}

pub fn label_twice(span: Span, key: &str) -> Diagnostic {
    Diagnostic::new(Code::ContradictingFacts, span, format!("the label `{key}` is given twice")).at("here again")
}

pub fn service_port_twice(span: Span, port: u16) -> Diagnostic {
    Diagnostic::new(Code::ContradictingFacts, span, format!("port {port} is given twice")).at("here again")
}

pub fn port_name_twice(span: Span, name: &str) -> Diagnostic {
    Diagnostic::new(Code::ContradictingFacts, span, format!("the port `{name}` is given twice")).at("here again")
}

pub fn sidecar_on_host(span: Span) -> Diagnostic {
    Diagnostic::new(Code::ContradictingFacts, span, "pods on the host network have no sidecar")
        .at("Istio injects none there")
        .fix("write `sidecar no`", span, "sidecar no")
}

pub fn port_of_two_protocols(span: Span) -> Diagnostic {
    Diagnostic::new(Code::ContradictingFacts, span, "the two sides of this port have different protocols")
        .at("one port, one protocol")
}

pub fn target_not_one(span: Span) -> Diagnostic {
    Diagnostic::new(Code::WrongPart, span, "a Service sends a port to one port")
        .at("a number or a port name stands here")
}

/// `example` is the missing part as it could be written.
pub fn incomplete(name: &Ident, kind: &str, missing: &str, example: &str) -> Diagnostic {
    Diagnostic::new(Code::IncompleteDeclaration, name.span, format!("the {kind} `{}` lacks {missing}", name.text))
        .at("declared here")
        .note(format!("add `{example}`"))
}

pub fn gateway_pods(span: Span) -> Diagnostic {
    Diagnostic::new(Code::WrongPart, span, "a gateway's `pods` are pods, without ports")
        .at("expected `namespace/{label=value}`")
}

pub fn gateway_account(span: Span) -> Diagnostic {
    Diagnostic::new(Code::WrongPart, span, "a gateway's `account` is one service account")
        .at("expected `namespace/@name`")
}

/// `none` where the gateway has no proxies in front.
pub fn gateway_proxies(span: Span, none: bool) -> Diagnostic {
    let found =
        Diagnostic::new(Code::WrongPart, span, "after `proxies N from` stand the addresses of the proxies in front");
    match none {
        true => found.at("with `proxies 0` nobody stands in front"),
        false => found.at("expected addresses, without ports: `203.0.113.0/24`, or several in braces"),
    }
}

pub fn gateway_port_name(span: Span) -> Diagnostic {
    Diagnostic::new(Code::WrongPart, span, "a gateway's port leads to a number").at("write the pods' port as a number")
}

pub fn issuer_addresses(span: Span) -> Diagnostic {
    Diagnostic::new(Code::WrongPart, span, "`at` takes addresses, without ports").at("where the keys are fetched from")
}

pub fn keys_not_json(span: Span, why: &str) -> Diagnostic {
    Diagnostic::new(Code::WrongPart, span, format!("the keys are not a JSON object: {why}"))
        .at("a JSON Web Key Set stands here: `{\"keys\": […]}` (RFC 7517)")
}

/// `why` says what the set lacks.
pub fn wrong_keys(span: Span, why: &str) -> Diagnostic {
    Diagnostic::new(Code::WrongPart, span, format!("these are not the keys of an issuer: {why}"))
        .at("a JSON Web Key Set stands here: `{\"keys\": […]}` (RFC 7517)")
}

pub fn no_audience(span: Span) -> Diagnostic {
    Diagnostic::new(Code::WrongPart, span, "an audience is a text that is not empty").at("the `aud` of the tokens")
}

/// `what` is `header` or `parameter`.
pub fn token_name(span: Span, what: &str) -> Diagnostic {
    Diagnostic::new(Code::WrongPart, span, format!("this is not the name of a {what}"))
        .at("letters, digits, `-` and `_` stand here")
}

/// `why` says what a URL is like.
pub fn wrong_url(span: Span, text: &str, why: &str) -> Diagnostic {
    Diagnostic::new(Code::WrongPart, span, format!("`{text}` is not a URL of an issuer"))
        .at(why)
        .note("such as `jwks \"https://login.example.com/keys\"`")
}

pub fn setting_with_ports(span: Span) -> Diagnostic {
    Diagnostic::new(Code::WrongPart, span, "this setting takes addresses without ports").at("leave the ports out")
}

pub fn setting_not_addresses(span: Span) -> Diagnostic {
    Diagnostic::new(Code::WrongPart, span, "this setting takes addresses").at("an address or network stands here")
}

pub fn resolver_is_host(span: Span) -> Diagnostic {
    Diagnostic::new(Code::WrongPart, span, "`resolver` takes addresses, or pods with their ports")
        .at("a host is found by asking a resolver, and names none")
        .note("such as `resolver = [\"169.254.20.10\", \"kube-system/{k8s-app=node-local-dns}:53\"]`")
}

pub fn unknown_template(name: &Ident, elsewhere: Elsewhere<'_>) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::UnknownTemplate, name.span, format!("there is no template `{}`", name.text));
    if elsewhere.module.is_some() {
        return use_it(diagnostic, &name.text, elsewhere.module);
    }
    match elsewhere.near {
        Some(near) => diagnostic.at(format!("did you mean `{near}`?")).fix(format!("write `{near}`"), name.span, near),
        None => diagnostic.at("not defined here, nor by a module in use"),
    }
}

pub fn not_a_template(name: &Ident, defined: Span) -> Diagnostic {
    Diagnostic::new(Code::UnknownTemplate, name.span, format!("`{}` is not a template", name.text))
        .at("the name of a template stands after `apply`")
        .label(defined, "defined here")
}

/// `span` is the `apply`.
pub fn argument_count(span: Span, template: &Template, given: usize) -> Diagnostic {
    let parameters: Vec<String> =
        template.parameters.iter().map(|p| format!("{}: {}", p.name.text, p.kind.text)).collect();
    let wanted = parameters.len();
    let s = if wanted == 1 { "" } else { "s" };
    let given = match given {
        0 => "none stands here".into(),
        1 => "one stands here".into(),
        many => format!("{many} stand here"),
    };
    Diagnostic::new(
        Code::ArgumentCount,
        span,
        format!("`{}` takes {wanted} argument{s}, and {given}", template.name.text),
    )
    .at(format!("expected `{}({})`", template.name.text, parameters.join(", ")))
    .label(template.name.span, "the template")
}

/// `name` is the parameter, `found` says what stands for it, and `instead` where something else would be right.
pub fn argument_type(
    span: Span,
    name: &str,
    wanted: ParameterType,
    found: &str,
    instead: Option<(Span, String)>,
) -> Diagnostic {
    let (what, example) = match wanted {
        ParameterType::Namespace => ("a Namespace", "a namespace, as `team-a`"),
        ParameterType::Workloads => ("Workloads", "pods, as `team-a/{app=web}`"),
        ParameterType::Host => ("a Host", "a host without ports, as `api.example.com`"),
        ParameterType::Addresses => ("Addresses", "addresses without ports, as `203.0.113.0/24`"),
        ParameterType::Endpoint => ("an Endpoint", "pods, hosts or addresses"),
        ParameterType::Port => ("a Port", "one port, as `8080` or `53/udp`"),
        ParameterType::String => ("a String", "a string, as `\"text\"`"),
    };
    let diagnostic =
        Diagnostic::new(Code::ArgumentType, span, format!("the parameter `{name}` takes {what}, not {found}"))
            .at(format!("expected {example}"));
    match instead {
        Some((place, text)) if text.is_empty() => diagnostic.fix("leave the ports out", place, text),
        Some((place, text)) => diagnostic.fix(format!("write `{text}`"), place, text),
        None => diagnostic,
    }
}

pub fn duplicate_parameter(name: &Ident, first: Span) -> Diagnostic {
    Diagnostic::new(Code::DuplicateParameter, name.span, format!("two parameters are named `{}`", name.text))
        .at("here again")
        .label(first, "first here")
}

pub fn unknown_type(name: &Ident) -> Diagnostic {
    let known = ParameterType::ALL.map(ParameterType::word);
    let diagnostic =
        Diagnostic::new(Code::UnknownType, name.span, format!("there is no parameter type `{}`", name.text));
    match nearest(&name.text, known) {
        Some(near) => diagnostic.at(format!("did you mean `{near}`?")).fix(format!("write `{near}`"), name.span, near),
        None => diagnostic.at("not a type").note(format!("the types are {}", known.join(", "))),
    }
}

/// The templates of a cycle, each with the span at which it applies the next; the last applies the first.
pub fn cyclic_apply(first: &(SmolStr, Span), others: &[(SmolStr, Span)]) -> Diagnostic {
    let message = match others {
        [] => format!("the template `{}` applies itself", first.0),
        _ => "these templates apply each other in a cycle".into(),
    };
    let said = |from: &SmolStr, to: &SmolStr| format!("`{from}` applies `{to}`");
    let after = others.first().unwrap_or(first);
    let start = Diagnostic::new(Code::CyclicApply, first.1, message).at(said(&first.0, &after.0));
    let next = others.iter().skip(1).chain([first]);
    others.iter().zip(next).fold(start, |all, (from, to)| all.label(from.1, said(&from.0, &to.0)))
}

pub fn applied_too_deep(span: Span, most: usize) -> Diagnostic {
    Diagnostic::new(Code::CyclicApply, span, format!("templates apply each other more than {most} deep"))
        .at("the last one that is too deep")
}

/// `span` is the `apply` at which it was too much.
pub fn too_many_rules(span: Span, most: usize) -> Diagnostic {
    Diagnostic::new(Code::TooManyRules, span, format!("templates yield more than {most} statements"))
        .at("this makes them too many")
}

pub fn unused_parameter(name: &Ident) -> Diagnostic {
    Diagnostic::new(Code::UnusedParameter, name.span, format!("the parameter `{}` is never used", name.text))
        .at("nothing in the template names it")
}

pub fn not_a_string(name: &Ident) -> Diagnostic {
    Diagnostic::new(Code::ParameterType, name.span, format!("`{}` is not a parameter of the type String", name.text))
        .at("a string stands here, in double quotes")
        .fix("put it in quotes", name.span, format!("\"{}\"", name.text))
}

/// Moves a finding inside a template to the `apply` with whose arguments it shows.
pub fn of_apply(mut diagnostic: Diagnostic, site: Span) -> Diagnostic {
    if site.contains(diagnostic.primary.span) {
        return diagnostic;
    }
    let inside = std::mem::replace(&mut diagnostic.primary, Label { span: site, message: "applied here".into() });
    diagnostic.labels.insert(0, inside);
    // The fixes go, since the template is right for other arguments.
    diagnostic.fixes.clear();
    diagnostic
}

/// `what` is `path` or `host`; `why` names the mistake.
pub fn bad_text(text: &Text, value: &str, what: &str, why: &str) -> Diagnostic {
    match text {
        Text::Parameter(name) => {
            let message = format!("the argument of `{}` does not fit: {why}", name.text);
            Diagnostic::new(Code::ArgumentType, name.span, message)
                .at(format!("here a {what} stands, and it is `{value}`"))
        }
        Text::Literal(word) => {
            let diagnostic = Diagnostic::new(Code::WrongText, word.span, why).at(format!("not a {what}"));
            let rooted = format!("\"/{value}\"");
            // `/api**` says what `/api/**` means: the path itself and all that is below.
            let below =
                value.strip_suffix("**").filter(|above| above.starts_with('/') && !above.contains(['*', '?', '#']));
            match what {
                "path" if below.is_some_and(|above| !above.contains(['"', '\\'])) => {
                    let whole = format!("\"{}/**\"", below.unwrap_or_default());
                    diagnostic.fix(format!("write `{whole}`"), word.span, whole)
                }
                "path" if value.contains('*') && value.starts_with('/') => {
                    let (whole, above) = with_whole_segments(value);
                    diagnostic.note(format!(
                        "`\"{whole}\"` is any one segment there, and `\"{above}\"` everything below: both let more through"
                    )).note(format!(
                        "for no more than is meant name each path: `where path \"{}\", \"{}\"`",
                        value.replace('*', "a"),
                        value.replace('*', "b"),
                    ))
                }
                "path" if !value.starts_with('/') && !value.contains(['?', '#', '*', '"', '\\']) => {
                    diagnostic.fix(format!("write `{rooted}`"), word.span, rooted)
                }
                _ => diagnostic,
            }
        }
    }
}

/// Returns two proposals for a path: `*` for each segment that contains one, and the path above the first of these
/// segments with all that is below.
fn with_whole_segments(path: &str) -> (String, String) {
    let segments: Vec<&str> =
        path.split('/').map(|segment| if segment.contains('*') { "*" } else { segment }).collect();
    let first = segments.iter().position(|segment| *segment == "*").unwrap_or(segments.len());
    (segments.join("/"), format!("{}/**", segments[..first].join("/")))
}

/// `normal` is the pattern that requests have.
pub fn path_never_seen(text: &Text, value: &str, normal: &str, how: PathNormalization) -> Diagnostic {
    let why = format!("the mesh compares paths as it normalizes them ({})", how.word());
    match text {
        Text::Parameter(name) => {
            let message = format!("the argument of `{}` does not fit: no request has the path `{value}`", name.text);
            Diagnostic::new(Code::ArgumentType, name.span, message).at(format!("it arrives as `{normal}`")).note(why)
        }
        Text::Literal(word) => {
            let diagnostic =
                Diagnostic::new(Code::PathNeverSeen, word.span, format!("no request has the path `{value}`"))
                    .at(format!("it arrives as `{normal}`"));
            // `/orders/{id}`, as templates of paths have it.
            let is_template = |segment: &str| segment.starts_with('{') && segment.ends_with('}');
            if value.split('/').any(is_template) {
                let any: Vec<&str> = value.split('/').map(|one| if is_template(one) { "*" } else { one }).collect();
                return diagnostic.note(format!("a segment of any text is `*`: `\"{}\"`", any.join("/")));
            }
            let quoted = format!("\"{normal}\"");
            diagnostic.note(why).fix(format!("write `{quoted}`"), word.span, quoted)
        }
    }
}

/// `clause` is the `where path` around what `except` names at `span`.
pub fn path_not_taken(span: Span, clause: Span) -> Diagnostic {
    Diagnostic::new(Code::ExceptNothing, span, "this takes none of the paths away")
        .at("no path before `except` is one of these")
        .label(clause, "the paths")
}

/// `clause` is the `where path` around what `except` names at `span`.
pub fn no_path_left(span: Span, clause: Span) -> Diagnostic {
    Diagnostic::new(Code::ExceptEverything, span, "this leaves none of the paths")
        .at("every path before `except` is one of these")
        .label(clause, "the paths")
}

/// A value of a header that no request has.
pub fn header_value(text: &Text, header: &str, value: &str) -> Diagnostic {
    let why = "a value has at least one character, no space at its ends, and no control characters";
    match text {
        Text::Parameter(name) => {
            let message = format!("the argument of `{}` does not fit: no header has the value `{value}`", name.text);
            Diagnostic::new(Code::ArgumentType, name.span, message).at(why)
        }
        Text::Literal(word) => {
            let message = format!("no request has the value `{value}` of the header {header}");
            Diagnostic::new(Code::HeaderValue, word.span, message).at(why)
        }
    }
}

/// A value that no token has once Istio has divided the claim.
pub fn space_in_scope(text: &Text, claim: &str, value: &str) -> Diagnostic {
    let words: Vec<String> =
        value.split(' ').filter(|word| !word.is_empty()).map(|word| format!("\"{word}\"")).collect();
    let asks = match words.as_slice() {
        [] => format!("name one of them: `claim {claim} = \"read\"`"),
        words => format!("name one, or several that will do: `claim {claim} = {}`", words.join(", ")),
    };
    match text {
        Text::Parameter(name) => {
            let message = format!("the argument of `{}` does not fit: `{value}` holds a space", name.text);
            Diagnostic::new(Code::ArgumentType, name.span, message)
                .at(format!("`{claim}` is a list of words, and this asks for one of them"))
        }
        Text::Literal(word) => Diagnostic::new(
            Code::SpaceInScope,
            word.span,
            format!("no word of the claim `{claim}` is `{value}`, which holds a space"),
        )
        .at("the claim is a list of words, and this asks for one of them")
        .note(asks),
    }
}

/// `second` and `first` are the declarations; `what` is what is different.
pub fn two_issuers(second: Span, first: Span, url: &str, what: &str) -> Diagnostic {
    Diagnostic::new(Code::TwoIssuers, second, format!("two issuers have the url `{url}` and different {what}"))
        .at("a token says its issuer's url alone, so that both rules would take the tokens of either")
        .label(first, "the other one")
        .note("declare it once, with all its keys behind one `jwks`, or give each issuer a url of its own")
}

pub fn two_scopes(second: Span, first: Span) -> Diagnostic {
    Diagnostic::new(Code::TwoScopes, second, "a file has one scope")
        .at("a second one")
        .label(first, "the first")
        .note("a scope of several parts is a union: `scope { a/*, b/* }`")
}

/// `scope` is the statement, where the file has one.
pub fn no_own_namespace(span: Span, scope: Option<Span>) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::NoOwnNamespace, span, "`./` has no namespace to stand for")
        .at("it stands for the one namespace of the file's scope");
    match scope {
        None => diagnostic.note("this file has no scope: write `scope garden/*`, or the namespace before the `/`"),
        Some(scope) => diagnostic
            .label(scope, "this scope is not made of one namespace by its name")
            .note("write the namespace before the `/`"),
    }
}

/// `word` is the parameter, and `text` its argument.
pub fn argument_no_label(word: &Word, text: &str) -> Diagnostic {
    let message = format!("the argument of `{}` does not fit: `{text}` is no label's value", word.text);
    Diagnostic::new(Code::ArgumentType, word.span, message).at(
        "a label's value has letters, digits, `-`, `_` and `.`, begins and ends with a letter or digit, and is at most 63 long",
    )
}

/// Without an inventory nobody knows all namespaces.
pub fn each_without_inventory(span: Span) -> Diagnostic {
    Diagnostic::new(Code::EachUnknown, span, "without an inventory, which namespaces have these labels is not known")
        .at("applied once for each of them")
        .note("give the cluster's Namespaces by `--inventory`, or apply the template to each namespace by its name")
}

/// The labels of `namespace`, of which only what lies inside is known, decide whether it is meant.
pub fn each_unknown_labels(span: Span, namespace: &str, origin: Span) -> Diagnostic {
    let message = format!("whether the Namespace {namespace} has these labels is not known");
    Diagnostic::new(Code::EachUnknown, span, message)
        .at("applied once for each namespace that has them")
        .label(origin, "known only by what lies inside it")
        .note(format!("give its Namespace object too, or state it: `namespace {namespace} {{ labels {{ … }} }}`"))
}

/// `count` namespaces have the labels.
pub fn each_is_closed(span: Span, count: usize) -> Diagnostic {
    let (s, have) = if count == 1 { ("", "has") } else { ("s", "have") };
    Diagnostic::new(Code::EachClosed, span, format!("{count} namespace{s} of the inventory {have} these labels"))
        .at("a namespace that is made or labelled later waits for the next build")
}

pub fn scope_with_ports(span: Span) -> Diagnostic {
    Diagnostic::new(Code::PortsOnSource, span, "a scope has no ports").at("pods are governed on all ports")
}

/// `what` is `namespace` or `Service`.
/// `path` is that of the `use` by which the file with the scope brings the fact, where it does not state it itself.
pub fn facts_outside_scope(span: Span, what: &str, name: &str, path: Option<Span>, scope: Span) -> Diagnostic {
    let does = if path.is_some() { "bring" } else { "state" };
    let message = format!("this file may not {does} facts about the namespace {name}");
    let place = path.unwrap_or(span);
    let diagnostic = Diagnostic::new(Code::FactsOutsideScope, place, message).label(scope, "set here");
    match path {
        None => diagnostic.at(format!("a {what} outside the scope")),
        Some(_) => diagnostic.at(format!("this brings a {what} outside the scope")).label(span, "stated here").note(
            "facts hold for the whole build: let a file without a scope use that file too, or leave the fact out",
        ),
    }
}

/// `name` is the fact's, `scope` the statement.
pub fn scope_moved(name: Span, scope: Span) -> Diagnostic {
    Diagnostic::new(Code::FactsOutsideScope, name, "a scope does not take its pods from what its own file states")
        .at("this decides which pods the scope means")
        .label(scope, "set here")
        .note("write the scope by labels or by its namespace, as `scope garden/{app=api}`, or state the fact in another file")
}

/// `host` is the public host, `scope` the statement, and `more` says whether it names other hosts.
pub fn host_outside_scope(span: Span, host: &str, gateway: &str, scope: Span, more: bool) -> Diagnostic {
    let text = if more { format!(", \"{host}\"") } else { format!(" at \"{host}\"") };
    Diagnostic::new(Code::HostOutsideScope, span, format!("the scope of this file does not name the host `{host}`"))
        .at(format!("at `{gateway}` it closes the host to everybody else, whatever pods it leads to"))
        .label(scope, "set here")
        .fix(format!("name the host in the scope: `at \"{host}\"`"), scope.after(), text)
}

/// `governed` is what lies outside, `applied` the `apply` that led to it, `how` what is done to it.
pub fn outside_scope(
    governed: Span,
    applied: Option<(Span, Option<SmolStr>)>,
    how: &str,
    scope: (Span, &str),
    half: Half,
) -> Diagnostic {
    let allowed = scope.1;
    let diagnostic = Diagnostic::new(
        Code::OutsideScope,
        applied.as_ref().map_or(governed, |(span, _)| *span),
        format!("this file may govern {allowed} only"),
    );
    let diagnostic = match applied {
        Some((_, Some(namespace))) => {
            diagnostic.at(format!("applied here, it governs pods of {namespace}")).label(governed, how)
        }
        Some((_, None)) => diagnostic.at("applied here").label(governed, how),
        None => diagnostic.at(how),
    };
    half.offer(diagnostic.label(scope.0, "set here"))
}
