//! The form of the listeners: how a Sidecar imports the items on one port.
//!
//! ```netpol
//! allow egress garden/* -> {zenquotes.io:443/tls, a.example:8080/http}
//! ```
//!
//! ```yaml
//! egress:
//!   - port: { number: 443, name: tls-443, protocol: TLS }
//!     hosts: ["./zenquotes.io"]
//!   - port: { number: 8080, name: http-8080, protocol: HTTP }
//!     hosts: ["./a.example"]
//! ```
//!
//! A listener with a port lets out only this port of its imports, and reads everything on it as one protocol: TLS
//! distinguishes hosts by the SNI, HTTP by the Host header, and TCP only addresses. So TLS hosts, HTTP hosts and
//! addresses cannot share a listener. A Service with its own address can share one with TLS hosts or addresses. Items
//! that cannot share a listener are imported without a port; there each keeps its own protocol, but lets out all of its
//! ports. A listener with a port hides this port of the listener without one, so both import such items.
//!
//! A Service may have a number twice, for UDP and for TCP, such as 53 of the cluster's DNS. A listener with that port
//! takes only the first. If that is UDP, TCP would be closed, so such a Service is imported without a port too.

/// How the items on a port are imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// By its own listener with this protocol.
    Own(&'static str),
    /// By its own listener, which also imports the namespaces that are imported whole.
    WithWhole(&'static str),
    /// By the listener without a port.
    Rest,
    /// By the listener without a port, which lets out other ports too.
    More,
}

/// The items on one port.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnPort {
    /// Hosts read as TLS.
    pub tls_hosts: bool,
    /// Hosts read as HTTP.
    pub http_hosts: bool,
    /// Addresses.
    pub addresses: bool,
    /// Services read as HTTP.
    pub http_services: bool,
    /// Services read as TLS.
    pub tls_services: bool,
    /// Services read as TCP.
    pub tcp_services: bool,
    /// Services whose port names give no protocol.
    pub auto_services: bool,
    /// Whether a Service has this number for another protocol first, or no address of its own and no HTTP on it.
    pub twice: bool,
    /// Whether the connections to a host are sent to another port of a gateway's Service. A listener with a port looks
    /// for that Service only on its own port.
    pub sent_on: bool,
    /// Whether the items let out no other ports if they are imported without a port.
    pub clean: bool,
    /// Whether the port is 53.
    pub dns: bool,
}

/// How the Services that are imported whole, by namespace and without a port, use a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// No Service is imported whole.
    No,
    /// All that have the port read it as HTTP.
    Http,
    /// Some may not read it as HTTP; a listener with the port fits all of them.
    Bytes,
    /// A listener with the port does not fit some of them: it would stand for every address, or for another protocol.
    Unfit,
}

impl OnPort {
    /// Returns whether everything is read as HTTP.
    fn is_http(self) -> bool {
        let others = self.tls_hosts || self.addresses || self.tls_services || self.tcp_services || self.auto_services;
        (self.http_hosts || self.http_services) && !others
    }

    /// Returns whether a proxy reads requests of a Service.
    fn reads(self) -> bool {
        self.http_services || self.auto_services
    }

    /// Returns a protocol by which a listener reads no requests, if hosts and addresses allow one.
    fn unread(self) -> Option<&'static str> {
        let tls_services = self.tls_services && !self.addresses && !self.tcp_services && !self.reads();
        match (self.http_hosts, self.tls_hosts, self.addresses) {
            (false, true, false) => Some("TLS"),
            (false, false, _) if tls_services => Some("TLS"),
            (false, false, _) => Some("TCP"),
            _ => None,
        }
    }
}

