//! Troubles: rules that contradict each other on Istio, and facts that its readers should know. Passes return them as
//! data; here they become messages.

use std::sync::Arc;

use smol_str::SmolStr;

use super::limits::MOST_BYTES;
use super::plan::egress::items::HostPort;
use super::plan::subjects::Subject;
use super::words::list_names;
use crate::diag::{Code, Diagnostic};
use crate::model::gateways::Gateway;
use crate::model::hosts::HostName;
use crate::model::rules::RuleId;
use crate::policy::Policy;
use crate::source::{Sources, Span};

/// A message, as data.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// Two rules read one port of a host differently.
    ReadTwice {
        /// The namespace whose ServiceEntry it is.
        namespace: SmolStr,
        /// The host.
        host: HostName,
        /// The port as one rule reads it.
        first: (HostPort, RuleId),
        /// The port as another one does.
        second: (HostPort, RuleId),
    },
    /// Two rules give a host different addresses.
    TwoPlaces {
        /// The namespace whose ServiceEntry it is.
        namespace: SmolStr,
        /// The host.
        host: HostName,
        /// One rule.
        first: RuleId,
        /// The other one.
        second: RuleId,
    },
    /// A Sidecar is larger than Kubernetes takes.
    SidecarTooLarge {
        /// Its pods.
        subject: Subject,
        /// The rules that it comes from.
        rules: Vec<RuleId>,
    },
    /// Sidecars use mTLS to pods of a gateway.
    WrappedGateway {
        /// The gateway.
        gateway: SmolStr,
        /// The span at which a rule names the gateway.
        span: Span,
    },
    /// The Service of a gateway has to keep the client's address, and no declaration names the Service.
    GatewayService {
        /// The gateway.
        gateway: SmolStr,
        /// The first rule that needs it.
        rule: RuleId,
    },
    /// No workload is known whose proxies could be given the number of proxies in front of them.
    ProxiesUncounted {
        /// The gateway.
        gateway: SmolStr,
        /// The number of proxies.
        proxies: u32,
        /// The first rule that needs it.
        rule: RuleId,
    },
    /// No client's address arrives at a gateway.
    ClientUnseen {
        /// The gateway.
        gateway: Arc<Gateway>,
        /// The first rule that needs it.
        rule: RuleId,
    },
}

impl Trouble {
    /// Returns the message of the trouble.
    pub fn diagnostic(&self, policy: &Policy, sources: &Sources) -> Option<Diagnostic> {
        let span = |rule: &RuleId| policy.rule(*rule).map(|rule| rule.origin.span);
        Some(match self {
            Trouble::ReadTwice { namespace, host, first: (there, first), second: (here, second) } => {
                let port = here.number;
                let message = format!("{host}:{port} is read as {there} and as {here} in {namespace}");
                let found = Diagnostic::new(Code::PortReadTwice, span(second)?, message)
                    .at(format!("as {here}"))
                    .label(span(first)?, format!("as {there}"));
                let one = "Istio has one ServiceEntry for a host of a namespace";
                found.note(match here.tls_to.or(there.tls_to) {
                    Some(target) => format!(
                        "{one}: name it once, `let NAME = host {host} {{ port {port} -> {target}/tls }}`, and use that name in both"
                    ),
                    None => {
                        let (here, there) = (HostPort { tls_to: None, ..*here }, HostPort { tls_to: None, ..*there });
                        format!("{one}: write `{host}:{port}/{there}` in both, or `/{here}`")
                    }
                })
            }
            Trouble::TwoPlaces { namespace, host, first, second } => {
                let message = format!("{host} has different addresses in two rules for {namespace}");
                Diagnostic::new(Code::HostInTwoPlaces, span(second)?, message)
                    .at("other addresses")
                    .label(span(first)?, "some addresses, or none")
                    .note(format!("name it once, `let NAME = host {host} at …`, and use that name in both"))
            }
            Trouble::SidecarTooLarge { subject, rules } => {
                let spans: Vec<Span> = rules.iter().filter_map(span).collect();
                let stand: Vec<String> = spans.iter().map(|span| sources.place(*span)).collect();
                let pods = pods(subject);
                let most = MOST_BYTES / 1024;
                let message =
                    format!("the Sidecar of {pods} would have more than {most} KiB, which Kubernetes refuses");
                Diagnostic::new(Code::SidecarTooLarge, *spans.iter().min()?, message)
                    .at("what these pods may reach is too much for one object")
                    .note(format!(
                        "a pod has one Sidecar, so that it cannot be divided; it comes from {}",
                        list_names(&stand)
                    ))
                    .note(
                        "name networks instead of single addresses, `*.` hosts instead of single ones, and fewer ports",
                    )
            }
            Trouble::WrappedGateway { gateway, span } => {
                let message = format!("pods of gateway `{gateway}` are labelled as if they had a sidecar");
                Diagnostic::new(Code::WrappedGateway, *span, message)
                    .at("sidecars wrap in mTLS what they send to pods with `security.istio.io/tlsMode=istio`")
                    .note("what passes the gateway unread breaks: take the label off the gateway's pods")
            }
            Trouble::GatewayService { gateway, rule } => {
                let message = format!("the Service of the gateway `{gateway}` is not known");
                Diagnostic::new(Code::GatewayService, span(rule)?, message)
                    .at("the client's address is judged at the gateway, whose Service must keep it")
                    .note("name it in the gateway's block: `service NAMESPACE/NAME`")
            }
            Trouble::ProxiesUncounted { gateway, proxies, rule } => {
                let message = format!(
                    "nothing known runs the pods of the gateway `{gateway}`, so that no patch tells it of its proxies"
                );
                Diagnostic::new(Code::ProxiesUncounted, span(rule)?, message)
                    .at(format!("judged by X-Forwarded-For, of which the gateway must skip {}", proxies - 1))
                    .note(format!(
                        "give its pods the annotation `proxy.istio.io/config: \"gatewayTopology: {{numTrustedProxies: {proxies}}}\"`"
                    ))
            }
            Trouble::ClientUnseen { gateway, rule } => {
                let message = format!("no client's address arrives at the gateway `{}`", gateway.name);
                let found = Diagnostic::new(Code::ClientUnseen, span(rule)?, message)
                    .at("judged by the address that packets come from");
                let found = match policy.inventory.services.get(gateway.service.as_ref()?) {
                    Some(service) => {
                        found.label(service.origin, "a ClusterIP Service, which nobody outside the cluster reaches")
                    }
                    None => found,
                };
                found.note(
                    "where a proxy stands in front and appends the client to X-Forwarded-For, declare it: `proxies 1`",
                )
            }
        })
    }
}

/// Returns a subject in the words of the language.
fn pods(subject: &Subject) -> String {
    let labels: Vec<String> = subject.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let namespace = subject.namespace.as_deref().unwrap_or("*");
    match labels.is_empty() {
        true => format!("`{namespace}/*`"),
        false => format!("`{namespace}/{{{}}}`", labels.join(", ")),
    }
}
