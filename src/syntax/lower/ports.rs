//! Ports, and the ports of blocks.

use pest::iterators::Pair;

use super::Lower;
use super::endpoint::error_port;
use crate::diag::Code;
use crate::source::Span;
use crate::syntax::grammar::Rule;
use crate::syntax::tree::{Port, PortKind, PortMapping, PortProtocol, PortSpec};
use crate::vocab::ports::{AppProtocol, Protocol};

impl Lower<'_> {
    pub(super) fn ports(&mut self, pair: Pair<'_, Rule>) -> PortSpec {
        let span = self.span(&pair);
        let braced = pair.as_str().starts_with(":{");
        let ports: Vec<Port> = pair
            .into_inner()
            .filter(|pair| pair.as_rule() == Rule::port)
            .map(|pair| self.port(pair.as_str(), self.span(&pair)))
            .collect();
        if ports.is_empty() {
            self.error(Code::Expected, span, "an empty list");
            return PortSpec { span, ports: vec![error_port(span)], braced };
        }
        PortSpec { span, ports, braced }
    }

    pub(super) fn port(&mut self, text: &str, span: Span) -> Port {
        let (number, protocol) = match text.split_once('/') {
            Some((number, protocol)) => (number, Some(protocol)),
            None => (text, None),
        };
        let protocol = match protocol.map(port_protocol) {
            Some(None) => {
                self.error(Code::Expected, span, "unknown protocol");
                return error_port(span);
            }
            Some(protocol) => protocol,
            None => None,
        };
        let kind = match number.split_once('-') {
            _ if number == "*" => Some(PortKind::Any),
            _ if number.bytes().all(|byte| byte.is_ascii_digit()) => port_number(number).map(PortKind::Number),
            Some((first, last)) if is_digits(first) && is_digits(last) => match (port_number(first), port_number(last))
            {
                (Some(first), Some(last)) if first <= last => Some(PortKind::Range(first, last)),
                _ => None,
            },
            _ => Some(PortKind::Name(number.into())),
        };
        match kind {
            Some(kind) => Port { span, kind, protocol },
            None => {
                self.error(Code::Expected, span, "a port is a number from 1 to 65535");
                error_port(span)
            }
        }
    }

    /// Lowers `port 80 -> 8080/http`.
    pub(super) fn port_mapping(&mut self, span: Span, pairs: pest::iterators::Pairs<'_, Rule>) -> Option<PortMapping> {
        let mut ports = pairs.filter(|pair| pair.as_rule() == Rule::port);
        let left = ports.next()?;
        let left = self.port(left.as_str(), self.span(&left));
        let target = ports.next().map(|pair| self.port(pair.as_str(), self.span(&pair)));
        let protocol = match left.protocol {
            None => None,
            Some(PortProtocol::Transport(protocol)) if protocol != Protocol::Icmp => Some(protocol),
            Some(_) => {
                self.error(Code::Expected, left.span, "left of `->` stands `/udp`, `/sctp` or `/tcp` at most");
                None
            }
        };
        match left.kind {
            PortKind::Number(port) => Some(PortMapping { span, port, protocol, target }),
            PortKind::Error => None,
            _ => {
                self.error(Code::Expected, left.span, "expected a number");
                None
            }
        }
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn port_number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|&port| port > 0)
}

fn port_protocol(word: &str) -> Option<PortProtocol> {
    Some(match word {
        "tcp" => PortProtocol::Transport(Protocol::Tcp),
        "udp" => PortProtocol::Transport(Protocol::Udp),
        "sctp" => PortProtocol::Transport(Protocol::Sctp),
        "icmp" => PortProtocol::Transport(Protocol::Icmp),
        "http" => PortProtocol::App(AppProtocol::Http),
        "grpc" => PortProtocol::App(AppProtocol::Grpc),
        "tls" | "https" => PortProtocol::App(AppProtocol::Tls),
        _ => return None,
    })
}
