//! Messages about rules, their clauses and claims.

use time::Date;

use super::endpoints::Key;
use crate::diag::{Code, Diagnostic, Edit};
use crate::model::gateways::{Gateway, GatewayPort};
use crate::source::Span;
use crate::syntax::tree::Ident;
use crate::types::value::Kind;

/// Returns a sentence about an endpoint on a governed side that is not pods, and the label for its span.
fn not_pods(text: &str, kind: Kind) -> (String, &'static str) {
    match kind {
        Kind::Workloads => (format!("`{text}` is made of pods"), "pods"),
        Kind::Host => (format!("`{text}` is not in the cluster"), "a host: nothing here can be enforced on its side"),
        Kind::Addresses => {
            (format!("`{text}` is not in the cluster"), "addresses: nothing here can be enforced on their side")
        }
        Kind::Endpoint => {
            (format!("`{text}` is not made of pods alone"), "a mixture of kinds: not all of it can be governed")
        }
    }
}

/// An endpoint on a governed side that is not pods.
pub struct Outsider<'a> {
    pub span: Span,
    pub text: &'a str,
    pub kind: Kind,
}

/// `open` is the side without ports and `told` the one with them; `words` are the effect and the texts of both.
pub fn one_way_open(open: Span, told: Span, [effect, side, other]: [&str; 3]) -> Diagnostic {
    let all = if effect == "allow" { "opens" } else { "denies" };
    let message = format!("ports stand on one side of `<->` only, so this {all} every port of `{side}`");
    Diagnostic::new(Code::OneWayOpen, open, message)
        .at("no ports for the way to here")
        .label(told, "the ports of the other way")
        .note(format!("answers need no rule: for connections to `{other}` alone write `{effect} {side} -> {other}`"))
        .note(format!("for both ways write ports on both sides, as in `{side}:8080 <-> {other}`"))
}

/// `keyword` is the `allow` or `deny`; `half` the sentence that governs the other side alone, by replacing the keyword.
pub fn both_governed(keyword: Span, outsider: &Outsider<'_>, right: bool, half: Half) -> Diagnostic {
    let side = if right { "right" } else { "left" };
    let (is, label) = not_pods(outsider.text, outsider.kind);
    let diagnostic = Diagnostic::new(Code::BothGoverned, keyword, format!("the {side} side is governed too, and {is}"))
        .at("without a direction both ends are governed")
        .label(outsider.span, label);
    half.offer(diagnostic)
}

/// The advice beside a message: a sentence, and the edits that lead there.
#[derive(Default)]
pub struct Half {
    /// "to govern `garden/*` only: `allow egress garden/* -> zenquotes.io:443`"
    pub note: Option<String>,
    /// The edits that make it so.
    pub edits: Vec<Edit>,
}

impl Half {
    /// Makes a note that no edit brings about.
    pub fn note(text: &str) -> Half {
        Half { note: Some(text.into()), edits: Vec::new() }
    }

    pub(super) fn offer(self, diagnostic: Diagnostic) -> Diagnostic {
        match self.note {
            Some(note) if self.edits.is_empty() => diagnostic.note(note),
            Some(note) => diagnostic.fix_all(note, self.edits),
            None => diagnostic,
        }
    }
}

/// `turned` proposes the rule with its sides exchanged.
pub fn governed_side(outsider: &Outsider<'_>, direction: &str, half: Half, turned: Option<String>) -> Diagnostic {
    let side = if direction == "egress" { "left" } else { "right" };
    let (is, label) = not_pods(outsider.text, outsider.kind);
    let message = format!("{direction} governs the {side} side, and {is}");
    half.offer(Diagnostic::new(Code::NotWorkloads, outsider.span, message).at(label)).note_opt(turned)
}

pub fn both_ways(outsider: &Outsider<'_>, direction: &str, half: Half) -> Diagnostic {
    let (is, label) = not_pods(outsider.text, outsider.kind);
    let message = format!("with `<->` {direction} governs both sides in turn, and {is}");
    half.offer(Diagnostic::new(Code::NotWorkloads, outsider.span, message).at(label))
}

/// `what` says what must be pods: "`default deny` isolates pods".
pub fn not_workloads(outsider: &Outsider<'_>, what: &str) -> Diagnostic {
    let (is, label) = not_pods(outsider.text, outsider.kind);
    Diagnostic::new(Code::NotWorkloads, outsider.span, format!("{what}, and {is}")).at(label)
}

/// `moved` is the destination with these ports, and its end, where they can be put there.
pub fn ports_on_source(span: Span, ports: &str, moved: Option<(String, Span)>) -> Diagnostic {
    let diagnostic =
        Diagnostic::new(Code::PortsOnSource, span, "ports belong to a destination, and this stands left of `->`")
            .at("the port that a client sends from says nothing");
    let diagnostic = match moved {
        Some((whole, end)) => diagnostic.fix_all(
            format!("put them on the destination: `{whole}`"),
            vec![Edit { span, text: String::new() }, Edit { span: end.after(), text: ports.into() }],
        ),
        None => diagnostic,
    };
    diagnostic.fix("leave the ports out", span, "")
}

