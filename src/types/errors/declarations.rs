//! Messages about declarations, facts, templates and scopes.

use smol_str::SmolStr;

use crate::diag::{Code, Diagnostic, nearest};
use crate::source::Span;
use crate::syntax::tree::{Ident, Template};
use crate::types::value::{Kind, ParameterType};

pub fn contradicting_facts(span: Span, what: &str, first: Span, why: &str) -> Diagnostic {
    Diagnostic::new(Code::ContradictingFacts, span, format!("{what} was stated otherwise elsewhere"))
        .at(why)
        .label(first, "stated here")
        .note("two statements of one fact must agree; those of the inventory count as one")
}

pub fn label_twice(span: Span, key: &str) -> Diagnostic {
    Diagnostic::new(Code::ContradictingFacts, span, format!("the label `{key}` is given twice")).at("here again")
}

pub fn service_port_twice(span: Span, port: u16) -> Diagnostic {
    Diagnostic::new(Code::ContradictingFacts, span, format!("port {port} is given twice")).at("in this declaration")
}

pub fn port_of_two_protocols(span: Span) -> Diagnostic {
    Diagnostic::new(Code::ContradictingFacts, span, "the two sides of this port have different protocols")
        .at("one port, one protocol")
}

pub fn target_not_one(span: Span) -> Diagnostic {
    Diagnostic::new(Code::WrongPart, span, "a Service sends a port to one port")
        .at("a number or a port name stands here")
}

pub fn incomplete(span: Span, kind: &str, name: &str, missing: &str) -> Diagnostic {
    Diagnostic::new(Code::IncompleteDeclaration, span, format!("the {kind} `{name}` lacks {missing}"))
        .at("declared here")
}

pub fn gateway_pods(span: Span) -> Diagnostic {
    Diagnostic::new(Code::WrongPart, span, "a gateway's `pods` are workloads, without ports")
        .at("`namespace/{label=value}` stands here")
}

pub fn gateway_account(span: Span) -> Diagnostic {
    Diagnostic::new(Code::WrongPart, span, "a gateway's `account` is one service account")
        .at("`namespace/@name` stands here")
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

pub fn setting_not_addresses(span: Span) -> Diagnostic {
    Diagnostic::new(Code::WrongPart, span, "this setting takes addresses").at("an address or network stands here")
}

pub fn unknown_template(name: &Ident, near: Option<SmolStr>) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::UnknownTemplate, name.span, format!("there is no template `{}`", name.text));
    match near {
        Some(near) => diagnostic.at(format!("did you mean `{near}`?")).fix(format!("write `{near}`"), name.span, near),
        None => diagnostic.at("not defined here, nor by a module in use"),
    }
}

pub fn not_a_template(name: &Ident) -> Diagnostic {
    Diagnostic::new(Code::WrongName, name.span, format!("`{}` is not a template", name.text))
        .at("a template stands here")
}

pub fn argument_count(span: Span, template: &Template, given: usize) -> Diagnostic {
    let parameters: Vec<String> =
        template.parameters.iter().map(|p| format!("{}: {}", p.name.text, p.kind.text)).collect();
    let wanted = parameters.len();
    let s = if wanted == 1 { "" } else { "s" };
    Diagnostic::new(
        Code::ArgumentCount,
        span,
        format!("`{}` takes {wanted} argument{s}, and {given} stand here", template.name.text),
    )
    .at(format!("`{}({})`", template.name.text, parameters.join(", ")))
    .label(template.name.span, "the template")
}

pub fn argument_type(span: Span, name: &str, wanted: ParameterType, found: &str) -> Diagnostic {
    let example = match wanted {
        ParameterType::Namespace => "a namespace, as `team-a`",
        ParameterType::Workloads => "pods, as `team-a/{app=web}`",
        ParameterType::Host => "a host without ports, as `api.example.com`",
        ParameterType::Addresses => "addresses without ports, as `203.0.113.0/24`",
        ParameterType::Endpoint => "pods, hosts or addresses",
        ParameterType::Port => "one port, as `8080` or `53/udp`",
        ParameterType::String => "a string, as `\"text\"`",
    };
    Diagnostic::new(Code::ArgumentType, span, format!("`{name}` is of the type {}, and this is {found}", wanted.word()))
        .at(format!("expected {example}"))
}

pub fn duplicate_parameter(name: &Ident) -> Diagnostic {
    Diagnostic::new(Code::DuplicateParameter, name.span, format!("two parameters are named `{}`", name.text))
        .at("here again")
}

pub fn unknown_type(name: &Ident) -> Diagnostic {
    let known = ParameterType::ALL.map(ParameterType::word);
    let diagnostic =
        Diagnostic::new(Code::UnknownType, name.span, format!("there is no parameter type `{}`", name.text))
            .at("not a type")
            .note(format!("the types are {}", known.join(", ")));
    match nearest(&name.text, known) {
        Some(near) => diagnostic.fix(format!("write `{near}`"), name.span, near),
        None => diagnostic,
    }
}

pub fn cyclic_apply(span: Span, name: &str) -> Diagnostic {
    Diagnostic::new(Code::CyclicApply, span, format!("`apply {name}` leads back to itself"))
        .at("templates do not recurse")
}

pub fn applied_too_deep(span: Span) -> Diagnostic {
    Diagnostic::new(Code::CyclicApply, span, "templates apply each other more than 64 deep").at("too deep")
}

pub fn too_many_rules(span: Span, most: usize) -> Diagnostic {
    Diagnostic::new(Code::TooManyRules, span, format!("templates yield more than {most} statements")).at("reached here")
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

pub fn bad_argument_text(span: Span, text: &str, why: &str) -> Diagnostic {
    Diagnostic::new(Code::ArgumentType, span, format!("`{text}` does not fit here: {why}")).at("stands for this")
}

pub fn two_scopes(second: Span, first: Span) -> Diagnostic {
    Diagnostic::new(Code::TwoScopes, second, "a file has one scope")
        .at("a second one")
        .label(first, "the first")
        .note("write one with braces: `scope { a/*, b/* }`")
}

pub fn scope_not_workloads(span: Span, kind: Kind) -> Diagnostic {
    Diagnostic::new(Code::NotWorkloads, span, format!("a scope is made of workloads, and this is {}", kind.words()))
        .at("pods stand here, as `garden/*`")
}

pub fn scope_with_ports(span: Span) -> Diagnostic {
    Diagnostic::new(Code::PortsOnSource, span, "a scope has no ports").at("leave them out")
}

pub fn facts_outside_scope(span: Span, what: &str, name: &str, scope: Span) -> Diagnostic {
    Diagnostic::new(Code::FactsOutsideScope, span, format!("this file may not state facts about the namespace {name}"))
        .at(format!("a {what} outside the scope"))
        .label(scope, "set here")
}

pub fn outside_scope(
    at: Span,
    scope: Span,
    scope_text: &str,
    governed: &str,
    written: Option<Span>,
    other: Option<String>,
) -> Diagnostic {
    let allowed = scope_text.trim_start_matches("scope").trim();
    let diagnostic = Diagnostic::new(Code::OutsideScope, at, format!("this file may govern {allowed} only"))
        .at(format!("this governs {governed}"))
        .label(scope, "set here");
    let diagnostic = match written {
        Some(written) => diagnostic.label(written, "the template governs this"),
        None => diagnostic,
    };
    diagnostic.note_opt(other.map(|half| format!("the owner of {governed} must say it; your half is `{half}`")))
}