/// Returns how the items on a port are imported, beside the namespaces that are imported whole.
pub fn form(wanted: OnPort, whole: Whole) -> Form {
    let OnPort { clean, .. } = wanted;
    let twice = wanted.twice || wanted.sent_on;
    // Only the resolver has its own address here, so its listener hides no other import.
    let resolver = wanted.dns && !wanted.addresses && !wanted.reads();
    #[rustfmt::skip]
    let form = match (twice, whole, clean, wanted.is_http(), wanted.unread(), wanted.reads()) {
        // other whole         clean  http  unread    reads
        (true,   _,            true,  _,    _,        _    ) => Form::Rest,
        (true,   _,            false, _,    _,        _    ) => Form::More,
        (_,      Whole::No,    _,     true, _,        _    ) => Form::Own("HTTP"),
        (_,      Whole::No,    _,     _,    Some(by), false) => Form::Own(by),
        (_,      Whole::No,    true,  _,    _,        _    ) => Form::Rest,
        (_,      Whole::No,    _,     _,    Some(by), _    ) => Form::Own(by),
        (_,      _,            _,     _,    Some(by), _    ) if resolver => Form::Own(by),
        (_,      _,            true,  _,    _,        _    ) => Form::Rest,
        (_,      Whole::Http,  _,     true, _,        _    ) => Form::WithWhole("HTTP"),
        (_,      Whole::Http,  _,     _,    Some(by), _    ) => Form::WithWhole(by),
        (_,      Whole::Bytes, _,     _,    Some(by), _    ) => Form::WithWhole(by),
        _                                                    => Form::More,
    };
    form
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All combinations of items and of Services that are imported whole.
    fn all() -> impl Iterator<Item = (OnPort, Whole)> {
        let wanted = |bits: u32| {
            let is = |at: u32| bits >> at & 1 == 1;
            OnPort {
                tls_hosts: is(0),
                http_hosts: is(1),
                addresses: is(2),
                http_services: is(3),
                tls_services: is(4),
                tcp_services: is(5),
                auto_services: is(6),
                twice: is(7),
                clean: is(8),
                dns: is(9),
                sent_on: is(10),
            }
        };
        let whole = [Whole::No, Whole::Http, Whole::Bytes, Whole::Unfit];
        (0..1 << 11).map(wanted).flat_map(move |wanted| whole.map(|whole| (wanted, whole)))
    }

    #[test]
    fn a_listener_reads_what_it_imports() {
        for (wanted, whole) in all() {
            let services = wanted.tls_services || wanted.tcp_services || wanted.auto_services;
            match form(wanted, whole) {
                // Connections that are not HTTP would be refused.
                Form::Own("HTTP") | Form::WithWhole("HTTP") => {
                    assert!(!wanted.tls_hosts && !wanted.addresses && !services, "{wanted:?} {whole:?}");
                }
                // Requests have no SNI, and most connections to addresses have none either.
                Form::Own("TLS") | Form::WithWhole("TLS") => {
                    assert!(!wanted.http_hosts && !wanted.addresses, "{wanted:?} {whole:?}");
                }
                // Hosts outside are only distinguished by what the listener reads.
                Form::Own("TCP") | Form::WithWhole("TCP") => {
                    assert!(!wanted.http_hosts && !wanted.tls_hosts, "{wanted:?} {whole:?}");
                }
                Form::Own(other) | Form::WithWhole(other) => panic!("{other}"),
                Form::Rest | Form::More => {}
            }
        }
    }

    #[test]
    fn what_comes_along_is_a_gap() {
        for (wanted, whole) in all() {
            match form(wanted, whole) {
                Form::Rest => assert!(wanted.clean, "{wanted:?} {whole:?}"),
                Form::More => assert!(!wanted.clean, "{wanted:?} {whole:?}"),
                Form::Own(_) | Form::WithWhole(_) => {}
            }
        }
    }

    #[test]
    fn a_listener_hides_nothing_that_is_imported_whole() {
        for (wanted, whole) in all() {
            match form(wanted, whole) {
                Form::Own(_) => assert!(whole == Whole::No || wanted.dns && !wanted.addresses, "{wanted:?} {whole:?}"),
                Form::WithWhole("HTTP") => assert_eq!(whole, Whole::Http, "{wanted:?}"),
                Form::WithWhole(_) => assert!(whole == Whole::Http || whole == Whole::Bytes, "{wanted:?} {whole:?}"),
                Form::Rest | Form::More => {}
            }
        }
    }

    /// If the items are `twice`, `sent_on` or `clean`, the form does not depend on the Services that are imported
    /// whole, so that no pass examines all Services.
    #[test]
    fn which_services_are_whole_matters_only_where_something_comes_along() {
        for (wanted, whole) in all().filter(|(wanted, _)| wanted.twice || wanted.sent_on || wanted.clean) {
            let same = whole == Whole::No || form(wanted, whole) == form(wanted, Whole::Unfit);
            assert!(same, "{wanted:?} {whole:?}");
        }
    }

    #[test]
    fn a_number_that_is_another_protocols_first_or_leads_to_another_has_no_listener() {
        for (wanted, whole) in all().filter(|(wanted, _)| wanted.twice || wanted.sent_on) {
            assert!(matches!(form(wanted, whole), Form::Rest | Form::More), "{wanted:?} {whole:?}");
        }
    }
}