pub fn ports_on_subject(span: Span) -> Diagnostic {
    Diagnostic::new(Code::PortsOnSource, span, "`default deny` isolates pods on every port")
        .at("a port stands on destinations only")
        .fix("leave the ports out", span, "")
}

/// The reason why a destination's requests cannot be read, with the remedy.
pub enum Unreadable {
    /// These ports lack `/http`.
    Bare(Vec<Span>),
    /// The ports are tls, so the requests are sealed.
    Sealed,
    /// The destination has no port; it could be written so.
    NoPort(String),
    /// The ports are of another protocol.
    Other,
}

/// `word` is what follows `where`; `to` the span of the endpoint that cannot be read.
pub fn where_needs_http(clause: Span, word: &str, to: Span, why: Unreadable) -> Diagnostic {
    let diagnostic = match word {
        "at" => {
            let message = "`at` needs `http`, `grpc` or `tls` on every port of the destination";
            Diagnostic::new(Code::AtNeedsNames, clause, message).at("on other ports a client asks for no host by name")
        }
        _ => {
            let wanted = if word == "host" { "`http`, `grpc` or `tls`" } else { "`http` or `grpc`" };
            let message = format!("`where {word}` needs {wanted} on every port of the destination");
            Diagnostic::new(Code::WhereNeedsHttp, clause, message).at("nobody could see it")
        }
    };
    let not_said = "how these ports are read is not said";
    match why {
        Unreadable::Bare(ports) => {
            let edits = ports.iter().map(|span| Edit { span: span.after(), text: "/http".into() }).collect();
            diagnostic.label(to, not_said).fix_all("say that they are HTTP: add `/http`", edits)
        }
        Unreadable::Sealed => diagnostic
            .label(to, "these are tls, and their requests encrypted")
            .note("of TLS only the name is seen that the client asks for: `where host`"),
        Unreadable::NoPort(example) => {
            diagnostic.label(to, "these are all ports").note(format!("say which port, and how it is read: `{example}`"))
        }
        Unreadable::Other => diagnostic.label(to, "not all of these ports carry requests"),
    }
    .note_opt((word == "at").then_some(WITHOUT_AT))
}

/// The advice for ports on which clients ask a gateway for no name.
const WITHOUT_AT: &str =
    "where clients ask for no name, leave `at` out: the gateway's port, such as `port 5432/tcp`, says what they want";

/// `egress` says whether the deny is on the way out alone.
pub fn jwt_on_deny(span: Span, egress: bool) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::WhereOnDeny, span, "`where jwt` stands on `allow ingress` only")
        .at("whoever leaves the token out would get round it");
    match egress {
        true => diagnostic
            .note("no layer reads a token on its way out: leave the clause out to close the way for everybody")
            .note("who must bring a token is said where it comes in: `allow ingress … where jwt …`"),
        false => diagnostic
            .note("in place of this deny, let in only those who carry the token: `allow ingress … where jwt …`")
            .note("once such a rule isolates the pods, nobody else comes in"),
    }
}

/// `where_` says on what it stands instead.
pub fn via_misplaced(span: Span, where_: &str) -> Diagnostic {
    Diagnostic::new(Code::ViaMisplaced, span, "`via` stands on `allow egress` and `allow ingress` only")
        .at(format!("not {where_}"))
}

/// `unread` says whether the destination's ports are neither HTTP nor TLS.
pub fn via_needs_at(span: Span, gateway: &str, unread: bool) -> Diagnostic {
    let other = unread.then(|| {
        format!("or, where the port is neither HTTP nor TLS, say so in the block of `{gateway}`: `port 5432/tcp`")
    });
    Diagnostic::new(Code::ViaNeedsHost, span, "`via` on ingress needs the public host")
        .at("behind a gateway the pod sees the gateway's address, not the client's")
        .note(format!("name the host that the gateway serves: `via {gateway} at \"garden.example.com\"`"))
        .note_opt(other)
}

/// `ports` are the gateway's that are neither HTTP nor TLS.
pub fn via_port_unclear(span: Span, gateway: &Gateway, ports: &[u16]) -> Diagnostic {
    let list: Vec<String> = ports.iter().map(u16::to_string).collect();
    let message = format!("which port of `{}` leads here is not known", gateway.name);
    Diagnostic::new(Code::GatewayPortUnclear, span, message)
        .at(format!("{} are neither HTTP nor TLS, and none has the number of the destination's port", list.join(", ")))
        .label(gateway.span, "declared here")
        .note("declare a gateway with the same pods and the one port that leads here, and name it after `via`")
}

/// `host` is the public host, and `port` one that passes it on.
pub fn passes_tls_through(span: Span, gateway: &Gateway, port: &GatewayPort, host: &str) -> Diagnostic {
    let name = &gateway.name;
    let message = format!("`{name}` passes TLS on unread, and no request for `{host}` comes out of that");
    let (number, target) = (port.port, port.target);
    Diagnostic::new(Code::PassesTlsThrough, span, message)
        .at("the destination takes requests, not TLS")
        .label(gateway.span, format!("here port {number} is `tls`"))
        .note(format!("where TLS ends at the gateway, its block says `port {number} -> {target}/https`"))
}

