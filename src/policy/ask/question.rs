//! The words of a question: endpoints and one port.

use super::Question;
use crate::diag::Diagnostics;
use crate::model::ports::Protocol;
use crate::source::Sources;
use crate::syntax::tree::{Expr, ExprKind, Port, PortKind, PortProtocol};

/// Parses an endpoint of a question.
pub(super) fn parse(text: &str) -> Result<Expr, String> {
    let mut sources = Sources::new();
    let file = sources.add("", text);
    let mut diagnostics = Diagnostics::new();
    let span = crate::source::Span::new(file, 0, text.len());
    // An IPv6 address alone needs no brackets in a question; in a policy it does.
    let bracketed = text.parse::<std::net::Ipv6Addr>().is_ok().then(|| format!("[{text}]"));
    let expr = crate::syntax::parse_endpoint(bracketed.as_deref().unwrap_or(text), span, &mut diagnostics);
    match diagnostics.iter().next() {
        Some(first) => Err(format!("`{text}`: {}", first.message)),
        None if expr.kind == ExprKind::Error => Err(format!("`{text}` is not an endpoint")),
        None => Ok(expr),
    }
}

/// The port of a question, with its protocol if the question has one.
pub(super) struct WantedPort {
    /// The port; `None` for ICMP, which has none.
    pub kind: Option<PortKind>,
    /// The protocol.
    pub protocol: Option<Protocol>,
}

/// Returns the port of a question, or an error that says why it is missing. `known` are the destination's ports, as a
/// question writes them, each perhaps with further words.
pub(super) fn wanted_port(
    to: &Expr,
    question: &Question,
    known: impl FnOnce() -> Vec<(String, String)>,
) -> Result<WantedPort, String> {
    let written = match to.ports.as_ref().map(|spec| spec.ports.as_slice()) {
        None => None,
        Some([one]) => Some(one),
        Some(_) => return Err(format!("`{}`: ask for one port at a time", question.to)),
    };
    let said = match written {
        Some(Port { protocol: Some(PortProtocol::Transport(protocol)), .. }) => Some(*protocol),
        Some(Port { protocol: Some(PortProtocol::App(_)), .. }) => Some(Protocol::Tcp),
        _ => None,
    };
    let protocol = match (&question.protocol, said) {
        (_, Some(said)) => Some(said),
        (Some(word), None) => Some(Protocol::parse(word).ok_or(format!("there is no protocol `{word}`"))?),
        (None, None) => None,
    };
    let kind = match (written, &question.port) {
        (Some(port), _) => Some(port.kind.clone()),
        (None, Some(text)) => Some(match text.parse::<u16>() {
            Ok(0) => return Err("a port is a number from 1 to 65535".into()),
            Ok(number) => PortKind::Number(number),
            Err(_) if text.bytes().all(|b| b.is_ascii_digit()) => {
                return Err("a port is a number from 1 to 65535".into());
            }
            Err(_) => PortKind::Name(text.into()),
        }),
        (None, None) => None,
    };
    match (&kind, protocol) {
        (_, Some(Protocol::Icmp)) => Ok(WantedPort { kind: None, protocol }),
        (None, _) => {
            let known = known();
            let first = known.first().map_or("443", |(port, _)| port.as_str());
            let all: Vec<String> = known.iter().map(|(port, more)| format!("{port}{more}")).collect();
            let told = if all.is_empty() { String::new() } else { format!("; it has {}", all.join(", ")) };
            Err(format!("`{}` needs a port, as `{}:{first}`{told}", question.to, question.to))
        }
        (Some(PortKind::Range(..) | PortKind::Any | PortKind::Error), _) => {
            Err(format!("`{}`: ask for one port at a time", question.to))
        }
        _ => Ok(WantedPort { kind, protocol }),
    }
}
