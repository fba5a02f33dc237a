//! Ports, and the ports of blocks.

use pest::iterators::{Pair, Pairs};

use super::{Lower, most_elements};
use crate::model::ports::{AppProtocol, Protocol};
use crate::source::Span;
use crate::syntax::grammar::Rule;
use crate::syntax::tree::{NamedPort, Origination, Port, PortKind, PortMapping, PortProtocol, PortSpec};
use crate::syntax::{errors, words};

impl Lower<'_> {
    pub(super) fn ports(&mut self, pair: Pair<'_, Rule>) -> PortSpec {
        let span = self.span(&pair);
        let braced = pair.as_str().starts_with(":{");
        let mut ports: Vec<Port> = Vec::with_capacity(most_elements(pair.as_str()));
        let mut open: Option<Span> = None;
        for pair in pair.into_inner() {
            if pair.as_rule() == Rule::comma {
                open = None;
                continue;
            }
            let place = self.span(&pair);
            let port = if !braced && pair.as_str().contains(':') {
                self.push(errors::two_suffixes(place, pair.as_str()));
                error_port(place)
            } else {
                self.port(pair.as_str(), place)
            };
            if let Some(before) = open.replace(port.span) {
                self.push(errors::missing_comma(before, port.span));
            }
            ports.push(port);
        }
        if ports.is_empty() {
            self.push(errors::empty_list(span, "port"));
            ports.push(error_port(span));
        }
        PortSpec { span, ports, braced }
    }

    pub(super) fn port(&mut self, text: &str, span: Span) -> Port {
        let (number, protocol) = match text.split_once('/') {
            Some((number, protocol)) => (number, Some(protocol)),
            None => (text, None),
        };
        let protocol = match protocol.map(|word| (word, port_protocol(word))) {
            None => None,
            Some((_, Some(protocol))) => Some(protocol),
            Some((word, None)) => {
                let place = Span { start: span.end - word.len() as u32, ..span };
                self.push(if errors::PROTOCOLS.contains(&number) && port_number(word).is_some() {
                    errors::swapped_port(span, word, number)
                } else if word.is_empty() {
                    errors::unknown_protocol(span, word)
                } else {
                    errors::unknown_protocol(place, word)
                });
                return error_port(span);
            }
        };
        let place = Span { end: span.start + number.len() as u32, ..span };
        let kind = match port_kind(number) {
            Ok(kind) => kind,
            Err(why) => {
                self.push(errors::not_a_port(place, number, why, protocol.is_some()));
                return error_port(span);
            }
        };
        if protocol == Some(PortProtocol::Transport(Protocol::Icmp)) && kind != PortKind::Any {
            self.push(errors::icmp_port(span));
            return error_port(span);
        }
        Port { span, kind, protocol }
    }

    /// Lowers the ports at both sides of an arrow: `80 -> 8080/http`.
    fn around_arrow(&mut self, pairs: Pairs<'_, Rule>) -> Vec<Port> {
        let mut ports = Vec::with_capacity(2);
        for pair in pairs {
            match pair.as_rule() {
                Rule::port => ports.push(self.port(pair.as_str(), self.span(&pair))),
                Rule::arrow => self.block_arrow(&pair),
                _ => {}
            }
        }
        ports
    }

    /// Lowers `port 80 -> 8080/http`.
    pub(super) fn port_mapping(&mut self, span: Span, pairs: Pairs<'_, Rule>) -> Option<PortMapping> {
        let mut ports = self.around_arrow(pairs).into_iter();
        let left = ports.next()?;
        let target = ports.next();
        let protocol = match left.protocol {
            None => None,
            Some(PortProtocol::Transport(protocol)) if protocol != Protocol::Icmp => Some(protocol),
            Some(_) => {
                let why = "what a port is read as stands to the right of its arrow: `80 -> 8080/http`";
                self.push(errors::block_port(left.span, why));
                return None;
            }
        };
        if let Some(target) = &target
            && matches!(target.kind, PortKind::Range(..) | PortKind::Any)
        {
            self.push(errors::block_port(target.span, "a port of a block leads to one port"));
            return None;
        }
        match left.kind {
            PortKind::Number(port) => Some(PortMapping { span, port, protocol, target }),
            PortKind::Error => None,
            _ => {
                self.push(errors::block_port(left.span, "a port of a block has one number"));
                None
            }
        }
    }

    /// Lowers `port 80/http -> 443/tls` of a host. As on hosts everywhere, a bare 80 is HTTP and a bare 443 is TLS.
    pub(super) fn origination(&mut self, span: Span, pairs: Pairs<'_, Rule>) -> Option<Origination> {
        let mut ports = self.around_arrow(pairs).into_iter();
        let (dialled, target) = (ports.next()?, ports.next()?);
        for (port, by_number, words) in [
            (&dialled, 80, "to the left stands the port that pods dial, with `/http` or `/grpc`"),
            (&target, 443, "to the right stands the host's port, with `/tls`"),
        ] {
            let number = match port.kind {
                PortKind::Error => return None,
                PortKind::Number(number) => Some(number),
                _ => None,
            };
            let app = match port.protocol {
                Some(PortProtocol::App(app)) => Some(app.unless_gateway()),
                _ => None,
            };
            let is_read = match by_number {
                443 => app == Some(AppProtocol::Tls),
                _ => matches!(app, Some(AppProtocol::Http | AppProtocol::Grpc)),
            };
            if number.is_none() || !(is_read || port.protocol.is_none() && number == Some(by_number)) {
                self.push(errors::origination(port.span, words));
                return None;
            }
        }
        Some(Origination { span, dialled, target })
    }

    /// Lowers `port web 9090/tcp`.
    pub(super) fn named_port(&mut self, span: Span, mut pairs: Pairs<'_, Rule>) -> Option<NamedPort> {
        let name = self.plain_ident(pairs.next());
        if !words::is_port_name(&name.text) {
            let why = "the name of a port stands here: lower-case letters, digits and inner `-`, with a letter";
            self.push(errors::container_port(name.span, why));
            return None;
        }
        let pair = pairs.next()?;
        let port = self.port(pair.as_str(), self.span(&pair));
        let (number, protocol) = match (&port.kind, port.protocol) {
            (PortKind::Error, _) => return None,
            (PortKind::Number(number), None) => (*number, None),
            (PortKind::Number(number), Some(PortProtocol::Transport(protocol))) => (*number, Some(protocol)),
            _ => {
                self.push(errors::container_port(port.span, "a container's port is one number"));
                return None;
            }
        };
        Some(NamedPort { span, name, port: number, protocol })
    }

    fn block_arrow(&mut self, pair: &Pair<'_, Rule>) {
        let (arrow, span) = self.arrow(pair);
        if arrow == crate::syntax::tree::Arrow::Both {
            self.push(errors::wrong_arrow(span, "<->"));
        }
    }
}