/// `what` of a request, its `path` or its `host`, a route changes.
pub fn route_rewrites(span: Span, title: &str, what: &str, origin: Span) -> Diagnostic {
    Diagnostic::new(Code::RouteRewrites, span, format!("the {what} is changed on the way to these pods, by {title}"))
        .at(format!("the pods compare the {what} once more, and refuse one that is changed"))
        .label(origin, "rewritten here")
        .note(format!("leave the {what} as it is in the route, or do not ask for it behind this gateway"))
}

/// `object` is the Gateway of the inventory with its span, `found` the protocol that it gives the port.
pub fn gateway_contradicted(span: Span, port: u16, said: &str, object: (&str, Span), found: &str) -> Diagnostic {
    let message = format!("port {port} is `{found}` in the Gateway {}, not `{said}`", object.0);
    Diagnostic::new(Code::GatewayContradicted, span, message)
        .at(format!("declared as `{said}`"))
        .label(object.1, format!("here it is `{found}`"))
        .note("say what the object says: `http` is plain HTTP, `https` TLS that ends at the gateway, `tls` TLS passed on by name, `tcp` neither")
}

/// `clause` is the `at` with its host.
pub fn via_at_on_egress(clause: Span) -> Diagnostic {
    Diagnostic::new(Code::ViaAtOnEgress, clause, "`at` stands on `allow ingress` only")
        .at("on the way out the destination is the host")
        .fix("leave it out", clause, "")
}

/// `host` is a public host of the `at` in `via`, and `asked` one of the condition.
pub fn other_hosts(via: Span, host: &str, asked: &str) -> Diagnostic {
    Diagnostic::new(Code::UnusableAllow, via, "no flow can use this: the condition asks for other hosts")
        .at(format!("clients ask the gateway for {host}, and `where host` lets {asked} in"))
        .note("leave the `where host` out: `at` lets nobody in who asks for another host")
}

/// `why` says what is not right with the destination at `span`, and `instead` what to write.
pub fn via_needs_hosts(span: Span, (why, instead): (&str, Option<&str>), via: Span) -> Diagnostic {
    Diagnostic::new(Code::ViaNeedsHosts, span, "`via` on egress leads to hosts that a sidecar tells from others")
        .at(why)
        .label(via, "the gateway forwards by a name")
        .note_opt(instead)
}

/// `defined` is where it is, unless it is a parameter.
pub fn not_a_gateway(name: &Ident, defined: Option<Span>) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::NotAGateway, name.span, format!("`{}` is not a gateway", name.text))
        .at("the name of a `gateway` stands after `via`");
    match defined {
        Some(defined) => diagnostic.label(defined, "defined here"),
        None => diagnostic.note("no type of parameter is a gateway"),
    }
}

/// `defined` is where it is, unless it is a parameter.
pub fn not_an_issuer(name: &Ident, defined: Option<Span>) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::NotAnIssuer, name.span, format!("`{}` is not an issuer", name.text))
        .at("the name of an `issuer` stands after `jwt`");
    match defined {
        Some(defined) => diagnostic.label(defined, "defined here"),
        None => diagnostic.note("no type of parameter is an issuer"),
    }
}

/// `gateway` is its declaration, and `near` the one Service that selects some of its pods.
pub fn gateway_service(span: Span, name: &str, gateway: Span, near: Option<Key>) -> Diagnostic {
    let near = near.map(|(namespace, name)| {
        format!("the Service {namespace}/{name} selects some of its pods: if it leads to all of them, write `service {namespace}/{name}` there")
    });
    Diagnostic::new(Code::GatewayService, span, format!("the Service of the gateway `{name}` is not known"))
        .at("the mesh sends traffic to it by its Service")
        .label(gateway, "add `service namespace/name` to its declaration")
        .note_opt(near)
}

/// `day` was its last day.
pub fn expired(span: Span, day: Date, today: Date) -> Diagnostic {
    let ago = match (today - day).whole_days() {
        1 => "yesterday was its last day".into(),
        days => format!("its last day was {days} days ago"),
    };
    Diagnostic::new(Code::Expired, span, format!("this has expired: {ago}"))
        .at("the last day on which it holds")
        .note("renew the date or remove the statement: nothing is left out silently")
}

pub fn claim_without_workloads(span: Span) -> Diagnostic {
    Diagnostic::new(Code::ClaimWithoutWorkloads, span, "one side of a claim must be pods")
        .at("no policy of the cluster decides about this")
}

/// A claim about pods that are clients of a gateway, whose clause is at `via`.
pub fn claim_of_pods_as_clients(span: Span, via: Span) -> Diagnostic {
    Diagnostic::new(Code::ClaimNotJudged, span, "this claim was not judged")
        .at("pods stand among the clients")
        .label(via, "a gateway knows its clients by their addresses, and those of pods are not known")
        .note("name clients by their addresses, as `outside`; a claim about the pods themselves does without `via`")
}
