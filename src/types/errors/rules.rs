//! Messages about rules, their clauses and claims.

use time::Date;

use crate::diag::{Code, Diagnostic, Edit};
use crate::source::Span;
use crate::syntax::tree::Ident;
use crate::types::value::Kind;

pub fn both_governed(
    span: Span,
    keyword: Span,
    culprit: Span,
    text: &str,
    right: bool,
    effect: &str,
    sentence: Option<(&str, String)>,
) -> Diagnostic {
    let side = if right { "right" } else { "left" };
    let message = format!("the {side} side is governed too, and `{text}` is not made of workloads alone");
    let diagnostic = Diagnostic::new(Code::BothGoverned, span, message)
        .at("without a direction both ends are governed")
        .label(culprit, "nothing here can be enforced on its side");
    match sentence {
        Some((direction, sentence)) => diagnostic.note(format!("to govern the other end only: `{sentence}`")).fix(
            format!("write `{effect} {direction}`"),
            keyword,
            format!("{effect} {direction}"),
        ),
        None => diagnostic,
    }
}

pub fn governed_side(span: Span, kind: Kind, direction: &str, place: Span) -> Diagnostic {
    let side = if direction == "egress" { "left" } else { "right" };
    Diagnostic::new(
        Code::NotWorkloads,
        span,
        format!("{direction} governs the {side} side, and this is {}", kind.words()),
    )
    .at("workloads stand here: pods of the cluster, each member of a union")
    .label(place, format!("{direction} governs the {side} side"))
}

pub fn not_workloads(span: Span, kind: Kind, why: &str) -> Diagnostic {
    Diagnostic::new(Code::NotWorkloads, span, format!("{why}, and this is {}", kind.words()))
        .at("workloads stand here, as `garden/*`")
}

pub fn ports_on_source(span: Span) -> Diagnostic {
    Diagnostic::new(Code::PortsOnSource, span, "ports belong to a destination, and this stands left of `->`")
        .at("the port that a client sends from says nothing")
        .fix("leave the ports out", span, "")
}

pub fn ports_on_subject(span: Span) -> Diagnostic {
    Diagnostic::new(Code::PortsOnSource, span, "`default deny` isolates pods on every port")
        .at("a port stands on destinations only")
        .fix("leave the ports out", span, "")
}

pub fn where_needs_http(clause: Span, word: &str, tls_too: bool, to: Span, bare: &[Span]) -> Diagnostic {
    let wanted = if tls_too { "`http`, `grpc` or `tls`" } else { "`http` or `grpc`" };
    let diagnostic = Diagnostic::new(
        Code::WhereNeedsHttp,
        clause,
        format!("`where {word}` needs {wanted} on every port of the destination"),
    )
    .at("cannot be read on these ports")
    .label(to, "the destination");
    if bare.is_empty() {
        return diagnostic.note("say how the port is read: `garden/{app=api}:8080/http`");
    }
    let edits = bare.iter().map(|span| Edit { span: span.after(), text: "/http".into() }).collect();
    diagnostic.fix_all("add `/http`", edits)
}

pub fn jwt_on_deny(span: Span) -> Diagnostic {
    Diagnostic::new(Code::WhereOnDeny, span, "`where jwt` stands on `allow` only")
        .at("whoever leaves the token out would pass")
        .note("allow who has the token; nobody else is let in then")
}

pub fn via_misplaced(span: Span) -> Diagnostic {
    Diagnostic::new(Code::ViaMisplaced, span, "`via` stands on `allow egress` and `allow ingress` only")
        .at("not on this rule")
}

pub fn via_needs_at(span: Span, gateway: &str) -> Diagnostic {
    Diagnostic::new(Code::ViaNeedsHost, span, "`via` on ingress needs the public host")
        .at("behind a gateway the pod sees the gateway's address, not the client's")
        .note(format!("name the host that the gateway serves: `via {gateway} at \"garden.example.com\"`"))
}

pub fn via_at_on_egress(span: Span) -> Diagnostic {
    Diagnostic::new(Code::ViaAtOnEgress, span, "`at` stands on ingress only")
        .at("on egress the destination is the host")
        .note("leave `at` out")
}

pub fn via_needs_tls_hosts(span: Span, via: Span) -> Diagnostic {
    Diagnostic::new(Code::ViaNeedsTlsHosts, span, "`via` on egress leads to hosts on tls ports")
        .at("expected hosts with ports as `example.com:443/tls`")
        .label(via, "the gateway forwards by the TLS name")
}

pub fn not_a_gateway(name: &Ident, defined: Span) -> Diagnostic {
    Diagnostic::new(Code::NotAGateway, name.span, format!("`{}` is not a gateway", name.text))
        .at("a `gateway` stands after `via`")
        .label(defined, "defined here")
}

pub fn not_an_issuer(name: &Ident, defined: Span) -> Diagnostic {
    Diagnostic::new(Code::NotAnIssuer, name.span, format!("`{}` is not an issuer", name.text))
        .at("an `issuer` stands after `jwt`")
        .label(defined, "defined here")
}

pub fn gateway_service(span: Span, name: &str, gateway: Span) -> Diagnostic {
    Diagnostic::new(Code::GatewayService, span, format!("the Service of the gateway `{name}` is not known"))
        .at("traffic is sent to it by its Service")
        .label(gateway, "add `service namespace/name` here")
}

pub fn expired(span: Span, day: Date, today: Date) -> Diagnostic {
    let ago = (today - day).whole_days();
    let s = if ago == 1 { "" } else { "s" };
    Diagnostic::new(Code::Expired, span, format!("this expired {ago} day{s} ago"))
        .at("the last day on which it held")
        .note("renew the date or remove the statement; nothing is left out silently")
}

pub fn claim_without_workloads(span: Span) -> Diagnostic {
    Diagnostic::new(Code::ClaimWithoutWorkloads, span, "one side of a claim must be workloads")
        .at("no pod of the cluster is on either side")
}

pub fn claim_not_judged(span: Span, what: &str) -> Diagnostic {
    Diagnostic::new(Code::ClaimNotJudged, span, format!("this {what} was checked for sense and not judged"))
        .at("this version does not decide it")
}