fn error_port(span: Span) -> Port {
    Port { span, kind: PortKind::Error, protocol: None }
}

fn port_kind(text: &str) -> Result<PortKind, &'static str> {
    if text == "*" {
        return Ok(PortKind::Any);
    }
    if words::is_digits(text) {
        return port_number(text).map(PortKind::Number).ok_or(NUMBER);
    }
    match text.split_once('-') {
        Some((first, last)) if words::is_digits(first) && words::is_digits(last) => {
            let (Some(first), Some(last)) = (port_number(first), port_number(last)) else { return Err(NUMBER) };
            if first <= last {
                Ok(PortKind::Range(first, last))
            } else {
                Err("its first number is larger than its last")
            }
        }
        _ if words::is_port_name(text) => Ok(PortKind::Name(text.into())),
        _ => Err("a port is a number, a range `8000-8999`, a name of lower-case letters, digits and inner `-`, or `*`"),
    }
}

const NUMBER: &str = "ports are numbers from 1 to 65535";

fn port_number(text: &str) -> Option<u16> {
    let number = if text.starts_with('0') || !words::is_digits(text) { None } else { text.parse().ok() };
    number.filter(|&port| port > 0)
}

fn port_protocol(word: &str) -> Option<PortProtocol> {
    Some(match word {
        "tcp" => PortProtocol::Transport(Protocol::Tcp),
        "udp" => PortProtocol::Transport(Protocol::Udp),
        "sctp" => PortProtocol::Transport(Protocol::Sctp),
        "icmp" => PortProtocol::Transport(Protocol::Icmp),
        "http" => PortProtocol::App(AppProtocol::Http),
        "grpc" => PortProtocol::App(AppProtocol::Grpc),
        "tls" => PortProtocol::App(AppProtocol::Tls),
        "https" => PortProtocol::App(AppProtocol::Https),
        _ => return None,
    })
}
